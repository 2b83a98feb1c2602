"""Hunts every mutant, and writes the table of `explanation/mutants.md`.

python docs/mutants_table.py                 # hunts all of them, which takes some minutes
python docs/mutants_table.py --scenarios 50  # gives up earlier
python docs/mutants_table.py --jobs 4        # hunts several at once
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from triphase_simulations.mutants import MUTANTS, Hunt, hunt

PAGE = Path(__file__).parent / "explanation" / "mutants.md"

BEGIN = "<!-- Made by docs/mutants_table.py, from here on. -->"
END = "<!-- To here. -->"

HEAD = """\
| mutant | what is wrong | where it was shipped | killed by | scenarios | seconds | seed |
| --- | --- | --- | --- | ---: | ---: | --- |
"""

SEED = 1


def main() -> int:
    """Write the table; end with 1 if a mutant lives."""
    parser = argparse.ArgumentParser(description="Hunts every mutant, and writes the table.")
    parser.add_argument("--scenarios", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    hunts = list(_hunts(given.scenarios, given.jobs))
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
    killed = sum(each.killed for each in rows)
    lines = [_row(each) for each in rows]
    return f"{HEAD}{''.join(lines)}\n{killed} of {len(rows)} are killed.\n"


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
    )
    return f"| {' | '.join(cells)} |\n"


def _hunts(scenarios: int, jobs: int) -> Iterator[Hunt]:
    # Fresh interpreters: a mutant is a change of the code that runs.
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        futures = [pool.submit(_hunt, name, scenarios) for name in MUTANTS]
        for future in futures:
            each = future.result()
            print(each.mutant, each.oracle or "LIVES", each.scenarios, f"{each.seconds:.1f} s")
            yield each


def _hunt(name: str, scenarios: int) -> Hunt:
    return hunt(MUTANTS[name], scenarios=scenarios, seed=SEED)


if __name__ == "__main__":
    raise SystemExit(main())
