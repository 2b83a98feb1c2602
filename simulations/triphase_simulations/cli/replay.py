"""`triphase simulate replay`: runs one scenario again, from its seed or from a saved plan."""

from __future__ import annotations

from pathlib import Path

from triphase.cli.exits import Exit, UsageError
from triphase.cli.options import AsJson
from triphase.cli.screen import Screen
from triphase_simulations import exploring
from triphase_simulations.saved import Saved, load, versions
from triphase_simulations.timeline import report

from .failures import described, suites_named, write
from .progress import PlainProgress
from .simulate import show_small


def replay(
    what: str, /, *, suite: str | None = None, out: Path | None = None, json: AsJson = False
) -> int:
    """Run a scenario again, and show what is wrong with it.

    It ends with 1 if something is wrong, and with 0 if nothing is, any more.

    Args:
      what: A scenario's seed, or a file that `triphase simulate` has written.
      suite: Whose seed it is; each suite is tried without it.
      out: A folder to write what fails into.
      json: Write JSON.
    """
    screen = Screen(json=json)
    if what.isdecimal():
        return _replay_seed(int(what), suite, out, screen)
    if suite is not None:
        raise UsageError(f"--suite {suite}: a file says itself of which suite it is")
    return _replay_file(load(Path(what)), out, screen)


def _replay_seed(seed: int, name: str | None, out: Path | None, screen: Screen) -> int:
    chosen = suites_named(name)
    progress, failed = PlainProgress(screen, len(chosen)), False
    for suite in chosen:
        with exploring.calm_memory():
            result, failure = exploring.replay(suite, seed)
        if failure is not None:
            failed = True
            show_small(failure, screen, progress, out)
        elif screen.json:
            screen.object({"suite": suite.name, "seed": seed, "history": result.hash})
        if not screen.json:
            screen.line(
                [suite.name, str(seed), "failed" if failure else "nothing wrong", result.hash]
            )
    return Exit.FAILED if failed else Exit.OK


def _replay_file(saved: Saved, out: Path | None, screen: Screen) -> int:
    failure, observed = saved.replay()
    now = versions()
    others = [f"{name} {each}" for name, each in saved.versions.items() if now.get(name) != each]
    if others:
        screen.note(f"it was saved with {', '.join(others)}")
    same = any(each.normalised == saved.violation.normalised for each in observed.violations)
    outcome = "failed" if same else "failed in another way" if failure else "nothing wrong"
    files = write(failure, out) if failure is not None and out is not None else {}
    if failure is not None:
        PlainProgress(screen, 1).tell(report(failure, files.get("json")))
    if not screen.json:
        screen.line([saved.suite, str(saved.seed), outcome, observed.history.hash()])
    elif failure is None:
        hash = observed.history.hash()
        screen.object({"suite": saved.suite, "seed": saved.seed, "history": hash})
    else:
        screen.object(described(failure, files))
    return Exit.OK if failure is None else Exit.FAILED
