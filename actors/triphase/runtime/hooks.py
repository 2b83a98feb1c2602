"""Looking at the deliveries of webhooks, and asking for one again."""

from __future__ import annotations

from collections.abc import Iterable

from triphase.actor import ActorStopped
from triphase.arguments import checked_limit, checked_place, hook_state, id_of, names
from triphase.errors import RuntimeClosed
from triphase.handle import JobHandle
from triphase.store.operations import Redeliver, Rejected
from triphase_protocol import Hook, HookNotFound, HookState

from .base import Base


class Hooks(Base):
    """The verbs about deliveries."""

    async def hook(self, id: str) -> Hook:
        """Return a delivery, with what is sent. A checkpoint.

        Raises:
          HookNotFound: if there is none of that id.
          CorruptRecord: if its row cannot be read back.
          RuntimeClosed: if the runtime's block has been left.
        """
        hook = await self._open().store.hook(id_of(id))
        if hook is None:
            raise HookNotFound(f"there is no delivery {id!r}")
        return hook

    async def hooks(
        self,
        *,
        job: str | JobHandle | None = None,
        states: HookState | str | Iterable[HookState | str] = (),
        after: tuple[int, str] | None = None,
        limit: int = 50,
    ) -> list[Hook]:
        """Return deliveries, in the order of the events that they are about.

        Without what is sent: `hook` returns one with it. A checkpoint.

        Args:
          job: only those of this job, which may have been deleted.
          states: only those in one of these states.
          after: the `place` of the last one of the page before.
          limit: the most on a page, from 1 to 1000.

        Raises:
          InvalidValue: if a state, the place or the limit is not valid.
          RuntimeClosed: if the runtime's block has been left.
        """
        return await self._open().store.hooks(
            job=None if job is None else id_of(job),
            states=tuple(hook_state(state) for state in names(states)),
            after=checked_place(after),
            limit=checked_limit(limit),
        )

    async def redeliver(self, id: str) -> Hook:
        """Have a delivery tried now; return it as it is pending.

        One that was delivered, or was given up, is tried as if it were new, with the same id and
        the same body. One that waits for its next try does not wait any more. If its receiver
        had said that it is gone, it is asked again. A checkpoint; cancelled, it was asked for or
        it was not.

        Raises:
          HookNotFound: if there is none of that id.
          RuntimeClosed: if the runtime's block has been left.
        """
        parts, found = self._open(), await self.hook(id)
        try:
            result = await parts.writer.commit(Redeliver(hook=found.id, due_at=parts.clock.now()))
        except ActorStopped as exc:
            raise RuntimeClosed("the runtime is closed; nothing was asked for") from exc
        if isinstance(result, Rejected):
            raise HookNotFound(f"there is no delivery {id!r}")
        # Before the read, which may be cancelled: what is asked for has to be done.
        parts.deliveries.forgive(found.url)
        return await self.hook(id)
