"""What the documentation says is shown by a test names one that there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

PAGE = "docs/explanation/guarantees.md"

HEADING = "| shown by |"


def rows(text: str) -> list[str]:
    """Return the rows of the tables whose last column is "shown by"."""
    found: list[str] = []
    inside = False
    for line in text.splitlines():
        if inside and line.startswith("|") and not line.startswith("| ---"):
            found.append(line)
        inside = line.startswith("|") and (inside or line.endswith(HEADING))
    return found


def unshown(text: str) -> list[str]:
    """Return the rows without a footnote, and the footnotes that name no test there is."""
    tests = dict(re.findall(r"^\[\^([\w-]+)\]: `(.+)`$", text, re.MULTILINE))
    found = [row for row in rows(text) if not re.search(r"\[\^[\w-]+\] \|$", row)]
    notes = {note for row in rows(text) for note in re.findall(r"\[\^([\w-]+)\]", row)}
    return found + sorted(note for note in notes if not _is_test(tests.get(note, "")))


def _is_test(node: str) -> bool:
    path, _, name = node.partition("::")
    if not (ROOT / path).is_file():
        return False
    module = ast.parse((ROOT / path).read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return name in {each.name for each in module.body if isinstance(each, kinds)}


def test_every_promise_has_a_test_that_there_is() -> None:
    text = (ROOT / PAGE).read_text("utf-8")
    assert len(rows(text)) > 10
    assert unshown(text) == []


def test_a_promise_without_a_test_is_found() -> None:
    here = Path(__file__).relative_to(ROOT).as_posix()
    text = f"""
| not this | one |
| --- | --- |
| a | b |

| it dies | shown by |
| --- | --- |
| here | [^rows] [^gone] |
| there | [^nowhere] |
| anywhere | trust us |

[^rows]: `{here}::rows`
[^gone]: `{here}::test_nothing`
"""
    assert unshown(text) == ["| anywhere | trust us |", "gone", "nowhere"]
