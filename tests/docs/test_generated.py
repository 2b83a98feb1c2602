"""The pages that are made from the code, or speak of it in tables, are what the code is now."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

import triphase
from triphase.cli.exits import Exit
from triphase.cli.main import app
from triphase.hooks import Answer, SendFailed
from triphase.hooks.policy import HOOK_RETRY
from triphase.hooks.tries import tried
from triphase_protocol import EventType

DOCS = Path(__file__).parents[2] / "docs"

JSON_TYPES = {"str": str, "int": int, "float": float, "list": list, "object": dict}


def test_the_generated_pages_are_what_the_generator_makes() -> None:
    command = [sys.executable, str(DOCS / "generate.py"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"run docs/generate.py:\n{result.stdout}{result.stderr}"


# Events


@pytest.fixture(scope="module")
def page() -> str:
    """The page about events."""
    return (DOCS / "reference" / "events.md").read_text("utf-8")


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, Any]]]:
    """The data of every event that the lifecycle decides, or a delivery, by type."""
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for transition in importlib.import_module("reachable").transitions():
        found[transition.event.type.value].append(dict(transition.event.data))
    for event in deliveries():
        found[event.type.value].append(dict(event.data))
    return found


def deliveries() -> Iterator[triphase.Event]:
    """Every kind of event about a delivery, after an answer or without one."""
    hook = triphase.Hook(
        id="h", job="j", run=1, seq=7, event=triphase.EventType.JOB_COMPLETED, url="https://a/"
    )
    outcomes: list[Answer | SendFailed] = [Answer(status=n) for n in (204, 503, 410)]
    outcomes += [SendFailed("a: no answer", retry=again) for again in (True, False)]
    for outcome in outcomes:
        step, _ = tried(hook, outcome, HOOK_RETRY, 0.5, 1000.0)
        assert step.event is not None
        yield step.event


def documented(page: str) -> dict[str, str]:
    """Return the last cell of each event's row."""
    return dict(re.findall(r"^\| `([a-z.]+)` \|.*\| ?(.*?) ?\|$", page, re.MULTILINE))


def test_every_event_type_is_in_the_page(page: str) -> None:
    reserved = page.partition("## Reserved")[2]
    for event_type in EventType:
        assert (f"`{event_type}`" in reserved) is not (event_type in documented(page)), event_type


def test_the_events_that_are_not_reserved_are_those_that_happen(
    page: str, decided: dict[str, list[dict[str, Any]]]
) -> None:
    assert set(documented(page)) == set(decided)


def test_what_the_page_says_of_the_data_is_so(
    page: str, decided: dict[str, list[dict[str, Any]]]
) -> None:
    for event_type, cell in documented(page).items():
        said = dict(re.findall(r"`(\w+)`: ([^;]+)", cell))
        for data in decided[event_type]:
            optional = {key for key, words in said.items() if words.endswith("if there is one")}
            assert said.keys() - optional <= data.keys() <= said.keys(), (event_type, data)
            for key, value in data.items():
                [kind] = re.findall(r"^\w+", said[key])
                null = "or null" in said[key] and value is None
                assert null or isinstance(value, JSON_TYPES[kind]), (event_type, key, value)


def test_a_key_that_the_page_lacks_would_be_found(
    page: str, decided: dict[str, list[dict[str, Any]]]
) -> None:
    decided["phase.started"].append({"attempt": 1, "more": True})
    with pytest.raises(AssertionError, match=r"phase\.started"):
        test_what_the_page_says_of_the_data_is_so(page, decided)


# The command line


def test_every_command_and_option_is_in_its_page() -> None:
    page = (DOCS / "reference" / "cli.md").read_text("utf-8")
    sections = {text.partition("\n")[0]: text for text in page.split("\n## ")}
    commands = dict(commands_of(app))
    assert {command.partition(" ")[0] for command in commands} <= set(sections)
    for command, its in commands.items():
        section = sections[command.partition(" ")[0]]
        assert " " not in command or command in section, command
        for argument in its.assemble_argument_collection():
            # Of a pair such as --follow and --no-follow, the one that is not the default.
            found = any(f"`{name}" in section for name in argument.names)
            assert found or argument.names in UNNAMED, (command, argument.names)


UNNAMED = {("ID",), ("IDS",), ("NAME",), ("N",), ("*",)}
"""Arguments that stand in the command's title, and what only gathers options."""


def commands_of(of: App, path: str = "") -> Iterator[tuple[str, App]]:
    """Yield the commands that do something, by what one writes: `ls`, `queue ls`."""
    for name in of:
        if not name.startswith("-"):
            found = of[name]
            yield from commands_of(found, f"{path}{name} ")
            if found.default_command is not None:
                yield f"{path}{name}", found


def test_every_exit_code_is_in_the_page_of_the_command_line() -> None:
    page = (DOCS / "reference" / "cli.md").read_text("utf-8")
    said = {
        int(code)
        for cell in re.findall(r"^\| ([\d, ]+) \|", page, re.MULTILINE)
        for code in cell.split(",")
    }
    assert said == {int(code) for code in Exit}
