"""Actors on trio: a task with a mailbox, and supervisors that restart it.

    class Counter(Actor[Increment | Read]):
        async def receive(self, message): ...

    async with open_supervisor() as supervisor:
        ref = await supervisor.start(Counter, name="counter")
        await ref.send(Increment(by=2))
        print(await ref.ask(Read()))

An actor that crashes is started again; its address and what is queued for it stay.
"""

from __future__ import annotations

from .actor import Actor, Refuse
from .children import ChildStatistics, SupervisorStatistics
from .errors import ActorCrashed, ActorError, ActorStopped, SupervisorFailed
from .mailbox import Envelope, Mailbox, MailboxStatistics
from .ref import ActorRef, Request
from .restarts import Restart, Strategy
from .supervisor import Supervisor, open_supervisor

__all__ = [
    "Actor",
    "ActorCrashed",
    "ActorError",
    "ActorRef",
    "ActorStopped",
    "ChildStatistics",
    "Envelope",
    "Mailbox",
    "MailboxStatistics",
    "Refuse",
    "Request",
    "Restart",
    "Strategy",
    "Supervisor",
    "SupervisorFailed",
    "SupervisorStatistics",
    "open_supervisor",
]
