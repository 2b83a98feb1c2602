"""The mailbox: its two lanes, its bounds, and what becomes of a message that is withdrawn."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triphase.actor import ActorCrashed, ActorRef, ActorStopped, Envelope, Mailbox


class Desk:
    """A mailbox without an actor: the test receives."""

    def __init__(self, capacity: int = 3) -> None:
        self.mailbox: Mailbox[Any] = Mailbox("desk", capacity)
        self.ref = ActorRef(self.mailbox)
        self.taken: list[Envelope[Any]] = []
        self.returned: list[Any] = []

    async def send(self, message: object, *, control: bool = False) -> None:
        await self.ref.send(message, control=control)
        self.returned.append(message)

    async def ask(self, message: object, **options: bool) -> None:
        self.returned.append(await self.ref.ask(message, **options))

    async def refused(self, message: object, *, control: bool = False) -> None:
        with pytest.raises(ActorStopped) as exc:
            await self.ref.ask(message, control=control)
        self.returned.append(f"{message}: {exc.value}")

    async def take(self, count: int) -> list[Any]:
        for _ in range(count):
            self.taken.append(await self.mailbox.receive())
        return [envelope.message for envelope in self.taken[-count:]]


# Lanes


async def test_a_lane_is_first_in_first_out() -> None:
    desk = Desk()
    for message in "abc":
        await desk.ref.send(message)
    assert await desk.take(3) == ["a", "b", "c"]


async def test_control_overtakes_bulk() -> None:
    desk = Desk()
    await desk.ref.send("bulk")
    await desk.ref.send("first", control=True)
    desk.ref.send_nowait("second", control=True)
    assert await desk.take(3) == ["first", "second", "bulk"]


async def test_control_overtakes_bulk_senders_that_wait(nursery: trio.Nursery) -> None:
    desk = Desk(capacity=1)
    for message in ("a", "b", "c"):
        nursery.start_soon(desk.send, message)
        await wait_all_tasks_blocked()
    await desk.ref.send("control", control=True)
    assert await desk.take(4) == ["control", "a", "b", "c"]


async def test_a_full_control_lane_does_not_hold_up_bulk_or_the_other_way() -> None:
    desk = Desk(capacity=1)
    desk.ref.send_nowait("control", control=True)
    desk.ref.send_nowait("bulk")
    with pytest.raises(trio.WouldBlock):
        desk.ref.send_nowait("more", control=True)
    with pytest.raises(trio.WouldBlock):
        desk.ref.send_nowait("more")


async def test_a_full_lane_makes_senders_and_askers_wait_in_order(nursery: trio.Nursery) -> None:
    desk = Desk(capacity=1)
    for index in range(6):
        call = desk.send if index % 2 else desk.ask
        nursery.start_soon(call, index)
        await wait_all_tasks_blocked()
    assert desk.ref.statistics().senders_waiting == 5
    taken = [await desk.mailbox.receive() for _ in range(6)]
    assert [envelope.message for envelope in taken] == list(range(6))
    for envelope in taken:
        envelope.answer(envelope.message)
    await wait_all_tasks_blocked()
    assert sorted(desk.returned) == list(range(6))


async def test_whoever_comes_later_does_not_overtake_whoever_waits(
    nursery: trio.Nursery,
) -> None:
    desk = Desk(capacity=1)
    await desk.ref.send("a")
    nursery.start_soon(desk.send, "b")
    await wait_all_tasks_blocked()
    assert await desk.take(1) == ["a"]
    with pytest.raises(trio.WouldBlock):
        desk.ref.send_nowait("c")
    assert await desk.take(1) == ["b"]


async def test_a_lane_holds_no_more_than_its_capacity(nursery: trio.Nursery) -> None:
    desk = Desk(capacity=2)
    for index in range(5):
        nursery.start_soon(desk.send, index)
        await wait_all_tasks_blocked()
    statistics = desk.ref.statistics()
    assert (statistics.capacity, statistics.queued, statistics.senders_waiting) == (2, 2, 3)
    assert desk.returned == [0, 1]
    await desk.take(5)


@pytest.mark.parametrize("capacity", [0, -1])
def test_a_capacity_below_one_is_refused(capacity: int) -> None:
    with pytest.raises(ValueError, match=f"'desk': capacity must be at least 1, not {capacity}"):
        Desk(capacity)


def test_send_nowait_works_outside_of_any_task() -> None:
    desk = Desk()
    desk.ref.send_nowait("a")
    assert desk.mailbox.receive_nowait().message == "a"


# Receiving


async def test_receiving_waits_for_a_message(nursery: trio.Nursery) -> None:
    desk = Desk()

    async def take() -> None:
        desk.returned += await desk.take(2)

    nursery.start_soon(take)
    await wait_all_tasks_blocked()
    desk.ref.send_nowait("a")
    desk.ref.send_nowait("b")
    await wait_all_tasks_blocked()
    assert desk.returned == ["a", "b"]


async def test_a_cancelled_receive_takes_nothing() -> None:
    desk = Desk()
    desk.ref.send_nowait("a")
    with trio.CancelScope() as scope:
        scope.cancel()
        await desk.mailbox.receive()
    assert scope.cancelled_caught
    with trio.move_on_after(0):
        await Desk().mailbox.receive()
    assert desk.mailbox.receive_nowait().message == "a"


async def test_a_receive_that_is_cancelled_while_it_sleeps_can_be_repeated(
    nursery: trio.Nursery,
) -> None:
    desk = Desk()
    with trio.CancelScope() as scope:
        nursery.start_soon(wait_then_cancel, scope)
        await desk.mailbox.receive()
    desk.ref.send_nowait("a")
    assert await desk.take(1) == ["a"]


async def wait_then_cancel(scope: trio.CancelScope) -> None:
    await wait_all_tasks_blocked()
    scope.cancel()


async def test_receive_is_a_checkpoint() -> None:
    desk = Desk()
    desk.ref.send_nowait("a")
    with trio.testing.assert_checkpoints():
        await desk.mailbox.receive()
    with trio.testing.assert_checkpoints():
        await desk.ref.send("b")


def test_receive_nowait_does_not_wait() -> None:
    with pytest.raises(trio.WouldBlock):
        Desk().mailbox.receive_nowait()


async def test_a_second_receiver_is_refused(nursery: trio.Nursery) -> None:
    desk = Desk()
    nursery.start_soon(desk.take, 1)
    await wait_all_tasks_blocked()
    with pytest.raises(trio.BusyResourceError, match=r"two tasks receive .* 'desk'"):
        await desk.mailbox.receive()
    desk.ref.send_nowait("a")


async def test_draining_takes_what_is_there_control_first_and_no_more(
    nursery: trio.Nursery,
) -> None:
    desk = Desk(capacity=2)
    for message in ("a", "b", "c"):
        nursery.start_soon(desk.send, message)
        await wait_all_tasks_blocked()
    desk.ref.send_nowait("control", control=True)
    assert [envelope.message for envelope in desk.mailbox.drain(2)] == ["control", "a"]
    assert [envelope.message for envelope in desk.mailbox.drain(9)] == ["b", "c"]
    assert list(desk.mailbox.drain(9)) == []


# Withdrawing


async def test_a_cancelled_send_was_not_sent(nursery: trio.Nursery) -> None:
    desk = Desk(capacity=1)
    desk.ref.send_nowait("a")
    with trio.CancelScope() as scope:
        nursery.start_soon(wait_then_cancel, scope)
        await desk.ref.send("b")
    assert scope.cancelled_caught
    with trio.CancelScope() as before:
        before.cancel()
        await Desk().ref.send("c")
    assert before.cancelled_caught
    assert await desk.take(1) == ["a"]
    assert desk.ref.statistics().queued == desk.ref.statistics().senders_waiting == 0


async def test_a_send_that_found_room_was_sent_though_cancelled_then(
    nursery: trio.Nursery,
) -> None:
    desk = Desk(capacity=1)
    desk.ref.send_nowait("a")
    with trio.CancelScope() as scope:

        async def make_room() -> None:
            await wait_all_tasks_blocked()
            assert desk.mailbox.receive_nowait().message == "a"
            scope.cancel()

        nursery.start_soon(make_room)
        await desk.send("b")
    assert desk.returned == ["b"]
    assert await desk.take(1) == ["b"]


async def test_an_ask_that_is_cancelled_in_the_queue_is_withdrawn(nursery: trio.Nursery) -> None:
    desk = Desk(capacity=1)
    with trio.CancelScope() as scope:
        nursery.start_soon(wait_then_cancel, scope)
        await desk.ref.ask("a")
    assert scope.cancelled_caught
    with pytest.raises(trio.WouldBlock):
        desk.mailbox.receive_nowait()


async def test_a_withdrawn_ask_makes_room_for_whoever_waits(nursery: trio.Nursery) -> None:
    desk = Desk(capacity=1)
    with trio.CancelScope() as scope:
        nursery.start_soon(wait_then_cancel, scope)
        nursery.start_soon(desk.send, "b")
        await desk.ref.ask("a")
    assert scope.cancelled_caught
    await wait_all_tasks_blocked()
    assert desk.returned == ["b"]
    assert await desk.take(1) == ["b"]


async def test_an_ask_that_is_cancelled_while_waiting_for_room_is_withdrawn(
    nursery: trio.Nursery,
) -> None:
    desk = Desk(capacity=1)
    desk.ref.send_nowait("a")
    with trio.CancelScope() as scope:
        nursery.start_soon(wait_then_cancel, scope)
        await desk.ref.ask("b", uninterruptible=True)
    assert scope.cancelled_caught
    assert await desk.take(1) == ["a"]
    with pytest.raises(trio.WouldBlock):
        desk.mailbox.receive_nowait()


async def test_an_ask_that_is_cancelled_once_taken_leaves_the_answer_to_nobody(
    nursery: trio.Nursery,
) -> None:
    desk = Desk()
    with trio.CancelScope() as scope:
        nursery.start_soon(wait_then_cancel, scope)
        nursery.start_soon(desk.take, 1)
        await desk.ref.ask("a")
    assert scope.cancelled_caught
    assert desk.ref.statistics().taken == 1
    envelope = desk.taken[0]
    assert not envelope.wanted
    envelope.answer("too late")
    envelope.fail(ValueError("later still"))
    assert desk.ref.statistics().taken == 0


async def test_an_uninterruptible_ask_waits_for_the_answer_though_cancelled(
    nursery: trio.Nursery,
) -> None:
    desk = Desk()
    with trio.CancelScope() as scope:

        async def answer() -> None:
            envelope = await desk.mailbox.receive()
            scope.cancel()
            await wait_all_tasks_blocked()
            assert envelope.wanted
            envelope.answer("done")

        nursery.start_soon(answer)
        await desk.ask("a", uninterruptible=True)
    assert desk.returned == ["done"]
    assert not scope.cancelled_caught


async def test_a_message_withdrawn_after_it_woke_the_receiver_is_not_received(
    nursery: trio.Nursery,
) -> None:
    # The receiver has been woken and has not run yet when its message is taken back.
    desk = Desk()

    async def take() -> None:
        desk.returned += await desk.take(1)

    scope = trio.CancelScope()

    async def ask() -> None:
        with scope:
            await desk.ref.ask("a")

    nursery.start_soon(take)
    await wait_all_tasks_blocked()
    for _ in range(20):
        # Either task may run first after this: both orders are tried.
        scope = trio.CancelScope()
        nursery.start_soon(ask)
        await trio.lowlevel.checkpoint()
        scope.cancel()
        await wait_all_tasks_blocked()
        if desk.returned:
            desk.returned.clear()
            nursery.start_soon(take)
            await wait_all_tasks_blocked()
    desk.ref.send_nowait("b")
    await wait_all_tasks_blocked()
    assert desk.returned == ["b"]


async def test_the_last_message_withdrawn_while_receive_yields_is_not_received(
    nursery: trio.Nursery,
) -> None:
    received: list[bool] = []
    for _ in range(20):
        desk = Desk()
        asking, receiving = trio.CancelScope(), trio.CancelScope()

        async def ask(desk: Desk = desk, asking: trio.CancelScope = asking) -> None:
            with asking:
                await desk.ref.ask("a")

        async def withdraw(asking: trio.CancelScope = asking) -> None:
            asking.cancel()

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        nursery.start_soon(withdraw)
        nursery.start_soon(wait_then_cancel, receiving)
        with receiving:
            await desk.mailbox.receive()
        await wait_all_tasks_blocked()
        received.append(not receiving.cancelled_caught)
    assert set(received) == {True, False}


async def test_a_crowd_that_is_cancelled_leaves_nothing_behind() -> None:
    desk = Desk(capacity=10)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as crowd:
            for index in range(2000):
                crowd.start_soon(desk.ask if index % 2 else desk.send, index)
            await wait_all_tasks_blocked()
            assert desk.ref.statistics().senders_waiting == 1990
            scope.cancel()
    statistics = desk.ref.statistics()
    # What was sent before stays, what was asked is withdrawn.
    assert statistics.queued == len(desk.returned)
    assert statistics.senders_waiting == statistics.taken == 0


# Answers


async def test_an_answer_is_given_once(nursery: trio.Nursery) -> None:
    desk = Desk()
    nursery.start_soon(desk.ask, "a")
    envelope = await desk.mailbox.receive()
    assert envelope.wanted
    envelope.answer(1)
    envelope.answer(2)
    envelope.fail(ValueError("no"))
    assert not envelope.wanted
    await wait_all_tasks_blocked()
    assert desk.returned == [1]


async def test_a_message_that_was_sent_wants_no_answer() -> None:
    desk = Desk()
    await desk.ref.send("a")
    envelope = await desk.mailbox.receive()
    assert not envelope.wanted
    assert desk.ref.statistics().taken == 0
    envelope.answer("to nobody")


async def test_a_failed_answer_raises_from_the_ask(nursery: trio.Nursery) -> None:
    desk = Desk()

    async def refuse() -> None:
        (await desk.mailbox.receive()).fail(ValueError("no"))

    nursery.start_soon(refuse)
    with pytest.raises(ValueError, match=r"^no$"):
        await desk.ref.ask("a")


async def test_closing_answers_what_was_taken_queued_and_waiting(nursery: trio.Nursery) -> None:
    desk = Desk(capacity=1)
    for message in ("taken", "queued", "waiting"):
        nursery.start_soon(desk.refused, message)
        await wait_all_tasks_blocked()
        if message == "taken":
            await desk.mailbox.receive()
    nursery.start_soon(
        desk.refused,
        "control",
    )

    async def send() -> None:
        with pytest.raises(ActorStopped, match="desk has stopped"):
            await desk.ref.send("waiting to send")
        desk.returned.append("sender")

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    desk.mailbox.close()
    await wait_all_tasks_blocked()
    assert sorted(desk.returned) == [
        "control: desk has stopped",
        "queued: desk has stopped",
        "sender",
        "taken: desk stopped while handling str",
        "waiting: desk has stopped",
    ]


async def test_a_closed_mailbox_refuses_everything() -> None:
    desk = Desk()
    desk.mailbox.close()
    desk.mailbox.close()
    assert desk.mailbox.closed
    assert not desk.ref.alive
    with pytest.raises(ActorStopped, match="desk has stopped"):
        await desk.ref.send("a")
    with pytest.raises(ActorStopped):
        desk.ref.send_nowait("a")
    with pytest.raises(ActorStopped):
        await desk.ref.ask("a")


async def test_a_crash_answers_what_was_taken_in_order_and_nothing_else(
    nursery: trio.Nursery,
) -> None:
    desk = Desk(capacity=5)
    boom = ValueError("boom")

    async def ask(message: str) -> None:
        with pytest.raises(ActorCrashed) as exc:
            await desk.ref.ask(message)
        assert exc.value.__cause__ is boom
        desk.returned.append(str(exc.value))

    for message in ("a", "b"):
        nursery.start_soon(ask, message)
        await wait_all_tasks_blocked()
    await desk.take(2)
    nursery.start_soon(desk.ask, "queued")
    await wait_all_tasks_blocked()
    assert desk.ref.statistics().taken == 2
    desk.mailbox.crash(boom)
    await wait_all_tasks_blocked()
    assert desk.returned == ["desk crashed while handling str"] * 2
    (await desk.mailbox.receive()).answer("answer")
    await wait_all_tasks_blocked()
    assert desk.returned[2:] == ["answer"]


async def test_abandoning_answers_what_was_taken_and_keeps_the_rest(
    nursery: trio.Nursery,
) -> None:
    desk = Desk()
    nursery.start_soon(desk.refused, "a")
    await wait_all_tasks_blocked()
    await desk.take(1)
    await desk.ref.send("b")
    desk.mailbox.abandon()
    await wait_all_tasks_blocked()
    assert desk.returned == ["a: desk stopped while handling str"]
    assert await desk.take(1) == ["b"]


# What it says of itself


async def test_statistics_count_each_thing_where_it_is(nursery: trio.Nursery) -> None:
    desk = Desk(capacity=2)
    for index in range(4):
        nursery.start_soon(desk.ask, index)
        await wait_all_tasks_blocked()
    await desk.ref.send("control", control=True)
    assert attributes(desk) == (2, 2, 1, 2, 0, 0)
    taken = [await desk.mailbox.receive() for _ in range(2)]
    assert attributes(desk) == (2, 2, 0, 1, 1, 2)
    for envelope in (*taken, *[await desk.mailbox.receive() for _ in range(3)]):
        envelope.answer()
    assert attributes(desk) == (2, 0, 0, 0, 0, 5)


def attributes(desk: Desk) -> tuple[int, ...]:
    """Return the statistics in the order of the class."""
    statistics = desk.mailbox.statistics()
    return (
        statistics.capacity,
        statistics.queued,
        statistics.queued_control,
        statistics.senders_waiting,
        statistics.taken,
        statistics.received,
    )


async def test_a_mailbox_and_an_address_show_what_they_are(nursery: trio.Nursery) -> None:
    desk = Desk()
    nursery.start_soon(desk.ask, "a")
    await wait_all_tasks_blocked()
    desk.ref.send_nowait("b", control=True)
    assert repr(desk.mailbox) == "<Mailbox 'desk': 1 control, 1 queued, 0 taken>"
    assert repr(desk.ref) == "<ActorRef 'desk': alive>"
    assert desk.ref.name == "desk"
    for envelope in [await desk.mailbox.receive() for _ in range(2)]:
        envelope.answer()
    desk.mailbox.close()
    assert repr(desk.ref) == "<ActorRef 'desk': stopped>"
