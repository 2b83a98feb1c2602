"""Hunts every mutant, and writes the table of `explanation/mutants.md`.

python docs/mutants_table.py                 # hunts all of them, which takes some minutes
python docs/mutants_table.py --scenarios 50  # gives up earlier
python docs/mutants_table.py --jobs 4        # hunts several at once
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from triphase.cli.humane import counted
from triphase_simulations.mutants import MUTANTS, Hunt, hunt_all

PAGE = Path(__file__).parent / "explanation" / "mutants.md"

BEGIN = "<!-- Made by docs/mutants_table.py, from here on. -->"
END = "<!-- To here. -->"

HEAD = """\
| mutant | what is wrong | shipped in | killed by | scenarios | seconds | seed | smallest |
| --- | --- | --- | --- | ---: | ---: | --- | --- |
"""

SEED = 1


def main() -> int:
    """Write the table; end with 1 if a mutant lives."""
    parser = argparse.ArgumentParser(description="Hunts every mutant, and writes the table.")
    parser.add_argument("--scenarios", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    hunts: list[Hunt] = []
    for each in hunt_all(MUTANTS.values(), jobs=given.jobs, scenarios=given.scenarios, seed=SEED):
        print(each.mutant, each.oracle or "LIVES", each.scenarios, f"{each.seconds:.1f} s")
        hunts.append(each)
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(hunts)}\n{END}{after}", "utf-8")
    living = [each.mutant for each in hunts if not each.killed]
    print(f"{len(hunts)} mutants, {len(living)} live: {', '.join(living) or 'none'}")
    return 1 if living else 0


def table(hunts: Iterable[Hunt]) -> str:
    """Return the table of some hunts, and a line that counts them."""
    rows = list(hunts)
    killed = [each for each in rows if each.killed]
    lines = "".join(map(_row, rows))
    middle = median(each.scenarios for each in killed) if killed else 0
    counts = f"{len(killed)} of {len(rows)} are killed, in the median by scenario {middle:g}."
    return f"{HEAD}{lines}\n{counts}\n"


def _size(each: Hunt) -> str:
    """Return how large the smallest case is."""
    if each.shrunk is None:
        return ""
    sizes = {
        "job": each.shrunk.jobs,
        "operation": each.shrunk.ops,
        "step": each.shrunk.steps,
        "perturbation": each.shrunk.perturbations,
    }
    return ", ".join(counted(small, noun) for noun, (_, small) in sizes.items() if small)


def rows_of(page: str) -> dict[str, list[str]]:
    """Return the cells of each row of a page's table, by the name of the mutant."""
    text = page.partition(BEGIN)[2].partition(END)[0]
    found = re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", text, re.MULTILINE)
    return {name: cells.split(" | ") for name, cells in found}


def _row(each: Hunt) -> str:
    killed_by = f"{each.oracle}, `{each.suite}`" if each.killed else "nobody"
    seed = f"`{each.seed}`" if each.killed else ""
    cells = (
        f"`{each.mutant}`",
        MUTANTS[each.mutant].says,
        each.shipped,
        killed_by,
        str(each.scenarios),
        f"{each.seconds:.1f}",
        seed,
        _size(each),
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    raise SystemExit(main())
