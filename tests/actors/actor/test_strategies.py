"""Restarting several children together: who, and in which order."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triphase.actor import (
    ActorRef,
    ActorStopped,
    Strategy,
    open_supervisor,
)

from .cast import Boom, Crash, Hold, Message, Quit, Say
from .stage import GROUPS, slow_probe, start

# Order


async def test_one_for_all_stops_all_in_reverse_then_starts_all_in_order(
    journal: list[str],
) -> None:
    async with open_supervisor(strategy="one_for_all") as supervisor:
        refs = await start(supervisor, "abc", journal)
        await refs["b"].send(Crash(Boom()))
        await wait_all_tasks_blocked()
        assert journal == [
            "b crashes",
            "b stopped",
            "c stopped",
            "a stopped",
            "a started",
            "b started",
            "c started",
        ]
        assert supervisor.statistics().restarts == 3
        assert supervisor.statistics().crashes == 1


async def test_rest_for_one_leaves_the_earlier_ones_alone(journal: list[str]) -> None:
    async with open_supervisor(strategy="rest_for_one") as supervisor:
        refs = await start(supervisor, "abcd", journal)
        await refs["b"].send(Crash(Boom()))
        await wait_all_tasks_blocked()
        assert journal == [
            "b crashes",
            "b stopped",
            "d stopped",
            "c stopped",
            "b started",
            "c started",
            "d started",
        ]


async def test_the_last_child_takes_nobody_along_in_rest_for_one(journal: list[str]) -> None:
    async with open_supervisor(strategy="rest_for_one") as supervisor:
        refs = await start(supervisor, "ab", journal)
        await refs["b"].send(Crash(Boom()))
        await wait_all_tasks_blocked()
        assert journal == ["b crashes", "b stopped", "b started"]


async def test_each_has_ended_before_the_next_is_touched(
    journal: list[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with open_supervisor(strategy="one_for_all") as supervisor:
        refs = {
            name: await supervisor.start(slow_probe(name, journal), name=name) for name in "abc"
        }
        journal.clear()
        await refs["c"].send(Crash(Boom()))
        await trio.sleep(10)
        assert journal == [
            "c crashes",
            "c stopping",
            "c stopped",
            "b stopping",
            "b stopped",
            "a stopping",
            "a stopped",
            "a starting",
            "a started",
            "b starting",
            "b started",
            "c starting",
            "c started",
        ]


@pytest.mark.parametrize("strategy", GROUPS)
async def test_a_normal_end_of_a_permanent_child_restarts_the_others_too(
    strategy: Strategy, journal: list[str]
) -> None:
    async with open_supervisor(strategy=strategy) as supervisor:
        refs = await start(supervisor, "ab", journal)
        await refs["a"].send(Quit())
        await wait_all_tasks_blocked()
        assert journal == ["a stopped", "b stopped", "a started", "b started"]


@pytest.mark.parametrize("strategy", GROUPS)
async def test_a_child_that_ends_for_good_restarts_nobody(
    strategy: Strategy, journal: list[str]
) -> None:
    async with open_supervisor(strategy=strategy) as supervisor:
        refs = await start(supervisor, "abc", journal, a="transient", b="temporary")
        await refs["a"].send(Quit())
        await refs["b"].send(Crash(Boom()))
        await wait_all_tasks_blocked()
        assert sorted(journal) == ["a stopped", "b crashes", "b stopped"]


@pytest.mark.parametrize("strategy", GROUPS)
async def test_a_child_that_is_stopped_by_name_restarts_nobody(
    strategy: Strategy, journal: list[str]
) -> None:
    async with open_supervisor(strategy=strategy) as supervisor:
        await start(supervisor, "abc", journal)
        await supervisor.stop("a")
        await wait_all_tasks_blocked()
        assert journal == ["a stopped"]


# Who comes back, and with what


async def test_a_temporary_child_is_taken_down_and_does_not_come_back(
    journal: list[str],
) -> None:
    async with open_supervisor(strategy="one_for_all") as supervisor:
        refs = await start(supervisor, "abc", journal, b="temporary", c="transient")
        await refs["a"].send(Crash(Boom()))
        await wait_all_tasks_blocked()
        assert journal == [
            "a crashes",
            "a stopped",
            "c stopped",
            "b stopped",
            "a started",
            "c started",
        ]
        assert [child.name for child in supervisor.statistics().children] == ["a", "c"]
        with pytest.raises(ActorStopped):
            await refs["b"].ask(Say("hello"))


async def test_what_is_queued_survives_a_restart_with_others_and_what_was_taken_is_answered(
    nursery: trio.Nursery, journal: list[str]
) -> None:
    heard: list[str] = []

    async def ask(ref: ActorRef[Message], message: Message) -> None:
        try:
            heard.append(await ref.ask(message))
        except ActorStopped as error:
            heard.append(str(error))

    async with open_supervisor(strategy="one_for_all") as supervisor:
        refs = await start(supervisor, "ab", journal)
        hold = Hold()
        nursery.start_soon(ask, refs["b"], hold)
        await hold.taken.wait()
        nursery.start_soon(ask, refs["b"], Say("queued"))
        await wait_all_tasks_blocked()
        await refs["a"].send(Crash(Boom()))
        await wait_all_tasks_blocked()
        assert heard == ["b stopped while handling Hold", "queued"]


async def test_being_taken_down_is_no_crash_and_is_not_counted(journal: list[str]) -> None:
    async with open_supervisor(strategy="one_for_all", intensity=1) as supervisor:
        refs = await start(supervisor, "abcdefgh", journal)
        await refs["a"].send(Crash(Boom()))
        await wait_all_tasks_blocked()
        assert journal.count("h started") == 1
        assert supervisor.statistics().crashes == 1
