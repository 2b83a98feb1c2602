"""The protocol, by a client that shares no code with ours; see `independent.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from triphase.gateway import Token
from triphase_protocol import unstructure

from .rig import Clip
from .sites import open_site, process, reserved

CLIENT = Path(__file__).with_name("independent.py")

pytestmark = pytest.mark.slow


async def test_it_submits_follows_and_waits(tmp_path: Path) -> None:
    secret = "nobody can guess this"
    tokens = [Token.of(secret, name="somebody")]
    with reserved(tmp_path / "jobs.db") as place:
        async with open_site(place, Clip, tokens=tokens) as site:
            await site.run(Clip(name="before"))
            before = [unstructure(job) for job in (await site.runtime.find()).jobs]
            head = site.runtime.statistics().feed.last_seq
            async with process(sys.executable, CLIENT, "converse", place.url, secret) as told:
                await told.ended()
            log = await site.log()
            job = told.one("submitted")["job"]
            record = unstructure(await site.runtime.get(job))

    assert told.one("refused") == 4401
    assert told.one("welcome")["head"] == told.one("begun")["after"] == head
    assert told.one("welcome")["epoch"] == told.one("begun")["epoch"]
    assert told.one("snapshot") == before
    submitted = {"job": job, "done": f"job:done:{job}"}
    assert told.one("submitted") == {**submitted, "created": True}
    assert told.one("again") == {**submitted, "created": False}
    error = told.one("error")
    assert (error["code"], len(error["problems"])) == ("invalid_payload", 1)
    assert "$.name" in error["problems"][0]
    outcome = {"type": "completed", "job": job, "run": 1, "result": "sea"}
    assert told.one("waited") == {"outcome": outcome}
    assert told.one("done") == {
        "type": "done",
        "topic": f"job:done:{job}",
        "job": job,
        "outcome": outcome,
    }
    assert told.one("record") == record
    assert told.all("event") == [event for event in log if event["seq"] > head]
    assert told.one("closed") == 1000


async def test_it_goes_on_after_a_cut_and_over_a_restart(tmp_path: Path) -> None:
    with reserved(tmp_path / "jobs.db") as place:
        async with process(sys.executable, CLIENT, "follow", place.url) as told:
            # Nobody is there yet.
            await told.until("lost", 1)
            async with open_site(place, Clip) as site:
                await site.run(Clip(name="a"), Clip(name="b"))
                await told.until("event", len(await site.log()))
                site.cut()
                await site.run(Clip(name="c"))
                await told.until("event", len(await site.log()))
            async with open_site(place, Clip) as site:
                await site.run(Clip(name="d"))
                log = await site.log()
                await told.until("event", len(log))
    assert told.all("event") == log
    begun = told.all("begun")
    assert len(begun) == 3
    assert [each["reset"] for each in begun] == [None] * 3
    assert len({each["epoch"] for each in begun}) == 1


async def test_it_is_told_that_the_log_is_another(tmp_path: Path) -> None:
    with reserved(tmp_path / "jobs.db") as place:
        async with process(sys.executable, CLIENT, "follow", place.url) as told:
            async with open_site(place, Clip) as site:
                await site.run(Clip(name="a"))
                log = await site.log()
                await told.until("event", len(log))
            place.forget()
            async with open_site(place, Clip) as site:
                await site.run(Clip(name="b"))
                other = await site.log()
                await told.until("event", len(log) + len(other))
    assert told.all("event") == log + other
    first, second = told.all("begun")
    assert second["epoch"] != first["epoch"]
    assert second["reset"] == {"reason": "epoch", "after": log[-1]["seq"]}
    assert (first["reset"], second["after"]) == (None, 0)
