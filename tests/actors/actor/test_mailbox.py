"""The mailbox: its two lanes, its bounds, and its end."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triphase.actor import ActorCrashed, ActorStopped

from .desk import Desk, wait_then_cancel

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


# Ends


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
