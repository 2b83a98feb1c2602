"""What may come between while several children are restarted together."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triphase.actor import (
    Strategy,
    SupervisorFailed,
    open_supervisor,
)

from .cast import Boom, Crash, Hold, Probe, Say
from .stage import GROUPS, Slow, probe, slow_probe, start


async def test_two_that_crash_at_once_are_one_failure(journal: list[str]) -> None:
    async with open_supervisor(strategy="one_for_all", intensity=1) as supervisor:
        refs = await start(supervisor, "abc", journal)
        refs["a"].send_nowait(Crash(Boom()))
        refs["c"].send_nowait(Crash(Boom()))
        await wait_all_tasks_blocked()
        assert sorted(journal[:4]) == ["a crashes", "a stopped", "c crashes", "c stopped"]
        assert journal[4:] == ["b stopped", "a started", "b started", "c started"]
        # And the supervisor still works: nobody waits for a turn that never comes.
        refs["b"].send_nowait(Say("on"))
        assert [await ref.ask(Say("still here")) for ref in refs.values()] == ["still here"] * 3


async def test_all_that_crash_at_once_are_restarted_once(journal: list[str]) -> None:
    async with open_supervisor(strategy="one_for_all", intensity=1) as supervisor:
        refs = await start(supervisor, "abcd", journal)
        for ref in refs.values():
            ref.send_nowait(Crash(Boom()))
        await wait_all_tasks_blocked()
        assert [line for line in journal if line.endswith("started")] == [
            "a started",
            "b started",
            "c started",
            "d started",
        ]


async def test_an_earlier_child_that_crashes_while_later_ones_restart_widens_the_round(
    journal: list[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with open_supervisor(strategy="rest_for_one") as supervisor:
        a = await supervisor.start(probe("a", journal), name="a")
        slow = {
            name: await supervisor.start(slow_probe(name, journal), name=name) for name in "bcd"
        }
        journal.clear()
        # d restarts alone; it is still starting when a crashes.
        await slow["d"].send(Crash(Boom()))
        await trio.sleep(1.5)
        assert journal[-1] == "d starting"
        await a.send(Crash(Boom()))
        await trio.sleep(20)
        assert journal[4:] == [
            "a crashes",
            "a stopped",
            # d is cut short: nobody starts on ground that has gone.
            "c stopping",
            "c stopped",
            "b stopping",
            "b stopped",
            "a started",
            "b starting",
            "b started",
            "c starting",
            "c started",
            "d starting",
            "d started",
        ]


async def test_a_child_that_fails_to_come_back_begins_the_round_again(
    journal: list[str],
) -> None:
    made = 0

    def make() -> Probe:
        nonlocal made
        made += 1

        def fail() -> None:
            if made == 2:
                journal.append("b fails to start")
                raise Boom

        return Probe("b", journal, at_start=fail)

    async with open_supervisor(strategy="one_for_all") as supervisor:
        await start(supervisor, "a", journal)
        await supervisor.start(make, name="b")
        c = await supervisor.start(probe("c", journal), name="c")
        journal.clear()
        await c.send(Crash(Boom()))
        await wait_all_tasks_blocked()
        # c relies on b, and is not started before b is up.
        assert journal == [
            "c crashes",
            "c stopped",
            "b stopped",
            "a stopped",
            "a started",
            "b fails to start",
            "a stopped",
            "a started",
            "b started",
            "c started",
        ]


async def test_a_child_that_waits_in_started_for_one_that_crashed_does_not_hold_it_up(
    journal: list[str],
) -> None:
    class Client(Probe):
        async def started(self) -> None:
            journal.append(f"client asks {await server.ask(Say('hello'))}")

    async with open_supervisor(strategy="rest_for_one") as supervisor:
        server = await supervisor.start(probe("server", journal), name="server")
        client = await supervisor.start(lambda: Client("client", journal), name="client")
        hold = Hold()
        await server.send(hold)
        await server.send(Crash(Boom()))
        await client.send(Crash(Boom()))
        # The client starts anew, and its question waits behind the message that crashes.
        await wait_all_tasks_blocked()
        hold.until.set()
        await wait_all_tasks_blocked()
        assert journal[-1] == "client asks hello"
        assert await client.ask(Say("up")) == "up"


@pytest.mark.parametrize("strategy", GROUPS)
async def test_children_that_never_come_back_escalate(
    strategy: Strategy, journal: list[str]
) -> None:
    async def block() -> None:
        async with open_supervisor(strategy=strategy, intensity=3) as supervisor:
            refs = await start(supervisor, "ab", journal)
            journal.append("running")

            def fail() -> None:
                raise Boom

            supervisor.start_nowait(probe("c", journal, at_start=fail), name="c")
            await refs["a"].send(Say("hello"))
            await trio.sleep_forever()

    with pytest.raises(SupervisorFailed, match="c ended more often"):
        await block()
    assert journal.count("a started") == journal.count("a stopped") - 1


@pytest.mark.parametrize("strategy", GROUPS)
@pytest.mark.parametrize("checkpoints", range(14))
async def test_a_child_that_is_stopped_at_any_moment_of_a_round_is_gone(
    strategy: Strategy, checkpoints: int, journal: list[str]
) -> None:
    async with open_supervisor(strategy=strategy) as supervisor:
        refs = await start(supervisor, "abc", journal)
        refs["a"].send_nowait(Crash(Boom()))
        for _ in range(checkpoints):
            await trio.lowlevel.checkpoint()
        await supervisor.stop("b")
        assert not refs["b"].alive
        await wait_all_tasks_blocked()
        assert [child.name for child in supervisor.statistics().children] == ["a", "c"]
        for name in "ac":
            assert await refs[name].ask(Say(name)) == name
        assert journal.count("b stopped") == journal.count("b started") + 1
    assert journal.count("a stopped") == journal.count("a started") + 1


@pytest.mark.parametrize("checkpoints", range(14))
async def test_the_child_that_began_a_round_may_be_stopped_in_it(
    checkpoints: int, journal: list[str]
) -> None:
    async with open_supervisor(strategy="one_for_all") as supervisor:
        refs = await start(supervisor, "abc", journal)
        refs["a"].send_nowait(Crash(Boom()))
        for _ in range(checkpoints):
            await trio.lowlevel.checkpoint()
        await supervisor.stop("a")
        await wait_all_tasks_blocked()
        for name in "bc":
            assert await refs[name].ask(Say(name)) == name


@pytest.mark.parametrize("checkpoints", range(14))
async def test_the_supervisor_may_be_closed_at_any_moment_of_a_round(
    checkpoints: int, journal: list[str]
) -> None:
    async with open_supervisor(strategy="one_for_all") as supervisor:
        refs = await start(supervisor, "abc", journal)
        refs["b"].send_nowait(Crash(Boom()))
        for _ in range(checkpoints):
            await trio.lowlevel.checkpoint()
    for name in "abc":
        assert journal.count(f"{name} stopped") == journal.count(f"{name} started") + 1
    assert not any(ref.alive for ref in refs.values())


@pytest.mark.parametrize("checkpoints", range(14))
async def test_a_second_crash_at_any_moment_of_a_round_is_recovered_from(
    checkpoints: int, journal: list[str]
) -> None:
    async with open_supervisor(strategy="one_for_all") as supervisor:
        refs = await start(supervisor, "abc", journal)
        refs["b"].send_nowait(Crash(Boom()))
        for _ in range(checkpoints):
            await trio.lowlevel.checkpoint()
        refs["c"].send_nowait(Crash(Boom()))
        await wait_all_tasks_blocked()
        for name in "abc":
            assert await refs[name].ask(Say(name)) == name
            assert journal.count(f"{name} stopped") == journal.count(f"{name} started")
        assert supervisor.statistics().crashes == 2


async def test_a_child_that_is_starting_is_started_again_and_its_start_returns(
    journal: list[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with open_supervisor(strategy="one_for_all") as supervisor:
        refs = await start(supervisor, "a", journal)
        async with trio.open_nursery() as nursery:

            async def start_slow() -> None:
                slow = await supervisor.start(lambda: Slow("slow", journal), name="slow")
                assert await slow.ask(Say("hello")) == "hello"
                journal.append("start returned")

            nursery.start_soon(start_slow)
            await trio.sleep(0.5)
            await refs["a"].send(Crash(Boom()))
        assert journal == [
            "slow starting",
            "a crashes",
            "a stopped",
            "a started",
            "slow starting",
            "slow started",
            "slow heard hello",
            "start returned",
        ]


async def test_a_temporary_child_that_is_starting_is_started_again_too(
    journal: list[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with open_supervisor(strategy="one_for_all") as supervisor:
        refs = await start(supervisor, "a", journal)

        async def crash() -> None:
            await trio.sleep(0.5)
            await refs["a"].send(Crash(Boom()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(crash)
            ref = await supervisor.start(
                slow_probe("slow", journal), name="slow", restart="temporary"
            )
        assert journal.count("slow starting") == 2
        assert await ref.ask(Say("hello")) == "hello"


async def test_a_start_that_is_cancelled_in_a_round_does_not_hold_it_up(
    journal: list[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with open_supervisor(strategy="one_for_all") as supervisor:
        refs = await start(supervisor, "ab", journal)

        with trio.move_on_after(1.2) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    lambda: supervisor.start(lambda: Slow("slow", journal), name="slow")
                )
                await trio.sleep(0.5)
                await refs["b"].send(Crash(Boom()))
        assert scope.cancelled_caught
        assert await refs["a"].ask(Say("on")) == "on"
        assert await refs["b"].ask(Say("on")) == "on"
        assert [child.name for child in supervisor.statistics().children] == ["a", "b"]


@pytest.mark.parametrize("strategy", GROUPS)
async def test_a_child_that_is_started_while_others_are_taken_down_is_not_drawn_in(
    strategy: Strategy, journal: list[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with open_supervisor(strategy=strategy) as supervisor:
        refs = await start(supervisor, "a", journal)
        await supervisor.start(slow_probe("b", journal), name="b")
        await refs["a"].send(Crash(Boom()))
        await trio.sleep(0.5)
        assert journal[-1] == "b stopping"
        await supervisor.start(probe("c", journal), name="c")
        await trio.sleep(5)
        assert journal.count("c started") == 1
        assert journal.count("b started") == 2


async def test_a_child_that_is_started_during_a_round_is_not_drawn_into_it(
    journal: list[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with open_supervisor(strategy="one_for_all") as supervisor:
        a = await supervisor.start(lambda: Slow("a", journal), name="a")
        await a.send(Crash(Boom()))
        await trio.sleep(1.5)
        assert journal[-1] == "a starting"
        await supervisor.start(probe("b", journal), name="b")
        await trio.sleep(5)
        assert journal.count("b started") == 1
        assert journal.count("a started") == 2
