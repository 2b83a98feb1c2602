"""One actor: what it does with its messages, and what whoever asked hears of its end."""

from __future__ import annotations

import logging
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triphase.actor import (
    Actor,
    ActorCrashed,
    ActorRef,
    ActorStopped,
    Envelope,
    Mailbox,
    Supervisor,
    open_supervisor,
)

from .cast import Boom, Crash, Doubt, Hold, Message, OddError, Probe, Quit, Say


async def start(
    supervisor: Supervisor, journal: list[str], restart: str = "permanent", **options: Any
) -> ActorRef[Message]:
    """Start a probe."""
    return await supervisor.start(
        lambda: Probe("probe", journal, **options), name="probe", restart=restart
    )


# Answers


async def test_an_ask_returns_what_receive_returns(journal: list[str]) -> None:
    async with open_supervisor() as supervisor:
        ref = await start(supervisor, journal)
        answer: str = await ref.ask(Say("hello"))
        assert answer == "hello"


async def test_messages_are_handled_one_at_a_time_in_order(journal: list[str]) -> None:
    async with open_supervisor() as supervisor:
        ref = await start(supervisor, journal)
        hold = Hold()
        await ref.send(hold)
        for words in "abc":
            await ref.send(Say(words))
        await ref.send(Say("control"), control=True)
        await wait_all_tasks_blocked()
        assert journal == ["probe started"]
        hold.until.set()
        assert await ref.ask(Say("d")) == "d"
    assert journal == [
        "probe started",
        *(f"probe heard {words}" for words in ("control", "a", "b", "c", "d")),
        "probe stopped",
    ]


async def test_a_refused_message_raises_from_the_ask_and_the_actor_goes_on(
    journal: list[str],
) -> None:
    async with open_supervisor(intensity=0) as supervisor:
        ref = await start(supervisor, journal)
        with pytest.raises(ValueError, match="in doubt"):
            await ref.ask(Doubt())
        await ref.send(Doubt())
        assert await ref.ask(Say("still here")) == "still here"
        assert supervisor.statistics().crashes == 0


async def test_an_actor_without_receive_says_so() -> None:
    async with open_supervisor() as supervisor:
        ref: ActorRef[Any] = await supervisor.start(Actor[Any], name="idle")
        with pytest.raises(ActorCrashed) as exc:
            await ref.ask("anything")
        assert isinstance(exc.value.__cause__, NotImplementedError)


# Crashes


async def test_a_crash_answers_the_ask_in_flight_with_its_cause(journal: list[str]) -> None:
    async with open_supervisor() as supervisor:
        ref = await start(supervisor, journal)
        boom = Boom("boom")
        with pytest.raises(ActorCrashed, match="probe crashed while handling Crash") as exc:
            await ref.ask(Crash(boom))
        assert exc.value.__cause__ is boom


async def test_a_restarted_actor_goes_on_with_what_was_queued(
    nursery: trio.Nursery, journal: list[str]
) -> None:
    answers: list[str] = []
    async with open_supervisor() as supervisor:
        ref = await start(supervisor, journal)
        await ref.send(Crash(Boom()))

        async def ask() -> None:
            answers.append(await ref.ask(Say("asked")))

        nursery.start_soon(ask)
        await ref.send(Say("sent"))
        await wait_all_tasks_blocked()
        assert ref.alive
    assert answers == ["asked"]
    assert journal[:4] == ["probe started", "probe crashes", "probe stopped", "probe started"]
    assert {"probe heard asked", "probe heard sent"} < set(journal)


async def test_an_exception_group_from_an_inner_nursery_is_a_crash(journal: list[str]) -> None:
    class Parent(Probe):
        async def receive(self, message: Message) -> object:
            async with trio.open_nursery() as inner:
                inner.start_soon(super().receive, message)
            return None

    async with open_supervisor() as supervisor:
        ref = await supervisor.start(lambda: Parent("parent", journal), name="parent")
        with pytest.raises(ActorCrashed) as exc:
            await ref.ask(Crash(Boom("inside")))
        assert isinstance(exc.value.__cause__, ExceptionGroup)
        assert await ref.ask(Say("again")) is None
        assert supervisor.statistics().restarts == 1


async def test_whoever_asked_hears_of_a_crash_before_the_clean_up(journal: list[str]) -> None:
    class Slow(Probe):
        async def stopped(self) -> None:
            await cleaned.wait()

    cleaned = trio.Event()
    async with open_supervisor() as supervisor:
        ref = await supervisor.start(lambda: Slow("slow", journal), name="slow")
        with pytest.raises(ActorCrashed):
            await ref.ask(Crash(Boom()))
        cleaned.set()


async def test_what_is_no_exception_takes_the_supervisor_down(journal: list[str]) -> None:
    heard: list[str] = []

    async def block() -> None:
        async with open_supervisor() as supervisor:
            ref = await start(supervisor, journal)
            try:
                await ref.ask(Crash(OddError()))
            except ActorStopped as error:
                heard.append(str(error))
            await trio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as exc:
        await block()
    assert exc.group_contains(OddError)
    assert heard == ["probe stopped while handling Crash"]
    assert journal[-1] == "probe stopped"


# Ends


async def test_stop_answers_the_current_message_and_refuses_the_rest(
    nursery: trio.Nursery, journal: list[str]
) -> None:
    async with open_supervisor() as supervisor:
        ref = await start(supervisor, journal, "transient")
        hold = Hold()
        await ref.send(hold)
        answers: list[object] = []

        async def ask(message: Message) -> None:
            try:
                answers.append(await ref.ask(message))
            except ActorStopped as error:
                answers.append(str(error))

        nursery.start_soon(ask, Quit())
        await wait_all_tasks_blocked()
        nursery.start_soon(ask, Say("too late"))
        await wait_all_tasks_blocked()
        hold.until.set()
        await wait_all_tasks_blocked()
        assert sorted(map(str, answers)) == ["bye", "probe has stopped"]
        assert not ref.alive
        with pytest.raises(ActorStopped):
            await ref.send(Say("anything"))
    assert journal == ["probe started", "probe stopped"]


async def test_started_comes_first_and_stopped_last_at_every_kind_of_end(
    journal: list[str],
) -> None:
    async with open_supervisor() as supervisor:
        ref = await start(supervisor, journal)
        await ref.send(Crash(Boom()))
        await wait_all_tasks_blocked()
        await ref.send(Quit())
        await wait_all_tasks_blocked()
        await ref.send(Hold())
        await wait_all_tasks_blocked()
    assert journal == [
        "probe started",
        "probe crashes",
        "probe stopped",
        "probe started",
        "probe stopped",
        "probe started",
        "probe stopped",
    ]


async def test_a_stopped_that_raises_is_a_crash(journal: list[str]) -> None:
    def fail() -> None:
        raise Boom("in stopped")

    async with open_supervisor() as supervisor:
        ref = await start(supervisor, journal, "transient", at_stop=fail)
        assert await ref.ask(Quit()) == "bye"
        await wait_all_tasks_blocked()
        assert supervisor.statistics().crashes == 1
        assert ref.alive


async def test_a_stopped_that_raises_when_its_actor_is_stopped_is_only_noted(
    journal: list[str],
) -> None:
    def fail() -> None:
        raise Boom("in stopped")

    async with open_supervisor(intensity=0) as supervisor:
        await start(supervisor, journal, at_stop=fail)
        await supervisor.stop("probe")
        await start(supervisor, journal, at_stop=fail)
    assert supervisor.statistics().crashes == 2


async def test_a_crash_in_stopped_does_not_hide_the_crash_before_it(journal: list[str]) -> None:
    def fail() -> None:
        raise Boom("second")

    first = Boom("first")
    async with open_supervisor() as supervisor:
        ref = await start(supervisor, journal, at_stop=fail)
        with pytest.raises(ActorCrashed) as exc:
            await ref.ask(Crash(first))
        assert exc.value.__cause__ is first
        assert supervisor.statistics().crashes == 1


async def test_a_stopped_that_hangs_is_abandoned_after_its_grace(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck(Probe):
        async def stopped(self) -> None:
            await trio.sleep_forever()

    begin = trio.current_time()
    with caplog.at_level(logging.WARNING, "triphase.actor"):
        async with open_supervisor(name="root") as supervisor:
            await supervisor.start(Stuck, name="stuck")
    assert trio.current_time() - begin == Actor.stop_grace
    assert "root: stuck had not cleaned up after 5 seconds" in caplog.text


async def test_stopped_may_await_though_the_actor_was_cancelled(
    journal: list[str], autojump_clock: trio.testing.MockClock
) -> None:
    class Tidy(Probe):
        async def stopped(self) -> None:
            await trio.sleep(1)
            self.journal.append("tidied up")

    with trio.move_on_after(1) as scope:
        async with open_supervisor() as supervisor:
            await supervisor.start(lambda: Tidy("tidy", journal), name="tidy")
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert journal == ["tidy started", "tidied up"]


async def test_an_actor_that_did_not_start_is_not_stopped(journal: list[str]) -> None:
    def fail() -> None:
        raise Boom

    async with open_supervisor() as supervisor:
        with pytest.raises(Boom):
            await start(supervisor, journal, at_start=fail)
    assert journal == []


# An actor that receives in its own way


@attrs.define
class Batch(Actor[str]):
    """Takes what is there, answers every other message, and ends as it is told."""

    ending: str
    left: list[Envelope[str]] = attrs.field(factory=list[Envelope[str]])

    async def run(self, mailbox: Mailbox[str]) -> None:
        """Take one batch."""
        self.left = [await mailbox.receive(), *mailbox.drain(100)]
        for envelope in self.left[::2]:
            envelope.answer(envelope.message)
        match self.ending:
            case "raise":
                raise Boom
            case "wait":
                await trio.sleep_forever()
            case _:
                return


async def batch_of(ending: str, restart: str, end: bool = False) -> list[str]:
    """Return what three askers hear of such an actor."""
    heard: list[str] = []
    async with trio.open_nursery() as askers, open_supervisor() as supervisor:
        ref = supervisor.start_nowait(lambda: Batch(ending), name="batch", restart=restart)

        async def ask(message: str) -> None:
            try:
                heard.append(await ref.ask(message))
            except (ActorStopped, ActorCrashed) as error:
                heard.append(f"{type(error).__name__}: {error}")

        for message in "abc":
            askers.start_soon(ask, message)
        await wait_all_tasks_blocked()
        if end:
            await supervisor.stop("batch")
            await wait_all_tasks_blocked()
        assert len(heard) == 3
    return sorted(heard)


@pytest.mark.parametrize("restart", ["permanent", "transient"])
async def test_a_normal_return_answers_what_was_left_unanswered(restart: str) -> None:
    heard = await batch_of("return", restart)
    assert heard[0] == "ActorStopped: batch stopped while handling str"


async def test_a_crash_answers_what_was_left_unanswered() -> None:
    heard = await batch_of("raise", "permanent")
    assert heard[0] == "ActorCrashed: batch crashed while handling str"


async def test_being_stopped_answers_what_was_left_unanswered() -> None:
    heard = await batch_of("wait", "permanent", end=True)
    assert heard[0] == "ActorStopped: batch stopped while handling str"


async def test_an_actor_may_keep_a_message_and_answer_it_from_a_task_of_its_own() -> None:
    class Parallel(Actor[int]):
        async def run(self, mailbox: Mailbox[int]) -> None:
            async with trio.open_nursery() as inner:
                while True:
                    inner.start_soon(self.handle, await mailbox.receive())

        async def handle(self, envelope: Envelope[int]) -> None:
            for _ in range(10 - envelope.message):
                await trio.lowlevel.checkpoint()
            envelope.answer(envelope.message)

    heard: list[int] = []
    async with open_supervisor() as supervisor:
        ref = await supervisor.start(Parallel, name="parallel")
        async with trio.open_nursery() as askers:

            async def ask(number: int) -> None:
                heard.append(await ref.ask(number))

            for number in range(10):
                askers.start_soon(ask, number)
    assert sorted(heard) == list(range(10))


async def test_a_late_answer_from_an_earlier_incarnation_harms_nobody(
    nursery: trio.Nursery,
) -> None:
    kept: list[Envelope[str]] = []

    class Keeper(Actor[str]):
        async def run(self, mailbox: Mailbox[str]) -> None:
            kept.append(await mailbox.receive())
            raise Boom

    async with open_supervisor() as supervisor:
        ref = await supervisor.start(Keeper, name="keeper")
        with pytest.raises(ActorCrashed):
            await ref.ask("a")
        kept[0].answer("late")
        assert ref.statistics().taken == 0


# Cancelling whoever asks


async def test_a_cancelled_ask_leaves_the_actor_unharmed(journal: list[str]) -> None:
    async with open_supervisor(intensity=0) as supervisor:
        ref = await start(supervisor, journal)
        hold = Hold()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as askers:
                askers.start_soon(ref.ask, hold)
                await hold.taken.wait()
                askers.start_soon(ref.ask, Say("withdrawn"))
                await wait_all_tasks_blocked()
                scope.cancel()
        hold.until.set()
        assert await ref.ask(Say("after")) == "after"
    assert "probe heard withdrawn" not in journal


async def test_an_uninterruptible_ask_hears_of_the_crash_though_cancelled(
    journal: list[str],
) -> None:
    class Held(Probe):
        async def receive(self, message: Message) -> object:
            match message:
                case Hold(until, taken):
                    taken.set()
                    await until.wait()
                    raise Boom
                case _:
                    return None

    async with open_supervisor() as supervisor:
        ref = await supervisor.start(lambda: Held("held", journal), name="held")
        hold = Hold()
        errors: list[Exception] = []
        scope = trio.CancelScope()

        async def ask() -> None:
            with scope:
                try:
                    await ref.ask(hold, uninterruptible=True)
                except ActorCrashed as error:
                    errors.append(error)

        async with trio.open_nursery() as askers:
            askers.start_soon(ask)
            await hold.taken.wait()
            scope.cancel()
            await wait_all_tasks_blocked()
            assert errors == []
            hold.until.set()
        assert [type(error) for error in errors] == [ActorCrashed]
