"""`triphase simulate bench`: simulated runs a second on this machine."""

from __future__ import annotations

from triphase.cli.exits import Exit, UsageError
from triphase.cli.humane import counted
from triphase.cli.options import AsJson, WholeNumber
from triphase.cli.screen import Screen
from triphase_protocol import unstructure
from triphase_simulations.bench import measure_runs


def bench(*, runs: WholeNumber = 300, json: AsJson = False) -> int:
    """Measure simulated runs a second, beside runs of trio that do nothing.

    Args:
      runs: Runs of each kind.
      json: Write JSON.
    """
    if runs < 1:
        raise UsageError(f"--runs {runs}: at least 1")
    screen = Screen(json=json)
    screen.note(f"{counted(runs, 'run')} of each kind …")
    for figure in measure_runs(runs):
        if screen.json:
            screen.object(unstructure(figure))
            continue
        screen.line(
            [
                figure.what,
                f"{figure.per_second:,.0f} runs/s",
                f"median {figure.median_ms:,.2f} ms",
                f"{figure.of_bare:,.1f} bare runs each",
            ]
        )
    return Exit.OK
