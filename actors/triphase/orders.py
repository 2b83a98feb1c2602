"""Orders: commands from outside the run of a job, such as a cancel.

An order goes to the job's actor while there is one, since that is the only writer of its job
then. A job without an actor is moved here, guarded by run and version like every write; when
somebody else was first, the order is decided again on what the job is now.
"""

from __future__ import annotations

import attrs
import trio

from triphase_protocol import (
    STATES,
    CancelJob,
    Cause,
    Command,
    Expire,
    Interrupt,
    Job,
    StaleWrite,
    StoreClosed,
    StoreUnavailable,
)

from .actor import ActorError, ActorStopped
from .directory import Directory
from .errors import RuntimeClosed
from .job_actor import Order
from .journal import Journal, Moved
from .missing import missing
from .processes import KeptCommands
from .registry import Registry
from .store.backend import Store
from .store.operations import Why


@attrs.frozen(eq=False)
class Orders:
    """See the module's text."""

    store: Store
    journal: Journal
    directory: Directory
    registry: Registry
    commands: KeptCommands

    async def give(self, id: str, command: Command) -> Job:
        """Carry a command out on a job, and return its record once that is durable.

        A checkpoint. When it is cancelled the command was carried out or it was not.

        Raises:
          JobNotFound: if there is no job of that id; `JobGone` if there was one.
          IllegalTransition: if it cannot be done in the state the job is in.
          RuntimeClosed: if the runtime has closed before it was done.
        """
        while True:
            actor = self.directory.actor_of(id)
            try:
                if actor is not None:
                    return await actor.ask(Order(command), control=True)
                job = await self._move(id, command)
            except (ActorError, StaleWrite, StoreClosed) as exc:
                if actor is None and isinstance(exc, ActorStopped | StoreClosed):
                    # The committer is gone for good, and the store soon.
                    raise RuntimeClosed(f"the runtime is closed; job {id} is as it was") from exc
                # The run ended, or somebody was first: look again at what the job is now.
                await trio.lowlevel.checkpoint()
                continue
            if job is not None:
                return job

    async def _move(self, id: str, command: Command) -> Job | None:
        """Move a job that no actor runs; None if it must be looked at again."""
        await self.directory.settled(id)
        job = await self.store.get(id)
        if self.directory.actor_of(id) is not None or self.directory.is_claiming(id):
            return None
        if job is None:
            raise await missing(self.store, id)
        if STATES[job.state].holds_slot:
            # Nobody runs it: its actor could not even put it back.
            policy = self.registry.recovery_of(job.type)
            lost = Interrupt(cause=Cause.LOST, reason="nobody runs it", policy=policy)
            await self.journal.move(job, lost)
            return None
        kept = self.registry.kept_command(job)
        if kept is not None and isinstance(command, CancelJob | Expire):
            # It goes on although its run was interrupted: an end means that it has stopped.
            try:
                await self.commands.end(kept, self.registry.graces_of(job)[1])
            except OSError as exc:
                raise StoreUnavailable(f"the command of job {id} cannot be stopped: {exc}") from exc
        result = await self.journal.move(job, command)
        if isinstance(result, Moved):
            return result.job
        if result.why is Why.GONE:
            raise await missing(self.store, id)
        return None
