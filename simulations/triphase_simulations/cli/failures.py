"""What the commands do with a failure: files in a folder, and an object for a script."""

from __future__ import annotations

from pathlib import Path

from triphase.cli.exits import Unreachable, UsageError
from triphase_protocol import Json
from triphase_simulations.exploring import Failure
from triphase_simulations.page import page
from triphase_simulations.saved import save
from triphase_simulations.suites import SUITES, Suite
from triphase_simulations.timeline import report


def suites_named(name: str | None) -> list[Suite]:
    """Return the suite of a name; all of them for None.

    Raises:
      UsageError: if there is none of that name.
    """
    if name is None:
        return list(SUITES.values())
    suite = SUITES.get(name)
    if suite is None:
        raise UsageError(f"there is no suite {name!r}: it is one of {', '.join(SUITES)}")
    return [suite]


def write(failure: Failure, folder: Path) -> dict[str, Path]:
    """Write a failure's plan, report and page into a folder, which is made if it is missing.

    Raises:
      Unreachable: if that cannot be done.
    """
    name = f"{failure.suite}-{failure.seed}"
    files = {kind: folder / f"{name}.{kind}" for kind in ("json", "txt", "html")}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save(failure, files["json"])
        files["txt"].write_text(report(failure, files["json"]), "utf-8")
        files["html"].write_text(page(failure, files["json"]), "utf-8")
    except OSError as exc:
        raise Unreachable(f"{exc.filename or folder}: {exc.strerror or exc}") from exc
    return files


def described(failure: Failure, files: dict[str, Path] | None = None) -> dict[str, Json]:
    """Return a failure as an object."""
    violation, shrunk = failure.violation, failure.shrunk
    return {
        "suite": failure.suite,
        "seed": failure.seed,
        "oracle": violation.oracle,
        "message": violation.message,
        "normalised": violation.normalised,
        "perturbations": len(failure.perturbations),
        "jobs": len(failure.scenario.jobs),
        "ops": len(failure.scenario.ops),
        "replays": shrunk.replays if shrunk else 0,
        "confirmed": shrunk.confirmed if shrunk else None,
        "history": failure.history.hash(),
        "files": {kind: str(path) for kind, path in (files or {}).items()},
    }
