"""The SQL: each statement is a file in `queries/`, read once when its module is imported.

A statement's text never depends on a value, so the driver's cache always has it prepared;
lists are given as one JSON parameter. What a `$name` stands for is fixed by the caller.
"""

from __future__ import annotations

from importlib.resources import files
from string import Template
from typing import Final

_QUERIES: Final = files("triphase.store.sqlite") / "queries"


def sql(name: str, **parts: str) -> str:
    """Return the statement in `queries/<name>.sql`, on one line, without its comment."""
    text = (_QUERIES / f"{name}.sql").read_text("utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("--"))
    # The driver hashes the text at every call, so it is worth keeping short.
    return Template(" ".join(" ".join(lines).split())).substitute(parts)
