"""Leaving the block of a supervisor: who is stopped in which order, and what is raised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from triphase.actor import ActorCrashed, ActorRef, ActorStopped, SupervisorFailed, open_supervisor

from .cast import Boom, Crash, Hold, Message, Probe, Quit, Say


class Slow(Probe):
    """Says when it begins to stop, too."""

    async def stopped(self) -> None:
        self.journal.append(f"{self.name} stopping")
        await trio.sleep(1)
        await super().stopped()


def slow(name: str, journal: list[str]) -> Callable[[], Slow]:
    """Return what makes a slow probe."""
    return lambda: Slow(name, journal)


IN_TURN = ["c stopping", "c stopped", "b stopping", "b stopped", "a stopping", "a stopped"]


# Order


async def test_children_are_stopped_one_after_the_other_last_started_first(
    journal: list[str], autojump_clock: MockClock
) -> None:
    async with open_supervisor() as supervisor:
        for name in "abc":
            await supervisor.start(slow(name, journal), name=name)
    assert journal[3:] == IN_TURN


async def test_children_that_are_alike_are_stopped_all_at_once(
    journal: list[str], autojump_clock: MockClock
) -> None:
    async with open_supervisor(ordered=False) as supervisor:
        for name in "abc":
            await supervisor.start(slow(name, journal), name=name)
    assert trio.current_time() == 1.0
    assert sorted(journal[3:6]) == ["a stopping", "b stopping", "c stopping"]


async def test_a_cancel_from_outside_stops_them_in_the_same_order(
    journal: list[str], autojump_clock: MockClock
) -> None:
    with trio.move_on_after(5) as scope:
        async with open_supervisor() as supervisor:
            for name in "abc":
                await supervisor.start(slow(name, journal), name=name)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert journal[3:] == IN_TURN


async def test_a_child_may_ask_an_earlier_one_until_it_has_ended_itself(
    journal: list[str],
) -> None:
    class Client(Probe):
        async def stopped(self) -> None:
            self.journal.append(await server.ask(Say("bye")))

    with trio.CancelScope() as scope:
        async with open_supervisor() as supervisor:
            server = await supervisor.start(lambda: Probe("server", journal), name="server")
            await supervisor.start(lambda: Client("client", journal), name="client")
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert journal[-3:] == ["server heard bye", "bye", "server stopped"]


async def test_a_failed_supervisor_stops_them_in_the_same_order(
    journal: list[str], autojump_clock: MockClock
) -> None:
    async def block() -> None:
        async with open_supervisor(intensity=0) as supervisor:
            for name in "abc":
                await supervisor.start(slow(name, journal), name=name)
            crasher = await supervisor.start(Probe, name="crasher")
            await crasher.send(Crash(Boom()))
            await trio.sleep_forever()

    with pytest.raises(SupervisorFailed):
        await block()
    assert journal[3:] == IN_TURN


async def test_all_who_wait_hear_that_the_actor_has_stopped_when_the_host_is_cancelled(
    nursery: trio.Nursery,
) -> None:
    heard: list[str] = []
    hold = Hold()
    with trio.CancelScope() as scope:
        async with open_supervisor() as supervisor:
            ref = await supervisor.start(Probe, name="probe", capacity=1)

            async def ask(message: Hold | Say) -> None:
                with pytest.raises(ActorStopped) as exc:
                    await ref.ask(message)
                heard.append(str(exc.value))

            nursery.start_soon(ask, hold)
            await hold.taken.wait()
            nursery.start_soon(ask, Say("queued"))
            nursery.start_soon(ask, Say("waiting"))
            await wait_all_tasks_blocked()
            scope.cancel()
            await trio.lowlevel.checkpoint()
    await wait_all_tasks_blocked()
    assert sorted(heard) == [
        "probe has stopped",
        "probe has stopped",
        "probe stopped while handling Hold",
    ]


async def test_a_crash_while_closing_is_not_restarted_and_does_not_escalate(
    journal: list[str],
) -> None:
    class Client(Probe):
        async def stopped(self) -> None:
            await server.send(Crash(Boom()))
            await wait_all_tasks_blocked()

    async with open_supervisor(intensity=0) as supervisor:
        server = await supervisor.start(lambda: Probe("server", journal), name="server")
        await supervisor.start(lambda: Client("client", journal), name="client")
    assert journal == ["server started", "client started", "server crashes", "server stopped"]
    assert supervisor.statistics().crashes == 1


async def test_a_crash_after_a_cancel_of_the_host_is_no_failure_of_the_supervisor() -> None:
    with trio.CancelScope() as scope:
        async with open_supervisor(intensity=0) as supervisor:
            ref = await supervisor.start(Probe, name="probe")
            scope.cancel()
            with trio.CancelScope(shield=True):
                with pytest.raises(ActorCrashed):
                    await ref.ask(Crash(Boom()))
                await wait_all_tasks_blocked()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught


async def test_a_crash_beside_a_cancel_of_the_host_is_noted_and_the_cancel_goes_on() -> None:
    class Parent(Probe):
        async def started(self) -> None:
            async with trio.open_nursery() as inner:
                inner.start_soon(fail)
                await trio.sleep_forever()

    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise Boom

    crashes = 0
    with trio.CancelScope() as scope:
        async with open_supervisor() as supervisor:
            supervisor.start_nowait(Parent, name="parent")
            await wait_all_tasks_blocked()
            scope.cancel()
            with trio.CancelScope(shield=True):
                await wait_all_tasks_blocked()
            crashes = supervisor.statistics().crashes
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert crashes == 1


async def test_whoever_was_to_be_restarted_is_not_started_again_while_closing(
    journal: list[str], autojump_clock: MockClock
) -> None:
    async with open_supervisor(strategy="one_for_all") as supervisor:
        for name in "abc":
            ref = await supervisor.start(slow(name, journal), name=name)
            ref.send_nowait(Crash(Boom()) if name < "c" else Say("hello"))
        await trio.sleep(1.5)
        # Two have crashed and wait until the third has stopped.
        assert journal[-1] == "c stopping"
    assert journal.count("a started") == journal.count("b started") == 1


async def test_nobody_is_started_by_a_supervisor_that_is_closed() -> None:
    async with open_supervisor(name="root") as supervisor:
        pass
    with pytest.raises(ActorStopped, match="root is closing; late was not started"):
        await supervisor.start(Probe, name="late")
    with pytest.raises(ActorStopped):
        supervisor.start_nowait(Probe, name="late")
    assert supervisor.statistics().children == ()


async def test_a_start_from_outside_that_is_half_way_ends_with_the_block(
    nursery: trio.Nursery,
) -> None:
    class Stuck(Probe):
        async def started(self) -> None:
            await trio.sleep_forever()

    heard: list[str] = []
    async with open_supervisor() as supervisor:

        async def start() -> None:
            with pytest.raises(ActorStopped) as exc:
                await supervisor.start(Stuck, name="stuck")
            heard.append(str(exc.value))

        nursery.start_soon(start)
        await wait_all_tasks_blocked()
    await wait_all_tasks_blocked()
    assert heard == ["stuck was stopped before it had started"]


# What the block raises


async def test_an_exception_of_the_block_leaves_it_as_it_is(journal: list[str]) -> None:
    error = KeyError("mine")

    async def block() -> None:
        async with open_supervisor() as supervisor:
            await supervisor.start(lambda: Probe("probe", journal), name="probe")
            raise error

    with pytest.raises(KeyError) as exc:
        await block()
    assert exc.value is error
    assert error.__cause__ is None
    assert error.__context__ is None
    assert journal == ["probe started", "probe stopped"]


@pytest.mark.parametrize("error", [StopIteration(1), StopAsyncIteration(), RuntimeError("x")])
async def test_exceptions_that_generators_take_for_themselves_leave_it_too(
    error: Exception,
) -> None:
    with pytest.raises(type(error)) as exc:
        async with open_supervisor():
            raise error
    assert exc.value is error


async def test_an_exception_of_the_block_leaves_it_though_children_crash() -> None:
    error = KeyError("mine")

    async def block() -> None:
        async with open_supervisor() as supervisor:
            ref = await supervisor.start(Probe, name="probe")
            await ref.send(Crash(Boom()))
            with pytest.raises(ActorCrashed):
                await ref.ask(Crash(Boom()))
            raise error

    with pytest.raises(KeyError) as exc:
        await block()
    assert exc.value is error


async def test_an_exception_group_of_an_inner_nursery_leaves_it_as_it_is() -> None:
    async def fail() -> None:
        raise KeyError("mine")

    async def block() -> None:
        async with open_supervisor() as supervisor:
            await supervisor.start(Probe, name="probe")
            async with trio.open_nursery() as inner:
                inner.start_soon(fail)

    with pytest.raises(ExceptionGroup) as exc:
        await block()
    assert [type(error) for error in exc.value.exceptions] == [KeyError]


async def test_an_exception_of_the_block_wins_over_a_cancel_of_the_host(
    autojump_clock: MockClock, journal: list[str]
) -> None:
    async def block(scope: trio.CancelScope) -> None:
        async with open_supervisor() as supervisor:
            await supervisor.start(slow("a", journal), name="a")
            # Not yet started: the cancel reaches it.
            supervisor.start_nowait(NeverStarts, name="b")
            await wait_all_tasks_blocked()
            scope.cancel()
            raise KeyError("mine")

    # The scope is the inner one: it would also catch a cancel in place of the error.
    with pytest.raises(KeyError, match="mine"), trio.CancelScope() as scope:
        await block(scope)
    assert journal.count("a stopped") == journal.count("a started")


class NeverStarts(Probe):
    """Hangs in `started`."""

    async def started(self) -> None:
        await trio.sleep_forever()


async def test_a_group_of_the_block_and_a_cancel_of_the_host_leave_together() -> None:
    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise KeyError("mine")

    async def block(scope: trio.CancelScope) -> None:
        with scope:
            async with open_supervisor() as supervisor, trio.open_nursery() as inner:
                await supervisor.start(Probe, name="probe")
                inner.start_soon(fail)
                await wait_all_tasks_blocked()
                scope.cancel()
                await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as exc:
        await block(trio.CancelScope())
    assert [type(error) for error in exc.value.exceptions] == [KeyError]


@pytest.mark.parametrize("children", [0, 1])
async def test_a_cancel_of_the_host_is_caught_by_the_scope_that_it_belongs_to(
    children: int,
) -> None:
    with trio.CancelScope() as scope:
        async with open_supervisor() as supervisor:
            for name in range(children):
                await supervisor.start(Probe, name=str(name))
                supervisor.start_nowait(NeverStarts, name=f"{name} never starts")
            await wait_all_tasks_blocked()
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_a_cancel_between_two_incarnations_is_caught_too() -> None:
    refs: list[ActorRef[Message]] = []
    for checkpoints in range(10):
        with trio.CancelScope() as scope:
            async with open_supervisor(strategy="one_for_all") as supervisor:
                refs = [await supervisor.start(Probe, name=name) for name in "abc"]
                await refs[1].send(Crash(Boom()))
                for _ in range(checkpoints):
                    await trio.lowlevel.checkpoint()
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert not any(ref.alive for ref in refs)


async def test_a_host_that_is_cancelled_before_the_block_is_left_normally_goes_on() -> None:
    reached: list[str] = []
    with trio.CancelScope() as scope:
        async with open_supervisor() as supervisor:
            await supervisor.start(Probe, name="probe")
            scope.cancel()
        reached.append("after the block")
    assert reached == ["after the block"]


async def test_a_cancel_inside_of_the_block_stays_inside() -> None:
    async with open_supervisor() as supervisor:
        ref = await supervisor.start(Probe, name="probe")
        with trio.CancelScope() as scope:
            scope.cancel()
            await trio.sleep_forever()
        assert await ref.ask(Say("on")) == "on"


# What a failed supervisor raises


async def fails(*, raising: BaseException | None = None, scope: trio.CancelScope) -> None:
    """Open a supervisor that fails, in a block that then raises as well."""
    async with open_supervisor(name="root", intensity=0) as supervisor:
        ref = await supervisor.start(Probe, name="probe")
        await ref.send(Crash(Boom("crash")))
        try:
            await trio.sleep_forever()
        finally:
            scope.cancel()
            if raising is not None:
                raise raising


async def test_a_failure_is_raised_though_the_block_raised_and_both_are_its_cause() -> None:
    error = KeyError("mine")
    with pytest.raises(SupervisorFailed) as exc:
        await fails(raising=error, scope=trio.CancelScope())
    group: Any = exc.value.__cause__
    assert [type(cause) for cause in group.exceptions] == [Boom, KeyError]
    assert group.exceptions[1] is error


async def test_a_failure_is_not_lost_when_the_host_is_cancelled_too() -> None:
    with pytest.raises(SupervisorFailed) as exc, trio.CancelScope() as scope:
        await fails(scope=scope)
    assert isinstance(exc.value.__cause__, Boom)


async def test_an_interrupt_passes_though_the_supervisor_failed() -> None:
    with pytest.raises(KeyboardInterrupt) as exc:
        await fails(raising=KeyboardInterrupt(), scope=trio.CancelScope())
    assert isinstance(exc.value.__cause__ or exc.value.__context__, BaseException)


async def test_a_supervisor_that_failed_swallows_its_own_cancel_of_the_block() -> None:
    for _ in range(2):
        with pytest.raises(SupervisorFailed):
            await fails(scope=trio.CancelScope())
        # No cancel is left over.
        await trio.lowlevel.checkpoint()


async def test_leaving_is_quick_when_everybody_has_ended_already() -> None:
    async with open_supervisor() as supervisor:
        ref = await supervisor.start(Probe, name="probe", restart="temporary")
        await ref.ask(Quit())
        await wait_all_tasks_blocked()
        assert supervisor.statistics().children == ()
