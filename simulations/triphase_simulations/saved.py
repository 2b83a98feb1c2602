"""A failure as a file: what is needed to run it again, and what was wrong when it was saved."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import attrs

from triphase_protocol import InvalidValue, Json, structure, unstructure

from .exploring import Failure, Means, Observed, calm_memory, failure_of
from .plan import Key, Plan, from_json, to_json
from .scenario import Scenario

FORMAT: Final = 1
"""The shape of the files. What has another one is refused."""


class NotSaved(InvalidValue):
    """A file cannot be read, or is no saved failure; the message names the file and the field."""


@attrs.frozen(kw_only=True)
class SavedViolation:
    """What was wrong."""

    oracle: str
    message: str
    normalised: str
    """The message without names and numbers: what a replay is compared with."""


@attrs.frozen(kw_only=True)
class Saved:
    """See the module's text."""

    format: int
    suite: str
    seed: int
    """The scenario's own seed."""

    plan_seed: int | None
    """Decides ids and draws in a replay; disturbs nothing by itself."""

    violation: SavedViolation
    perturbations: list[Json]
    scenario: Scenario
    history: str
    """The hash of the history. A replay by the same versions has it too."""

    versions: Mapping[str, str]

    @property
    def fixed(self) -> dict[Key, float]:
        """What disturbs it."""
        return from_json(self.perturbations)

    def plan(self) -> Plan:
        """Return a plan that does it again."""
        return Plan(self.plan_seed, kinds=frozenset(), fixed=self.fixed)

    def replay(self, means: Means | None = None) -> tuple[Failure | None, Observed]:
        """Run it again; return the failure, or None if nothing is wrong any more."""
        plan = self.plan()
        with calm_memory():
            observed = (means or Means()).observe(self.scenario, plan)
        if not observed.violations:
            return None, observed
        failure = failure_of(self.suite, self.seed, self.scenario, plan, observed)
        return failure, observed


def versions() -> dict[str, str]:
    """Return what a saved failure depends on beside itself."""
    return {
        "triphase": importlib.metadata.version("triphase"),
        "trio": importlib.metadata.version("trio"),
        "python": platform.python_version(),
    }


def saved_from(failure: Failure) -> Saved:
    """Return what is saved of a failure."""
    violation = failure.violation
    return Saved(
        format=FORMAT,
        suite=failure.suite,
        seed=failure.seed,
        plan_seed=failure.plan.seed,
        violation=SavedViolation(
            oracle=violation.oracle,
            message=violation.message,
            normalised=violation.normalised,
        ),
        perturbations=list(to_json(failure.perturbations)),
        scenario=failure.scenario,
        history=failure.history.hash(),
        versions=versions(),
    )


def save(failure: Failure, path: Path) -> None:
    """Write a failure to a file, for people to read as well."""
    value: Any = unstructure(saved_from(failure))
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")


def load(path: Path) -> Saved:
    """Return the failure that a file holds.

    Raises:
      NotSaved: if it cannot be read, or is something else.
    """
    try:
        value: Json = json.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise NotSaved(f"{path}: {exc.strerror or exc}") from exc
    except ValueError as exc:
        raise NotSaved(f"{path}: not JSON: {exc}") from exc
    found = cast("dict[str, Json]", value).get("format") if isinstance(value, dict) else None
    if found != FORMAT:
        raise NotSaved(f"{path}: not a saved failure: $.format: expected {FORMAT}, got {found!r}")
    try:
        saved = structure(value, Saved, error=NotSaved)
    except NotSaved as exc:
        raise NotSaved(f"{path}: not a saved failure", exc.problems) from exc
    try:
        from_json(saved.perturbations)
    except ValueError as exc:
        raise NotSaved(f"{path}: not a saved failure", [f"$.perturbations: {exc}"]) from exc
    return saved
