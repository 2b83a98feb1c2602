"""Restarting one child at a time, and giving up."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triphase.actor import (
    Actor,
    ActorCrashed,
    ActorRef,
    ActorStopped,
    Strategy,
    SupervisorFailed,
    open_supervisor,
)

from .cast import Boom, Crash, Message, Probe, Quit, Say

STRATEGIES = list(Strategy)


@pytest.mark.parametrize(
    ("restart", "message", "again"),
    [
        ("permanent", Quit(), True),
        ("permanent", Crash(Boom()), True),
        ("transient", Quit(), False),
        ("transient", Crash(Boom()), True),
        ("temporary", Quit(), False),
        ("temporary", Crash(Boom()), False),
    ],
)
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_who_is_started_again_after_what(
    strategy: Strategy, restart: str, message: Message, again: bool, journal: list[str]
) -> None:
    async with open_supervisor(strategy=strategy) as supervisor:
        ref = await supervisor.start(lambda: Probe("probe", journal), name="probe", restart=restart)
        await ref.send(message)
        await wait_all_tasks_blocked()
        assert journal.count("probe started") == (2 if again else 1)
        assert ref.alive is again
        statistics = supervisor.statistics()
        assert statistics.restarts == int(again)
        assert [child.restarts for child in statistics.children] == ([1] if again else [])


async def test_only_the_child_that_crashed_is_restarted_by_one_for_one(journal: list[str]) -> None:
    async with open_supervisor() as supervisor:
        await supervisor.start(lambda: Probe("a", journal), name="a")
        b = await supervisor.start(lambda: Probe("b", journal), name="b")
        await b.send(Crash(Boom()))
        await wait_all_tasks_blocked()
        assert journal == ["a started", "b started", "b crashes", "b stopped", "b started"]


async def test_restarts_that_are_far_enough_apart_go_on_for_ever(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_supervisor(intensity=1, period=5.0) as supervisor:
        ref = await supervisor.start(Probe, name="probe")
        for _ in range(20):
            await ref.send(Crash(Boom()))
            await trio.sleep(5.0)
        assert supervisor.statistics().restarts == 20


async def test_too_many_restarts_cancel_the_block_and_raise_with_the_cause(
    journal: list[str],
) -> None:
    boom = Boom("the last")
    reached: list[str] = []

    async def block() -> None:
        async with open_supervisor(name="root", intensity=2) as supervisor:
            ref = await supervisor.start(lambda: Probe("probe", journal), name="probe")
            other = await supervisor.start(Probe, name="other")
            for error in (Boom("1"), Boom("2"), boom):
                await ref.send(Crash(error))
            try:
                await trio.sleep_forever()
            finally:
                reached.append("the block was cancelled")
                with pytest.raises(ActorStopped, match="root is closing; late was not started"):
                    supervisor.start_nowait(Probe, name="late")
        reached.append(f"never {other}")

    with pytest.raises(SupervisorFailed) as exc:
        await block()
    assert str(exc.value) == "root: probe ended more often than its intensity allows"
    assert exc.value.__cause__ is boom
    assert reached == ["the block was cancelled"]
    assert journal.count("probe started") == 3


async def test_a_permanent_child_that_only_returns_escalates_without_a_cause() -> None:
    async def block() -> None:
        async with open_supervisor(intensity=1) as supervisor:
            ref = await supervisor.start(Probe, name="probe")
            await ref.send(Quit())
            await ref.send(Quit())
            await trio.sleep_forever()

    with pytest.raises(SupervisorFailed) as exc:
        await block()
    assert exc.value.__cause__ is None


async def test_nobody_is_restarted_once_the_supervisor_has_failed(journal: list[str]) -> None:
    async def block() -> None:
        async with open_supervisor(intensity=0) as supervisor:
            a = await supervisor.start(lambda: Probe("a", journal), name="a")
            b = await supervisor.start(lambda: Probe("b", journal), name="b")
            await a.send(Crash(Boom()))
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    with pytest.raises(ActorCrashed):
                        await b.ask(Crash(Boom()))
                    await wait_all_tasks_blocked()
                    assert not b.alive

    with pytest.raises(SupervisorFailed, match="a ended more often"):
        await block()
    assert journal.count("b started") == 1


async def test_failure_climbs_a_tree_of_supervisors(journal: list[str]) -> None:
    class Inner(Actor[Message]):
        async def run(self, mailbox: Any) -> None:
            async with open_supervisor(name="inner", intensity=1) as supervisor:
                leaf = await supervisor.start(lambda: Probe("leaf", journal), name="leaf")
                while True:
                    await leaf.send((await mailbox.receive()).message)

    errors: list[BaseException | None] = []

    async def block() -> None:
        async with open_supervisor(name="outer", intensity=1) as supervisor:
            ref: ActorRef[Message] = await supervisor.start(Inner, name="branch")
            for _ in range(3):
                # The second crash of each generation of the leaf is one crash of the branch.
                await ref.send(Crash(Boom()))
                await wait_all_tasks_blocked()
            errors.append(None)
            await ref.send(Crash(Boom("the last")))
            await trio.sleep_forever()

    with pytest.raises(SupervisorFailed, match="outer: branch") as exc:
        await block()
    assert errors == [None]
    cause = exc.value.__cause__
    assert isinstance(cause, SupervisorFailed)
    assert str(cause) == "inner: leaf ended more often than its intensity allows"
    assert str(cause.__cause__) == "the last"
    assert journal.count("leaf started") == 4


async def test_two_supervisors_at_once_do_not_know_each_other(journal: list[str]) -> None:
    async def failing(name: str) -> None:
        async with open_supervisor(name=name, intensity=0) as supervisor:
            ref = await supervisor.start(Probe, name="probe")
            await ref.send(Crash(Boom()))
            await trio.sleep_forever()

    async with open_supervisor(name="healthy") as supervisor:
        ref = await supervisor.start(lambda: Probe("probe", journal), name="probe")
        with pytest.raises(SupervisorFailed, match="sick: probe"):
            await failing("sick")
        assert await ref.ask(Say("well")) == "well"
        assert supervisor.statistics().crashes == 0
