"""Pausing queues, and changing their limits, while the runtime is open."""

from __future__ import annotations

from collections.abc import Mapping

from triphase.actor import ActorStopped
from triphase.checks import check_whole
from triphase.errors import RuntimeClosed
from triphase.parts import Parts
from triphase.store.backend import QueueSetting
from triphase.store.operations import SetQueue
from triphase_protocol import DefinitionError, InvalidValue, Queue, QueueState

from .base import Base


class Queues(Base):
    """The verbs about queues. What they set outlives a restart."""

    def queues(self) -> Mapping[str, Queue]:
        """Return the queues by name, as they are now. Never waits."""
        return dict(self._open().registry.queues)

    async def queue_states(self) -> Mapping[str, QueueState]:
        """Return the queues by name, as they are now, with how many jobs they have.

        The jobs are counted in the store: it costs a pass over what is queued. A checkpoint.

        Raises:
          StoreUnavailable: if the store refuses.
          RuntimeClosed: if the runtime's block has been left.
        """
        parts = self._open()
        queued, running = await parts.store.backlog(), await parts.store.slots()
        return {
            name: QueueState(
                limit=queue.limit,
                paused=queue.paused,
                queued=queued.get(name, 0),
                running=running.get(name, 0),
            )
            for name, queue in parts.registry.queues.items()
        }

    async def pause(self, queue: str) -> None:
        """Start none of a queue's jobs, until `resume`. What runs goes on.

        A checkpoint. When it returns, the setting is durable and outlives a restart, and none of
        the queue's jobs starts any more. Cancelled, it was set or it was not.

        Raises:
          UnknownQueue: if there is no such queue.
          RuntimeClosed: if the runtime's block has been left.
        """
        await self._set(queue, paused=True)

    async def resume(self, queue: str) -> None:
        """Start a queue's jobs again; see `pause`. One that is not paused stays as it is."""
        await self._set(queue, paused=False)

    async def set_limit(self, queue: str, limit: int | None) -> None:
        """Set how many of a queue's jobs may hold a slot at once; see `pause`.

        A lower limit stops nobody: the jobs that are over it run to their ends.

        Args:
          queue: which.
          limit: how many, at least 1; None is what `queues=` declares.

        Raises:
          InvalidValue: if the limit is not a whole number from 1.
          UnknownQueue: if there is no such queue.
          RuntimeClosed: if the runtime's block has been left.
        """
        if limit is not None:
            try:
                check_whole("limit", limit, least=1)
            except DefinitionError as exc:
                raise InvalidValue(str(exc)) from exc
        registry = self._open().registry
        registry.check_queue(queue)
        await self._set(queue, limit=limit, changes_limit=True)

    async def _set(
        self,
        name: str,
        *,
        paused: bool | None = None,
        limit: int | None = None,
        changes_limit: bool = False,
    ) -> None:
        parts = self._open()
        parts.registry.check_queue(name)
        # One after the other: each keeps what the one before has set.
        async with parts.queue_turn:
            await self._set_in_turn(parts, name, paused, limit, changes_limit)

    async def _set_in_turn(
        self, parts: Parts, name: str, paused: bool | None, limit: int | None, changes_limit: bool
    ) -> None:
        before = parts.registry.setting_of(name)
        setting = QueueSetting(
            paused=before.paused if paused is None else paused,
            slots=limit if changes_limit else before.slots,
        )
        try:
            operation = SetQueue(name=name, paused=setting.paused, slots=setting.slots)
            await parts.writer.commit(operation)
        except ActorStopped as exc:
            raise RuntimeClosed("the runtime is closed; nothing was set") from exc
        parts.registry.adopt({name: setting})
        # Before the wait, which may be cancelled: what is set has to be acted upon.
        parts.look()
        await parts.directory.all_settled()
