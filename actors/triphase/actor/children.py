"""The children of a supervisor: what it knows of each, and what it tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import trio

from .actor import Actor
from .mailbox import Mailbox, MailboxStatistics
from .restarts import Restart


@attrs.frozen(kw_only=True)
class ChildStatistics:
    """One child of a supervisor at one moment."""

    name: str
    """The name it was started under."""

    restarts: int
    """How often it has been restarted."""

    mailbox: MailboxStatistics
    """What its mailbox holds."""


@attrs.frozen(kw_only=True)
class SupervisorStatistics:
    """A supervisor at one moment."""

    children: tuple[ChildStatistics, ...]
    """Its children, in the order of their start."""

    started: int
    """Children that were ever started."""

    crashes: int
    """Crashes of any child, ever."""

    restarts: int
    """Restarts of any child, ever."""


@attrs.define(eq=False)
class Child:
    """A child, over all its incarnations."""

    name: str
    factory: Callable[[], Actor[Any]]
    restart: Restart
    mailbox: Mailbox[Any]
    restarts: int = 0
    awaited: bool = False
    """A `Supervisor.start` waits for it."""

    removed: bool = False
    """No incarnation follows the current one."""

    due: bool = False
    """It is to be ended, if it has not ended, and started again, by `_restart_due`."""

    taken_down: bool = False
    """The current incarnation was ended by the supervisor."""

    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """Around the current incarnation."""

    up: trio.Event = attrs.field(factory=trio.Event)
    """Set when the current incarnation has started, has failed to, or is to be taken down."""

    ended: trio.Event = attrs.field(factory=trio.Event)
    """Set when the current incarnation has ended."""

    resume: trio.Event = attrs.field(factory=trio.Event)
    """Set when the next incarnation may start."""

    gone: trio.Event = attrs.field(factory=trio.Event)
    """Set when no further incarnation will follow."""

    rushed: bool = False
    """It has no time to clean up."""

    actor: Actor[Any] | None = None
    """The current incarnation, from its start to its end."""

    cleaning: trio.CancelScope | None = None
    """Around its `stopped`, while that runs."""

    def next_incarnation(self) -> None:
        """Make ready for another start."""
        self.scope, self.taken_down, self.due = trio.CancelScope(), False, False
        self.up, self.ended, self.resume = trio.Event(), trio.Event(), trio.Event()

    def hurry(self) -> None:
        """Tell the current incarnation not to take its time."""
        if self.actor is not None:
            self.actor.hurry()

    def cut_off(self) -> None:
        """Let the current incarnation clean up no more, or not at all."""
        self.rushed = True
        if self.cleaning is not None:
            self.cleaning.cancel(reason="interrupted again and again")
