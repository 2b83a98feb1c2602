"""The page about simulations names every suite, every kind of perturbation and every field."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

from triphase_simulations.oracles import ORACLES
from triphase_simulations.plan import KINDS
from triphase_simulations.receivers import WORDS
from triphase_simulations.scenario import TO_CLIENTS, ClientPlan, SendingPlan, WebhookPlan
from triphase_simulations.suites import SUITES

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "simulations.md"

if not PAGE.exists():
    pytest.skip("no documentation here", allow_module_level=True)


def table(heading: str) -> list[list[str]]:
    """Return the rows of the first table after a heading."""
    _, _, rest = PAGE.read_text("utf-8").partition(f"\n{heading}\n")
    lines = rest[rest.index("\n|") + 1 :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_it_has_every_suite_in_its_own_words() -> None:
    rows = {name.strip("`"): says for name, says in table("## Suites")}
    assert rows == {suite.name: suite.says for suite in SUITES.values()}


def test_it_has_every_kind_of_perturbation() -> None:
    assert [row[0].strip("`") for row in table("## What disturbs a run")] == list(KINDS)


def test_it_has_every_field_of_a_client() -> None:
    rows = [re.findall(r"`(\w+)`", row[0]) for row in table("## Clients of a scenario")]
    assert [name for row in rows for name in row] == [
        field.name for field in attrs.fields(ClientPlan)
    ]
    text = PAGE.read_text("utf-8")
    assert all(f"`{what}`" in text for what in TO_CLIENTS)


def test_it_has_what_webhooks_are_drawn_from() -> None:
    _, _, rest = PAGE.read_text("utf-8").partition("\n## Webhooks of a scenario\n")
    section = rest.partition("\n## ")[0]
    answers, webhooks, sending = re.findall(r"\| --- \| --- \|\n((?:\|.*\n)+)", section)
    assert re.findall(r"^\| `(\w+)", answers, re.MULTILINE) == list(WORDS)
    for rows, plan in ((webhooks, WebhookPlan), (sending, SendingPlan)):
        cells = [row.split("|")[1] for row in rows.splitlines()]
        named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
        assert named == [field.name for field in attrs.fields(plan)]


def test_the_rules_that_it_names_are_judged() -> None:
    _, _, rest = PAGE.read_text("utf-8").partition("## Clients of a scenario")
    named = re.findall(r"^\| (O\d+) \|", rest, re.MULTILINE)
    assert named == ["O3", "O4", "O20", "O24", "O30"]
    assert set(named) <= {oracle.name for oracle in ORACLES}
