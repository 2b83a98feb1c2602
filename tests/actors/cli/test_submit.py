"""`triphase submit`: one job into a store file, and nothing is run."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
import trio

import triphase
from triphase.store.sqlite import open_reader

from .conftest import Cli

JOBS = ("--jobs", "sample:BOTH")
URL = '{"url":"https://x"}'


def test_a_submitted_job_waits_in_the_store(cli: Cli, folder: Path) -> None:
    ran = cli("submit", "Transcode", URL, *JOBS, "--priority", "3", "--label", "a=b=c")
    assert (ran.code, ran.err) == (0, "made a new store, jobs.db\n")
    (record,) = cli("ls", "--json").objects
    assert record["id"] == ran.out.strip()
    assert record["state"] == "queued"
    assert record["payload"] == {"url": "https://x", "preset": "fast"}
    assert (record["queue"], record["priority"], record["labels"]) == ("media", 3, {"a": "b=c"})


TOLD = """
import triphase


@triphase.job(webhook=triphase.Webhook(url="https://x.example/", events=("job.queued",)))
class Told:
    @triphase.phase()
    async def send(self, ctx: triphase.Context) -> str:
        return "pong"
"""


def test_what_a_job_type_wants_to_be_told_of_is_written_with_it(cli: Cli, folder: Path) -> None:
    (folder / "told.py").write_text(TOLD, "utf-8")
    ran = cli("submit", "Told", "--jobs", "told")
    [hook] = trio.run(outbox_of, folder / "jobs.db")
    assert (hook.job, hook.event.value) == (ran.out.strip(), "job.queued")


async def outbox_of(path: Path) -> list[triphase.Hook]:
    """Return what stands in the outbox of a store file."""
    async with open_reader(path) as reader:
        return await reader.hooks()


def test_whoever_submits_is_told_as_well(cli: Cli, folder: Path) -> None:
    url = "https://x.example/"
    options = ("--webhook", url, "--webhook", f"{url}2", "--webhook-secret", "main")
    cli("submit", "Ping", *JOBS, *options)
    (record,) = cli("ls", "--json").objects
    found = [(webhook["url"], webhook["secret"]) for webhook in record["webhooks"]]
    assert found == [(url, "main"), (f"{url}2", "main")]


def test_json_says_whether_the_job_is_new(cli: Cli) -> None:
    first = cli("submit", "Transcode", URL, *JOBS, "--key", "k", "--json").objects[0]
    again = cli("submit", "Transcode", URL, *JOBS, "--key", "k", "--json")
    assert first == {"id": first["id"], "state": "queued", "created": True}
    assert again.objects == [{**first, "created": False}]
    assert "used before" in again.err


def test_a_key_that_another_payload_has_is_a_conflict(cli: Cli) -> None:
    cli("submit", "Transcode", URL, *JOBS, "--key", "k")
    ran = cli("submit", "Transcode", '{"url":"y"}', *JOBS, "--key", "k")
    assert (ran.code, ran.out) == (4, "")
    assert "another payload" in ran.err
    assert len(cli("ls").cells) == 1


def test_a_delay_makes_a_scheduled_job(cli: Cli) -> None:
    ran = cli("submit", "Ping", *JOBS, "--delay", "60", "--json")
    assert ran.objects[0]["state"] == "scheduled"
    assert cli("ls").cells[0][-1].startswith("due in ")


def test_the_payload_may_come_from_stdin_or_a_file(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(URL))
    (folder / "payload.json").write_text(URL, "utf-8")
    assert cli("submit", "Transcode", "-", *JOBS).code == 0
    assert cli("submit", *JOBS, "Transcode", "@payload.json").code == 0
    payloads = [record["payload"]["url"] for record in cli("ls", "--json").objects]
    assert payloads == ["https://x"] * 2


def test_job_types_come_from_the_environment(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPHASE_JOBS", "sample")
    assert cli("submit", "Ping").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Transcode", '{"link":1}'), "$.url: required, but missing; $: unknown field 'link'"),
        (("Transcode", '{"url":1}'), "$.url: expected str"),
        (("Transcode", "nope"), "not JSON"),
        (("Transcode", "@nope"), "cannot be read from '@nope'"),
        (("Nope", "{}"), "'Nope' is not among"),
        (("Ping", "--queue", "nope"), "there is no queue 'nope'"),
        (("Ping", "--delay", "-1"), "delay=-1.0"),
        (("Ping", "--priority", "99999999999"), "priority=99999999999"),
        (("Ping", "--key", ""), "key ''"),
    ],
)
def test_what_cannot_be_submitted_leaves_no_store(
    cli: Cli, folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    ran = cli("submit", *arguments, *JOBS)
    assert ran.code == 2
    assert message in ran.err
    assert ran.err.count("\n") == 1
    assert not (folder / "jobs.db").exists()


def test_a_store_that_another_process_owns_is_a_conflict(cli: Cli, folder: Path) -> None:
    cli("submit", "Ping", *JOBS)
    owned = triphase.store.SqliteStore("jobs.db")
    trio.run(owned.open)
    try:
        ran = cli("submit", "Ping", *JOBS)
    finally:
        trio.run(owned.close)
    assert ran.code == 4
    assert f"owned by process {os.getpid()}" in ran.err
    assert "submit through the process that owns it" in ran.err
    assert len(cli("ls").cells) == 1
