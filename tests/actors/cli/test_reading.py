"""`triphase ls`, `show`, `tail`, `watch` and `wait`, on a store that nobody writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from .conftest import Cli
from .running import run_jobs

IDS = ("abc1000000000000", "abd2000000000000", "xyz3000000000000")


@pytest.fixture
def ids(folder: Path, sample_types: list[type]) -> list[str]:
    """The ids of three jobs that have ended: completed, failed, completed."""
    transcode: Any
    transcode, ping = sample_types
    jobs = [transcode("https://x"), transcode("https://y", preset="broken"), ping()]
    return trio.run(run_jobs, sample_types, jobs, *IDS)


# ls


def test_ls_lists_the_newest_first(cli: Cli, ids: list[str]) -> None:
    ran = cli("ls")
    assert ran.code == 0
    assert ran.err == "3 jobs\n"
    first, second, third = ran.cells
    assert first[:4] == [ids[2], "Ping", "completed", "1/1"]
    assert second[:4] == [ids[1], "Transcode", "failed", "2/2 encode"]
    assert second[5] == "ValueError: no such preset\\nat \\x1b[31mall"
    assert third[:4] == [ids[0], "Transcode", "completed", "2/2"]
    assert first[4].endswith("Z")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--state", "failed"), [1]),
        (("--state", "failed", "--state", "completed"), [2, 1, 0]),
        (("--type", "Ping"), [2]),
        (("--queue", "media"), [1, 0]),
        (("--queue", "media", "--state", "completed"), [0]),
        (("--label", "a=b"), []),
        (("--limit", "2"), [2, 1]),
        (("--limit", "2", "--all"), [2, 1, 0]),
    ],
)
def test_ls_shows_what_is_asked_for(
    cli: Cli, ids: list[str], options: tuple[str, ...], found: list[int]
) -> None:
    ran = cli("ls", *options, "--json")
    assert [record["id"] for record in ran.objects] == [ids[index] for index in found]


def test_ls_says_if_there_are_more(cli: Cli, ids: list[str]) -> None:
    assert "there are more" in cli("ls", "--limit", "2").err
    assert cli("ls", "--limit", "3").err == "3 jobs\n"
    assert cli("ls", "--type", "Nope").err == "no jobs\n"


# show


def test_show_tells_everything_about_a_job(cli: Cli, ids: list[str]) -> None:
    ran = cli("show", "abd")
    cells = ran.cells
    assert ran.code == 0
    assert cells[:4] == [
        ["id", ids[1]],
        ["type", "Transcode"],
        ["state", "failed"],
        ["queue", "media"],
    ]
    assert ["payload", '{"url":"https://y","preset":"broken"}'] in cells
    fetch, encode = [line for line in cells if line[0] == "phase"]
    assert fetch[1:4] == ["fetch", "completed", "1"]
    assert fetch[5:] == ["-", "-"]
    assert encode[1:4] == ["encode", "failed", "1"]
    assert ["error", "ValueError: no such preset\\nat \\x1b[31mall"] in cells
    assert ["traceback", "Traceback (most recent call last):"] in cells
    assert "\x1b" not in ran.out


def test_show_json_is_one_object(cli: Cli, ids: list[str]) -> None:
    (record,) = cli("show", ids[0], "--json").objects
    assert record["result"] == {"frames": 1200}
    assert "events" not in record
    (record,) = cli("show", ids[0], "--json", "--events").objects
    assert [event["version"] for event in record["events"]] == list(range(1, record["version"] + 1))


def test_show_adds_the_events(cli: Cli, ids: list[str]) -> None:
    events = [line for line in cli("show", "xyz", "--events").cells if line[0] == "event"]
    assert [line[4] for line in events][-2:] == ["phase.completed", "job.completed"]


# Ids


@pytest.mark.parametrize("command", ["show", "watch", "wait"])
def test_an_id_is_a_unique_beginning(cli: Cli, ids: list[str], command: str) -> None:
    assert cli(command, "abc").code == 0
    ambiguous = cli(command, "ab")
    assert (ambiguous.code, ambiguous.out) == (2, "")
    assert ids[0] in ambiguous.err
    assert ids[1] in ambiguous.err
    for unknown in ("u", "abc10000000000000", "%", "", "abc\udcff"):
        ran = cli(command, unknown)
        assert (ran.code, ran.out) == (3, "")
        assert f"there is no job {unknown!r}" in ran.err


def test_an_id_in_full_wins_over_longer_ones(
    cli: Cli, folder: Path, sample_types: list[type]
) -> None:
    ping: Any = sample_types[1]
    trio.run(run_jobs, sample_types, [ping(), ping()], "abc", "abcd")
    assert cli("show", "abc", "--json").objects[0]["id"] == "abc"


# tail


def test_tail_reads_the_log_from_a_place(cli: Cli, ids: list[str]) -> None:
    everything = cli("tail", "--after", "0", "--no-follow").cells
    assert [int(line[0]) for line in everything] == list(range(1, len(everything) + 1))
    assert all(len(line) == 6 for line in everything)
    assert cli("tail", "--after", "5", "--no-follow").cells == everything[5:]
    assert cli("tail", "--no-follow").cells == everything[-20:]


def test_tail_shows_one_job_or_one_type(cli: Cli, ids: list[str]) -> None:
    of_job = cli("tail", "--after", "0", "--no-follow", "--job", "abd", "--json").objects
    assert {event["job"] for event in of_job} == {ids[1]}
    failed = cli("tail", "--after", "0", "--no-follow", "--type", "phase.failed")
    assert [line[2:5] for line in failed.cells] == [[ids[1], "phase.failed", "encode"]]
    assert "ValueError: no such preset" in failed.cells[0][5]
    assert cli("tail", "--no-follow", "--job", "u").code == 3


# watch and wait


def test_watch_shows_a_job_that_has_ended_and_returns_its_outcome(cli: Cli, ids: list[str]) -> None:
    completed, failed = cli("watch", ids[0]), cli("watch", ids[1], "--json")
    assert (completed.code, failed.code) == (0, 1)
    assert [line[3] for line in completed.cells][-1] == "job.completed"
    assert failed.objects[0]["type"] == "job.submitted"
    assert failed.objects[-1]["type"] == "job.failed"
    assert not completed.err


def test_wait_prints_each_outcome(cli: Cli, ids: list[str]) -> None:
    assert [line[:3] for line in cli("wait", ids[0], "xyz").cells] == [
        [ids[0], "completed", "Transcode"],
        [ids[2], "completed", "Ping"],
    ]
    ran = cli("wait", ids[0], ids[1], ids[0], "--json")
    assert ran.code == 1
    good, bad = ran.objects
    assert good == {"job": ids[0], "run": 1, "result": {"frames": 1200}, "outcome": "completed"}
    assert (bad["outcome"], bad["error"]["type"]) == ("failed", "ValueError")


def test_wait_ends_with_124_when_the_time_has_passed(cli: Cli, ids: list[str]) -> None:
    late = cli("submit", "Ping", "--jobs", "sample", "--delay", "60").out.strip()
    ran = cli("wait", late, ids[0], "--timeout", "0", "--json")
    assert ran.code == 124
    assert [(each["job"], each["outcome"]) for each in ran.objects] == [
        (ids[0], "completed"),
        (late, "timed_out"),
    ]
    assert f"job {late} is scheduled, and no process runs the jobs" in ran.err
    # No id begins with a `u`: it is not in the alphabet.
    assert cli("wait", late, "u", "--timeout", "0").code == 3
