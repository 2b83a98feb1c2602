"""`triphase wait`: return when jobs have ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs
import trio
from rich.text import Text

from triphase_protocol import Job, JobState, Json, outcome_of, unstructure

from .describing import STATE_STYLES, job_seconds, why
from .exits import Exit, UsageError
from .humane import duration, one_line
from .options import AsJson, JobId, seconds_from
from .places import ANYWHERE, Place
from .screen import Screen
from .sources import Source, current, jobs_of, opened

LAST_LOOK: Final = 1.0
"""Seconds to learn what the jobs are that have not ended in time."""


async def wait(
    *ids: JobId,
    timeout: float | None = None,
    place: Place = ANYWHERE,
    json: AsJson = False,
) -> int:
    """Wait until all of these jobs have ended, and print how.

    In a pipe each line has: id, outcome, type, seconds and why. The exit code is 0 if all
    completed, 1 if one did not, and 124 if the timeout passed.

    Args:
      ids: The jobs' ids, or the beginnings of them.
      timeout: Seconds to wait at the most.
      place: Where the jobs are.
      json: Write JSON.
    """
    if not ids:
        raise UsageError("wait: for which job? give an id")
    seconds, screen = seconds_from("--timeout", timeout), Screen(json=json)
    async with opened(place, screen.note, lasting=True) as source:
        # All at first: an id that does not exist would never end.
        waiting = Waiting(screen, source, await jobs_of(source, ids))
        if text := source.hint(waiting.pending.values()):
            screen.note(text)
        return await waiting.run(trio.current_time() + seconds)


@attrs.define
class Waiting:
    """Several jobs that are waited for."""

    screen: Screen
    source: Source
    pending: dict[str, Job]
    """The jobs that have not ended, by id."""

    failed: bool = False
    """One of them ended in another way than completed."""

    async def run(self, deadline: float) -> Exit:
        """Print each job as it ends; return when all have, or the time has passed."""
        # What has ended already is told even if there is no time at all.
        self._end_those_that_have(list(self.pending.values()))
        if self.pending:
            with trio.move_on_at(deadline):
                await self.source.ended(list(self.pending), self._end)
        if self.pending:
            await self._look_again()
        for job in self.pending.values():
            self._print(job, "timed_out")
        if self.pending:
            return Exit.TIMED_OUT
        return Exit.FAILED if self.failed else Exit.OK

    async def _look_again(self) -> None:
        """Learn what the jobs are now, if that can be had at once."""
        found: list[Job] = []
        with trio.move_on_after(LAST_LOOK):
            for id in self.pending:
                found.append(await current(self.source, id))  # noqa: PERF401 - some are enough
        self.pending |= {job.id: job for job in found}
        self._end_those_that_have(found)

    def _end_those_that_have(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            if job.terminal:
                self._end(job)

    def _end(self, job: Job) -> None:
        del self.pending[job.id]
        self.failed |= job.state is not JobState.COMPLETED
        self._print(job, job.state.value)

    def _print(self, job: Job, outcome: str) -> None:
        took = job_seconds(job, job.finished_at or job.submitted_at) if job.terminal else None
        if self.screen.json:
            self.screen.object(_answer(job, outcome))
        elif self.screen.drawn:
            style = STATE_STYLES[job.state] if job.terminal else "yellow"
            self.screen.draw_line(
                Text.assemble(
                    (job.id, "bold"),
                    "  ",
                    (f"{outcome:<11}", style),
                    f"  {one_line(job.type)}",
                    ("" if took is None else f"  {duration(took)}", "bright_black"),
                    f"  {one_line(why(job))}",
                )
            )
        else:
            seconds = "-" if took is None else f"{took:.3f}"
            self.screen.line([job.id, outcome, job.type, seconds, why(job) or "-"])


def _answer(job: Job, outcome: str) -> Json:
    ended = outcome_of(job)
    if ended is None:
        return {"job": job.id, "outcome": outcome, "state": job.state.value}
    return {**unstructure(ended), "outcome": outcome}
