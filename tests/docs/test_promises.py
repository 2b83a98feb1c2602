"""What the documentation says is shown by a test names one that there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PAGE = "docs/explanation/guarantees.md"

NODE = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows(text: str) -> list[str]:
    """Return the rows of the tables whose last column is "shown by"."""
    found: list[str] = []
    inside = False
    for line in text.splitlines():
        inside = line.startswith("|") and (inside or line.endswith("| shown by |"))
        if inside:
            found.append(line)
    return [line for line in found if not line.endswith(("| shown by |", "| --- |"))]


def missing(text: str) -> list[str]:
    """Return the tests that the text names and that there are not."""
    return [
        f"{path}::{name}" for path, name in NODE.findall(text) if name not in _tests_of(ROOT / path)
    ]


def _tests_of(path: Path) -> set[str]:
    if not path.is_file():
        return set()
    module = ast.parse(path.read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in module.body if isinstance(node, kinds)}


def test_every_promise_names_tests_that_there_are() -> None:
    text = (ROOT / PAGE).read_text("utf-8")
    assert rows(text)
    assert [row for row in rows(text) if not NODE.search(row)] == []
    assert missing(text) == []


@pytest.mark.parametrize("name", ["test_nothing", "rows"])
def test_a_test_that_there_is_not_is_found(name: str) -> None:
    here = Path(__file__).relative_to(ROOT).as_posix()
    text = f"| a | b | `{here}::{name}` |"
    assert missing(text) == ([] if name == "rows" else [f"{here}::test_nothing"])


def test_the_rows_are_those_of_the_tables_that_name_tests() -> None:
    table = "| a | shown by |\n| --- | --- |\n| one | two |\n"
    assert rows(f"| x | y |\n| --- | --- |\n| z | z |\n\n{table}") == ["| one | two |"]
