"""The demo's jobs as rows of a table: made from their stored records alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import attrs

from triphase_protocol import Job, JobState, PhaseRecord, PhaseState, structure

from .demo_results import Collected, Compressed, Longest, Parsed

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Row:
    """One package, as far as its job has come."""

    name: str
    job: Job
    collected: Collected | None
    parsed: Parsed | None
    compressed: Compressed | None

    @classmethod
    def of(cls, job: Job) -> Row:
        """Return the row of a job."""
        phases = {phase.name: phase for phase in job.phases}
        return cls(
            name=str(job.payload["name"]),
            job=job,
            collected=_result(phases["collect"], Collected),
            parsed=_result(phases["parse"], Parsed),
            compressed=_result(phases["compress"], Compressed),
        )

    @property
    def page(self) -> Path:
        """Where the package's page is, if it has been written."""
        return Path(self.job.payload["pages"], f"{self.name}.html")

    @property
    def seconds(self) -> Mapping[str, float]:
        """How long the last try of each phase took."""
        return {
            phase.name: phase.finished_at - phase.started_at
            for phase in self.job.phases
            if phase.started_at is not None and phase.finished_at is not None
        }

    @property
    def attempts(self) -> int:
        """Tries of all phases together: as many as there are phases if none was repeated."""
        return sum(phase.attempt for phase in self.job.phases)

    @property
    def retried(self) -> list[PhaseRecord]:
        """The phases that failed, and then completed."""
        return [
            phase
            for phase in self.job.phases
            if phase.state is PhaseState.COMPLETED and phase.spent.get("error")
        ]


@attrs.frozen(kw_only=True)
class Totals:
    """All packages together."""

    packages: int
    completed: int
    """Packages whose job has completed."""

    files: int
    bytes: int
    packed_bytes: int
    lines: int
    classes: int
    functions: int
    async_functions: int
    unparsable: list[str]
    """The files that are no Python of this version, with their package."""

    longest: Longest | None
    """The longest function; its file with its package."""

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Totals:
        """Return the sums over rows; what a job has not found out counts as nothing."""
        rows = list(rows)
        collected = [row.collected for row in rows if row.collected]
        packed = [row.compressed for row in rows if row.compressed]
        parsed = [(row.name, row.parsed) for row in rows if row.parsed]
        longest = [
            attrs.evolve(found.longest, file=f"{name}/{found.longest.file}")
            for name, found in parsed
            if found.longest
        ]
        return cls(
            packages=len(rows),
            completed=sum(row.job.state is JobState.COMPLETED for row in rows),
            files=sum(len(each.files) for each in collected),
            bytes=sum(each.bytes for each in collected),
            packed_bytes=sum(each.packed_bytes for each in packed),
            lines=sum(each.lines for _, each in parsed),
            classes=sum(each.classes for _, each in parsed),
            functions=sum(each.functions for _, each in parsed),
            async_functions=sum(each.async_functions for _, each in parsed),
            unparsable=[f"{name}/{path}" for name, each in parsed for path in each.unparsable],
            longest=max(longest, key=lambda each: each.lines, default=None),
        )


def _result(phase: PhaseRecord, shape: type[T]) -> T | None:
    return structure(phase.result, shape) if phase.state is PhaseState.COMPLETED else None
