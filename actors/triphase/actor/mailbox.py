"""The mailbox: where messages wait for an actor, and where answers come from.

A mailbox has two lanes of the same capacity. The control lane is emptied first, so what
steers an actor (cancel, a deadline, a fence) never waits behind what merely informs it
(progress). Each lane is first in, first out; a full lane makes `send` and `ask` wait in
the order in which they came, and `send_nowait` raise `trio.WouldBlock`.

Every `ask` is answered exactly once: by the actor, by its crash, or by its end. One task
receives at a time: the actor that the mailbox belongs to.
"""

# What is private here is private to the file: mailbox, lane and envelope are one thing.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import enum
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import attrs
import outcome
import trio

from .errors import ActorCrashed, ActorStopped

M = TypeVar("M")


class _Stage(enum.Enum):
    """Where an envelope is on its way. It only moves down this list."""

    WAITING = enum.auto()
    """Its lane was full."""

    QUEUED = enum.auto()
    """In its lane."""

    TAKEN = enum.auto()
    """The actor has it."""

    CLOSED = enum.auto()
    """Answered, withdrawn, or nobody waits for an answer."""


class Envelope(Generic[M]):
    """One message on its way, with the place its answer goes to.

    An actor that overrides `run` must answer every envelope it receives, by `answer` or
    `fail`; what it has not answered when it ends is answered for it.
    """

    __slots__ = ("_asker", "_mailbox", "_stage", "_uninterruptible", "message")

    def __init__(self, message: M, mailbox: Mailbox[M]) -> None:
        self.message = message
        self._mailbox = mailbox
        self._stage = _Stage.WAITING
        self._asker: trio.lowlevel.Task | None = None
        self._uninterruptible = False

    @property
    def wanted(self) -> bool:
        """False once nobody waits for an answer any more."""
        return self._asker is not None

    def answer(self, value: object = None) -> None:
        """Give the asker its answer. Does nothing if nobody waits for one."""
        self._close(outcome.Value(value))

    def fail(self, error: BaseException) -> None:
        """Make the asker's `ask` raise *error*. Does nothing if nobody waits."""
        self._close(outcome.Error(error))

    def _close(self, result: outcome.Outcome[object]) -> None:
        self._mailbox._taken.pop(self, None)
        self._stage = _Stage.CLOSED
        asker, self._asker = self._asker, None
        if asker is not None:
            trio.lowlevel.reschedule(asker, result)


@attrs.frozen(kw_only=True)
class MailboxStatistics:
    """What a mailbox holds at one moment."""

    capacity: int
    """How many messages fit into each lane."""

    queued: int
    """Messages in the bulk lane."""

    queued_control: int
    """Messages in the control lane."""

    senders_waiting: int
    """Tasks that wait for room."""

    taken: int
    """Asks that the actor has received and not answered."""

    received: int
    """Messages that the actor has received since it was started."""


class _Lane(Generic[M]):
    """One queue of a mailbox, and the senders that wait for room in it."""

    __slots__ = ("capacity", "queued", "waiting")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.queued: deque[Envelope[M]] = deque()
        # A task beside its envelope is a `send` that returns once there is room. Not a deque:
        # when a crowd is cancelled, each must be found at once.
        self.waiting: OrderedDict[Envelope[M], trio.lowlevel.Task | None] = OrderedDict()

    def has_room(self) -> bool:
        return len(self.queued) < self.capacity

    def put(self, envelope: Envelope[M]) -> None:
        envelope._stage = _Stage.QUEUED
        self.queued.append(envelope)

    def pop(self) -> Envelope[M]:
        envelope = self.queued.popleft()
        self.admit()
        return envelope

    def admit(self) -> None:
        """Let waiting senders in while there is room."""
        while self.waiting and self.has_room():
            envelope, sender = self.waiting.popitem(last=False)
            self.put(envelope)
            if sender is not None:
                trio.lowlevel.reschedule(sender)

    def withdraw(self, envelope: Envelope[M]) -> None:
        """Take back an envelope that the actor has not received."""
        if envelope._stage is _Stage.QUEUED:
            self.queued.remove(envelope)
            self.admit()
        else:
            del self.waiting[envelope]
        envelope._stage = _Stage.CLOSED


class Mailbox(Generic[M]):
    """The receiving end; see the module's text. Actors get theirs passed to `run`."""

    def __init__(self, name: str, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"mailbox of {name!r}: capacity must be at least 1, not {capacity}")
        self.name = name
        """Whose mailbox it is; stands in every error."""

        self._bulk: _Lane[M] = _Lane(capacity)
        self._control: _Lane[M] = _Lane(capacity)
        self._sleeper: trio.lowlevel.Task | None = None
        # A dict is an ordered set here: crashes answer in the order of receipt.
        self._taken: dict[Envelope[M], None] = {}
        self._received = 0
        self._closed = False

    def __repr__(self) -> str:
        n, m = len(self._control.queued), len(self._bulk.queued)
        return f"<Mailbox {self.name!r}: {n} control, {m} queued, {len(self._taken)} taken>"

    async def receive(self) -> Envelope[M]:
        """Take the next message, control lane first.

        A checkpoint. When it is cancelled no message is lost: it is still in its lane.

        Raises:
          trio.BusyResourceError: if another task is receiving.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._control.queued or self._bulk.queued:
            await trio.lowlevel.cancel_shielded_checkpoint()
        # Whoever asked may have withdrawn the message before this task ran again.
        while not (self._control.queued or self._bulk.queued):
            await self._sleep()
        return self._take()

    def receive_nowait(self) -> Envelope[M]:
        """Take the next message without waiting.

        Raises:
          trio.WouldBlock: if there is none.
        """
        if not (self._control.queued or self._bulk.queued):
            raise trio.WouldBlock
        return self._take()

    def drain(self, most: int) -> Iterator[Envelope[M]]:
        """Take the messages that are there, without waiting, up to *most* of them."""
        for _ in range(most):
            if not (self._control.queued or self._bulk.queued):
                return
            yield self._take()

    def statistics(self) -> MailboxStatistics:
        """Return what the mailbox holds now."""
        return MailboxStatistics(
            capacity=self._bulk.capacity,
            queued=len(self._bulk.queued),
            queued_control=len(self._control.queued),
            senders_waiting=len(self._bulk.waiting) + len(self._control.waiting),
            taken=len(self._taken),
            received=self._received,
        )

    # What ActorRef calls.

    async def send(self, message: M, control: bool) -> None:
        """Put a message into its lane, waiting for room; see `ActorRef.send`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        envelope, lane = self._address(message, control)
        if lane.has_room():
            self._deliver(lane, envelope)
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        lane.waiting[envelope] = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            lane.withdraw(envelope)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def send_nowait(self, message: M, control: bool) -> None:
        """Put a message into its lane, or raise; see `ActorRef.send_nowait`."""
        envelope, lane = self._address(message, control)
        if not lane.has_room():
            raise trio.WouldBlock
        self._deliver(lane, envelope)

    async def ask(self, message: M, control: bool, uninterruptible: bool) -> Any:
        """Put a message into its lane and wait for the answer; see `ActorRef.ask`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        envelope, lane = self._address(message, control)
        envelope._asker = trio.lowlevel.current_task()
        envelope._uninterruptible = uninterruptible
        if lane.has_room():
            self._deliver(lane, envelope)
        else:
            lane.waiting[envelope] = None

        def abort(_: object) -> trio.lowlevel.Abort:
            if envelope._stage is _Stage.TAKEN:
                if envelope._uninterruptible:
                    return trio.lowlevel.Abort.FAILED
            else:
                lane.withdraw(envelope)
            envelope._asker = None
            return trio.lowlevel.Abort.SUCCEEDED

        return await trio.lowlevel.wait_task_rescheduled(abort)

    # What the supervisor calls.

    def crash(self, error: BaseException) -> None:
        """Answer what the actor had received with its crash; what is queued stays."""
        for envelope in list(self._taken):
            crashed = ActorCrashed(f"{self.name} crashed while handling {_kind(envelope)}")
            crashed.__cause__ = error
            envelope.fail(crashed)

    def abandon(self) -> None:
        """Answer what the actor had received, and has left unanswered, with `ActorStopped`."""
        for envelope in list(self._taken):
            envelope.fail(ActorStopped(f"{self.name} stopped while handling {_kind(envelope)}"))

    def close(self) -> None:
        """Answer everything that is left with `ActorStopped`, and refuse what comes later."""
        self._closed = True
        self.abandon()
        for lane in (self._control, self._bulk):
            while lane.queued:
                lane.queued.popleft().fail(self._stopped())
            while lane.waiting:
                envelope, sender = lane.waiting.popitem(last=False)
                envelope.fail(self._stopped())
                if sender is not None:
                    trio.lowlevel.reschedule(sender, outcome.Error(self._stopped()))

    @property
    def closed(self) -> bool:
        """True once the actor has ended for good."""
        return self._closed

    def _address(self, message: M, control: bool) -> tuple[Envelope[M], _Lane[M]]:
        if self._closed:
            raise self._stopped()
        return Envelope(message, self), self._control if control else self._bulk

    def _deliver(self, lane: _Lane[M], envelope: Envelope[M]) -> None:
        lane.put(envelope)
        sleeper, self._sleeper = self._sleeper, None
        if sleeper is not None:
            trio.lowlevel.reschedule(sleeper)

    async def _sleep(self) -> None:
        if self._sleeper is not None:
            raise trio.BusyResourceError(f"two tasks receive from the mailbox of {self.name!r}")
        self._sleeper = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._sleeper = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def _take(self) -> Envelope[M]:
        envelope = (self._control if self._control.queued else self._bulk).pop()
        envelope._stage = _Stage.TAKEN
        self._received += 1
        if envelope.wanted:
            self._taken[envelope] = None
        return envelope

    def _stopped(self) -> ActorStopped:
        return ActorStopped(f"{self.name} has stopped")


def _kind(envelope: Envelope[Any]) -> str:
    return type(envelope.message).__name__
