"""The page about mutants has a row for each of them, and each was killed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from triphase_simulations.exploring import Means, Shrunk
from triphase_simulations.mutants import MUTANTS, Hunt
from triphase_simulations.mutants.hunting import clean
from triphase_simulations.suites import SUITES

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "explanation" / "mutants.md"

SMALL = Shrunk(
    replays=30, perturbations=(40, 2), jobs=(3, 1), ops=(2, 0), steps=(5, 0), confirmed=True
)

if not PAGE.exists():
    pytest.skip("no documentation here", allow_module_level=True)


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that makes the table."""
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    return importlib.import_module("mutants_table")


@pytest.fixture
def rows(maker: ModuleType) -> dict[str, list[str]]:
    """The cells of each row of the table."""
    found: dict[str, list[str]] = maker.rows_of(PAGE.read_text("utf-8"))
    return found


def test_it_has_a_row_for_each(rows: dict[str, list[str]]) -> None:
    assert list(rows) == list(MUTANTS)


def test_the_words_are_those_of_the_mutant(rows: dict[str, list[str]]) -> None:
    for name, (says, shipped, *_) in rows.items():
        assert (says, shipped) == (MUTANTS[name].says, MUTANTS[name].shipped)


def test_each_is_killed(rows: dict[str, list[str]]) -> None:
    living = [name for name, (_, _, killed_by, *_) in rows.items() if killed_by == "nobody"]
    assert not living


def test_each_was_killed_in_one_of_its_suites(rows: dict[str, list[str]]) -> None:
    for name, (_, _, killed_by, scenarios, _, seed, _) in rows.items():
        if killed_by != "nobody":
            suite = killed_by.partition(", ")[2].strip("`")
            assert suite in MUTANTS[name].suites
            assert int(scenarios) >= 1
            assert int(seed.strip("`")) >= 1
            assert suite in SUITES


def test_a_table_that_is_read_back_is_the_one_that_was_written(maker: ModuleType) -> None:
    names = list(MUTANTS)[:2]
    hunts = [
        Hunt(
            mutant=name,
            killed=killed,
            oracle="O1" if killed else None,
            suite="restart" if killed else None,
            scenarios=3,
            seconds=0.123,
            seed=77 if killed else None,
            shipped=MUTANTS[name].shipped,
            shrunk=SMALL if killed else None,
        )
        for name, killed in zip(names, (True, False), strict=True)
    ]
    page = f"words\n{maker.BEGIN}\n\n{maker.table(hunts)}\n{maker.END}\n"
    found = maker.rows_of(page)
    assert list(found) == names
    assert found[names[0]][2:] == ["O1, `restart`", "3", "0.1", "`77`", "1 job, 2 perturbations"]
    assert found[names[1]][2] == "nobody"
    assert "1 of 2 are killed, in the median by scenario 3." in page


def test_the_last_rows_seed_is_clean_without_a_mutant(rows: dict[str, list[str]]) -> None:
    killed = [cells for cells in rows.values() if cells[2] != "nobody"]
    _, _, killed_by, _, _, seed, _ = killed[-1]
    suite = killed_by.partition(", ")[2].strip("`")
    assert clean(suite, int(seed.strip("`")), Means()) == frozenset()
