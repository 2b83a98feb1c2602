"""The command line as a whole: what it refuses, and how it says so."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Cli

READ = ("ls", "show", "watch", "tail", "wait")
ASK = ("cancel", "retry", "approve", "reject", "explain", "queue")
HOOKS = ("hooks ls", "hooks show")
COMMANDS = ("demo", "serve", "submit", *READ, *ASK, "hooks")


def test_help_names_every_command(cli: Cli) -> None:
    ran = cli("--help")
    assert ran.code == 0
    assert not ran.err
    assert all(f" {command} " in ran.out for command in COMMANDS)
    assert cli().out == ran.out


@pytest.mark.parametrize("command", ["demo", "serve", "submit", *READ, *HOOKS])
def test_a_command_that_opens_a_store_has_help_with_it(cli: Cli, command: str) -> None:
    ran = cli(*command.split(), "--help")
    assert ran.code == 0
    assert "--store" in ran.out
    assert "--json" in ran.out


@pytest.mark.parametrize(
    "command",
    ["submit", *READ, *ASK[:-1], "queue ls", "queue limit", *HOOKS, "hooks redeliver"],
)
def test_a_command_that_asks_a_gateway_has_help_with_it(cli: Cli, command: str) -> None:
    ran = cli(*command.split(), "--help")
    assert ran.code == 0
    assert all(option in ran.out for option in ("--url", "--token", "TRIPHASE_TOKEN", "--json"))
    assert "TRIPHASE_URL" in ran.out


def test_the_version_is_the_distributions(cli: Cli) -> None:
    assert cli("--version").out.strip() == importlib.metadata.version("triphase")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nope",),
        ("ls", "--nope"),
        ("ls", "--limit", "0"),
        ("ls", "--limit", "1.5"),
        ("ls", "--state", "nope"),
        ("ls", "--label", "nope"),
        ("ls", "--label", "a=1", "--label", "a=2"),
        ("ls", "--store", "memory:"),
        ("show",),
        ("watch",),
        ("wait",),
        ("wait", "a", "--timeout", "-1"),
        ("tail", "--after", "-1"),
        ("tail", "--type", "nope"),
        ("submit", "Ping"),
        ("demo", "--package", "nope"),
        ("queue", "nope"),
        ("queue", "limit"),
        ("queue", "limit", "q", "1.5"),
        ("ls", "--store", "jobs.db", "--url", "ws://127.0.0.1:1/ws"),
        ("ls", "--url", "http://127.0.0.1:1/"),
        ("cancel", "a"),
        ("cancel", "--url", "ws://127.0.0.1:1/ws"),
        ("cancel", "a", "--store", "jobs.db"),
        ("retry", "a"),
        ("approve", "a"),
        ("reject", "a"),
        ("explain", "a"),
        ("queue", "ls"),
        ("submit", "Ping", "[]", "--url", "ws://127.0.0.1:1/ws"),
        ("submit", "Ping", "--jobs", "sample", "--webhook", "ftp://x/"),
        ("submit", "Ping", "--jobs", "sample", "--webhook-secret", "main"),
        ("hooks", "nope"),
        ("hooks", "ls", "--limit", "0"),
        ("hooks", "ls", "--state", "nope"),
        ("hooks", "show"),
        ("hooks", "redeliver", "--url", "ws://127.0.0.1:1/ws"),
        ("hooks", "redeliver", "a"),
        ("hooks", "redeliver", "a", "--dead", "--url", "ws://127.0.0.1:1/ws"),
        ("hooks", "redeliver", "a", "--job", "b", "--url", "ws://127.0.0.1:1/ws"),
        ("serve",),
        ("serve", "nope"),
        ("serve", "sample", "--listen", "7117"),
        ("serve", "sample", "--queue", "media"),
        ("serve", "sample", "--queue", "media=0"),
        ("serve", "sample", "--drain", "-1"),
        ("serve", "sample", "--limit", "0"),
        ("serve", "sample", "--tokens", "nope"),
        ("serve", "sample", "--tls-key", "nope"),
        ("serve", "sample", "--webhook", "ftp://x/"),
        ("serve", "sample", "--webhook-secret", "main"),
        ("serve", "sample", "--webhook-secrets", "nope"),
        ("serve", "sample", "--webhook-allow", "10.0.0.0/99"),
        (
            *("serve", "sample", "--listen", "127.0.0.1:0"),
            *("--webhook", "https://x.example/", "--webhook-secret", "main"),
        ),
        ("serve", "sample", "--tls-cert", "nope"),
        ("serve", "sample", "--listen", "0.0.0.0:0"),
    ],
)
def test_a_wrong_command_line_is_one_line_on_stderr(cli: Cli, arguments: tuple[str, ...]) -> None:
    ran = cli(*arguments)
    assert ran.code == 2
    assert not ran.out
    assert ran.err.startswith("triphase: ")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        *(("ls",), ("show", "a"), ("watch", "a"), ("tail",), ("wait", "a")),
        *(("hooks", "ls"), ("hooks", "show", "a")),
    ],
)
def test_a_store_that_is_not_there_is_unreachable(
    cli: Cli, folder: Path, arguments: tuple[str, ...]
) -> None:
    (folder / "text.db").write_text("not a database, whatever its name says", "utf-8")
    for store in ("missing.db", "text.db", str(folder)):
        ran = cli(*arguments, "--store", store)
        assert ran.code == 5
        assert not ran.out
        assert ran.err.startswith("triphase: ")
        assert ran.err.count("\n") == 1
    assert not (folder / "missing.db").exists()


def test_the_store_comes_from_the_environment(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPHASE_STORE", "elsewhere.db")
    assert "elsewhere.db" in cli("ls").err


def test_the_command_line_is_imported_by_nothing_else() -> None:
    program = (
        "import triphase, sys; print([m for m in sys.modules if m.startswith('triphase.cli')])"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
