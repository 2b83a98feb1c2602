"""The address of an actor: how everybody else talks to it."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, overload

from .mailbox import Mailbox, MailboxStatistics

M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)
R = TypeVar("R")


class Request(Generic[R]):
    """The base of a message whose answer has the type *R*; types the answer of `ask`."""

    __slots__ = ()


class ActorRef(Generic[M_contra]):
    """An actor's address. It stays valid while the actor is restarted."""

    __slots__ = ("_mailbox",)

    def __init__(self, mailbox: Mailbox[M_contra]) -> None:
        self._mailbox = mailbox

    def __repr__(self) -> str:
        state = "stopped" if self._mailbox.closed else "alive"
        return f"<ActorRef {self.name!r}: {state}>"

    @property
    def name(self) -> str:
        """The name that the actor was started under."""
        return self._mailbox.name

    @property
    def alive(self) -> bool:
        """False once the actor has ended for good; a restart in between does not show."""
        return not self._mailbox.closed

    async def send(self, message: M_contra, *, control: bool = False) -> None:
        """Put a message into the mailbox, waiting for room; nobody answers.

        A checkpoint. When it is cancelled the message was not sent.

        Args:
          message: what to send.
          control: use the control lane, which the actor empties first.

        Raises:
          ActorStopped: if the actor has ended.
        """
        await self._mailbox.send(message, control)

    def send_nowait(self, message: M_contra, *, control: bool = False) -> None:
        """Like `send`, but never wait.

        Raises:
          trio.WouldBlock: if the lane is full.
          ActorStopped: if the actor has ended.
        """
        self._mailbox.send_nowait(message, control)

    @overload
    async def ask(
        self, message: Request[R], *, control: bool = ..., uninterruptible: bool = ...
    ) -> R: ...

    @overload
    async def ask(
        self, message: M_contra, *, control: bool = ..., uninterruptible: bool = ...
    ) -> Any: ...

    async def ask(
        self, message: Any, *, control: bool = False, uninterruptible: bool = False
    ) -> Any:
        """Send a message and wait for the actor's answer.

        A checkpoint. When it is cancelled before the actor has taken the message, the
        message is withdrawn and certainly not handled. When it is cancelled later, the
        actor goes on and its answer is dropped.

        Args:
          message: what to ask; a `Request[R]` is answered with an *R*.
          control: use the control lane, which the actor empties first.
          uninterruptible: once the actor has taken the message, wait for the answer even
            when cancelled, so that the caller always knows what happened.

        Raises:
          ActorCrashed: if the actor raised while it had the message.
          ActorStopped: if the actor has ended, or ends before it has answered.
          Exception: what the actor refused the message with, see `Refuse`.
        """
        return await self._mailbox.ask(message, control, uninterruptible)

    def statistics(self) -> MailboxStatistics:
        """Return what the actor's mailbox holds now."""
        return self._mailbox.statistics()
