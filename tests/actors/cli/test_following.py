"""`triphase watch`, `tail` and `wait` while a runtime writes; time is virtual."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import triphase
from triphase.cli.exits import Exit
from triphase.cli.tail import tail
from triphase.cli.wait import wait
from triphase.cli.watch import watch

gate = trio.Event()


@triphase.job
class Held:
    """Goes on when the test opens the gate."""

    fails: bool = False

    @triphase.phase()
    async def hold(self, ctx: triphase.Context) -> None:
        await ctx.progress(1, total=4)
        await gate.wait()
        if self.fails:
            raise ValueError("as the test wants it")


@pytest.fixture(autouse=True)
def closed_gate(folder: Path) -> None:
    global gate
    gate = trio.Event()


async def code_while_held(
    command: Callable[[triphase.JobHandle], Awaitable[int]], *, fails: bool = False
) -> int:
    """Run a command, open the gate when it waits, and return its exit code."""
    codes: list[int] = []
    async with triphase.open_runtime([Held], store="jobs.db") as runtime:
        job = await runtime.submit(Held(fails))
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                codes.append(await command(job))
                nursery.cancel_scope.cancel()

            nursery.start_soon(run)
            await trio.sleep(1)
            assert not codes
            gate.set()
            await trio.sleep_forever()
    return codes[0]


def objects(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    captured = capsys.readouterr()
    assert not captured.err
    return [json.loads(line) for line in captured.out.splitlines()]


async def test_watch_follows_a_job_to_its_end(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    assert await code_while_held(lambda job: watch(job.id, json=True)) == Exit.OK
    events = objects(capsys)
    assert [event["version"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "job.completed"


async def test_watch_returns_a_failure(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    assert await code_while_held(lambda job: watch(job.id, json=True), fails=True) == Exit.FAILED
    assert objects(capsys)[-1]["type"] == "job.failed"


async def test_wait_returns_when_the_job_ends(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    assert await code_while_held(lambda job: wait(job.id, timeout=60, json=True)) == Exit.OK
    assert [answer["outcome"] for answer in objects(capsys)] == ["completed"]


async def test_wait_gives_up_on_one_job_and_tells_of_the_other(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Held], store="jobs.db", drain_timeout=0) as runtime:
        first = await runtime.submit(Held())
        gate.set()
        await first.wait()
        closed = await runtime.submit(Held(), delay=1000)
        began = trio.current_time()
        assert await wait(first.id, closed.id, timeout=30, json=True) == Exit.TIMED_OUT
        assert trio.current_time() - began == pytest.approx(30)
    assert [answer["outcome"] for answer in objects(capsys)] == ["completed", "timed_out"]


async def test_tail_begins_at_the_end_and_goes_on(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Held], store="jobs.db") as runtime:
        before = await runtime.submit(Held(), delay=1000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: tail(json=True))
            await trio.sleep(1)
            gate.set()
            job = await runtime.submit(Held())
            await job.wait()
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        nursery_events = objects(capsys)
    assert before.id != job.id
    assert {event["job"] for event in nursery_events} == {job.id}
    assert nursery_events[0]["type"] == "job.submitted"
    assert nursery_events[-1]["type"] == "job.completed"
