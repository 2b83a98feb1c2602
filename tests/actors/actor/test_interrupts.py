"""Ctrl-C, in the block of a supervisor and while it closes."""

from __future__ import annotations

import functools
import signal

import pytest
import trio
from trio.testing import MockClock

from triphase.actor import Actor, Mailbox, open_supervisor

from .cast import Crash, Probe
from .test_leaving import slow


def test_an_interrupt_in_the_block_leaves_it_as_it_is(journal: list[str]) -> None:
    async def main() -> None:
        async with open_supervisor() as supervisor:
            await supervisor.start(lambda: Probe("probe", journal), name="probe")
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert journal == ["probe started", "probe stopped"]


def test_an_interrupt_while_closing_still_stops_all(journal: list[str]) -> None:
    @trio.lowlevel.enable_ki_protection
    def interrupt() -> None:
        # Protected here, it is delivered to the main task, which waits for this actor.
        signal.raise_signal(signal.SIGINT)

    async def main() -> None:
        async with open_supervisor() as supervisor:
            for name in "ab":
                await supervisor.start(slow(name, journal), name=name)
            await supervisor.start(lambda: Probe("c", journal, at_stop=interrupt), name="c")

    with pytest.raises(KeyboardInterrupt):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert {"a stopped", "b stopped", "c stopped"} < set(journal)


def test_an_interrupt_in_an_actor_ends_the_supervisor_and_keeps_what_the_block_raised(
    journal: list[str],
) -> None:
    async def main() -> None:
        async with open_supervisor() as supervisor:
            await supervisor.start(lambda: Probe("a", journal), name="a")
            b = await supervisor.start(lambda: Probe("b", journal), name="b")
            await b.send(Crash(KeyboardInterrupt()))
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("mine")

    with pytest.raises(BaseExceptionGroup) as exc:
        trio.run(main)
    assert exc.group_contains(KeyboardInterrupt)
    assert isinstance(exc.value.__cause__, KeyError)
    assert journal[-2:] == ["b stopped", "a stopped"]


class Dawdler(Actor[object]):
    """Cleans up for an hour, unless it is told to hurry."""

    stop_grace = 4000.0

    def __init__(self, name: str, journal: list[str], *, obeys: bool) -> None:
        self.name = name
        self.journal = journal
        self.obeys = obeys
        self.over = trio.Event()

    async def run(self, mailbox: Mailbox[object]) -> None:
        await trio.sleep_forever()

    def hurry(self) -> None:
        self.journal.append(f"{self.name} hurried")
        if self.obeys:
            self.over.set()

    async def stopped(self) -> None:
        with trio.move_on_after(3600):
            await self.over.wait()
        self.journal.append(f"{self.name} stopped after {trio.current_time():g}")


@pytest.mark.parametrize(
    ("interrupts", "obeys", "expected"),
    [
        (1, True, ["b stopped after 3600", "a stopped after 7200"]),
        (2, True, ["a hurried", "b hurried", "b stopped after 20", "a stopped after 20"]),
        (2, False, ["a hurried", "b hurried", "b stopped after 3600", "a stopped after 7200"]),
        # What is cut off does not get to its last line.
        (3, False, ["a hurried", "b hurried"]),
    ],
)
def test_each_interrupt_while_closing_makes_it_quicker(
    interrupts: int, obeys: bool, expected: list[str], journal: list[str]
) -> None:
    @trio.lowlevel.enable_ki_protection
    async def interrupt() -> None:
        for _ in range(interrupts - 1):
            await trio.sleep(20)
            signal.raise_signal(signal.SIGINT)

    async def main() -> None:
        # Beside the main task, which is the one that gets them.
        trio.lowlevel.spawn_system_task(interrupt)
        async with open_supervisor() as supervisor:
            for name in "ab":
                await supervisor.start(
                    functools.partial(Dawdler, name, journal, obeys=obeys), name=name
                )
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert journal == expected
