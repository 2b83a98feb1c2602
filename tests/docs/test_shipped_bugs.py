"""The page about others' mistakes answers for each of them, by tests and files that there are."""

from __future__ import annotations

import re

from .test_promises import ROOT, rows, unshown

PAGE = "docs/explanation/shipped-bugs.md"

ENTRIES = {*range(1, 22), *range(29, 42)}
"""The numbers of the mistakes that this version has to answer for."""

NOT_YET = "| not there yet |"

RACES = "tests/actors/races"


def unanswered(text: str) -> list[str]:
    """Return the rows that name no test and no file, and the footnotes that name no test.

    A row may also say that the part it needs is not there yet.
    """
    return [each for each in unshown(text) if not (each.endswith(NOT_YET) or _names_a_file(each))]


def numbers(text: str) -> list[str]:
    """Return the numbers of the rows, with the letters behind them."""
    return [row.split("|")[1].strip() for row in rows(text)]


def unnamed(text: str, tests: dict[str, str]) -> list[str]:
    """Return the tests, of these files by their path, that the page does not name."""
    return [
        name
        for path, program in sorted(tests.items())
        for name in re.findall(r"^(?:async )?def (test_\w+)", program, re.MULTILINE)
        if f"`{path}::{name}`" not in text
    ]


def _names_a_file(row: str) -> bool:
    paths = re.findall(r"`([^`]+)`", row.rpartition("|")[0].rpartition("|")[2])
    return bool(paths) and all((ROOT / path).is_file() for path in paths)


def page() -> str:
    """Return the text of the page."""
    return (ROOT / PAGE).read_text("utf-8")


def test_every_row_names_a_test_or_a_file_that_there_is() -> None:
    assert unanswered(page()) == []


def test_every_entry_has_its_rows_and_each_row_its_own_number() -> None:
    found = numbers(page())
    assert {int(re.match(r"\d+", number)[0]) for number in found} == ENTRIES  # type: ignore[index]
    assert len(set(found)) == len(found)


def test_every_footnote_is_in_a_row() -> None:
    notes = re.findall(r"^\[\^([\w-]+)\]: ", page(), re.MULTILINE)
    used = {note for row in rows(page()) for note in re.findall(r"\[\^([\w-]+)\]", row)}
    assert sorted(notes) == sorted(used)


def test_every_test_of_a_race_is_in_the_page() -> None:
    tests = {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for path in (ROOT / RACES).glob("test_*.py")
    }
    assert tests
    # What only shows that another test is complete stands beside that.
    assert unnamed(page(), tests) == ["test_every_state_of_this_version_is_among_them"]


def test_what_is_not_answered_is_found() -> None:
    text = f"""
| no. | the mistake | shown by |
| --- | --- | --- |
| 1a | one | [^here] |
| 1a | two | `{PAGE}` |
| 2 | three | `docs/explanation/nothing.md` |
| 3 | four | not there yet |
| 4 | five | trust us |
| 5 | six | [^gone] |

[^here]: `tests/docs/test_shipped_bugs.py::test_what_is_not_answered_is_found`
[^gone]: `tests/docs/test_shipped_bugs.py::test_nothing`
"""
    assert unanswered(text) == [
        "| 2 | three | `docs/explanation/nothing.md` |",
        "| 4 | five | trust us |",
        "gone",
    ]
    assert numbers(text) == ["1a", "1a", "2", "3", "4", "5"]
    path = "tests/docs/test_shipped_bugs.py"
    program = "async def test_what_is_not_answered_is_found():\n    ...\ndef test_other(): ...\n"
    assert unnamed(text, {path: program}) == ["test_other"]
