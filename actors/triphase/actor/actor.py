"""The actor: a task with a mailbox, started and restarted by a supervisor."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

from .mailbox import Mailbox

M = TypeVar("M")


@attrs.frozen
class Refuse:
    """Returned by `Actor.receive`: the ask raises *error* and the actor goes on.

    For a message that is wrong, as opposed to an actor that is.
    """

    error: Exception


class Actor(Generic[M]):
    """Something that handles messages of type *M*, one at a time.

    Override `receive`; or `run`, to receive in another way (in batches, with a timeout,
    with children in a nursery). An exception that leaves either is a crash: the message
    being handled is answered with `ActorCrashed`, the supervisor decides about a restart,
    and a restarted actor goes on with the messages that are still in the mailbox.
    """

    stop_grace: float = 5.0
    """Seconds that `stopped` may take."""

    _stop_asked = False

    async def started(self) -> None:
        """Prepare, before the first message. `Supervisor.start` returns after it.

        When it raises or is cancelled, `stopped` is not called.
        """

    async def receive(self, message: M) -> object:
        """Handle one message; what is returned answers an `ask`.

        A `Refuse` makes the ask raise instead.
        """
        raise NotImplementedError(f"{type(self).__name__} handles no messages")

    async def stopped(self) -> None:
        """Clean up, after the last message: at the end, a crash, or a cancel.

        Shielded from cancels for `stop_grace` seconds, and abandoned after them. An exception
        is a crash.
        """

    def hurry(self) -> None:
        """Do not take your time: the program was interrupted again while it ends. Never waits.

        Called at any moment between `started` and the end of `stopped`. By default nothing
        changes; an actor that waits for something in `stopped`, or that has a supervisor of its
        own, may wait no more.
        """

    def stop(self) -> None:
        """End after the current message: called while it is handled, or in `started`.

        What is left in the mailbox is refused, unless the actor is started again.
        """
        self._stop_asked = True

    async def run(self, mailbox: Mailbox[M]) -> None:
        """Receive until `stop` is called. Returning ends the actor normally."""
        while not self._stop_asked:
            envelope = await mailbox.receive()
            answer = await self.receive(envelope.message)
            if isinstance(answer, Refuse):
                envelope.fail(answer.error)
            else:
                envelope.answer(answer)
