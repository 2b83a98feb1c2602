"""The actor that the tests of this folder put on stage, and its messages."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from triphase.actor import Actor, Refuse, Request


@attrs.frozen
class Say(Request[str]):
    """Answered with the same words."""

    words: str


@attrs.frozen
class Crash:
    """Makes the actor raise."""

    error: BaseException


@attrs.frozen(eq=False)
class Hold(Request[str]):
    """Makes the actor wait; answered with "held"."""

    until: trio.Event = attrs.field(factory=trio.Event)
    taken: trio.Event = attrs.field(factory=trio.Event)


@attrs.frozen
class Quit:
    """Makes the actor end normally, after it has answered "bye"."""


@attrs.frozen
class Doubt:
    """Refused."""


Message = Say | Crash | Hold | Quit | Doubt


@attrs.define
class Probe(Actor[Message]):
    """Writes down what happens to it, and to whom."""

    name: str = "probe"
    journal: list[str] = attrs.field(factory=list[str])
    at_start: Callable[[], None] = lambda: None
    at_stop: Callable[[], None] = lambda: None

    async def started(self) -> None:
        self.at_start()
        self.journal.append(f"{self.name} started")

    async def receive(self, message: Message) -> object:
        match message:
            case Say(words):
                self.journal.append(f"{self.name} heard {words}")
                return words
            case Crash(error):
                self.journal.append(f"{self.name} crashes")
                raise error
            case Hold(until, taken):
                taken.set()
                await until.wait()
                return "held"
            case Quit():
                self.stop()
                return "bye"
            case Doubt():
                return Refuse(ValueError("in doubt"))

    async def stopped(self) -> None:
        self.journal.append(f"{self.name} stopped")
        self.at_stop()


class Boom(Exception):
    """What crashes an actor here."""


class OddError(BaseException):
    """What is no `Exception`, and so no crash of an actor."""
