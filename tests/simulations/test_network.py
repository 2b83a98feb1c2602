"""The network: what is sent comes late, in part or not at all, and each end sees what it must."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio
import trio.testing

from triphase_simulations.history import History
from triphase_simulations.network import CAPACITY, LATENCY, End, Listener, Network
from triphase_simulations.plan import Key, Plan
from triphase_simulations.world import Process, World

LONG = 1000.0
"""Virtual seconds after which nothing comes any more."""


@attrs.define
class Stage:
    """Two processes, of which `a` calls `b`."""

    world: World
    network: Network
    a: Process
    b: Process
    listener: Listener

    async def line(self) -> tuple[End, End]:
        """Return the ends of a new line: that of `a`, and that of `b`."""
        ours = await self.network.dial(self.a, "b")
        return ours, await self.listener.accept()


async def stays(process: Process) -> None:
    """Be a process that does nothing."""
    await trio.sleep_forever()


def play(
    test: Callable[[Stage], Awaitable[None]],
    fixed: dict[Key, float] | None = None,
    capacity: int = CAPACITY,
) -> History:
    """Run a test in a world; return what was noted."""
    world = World(Plan(fixed=fixed or {}))
    played: list[bool] = []

    async def main() -> None:
        network = Network(world, capacity)
        a, b = world.start("a", stays), world.start("b", stays)
        await test(Stage(world, network, a, b, network.listen(b)))
        played.append(True)

    history = world.run(main)
    assert played
    return history


def passing(kind: str, nth: int, value: float, site: str = "a>b") -> dict[Key, float]:
    """Return what disturbs the nth thing that passes a site: the first that `a` does is to call."""
    return {(kind, site, nth - 1): value}


async def comes_never(function: Callable[[], Awaitable[object]]) -> None:
    """Check that something does not return."""
    with trio.move_on_after(LONG) as scope:
        await function()
    assert scope.cancelled_caught


async def all_of(end: End) -> bytes:
    """Return everything up to the end of a stream."""
    found = b""
    while data := await end.receive_some():
        found += data
    return found


# Time and order


def test_what_is_sent_arrives_in_order_and_takes_a_while() -> None:
    async def test(stage: Stage) -> None:
        ours, theirs = await stage.line()
        began = trio.current_time()
        for data in (b"one", b"two", b"three"):
            await ours.send_all(data)
        assert trio.current_time() == began
        assert [await theirs.receive_some() for _ in range(3)] == [b"one", b"two", b"three"]
        assert trio.current_time() == pytest.approx(began + LATENCY)

    play(test)


def test_a_line_goes_both_ways() -> None:
    async def test(stage: Stage) -> None:
        ours, theirs = await stage.line()
        await ours.send_all(b"to b")
        await theirs.send_all(b"to a")
        assert (await theirs.receive_some(), await ours.receive_some()) == (b"to b", b"to a")

    play(test)


def test_no_more_is_received_than_was_asked_for() -> None:
    async def test(stage: Stage) -> None:
        ours, theirs = await stage.line()
        await ours.send_all(b"abcdef")
        assert [await theirs.receive_some(4), await theirs.receive_some(4)] == [b"abcd", b"ef"]

    play(test)


def test_what_is_delayed_is_not_overtaken() -> None:
    async def test(stage: Stage) -> None:
        ours, theirs = await stage.line()
        began, arrived = trio.current_time(), dict[bytes, float]()
        for data in (b"one", b"two", b"three"):
            await ours.send_all(data)
        for _ in range(3):
            data = await theirs.receive_some()
            arrived[data] = trio.current_time() - began
        late = pytest.approx(LATENCY + 8.0)
        assert list(arrived) == [b"one", b"two", b"three"]
        assert arrived == {b"one": pytest.approx(LATENCY), b"two": late, b"three": late}

    play(test, passing("delay", 3, 8.0))


def test_a_call_takes_as_long_as_there_and_back() -> None:
    async def test(stage: Stage) -> None:
        began = trio.current_time()
        await stage.line()
        assert trio.current_time() == pytest.approx(began + 2 * LATENCY)
        await stage.line()
        assert trio.current_time() == pytest.approx(began + 4 * LATENCY + 1.0)

    play(test, passing("delay", 2, 1.0))


# Room


def test_a_line_holds_so_much_and_then_a_sender_waits() -> None:
    async def test(stage: Stage) -> None:
        ours, theirs = await stage.line()
        passed = trio.Event()

        async def send() -> None:
            await ours.send_all(b"0123456789abcdefghijKLMNO")
            passed.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await comes_never(passed.wait)
            assert await theirs.receive_some() == b"0123456789"
            await comes_never(passed.wait)
            assert await theirs.receive_some() == b"abcdefghij"
            await passed.wait()
            assert await theirs.receive_some() == b"KLMNO"

    play(test, capacity=10)


def test_a_sender_that_does_not_wait_sends_what_there_is_room_for() -> None:
    async def test(stage: Stage) -> None:
        ours, theirs = await stage.line()
        assert ours.write_nowait(b"0123456") == 7
        assert ours.write_nowait(b"abcdefg") == 3
        with pytest.raises(BlockingIOError):
            ours.write_nowait(b"x")
        await comes_never(ours.wait_send_all_might_not_block)
        assert await theirs.receive_some(4) == b"0123"
        await ours.wait_send_all_might_not_block()
        assert ours.write_nowait(b"xyzxyz") == 4

    play(test, capacity=10)


def test_the_other_direction_has_room_of_its_own() -> None:
    async def test(stage: Stage) -> None:
        ours, theirs = await stage.line()
        await ours.send_all(b"0123456789")
        await theirs.send_all(b"9876543210")
        assert await ours.receive_some() == b"9876543210"

    play(test, capacity=10)


# Cut


@pytest.mark.parametrize(("kept", "arrives"), [(0.7, 70), (1.0, 100), (0.01, 1), (0.001, 0)])
def test_of_what_is_cut_a_part_arrives_and_then_it_is_broken(kept: float, arrives: int) -> None:
    async def test(stage: Stage) -> None:
        ours, theirs = await stage.line()
        await ours.send_all(b"before")
        await ours.send_all(b"x" * 100)
        assert await theirs.receive_some() == b"before"
        if arrives:
            assert await theirs.receive_some() == b"x" * arrives
        for end in (ours, theirs):
            with pytest.raises(trio.BrokenResourceError):
                await end.receive_some()
            with pytest.raises(trio.BrokenResourceError):
                await end.send_all(b"more")
            with pytest.raises(BrokenPipeError):
                end.write_nowait(b"more")

    (cut,) = play(test, passing("cut", 3, kept)).all("cut")
    assert (cut.lane, cut.data) == ("a", {"site": "a>b", "arrived": arrives, "sent": 100})


def test_what_was_on_its_way_from_the_other_side_arrives_too() -> None:
    async def test(stage: Stage) -> None:
        ours, theirs = await stage.line()
        await theirs.send_all(b"answer")
        await ours.send_all(b"x")
        assert await ours.receive_some() == b"answer"
        with pytest.raises(trio.BrokenResourceError):
            await ours.receive_some()

    play(test, passing("cut", 2, 1.0))


def test_who_waits_for_room_is_told_of_a_cut() -> None:
    async def test(stage: Stage) -> None:
        ours, theirs = await stage.line()

        async def send() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await ours.send_all(b"x" * 20)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            await theirs.send_all(b"y")

    play(test, passing("cut", 1, 1.0, "b>a"), capacity=10)


# Vanished


def test_what_vanishes_is_sent_and_nobody_hears_of_anything() -> None:
    async def test(stage: Stage) -> None:
        ours, theirs = await stage.line()
        await ours.send_all(b"before")
        await ours.send_all(b"never")
        await ours.send_all(b"x" * 100_000)
        assert ours.write_nowait(b"more") == 4
        await theirs.send_all(b"answer")
        # Not even what was on its way.
        await comes_never(ours.receive_some)
        await comes_never(theirs.receive_some)
        await ours.aclose()
        await comes_never(theirs.receive_some)
        stage.world.kill(stage.b, "to see what is heard of it")
        assert not list(stage.world.history.all("hung up"))

    (vanished,) = play(test, passing("vanish", 3, 1.0)).all("vanished")
    assert (vanished.lane, vanished.data) == ("a", {"site": "a>b"})


def test_who_waits_for_room_has_it_when_all_vanishes() -> None:
    async def test(stage: Stage) -> None:
        ours, theirs = await stage.line()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.send_all, b"x" * 20)
            await trio.testing.wait_all_tasks_blocked()
            await theirs.send_all(b"y")

    play(test, passing("vanish", 1, 1.0, "b>a"), capacity=10)


# Deaf


def test_who_is_deaf_reads_nothing_until_it_hears_again() -> None:
    async def test(stage: Stage) -> None:
        ours, theirs = await stage.line()
        began = trio.current_time()
        stage.network.hear_nothing("b", 5.0)
        stage.network.hear_nothing("b", 3.0)
        await ours.send_all(b"to b")
        await theirs.send_all(b"to a")
        assert await ours.receive_some() == b"to a"
        assert trio.current_time() == pytest.approx(began + LATENCY)
        assert await theirs.receive_some() == b"to b"
        assert trio.current_time() == pytest.approx(began + 5.0)

    play(test)


def test_who_is_deaf_holds_up_whoever_sends() -> None:
    async def test(stage: Stage) -> None:
        ours, theirs = await stage.line()
        began = trio.current_time()
        stage.network.hear_nothing("b", 5.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.send_all, b"x" * 11)
            assert await theirs.receive_some() == b"x" * 10
        assert trio.current_time() == pytest.approx(began + 5.0)

    play(test, capacity=10)


# Closed


def test_who_closes_is_read_to_the_end() -> None:
    async def test(stage: Stage) -> None:
        ours, theirs = await stage.line()
        await ours.send_all(b"last")
        await ours.send_all(b" words")
        await ours.aclose()
        assert await all_of(theirs) == b"last words"
        assert await theirs.receive_some() == b""
        with pytest.raises(trio.BrokenResourceError):
            await theirs.send_all(b"too late")
        for use in (ours.receive_some, ours.wait_send_all_might_not_block):
            with pytest.raises(trio.ClosedResourceError):
                await use()
        with pytest.raises(trio.ClosedResourceError):
            await ours.send_all(b"closed")
        with pytest.raises(BrokenPipeError):
            ours.write_nowait(b"closed")
        await ours.aclose()

    play(test)


def test_an_end_that_is_aborted_lets_nobody_wait() -> None:
    async def test(stage: Stage) -> None:
        ours, theirs = await stage.line()

        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await ours.receive_some()

        async def send() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await theirs.send_all(b"x" * 20)

        async with trio.open_nursery() as nursery:
            stage.network.hear_nothing("a", LONG)
            nursery.start_soon(receive)
            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            ours.abort()

    play(test, capacity=10)


def test_it_is_noted_who_was_hung_up_on() -> None:
    async def test(stage: Stage) -> None:
        (first, theirs), (second, other) = await stage.line(), await stage.line()
        theirs.abort()
        theirs.abort()
        second.abort()
        # The other side had gone before.
        other.abort()
        assert await first.receive_some() == b""

    (entry,) = play(test).all("hung up")
    assert (entry.lane, entry.data) == ("a", {"site": "b>a", "by": "b"})


@pytest.mark.parametrize("kind", ["cut", "vanish"])
def test_nobody_hangs_up_on_what_is_no_connection_any_more(kind: str) -> None:
    async def test(stage: Stage) -> None:
        ours, theirs = await stage.line()
        await ours.send_all(b"x")
        theirs.abort()

    assert not list(play(test, passing(kind, 2, 1.0)).all("hung up"))


# Deaths, and nobody at all


def test_the_ends_of_who_dies_are_closed() -> None:
    async def test(stage: Stage) -> None:
        ours, theirs = await stage.line()
        await ours.send_all(b"last words")
        stage.world.kill(stage.a, "to see what is read")
        assert await all_of(theirs) == b"last words"

    assert not list(play(test).all("hung up"))


def test_a_death_closes_its_own_ends_alone() -> None:
    async def test(stage: Stage) -> None:
        c = stage.world.start("c", stays)
        ours, theirs = await stage.line()
        await stage.network.dial(c, "b")
        stage.world.kill(c, "to see who else is gone")
        await ours.send_all(b"still here")
        assert await theirs.receive_some() == b"still here"

    play(test)


def test_who_is_dead_is_not_called_until_it_lives_again() -> None:
    async def test(stage: Stage) -> None:
        pending = await stage.network.dial(stage.a, "b")
        stage.world.kill(stage.b, "to see who calls")
        # It was called, and nobody had answered.
        assert await pending.receive_some() == b""
        with pytest.raises(trio.ClosedResourceError):
            await stage.listener.accept()
        with pytest.raises(OSError, match="nobody listens at b"):
            await stage.network.dial(stage.a, "b")
        stage.b = stage.world.start("b", stays)
        stage.listener = stage.network.listen(stage.b)
        ours, theirs = await stage.line()
        await ours.send_all(b"again")
        assert await theirs.receive_some() == b"again"

    play(test)


def test_a_listener_that_is_closed_takes_no_calls() -> None:
    async def test(stage: Stage) -> None:
        async with trio.open_nursery() as nursery:

            async def accept() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await stage.listener.accept()

            nursery.start_soon(accept)
            await trio.testing.wait_all_tasks_blocked()
            await stage.listener.aclose()
        with pytest.raises(OSError, match="nobody listens at b"):
            await stage.line()

    play(test)


def test_a_call_that_nobody_has_taken_ends_with_the_listener() -> None:
    async def test(stage: Stage) -> None:
        pending = await stage.network.dial(stage.a, "b")
        await stage.listener.aclose()
        assert await pending.receive_some() == b""

    play(test)


def test_nobody_is_called_who_was_never_there() -> None:
    async def test(stage: Stage) -> None:
        with pytest.raises(OSError, match="nobody listens at c"):
            await stage.network.dialling(stage.a, "c")()

    play(test)


def test_a_call_is_cut_or_vanishes() -> None:
    async def test(stage: Stage) -> None:
        with pytest.raises(OSError, match="the call of b was cut"):
            await stage.line()
        await comes_never(stage.line)
        ours, theirs = await stage.line()
        await ours.send_all(b"at last")
        assert await theirs.receive_some() == b"at last"

    history = play(test, {**passing("cut", 1, 1.0), **passing("vanish", 2, 1.0)})
    said = [(entry.lane, entry.data["why"]) for entry in history.all("unreached")]
    assert said == [("a", "cut"), ("a", "vanished")]


@pytest.mark.parametrize(("site", "nth"), [("a>b", 2), ("b>a", 1)])
def test_nothing_is_disturbed_when_all_is_quiet(site: str, nth: int) -> None:
    async def test(stage: Stage) -> None:
        stage.world.plan.quiet = True
        ours, theirs = await stage.line()
        sender, receiver = (ours, theirs) if site == "a>b" else (theirs, ours)
        await sender.send_all(b"all of it")
        assert await receiver.receive_some() == b"all of it"

    disturbed = [passing(kind, nth, 1.0, site) for kind in ("delay", "cut", "vanish")]
    play(test, {key: value for each in disturbed for key, value in each.items()})
