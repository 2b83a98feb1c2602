"""The address: what becomes of a message that is withdrawn, and of one that is answered."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from .desk import Desk, wait_then_cancel

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
