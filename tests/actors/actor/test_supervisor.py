"""The supervisor: starting and stopping its children."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triphase.actor import (
    Actor,
    ActorRef,
    ActorStopped,
    Strategy,
    Supervisor,
    SupervisorFailed,
    open_supervisor,
)

from .cast import Boom, Crash, Hold, Message, Probe, Quit, Say

STRATEGIES = list(Strategy)


def raising(error: BaseException) -> Any:
    """Return a function that raises."""

    def fail() -> None:
        raise error

    return fail


class Failing:
    """Makes probes, of which those with these numbers raise in `started`."""

    def __init__(self, journal: list[str], *numbers: int) -> None:
        self.journal = journal
        self.numbers = numbers
        self.made = 0

    def __call__(self) -> Probe:
        self.made += 1
        if self.made in self.numbers:
            return Probe("probe", self.journal, at_start=raising(Boom(str(self.made))))
        return Probe("probe", self.journal)


# Starting


async def test_start_returns_once_started_has_returned(journal: list[str]) -> None:
    async with open_supervisor() as supervisor:
        await supervisor.start(lambda: Probe("a", journal), name="a")
        assert journal == ["a started"]
        supervisor.start_nowait(lambda: Probe("b", journal), name="b")
        assert journal == ["a started"]
        await wait_all_tasks_blocked()
        assert journal == ["a started", "b started"]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_started_that_raises_leaves_start_as_it_is(
    strategy: Strategy, journal: list[str]
) -> None:
    boom = Boom("in started")
    async with open_supervisor(strategy=strategy, intensity=0) as supervisor:
        await supervisor.start(Probe, name="other")
        with pytest.raises(Boom) as exc:
            await supervisor.start(Failing(journal, 1), name="probe")
        assert exc.value is not boom
        assert type(exc.value) is Boom
        with pytest.raises(Boom) as exc:
            await supervisor.start(lambda: Probe(at_start=raising(boom)), name="probe")
        assert exc.value is boom
        # It left no trace: the name is free, nothing was counted, and nobody was restarted.
        statistics = supervisor.statistics()
        assert [child.name for child in statistics.children] == ["other"]
        assert (statistics.started, statistics.crashes, statistics.restarts) == (1, 0, 0)
        await supervisor.start(Probe, name="probe")


async def test_a_factory_that_raises_leaves_start_as_it_is() -> None:
    async with open_supervisor(intensity=0) as supervisor:
        with pytest.raises(Boom, match="in the factory"):
            await supervisor.start(raising(Boom("in the factory")), name="a")
        assert supervisor.statistics().children == ()


async def test_an_exception_group_of_started_leaves_start_as_it_is() -> None:
    class Nested(Probe):
        async def started(self) -> None:
            async with trio.open_nursery() as inner:
                inner.start_soon(trio.to_thread.run_sync, raising(Boom("nested")))

    async with open_supervisor(intensity=0) as supervisor:
        with pytest.raises(ExceptionGroup) as exc:
            await supervisor.start(Nested, name="a")
        assert [type(error) for error in exc.value.exceptions] == [Boom]


async def test_a_failed_start_nowait_is_a_crash_and_is_tried_again(journal: list[str]) -> None:
    factory = Failing(journal, 1, 2)
    async with open_supervisor() as supervisor:
        ref = supervisor.start_nowait(factory, name="probe")
        assert await ref.ask(Say("third time")) == "third time"
        assert factory.made == 3
        assert supervisor.statistics().crashes == 2


async def test_a_failed_start_nowait_of_a_temporary_child_answers_whoever_asked(
    journal: list[str],
) -> None:
    async with open_supervisor() as supervisor:
        ref = supervisor.start_nowait(Failing(journal, 1), name="probe", restart="temporary")
        with pytest.raises(ActorStopped, match="probe has stopped"):
            await ref.ask(Say("hello"))


async def test_a_restart_that_fails_to_start_is_tried_again_and_keeps_what_is_queued(
    journal: list[str],
) -> None:
    factory = Failing(journal, 2)
    async with open_supervisor() as supervisor:
        ref = await supervisor.start(factory, name="probe")
        await ref.send(Crash(Boom()))
        assert await ref.ask(Say("queued")) == "queued"
        assert factory.made == 3


async def test_a_restart_that_never_starts_escalates_and_answers_what_is_queued(
    nursery: trio.Nursery, journal: list[str]
) -> None:
    heard: list[str] = []

    async def ask(ref: ActorRef[Message]) -> None:
        with pytest.raises(ActorStopped) as exc:
            await ref.ask(Say("queued"))
        heard.append(str(exc.value))

    async def block() -> None:
        async with open_supervisor(intensity=3) as supervisor:
            ref = await supervisor.start(Failing(journal, *range(2, 99)), name="probe")
            await ref.send(Crash(Boom("first")))
            nursery.start_soon(ask, ref)
            await trio.sleep_forever()

    with pytest.raises(SupervisorFailed) as exc:
        await block()
    assert str(exc.value.__cause__) == "4"
    await wait_all_tasks_blocked()
    assert heard == ["probe has stopped"]


async def test_a_second_child_of_one_name_is_refused(journal: list[str]) -> None:
    async with open_supervisor(name="root") as supervisor:
        await supervisor.start(Probe, name="a")
        with pytest.raises(ValueError, match="root has a child named 'a' already"):
            await supervisor.start(Probe, name="a")
        with pytest.raises(ValueError, match="'a' already"):
            supervisor.start_nowait(Probe, name="a")
        assert len(supervisor.statistics().children) == 1


async def test_bad_arguments_are_refused_and_leave_no_child() -> None:
    async with open_supervisor() as supervisor:
        with pytest.raises(ValueError, match="'sometimes' is not a valid Restart"):
            await supervisor.start(Probe, name="a", restart="sometimes")
        with pytest.raises(ValueError, match="capacity must be at least 1"):
            supervisor.start_nowait(Probe, name="a", capacity=0)
        assert supervisor.statistics().children == ()
    with pytest.raises(ValueError, match="'all' is not a valid Strategy"):
        async with open_supervisor(strategy="all"):
            pass
    with pytest.raises(ValueError, match="intensity=-1"):
        async with open_supervisor(intensity=-1):
            pass


async def test_a_start_that_is_cancelled_half_way_takes_the_child_down(
    nursery: trio.Nursery, journal: list[str]
) -> None:
    class Slow(Probe):
        async def started(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                self.journal.append("cancelled")

    async with open_supervisor(intensity=0) as supervisor:
        with trio.CancelScope() as scope:

            async def cancel() -> None:
                await wait_all_tasks_blocked()
                scope.cancel()

            nursery.start_soon(cancel)
            await supervisor.start(lambda: Slow("slow", journal), name="slow")
        assert scope.cancelled_caught
        assert journal == ["cancelled"]
        assert supervisor.statistics().children == ()
        await supervisor.start(Probe, name="slow")


async def test_a_start_in_a_cancelled_scope_returns_and_leaves_no_child(
    journal: list[str],
) -> None:
    # `started` has no checkpoint: nothing in it could have seen the cancel.
    async with open_supervisor() as supervisor:
        with trio.CancelScope() as scope:
            scope.cancel()
            await supervisor.start(lambda: Probe("probe", journal), name="probe")
        assert scope.cancelled_caught
        assert supervisor.statistics().children == ()
        assert journal == ["probe started", "probe stopped"]


async def test_what_is_sent_before_the_start_is_handled_after_it(journal: list[str]) -> None:
    async with open_supervisor() as supervisor:
        ref = supervisor.start_nowait(lambda: Probe("probe", journal), name="probe")
        ref.send_nowait(Say("early"))
        assert await ref.ask(Say("later")) == "later"
    assert journal == ["probe started", "probe heard early", "probe heard later", "probe stopped"]


# Stopping


async def test_stop_waits_until_the_child_has_ended_and_frees_its_name(
    journal: list[str], autojump_clock: trio.testing.MockClock
) -> None:
    class Slow(Probe):
        async def stopped(self) -> None:
            await trio.sleep(3)
            self.journal.append("slow stopped")

    async with open_supervisor() as supervisor:
        ref = await supervisor.start(lambda: Slow("slow", journal), name="slow")
        await supervisor.stop("slow")
        assert journal == ["slow started", "slow stopped"]
        assert not ref.alive
        assert supervisor.statistics().children == ()
        await supervisor.start(Probe, name="slow")


async def test_a_stopped_child_is_not_restarted_even_if_it_crashes_of_it(
    journal: list[str],
) -> None:
    class Angry(Probe):
        async def receive(self, message: Message) -> object:
            try:
                return await super().receive(message)
            finally:
                raise Boom

    async with open_supervisor(intensity=0) as supervisor:
        ref = await supervisor.start(lambda: Angry("angry", journal), name="angry")
        hold = Hold()
        await ref.send(hold)
        await hold.taken.wait()
        await supervisor.stop("angry")
        assert supervisor.statistics().crashes == 1
        assert supervisor.statistics().children == ()


async def test_a_stopped_child_with_a_failing_inner_nursery_does_not_fail_the_supervisor(
    journal: list[str],
) -> None:
    class Parent(Actor[None]):
        async def run(self, mailbox: Any) -> None:
            async with trio.open_nursery() as inner:
                inner.start_soon(self.child)
                await mailbox.receive()

        async def child(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise Boom

    async with open_supervisor(intensity=0) as supervisor:
        await supervisor.start(Parent, name="parent")
        await supervisor.stop("parent")
        assert supervisor.statistics().crashes == 1
        await supervisor.start(Parent, name="parent")
    assert supervisor.statistics().crashes == 2


async def test_stopping_nobody_is_a_key_error() -> None:
    async with open_supervisor() as supervisor:
        with pytest.raises(KeyError, match="nobody"):
            await supervisor.stop("nobody")


async def test_a_cancelled_stop_stops_all_the_same(journal: list[str]) -> None:
    async with open_supervisor() as supervisor:
        ref = await supervisor.start(lambda: Probe("probe", journal), name="probe")
        with trio.CancelScope() as scope:
            scope.cancel()
            await supervisor.stop("probe")
        assert scope.cancelled_caught
        await wait_all_tasks_blocked()
        assert not ref.alive


async def test_two_may_stop_one_child_at_the_same_time() -> None:
    async with open_supervisor() as supervisor:
        await supervisor.start(Probe, name="a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.stop, "a")
            nursery.start_soon(supervisor.stop, "a")


async def test_an_actor_may_stop_itself_by_its_supervisor(journal: list[str]) -> None:
    class Suicidal(Probe):
        async def receive(self, message: Message) -> object:
            await supervisor.stop("self")
            return None

    async with open_supervisor() as supervisor:
        ref = await supervisor.start(lambda: Suicidal("self", journal), name="self")
        with pytest.raises(ActorStopped):
            await ref.ask(Quit())
        assert journal == ["self started", "self stopped"]


async def test_a_child_that_is_stopped_before_it_ran_never_runs(journal: list[str]) -> None:
    async with open_supervisor() as supervisor:
        ref = supervisor.start_nowait(lambda: Probe("probe", journal), name="probe")
        await supervisor.stop("probe")
        assert journal == []
        assert not ref.alive


async def test_a_child_that_is_stopped_while_it_starts_ends_its_start(
    nursery: trio.Nursery,
) -> None:
    class Slow(Probe):
        async def started(self) -> None:
            await trio.sleep_forever()

    heard: list[str] = []
    async with open_supervisor() as supervisor:

        async def start() -> None:
            with pytest.raises(ActorStopped) as exc:
                await supervisor.start(Slow, name="slow")
            heard.append(str(exc.value))

        nursery.start_soon(start)
        await wait_all_tasks_blocked()
        await supervisor.stop("slow")
        await wait_all_tasks_blocked()
        assert heard == ["slow was stopped before it had started"]


async def test_a_child_that_is_stopped_between_a_crash_and_the_restart_is_not_restarted(
    journal: list[str],
) -> None:
    async with open_supervisor(intensity=100) as supervisor:
        for checkpoints in range(10):
            # After so many of them it is about to crash, has crashed, or is up again.
            ref = await supervisor.start(lambda: Probe("probe", journal), name="probe")
            await ref.send(Crash(Boom()))
            for _ in range(checkpoints):
                await trio.lowlevel.checkpoint()
            await supervisor.stop("probe")
            await wait_all_tasks_blocked()
            assert journal.count("probe started") == journal.count("probe stopped")
            assert supervisor.statistics().children == ()


# What it says of itself


async def test_statistics_show_the_children_in_order_and_what_happened(
    journal: list[str],
) -> None:
    async with open_supervisor(name="root") as supervisor:
        b = await supervisor.start(Probe, name="b", capacity=7)
        supervisor.start_nowait(Probe, name="a", restart="temporary")
        await b.send(Crash(Boom()))
        await wait_all_tasks_blocked()
        hold = Hold()
        await b.send(hold)
        await hold.taken.wait()
        await b.send(Say("queued"))
        statistics = supervisor.statistics()
        assert [(child.name, child.restarts) for child in statistics.children] == [
            ("b", 1),
            ("a", 0),
        ]
        assert statistics.children[0].mailbox.capacity == 7
        assert statistics.children[0].mailbox.queued == 1
        assert (statistics.started, statistics.crashes, statistics.restarts) == (2, 1, 1)
        assert repr(supervisor) == "<Supervisor 'root': 2 children>"


def test_a_supervisor_is_opened_by_open_supervisor_alone() -> None:
    assert not hasattr(Supervisor, "__aenter__")
