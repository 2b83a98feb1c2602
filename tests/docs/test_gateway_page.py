"""What the page about the gateway says in tables is what the gateway does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs

from triphase.gateway.exchanges import STATUSES
from triphase.gateway.http import HEAD_MOST
from triphase.gateway.metrics import FIGURES
from triphase.gateway.routes import PATHS
from triphase.gateway.rules import Patience, Rules

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "gateway.md"


def rows(header: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the table with this header."""
    _, found, rest = PAGE.read_text("utf-8").partition(f"{header}\n")
    assert found, header
    for line in rest.splitlines()[1:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_it_has_every_path_and_its_scope() -> None:
    said = {
        (path.strip("`"), method.strip("`"), scope.strip("`"))
        for path, method, scope, _ in rows("| path | method | scope | is |")
    }
    done = {
        (path, method, str(action.scope or ""))
        for path, actions in PATHS.items()
        for method, action in actions.items()
    }
    assert said == done | {("/ws", "GET", "")}


def test_it_has_every_status() -> None:
    said = {
        code: int(status)
        for status, codes in rows("| status | code |")
        for code in re.findall(r"`(\w+)`", codes)
    }
    assert said == STATUSES


def test_it_has_every_figure() -> None:
    said = [(name.strip("`"), kind, words) for name, kind, words in rows("| name | is | |")]
    assert said == [
        (
            f"triphase_{each.name}{'_total' if each.counts else ''}"
            f"{f'{{{each.label}}}' if each.label else ''}",
            "counter" if each.counts else "gauge",
            each.words,
        )
        for each in FIGURES
    ]


def test_it_has_every_limit() -> None:
    rules = Rules()
    patience = rules.patience
    assert {field.strip("`"): limit for _, limit, field in rows("| | is at most | `door` |")} == {
        "connections": f"{rules.connections:,}",
        "sockets": f"{rules.sockets:,}",
        "handshakes": f"{rules.handshakes}",
        "streams": f"{rules.streams:,}",
        "patience.head": f"{HEAD_MOST // 1024} KiB, within {patience.head:g} s",
        "patience.body": f"`message_bytes`, within {patience.body:g} s",
        "patience.handshake": f"{patience.handshake:g} s",
        "patience.idle": f"{patience.idle:g} s",
        "patience.write": f"{patience.write:g} s",
    }
    told = {field.name for field in attrs.fields(Rules)} - {"patience", "retry_after"}
    told |= {f"patience.{field.name}" for field in attrs.fields(Patience)}
    assert {field.strip("`") for _, _, field in rows("| | is at most | `door` |")} == told
