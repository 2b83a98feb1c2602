"""The runtime: all of its verbs as one class."""

from __future__ import annotations

import trio

from triphase.arguments import checked_timeout
from triphase.handle import JobHandle

from .changing import Changing
from .hooks import Hooks
from .queues import Queues
from .statistics import RuntimeStatistics
from .submitting import Submitting
from .waiting import Waiting


class Runtime(Submitting, Changing, Waiting, Queues, Hooks):
    """An open runtime; made by `open_runtime`."""

    def __repr__(self) -> str:
        state = "closed" if self._parts.feed.closed else f"{len(self._parts.directory)} active"
        return f"<Runtime {self._parts.owner}: {state}>"

    async def drain(self, timeout: float | None = None) -> bool:
        """Start no more jobs, and wait until those that run have ended, and been told of.

        Jobs can still be submitted; they wait for the next runtime on this store. Webhooks that
        are due when the last job has ended are still tried, once; what is due later, or has to
        be tried again, is left to the next runtime too. There is no way back: close the runtime
        and open another. A checkpoint.

        Args:
          timeout: seconds; None waits as long as it takes.

        Returns:
          True if nothing runs or is delivered any more, False if the timeout passed before.

        Raises:
          InvalidValue: if the timeout is not a finite number from 0.
          RuntimeClosed: if the runtime's block has been left.
        """
        parts, timeout = self._open(), checked_timeout(timeout)
        parts.signals.draining = True
        with trio.move_on_after(float("inf") if timeout is None else timeout):
            await parts.directory.all_settled()
            await parts.directory.wait_idle()
            await parts.deliveries.settle()
            return True
        return False

    def statistics(self) -> RuntimeStatistics:
        """Return what the runtime does now. Cheap; also after the runtime has closed."""
        parts = self._parts
        return RuntimeStatistics(
            owner=parts.owner,
            active=len(parts.directory),
            waiting=len(parts.waiters),
            handlers=parts.handlers.statistics(),
            processes=parts.processes.statistics(),
            committer=parts.counts.statistics(),
            scheduler=parts.tally.statistics(),
            reconciler=parts.sweeps.statistics(),
            hooks=parts.deliveries.counts.statistics(),
            feed=parts.feed.statistics(),
        )

    def _handle(self, id: str) -> JobHandle:
        return JobHandle(id, self)
