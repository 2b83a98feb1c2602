"""Worker processes that run handlers: started when needed, kept warm, and stopped for good.

    async with open_processes() as processes:
        ending = await processes.run(call, report=report, stop=trio.Event(), grace=10)

There is no limit on how many run at once: the slots limit that. A worker runs one handler at
a time and is used again if it came out of it as good as new. It does not outlive us: it ends
by itself when its stdin does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

import attrs
import trio

from triphase.endings import Died, Ending, Halt, Unfinished
from triphase.errors import RuntimeClosed
from triphase_protocol import ErrorRecord, InvalidValue, Progress, StopHow

from .call import Call
from .importing import check_not_importing_main
from .worker_process import Conversation, WorkerProcess

TRIES: Final = 3
"""How many workers a call is given to, if they turn out to be dead before the handler begins."""


class StopRequest(Protocol):
    """What says that a handler should stop: a `trio.Event`."""

    def is_set(self) -> bool:
        """Has a stop been requested?"""
        ...

    async def wait(self) -> None:
        """Return once it has."""
        ...


@attrs.frozen(kw_only=True)
class ProcessesStatistics:
    """The worker processes of a runtime at one moment."""

    alive: int
    """Processes there are."""

    idle: int
    """Those among them that wait for a handler."""

    started: int
    """Processes that were ever started."""

    killed: int
    """Processes that needed SIGKILL."""

    died: int
    """Processes that ended in the middle of a handler, though nobody had asked them to."""

    abandoned: int
    """Processes that not even SIGKILL ended."""


class Processes:
    """See the module's text; made by `open_processes`, and open inside of its block."""

    def __init__(
        self, *, idle_most: int, idle_seconds: float, close_grace: float, interval: float
    ) -> None:
        self._idle_most = idle_most
        self._idle_seconds = idle_seconds
        self._close_grace = close_grace
        self._interval = interval
        self._manager = trio.open_nursery()
        self._nursery: trio.Nursery | None = None
        self._workers: set[WorkerProcess] = set()
        self._idle: list[WorkerProcess] = []
        """In the order in which they became idle."""

        self._became_idle = trio.Event()
        # A cancel from outside is for whoever opened the pool, who then leaves the block.
        self._tidying = trio.CancelScope(shield=True)
        self._started = self._killed = self._died = self._abandoned = 0

    async def __aenter__(self) -> Self:
        """Open it. A checkpoint. No process is started before one is needed."""
        check_not_importing_main()
        self._nursery = await self._manager.__aenter__()
        self._nursery.start_soon(self._end_surplus, name="processes: idle workers")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End every worker, bounded by the grace, and leave what was raised as it is."""
        nursery, self._nursery = self._nursery, None
        assert nursery is not None
        try:
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as ending:
                    for worker in self._workers:
                        ending.start_soon(self._end, worker)
        finally:
            self._tidying.cancel(reason="the worker processes are closed")
            nursery.cancel_scope.cancel(reason="the worker processes are closed")
            # Not told of what was raised inside of the block: it would wrap it in a group.
            await self._manager.__aexit__(None, None, None)

    async def run(
        self, call: Call, *, report: Callable[[Progress], None], stop: StopRequest, grace: float
    ) -> Ending:
        """Run a handler in a worker, and return how it ended.

        A checkpoint. It returns, or raises, when nothing of the handler runs any more: it has
        ended, or its process is gone. When it is cancelled the handler is stopped first, like
        by *stop*, which takes no longer than *grace* and `KILL_WAIT`.

        The outcome is `Unfinished` if the handler was stopped before anything came of it, also
        when that was since the block is being left. A handler that returns or raises although
        it was asked to stop has returned or raised; `halt` says that it was asked.

        Args:
          call: what to run.
          report: called with the handler's progress, in trio; must not raise.
          stop: set it to stop the handler: SIGTERM, and SIGKILL after the grace.
          grace: seconds that the handler has between the two.

        Raises:
          RuntimeClosed: if the block has been left.
          InvalidValue: if the call cannot be sent as JSON.
          Exception: what *report* raised, once the handler has been stopped.
        """
        for left in reversed(range(TRIES)):
            if stop.is_set():
                await trio.lowlevel.checkpoint()
                return Ending(Unfinished(), Halt(StopHow.STOPPED, 0.0))
            worker = await self._worker_for(call)
            if isinstance(worker, Died):
                return Ending(worker)
            try:
                conversation = worker.begin(call, report)
            except InvalidValue:
                self._keep(worker)
                raise
            ending = await self._converse(worker, conversation, stop, grace)
            # A warm one that was dead already: the handler has not begun.
            lost = isinstance(ending.outcome, Died) and not conversation.began and worker.warm
            if not (lost and left):
                return ending
        raise AssertionError("the last try returns")

    def statistics(self) -> ProcessesStatistics:
        """Return what there is now, and what has happened."""
        return ProcessesStatistics(
            alive=len(self._workers),
            idle=len(self._idle),
            started=self._started,
            killed=self._killed,
            died=self._died,
            abandoned=self._abandoned,
        )

    async def _worker_for(self, call: Call) -> WorkerProcess | Died:
        """Take an idle worker, if possible one that knows the class, or start another."""
        if self._nursery is None:
            raise RuntimeClosed("the worker processes are closed")
        if self._idle:
            # Of equals the one that was used last: the others may then end.
            worker = max(self._idle, key=lambda idle: (call.place in idle.places, idle.idle_since))
            self._idle.remove(worker)
            return worker
        try:
            worker = await WorkerProcess.start(self._interval)
        except OSError as exc:
            message = f"no worker process can be started: {exc}"
            return Died(ErrorRecord(type="ProcessNotStarted", message=message))
        self._started += 1
        self._workers.add(worker)
        if self._nursery is None:
            # Closed while it was started: nobody else would end it.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tend, worker)
                await worker.put_down(0)
            raise RuntimeClosed("the worker processes are closed")
        self._nursery.start_soon(self._tend, worker, name=f"process:{worker.pid}")
        return worker

    async def _converse(
        self,
        worker: WorkerProcess,
        conversation: Conversation,
        stop: StopRequest,
        grace: float,
    ) -> Ending:
        settled = False
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_when, stop, nursery.cancel_scope)
                await worker.request(conversation)
                await conversation.over.wait()
                nursery.cancel_scope.cancel(reason="the call is over")
            settled = conversation.ended is not None or worker.gone.is_set()
        finally:
            halt = None if settled else await self._put_down(worker, grace)
        self._release(worker, conversation)
        if conversation.failure is not None:
            raise conversation.failure
        if not stop.is_set():
            halt = None
        closed = self._nursery is None
        outcome = worker.outcome(conversation, asked=closed or halt is not None)
        self._died += isinstance(outcome, Died)
        return Ending(outcome, halt)

    async def _put_down(self, worker: WorkerProcess, grace: float) -> Halt:
        began = trio.current_time()
        how = await worker.put_down(grace)
        self._note(how)
        return Halt(how, trio.current_time() - began)

    def _release(self, worker: WorkerProcess, conversation: Conversation) -> None:
        """Keep a worker for the next handler, or end it."""
        if worker.gone.is_set() or self._nursery is None:
            return
        if conversation.ended is not None and conversation.ended.reusable:
            self._keep(worker)
        else:
            self._nursery.start_soon(self._end, worker)

    def _keep(self, worker: WorkerProcess) -> None:
        worker.idle_since = trio.current_time()
        self._idle.append(worker)
        self._became_idle.set()

    async def _tend(self, worker: WorkerProcess) -> None:
        try:
            await worker.tend()
        finally:
            self._workers.discard(worker)
            if worker in self._idle:
                self._idle.remove(worker)

    async def _end(self, worker: WorkerProcess) -> None:
        end = worker.put_down if worker.busy else worker.dismiss
        self._note(await end(self._close_grace))

    def _note(self, how: StopHow) -> None:
        self._killed += how is StopHow.KILLED
        self._abandoned += how is StopHow.ABANDONED

    async def _end_surplus(self) -> None:
        """End workers that are idle beside enough others, or for too long."""
        with self._tidying:
            while True:
                await self._end_some()

    async def _end_some(self) -> None:
        """End those that are surplus now, and wait until there may be others."""
        ends, again = surplus(
            tuple(worker.idle_since for worker in self._idle),
            trio.current_time(),
            self._idle_most,
            self._idle_seconds,
        )
        ended, self._idle[:] = self._idle[:ends], self._idle[ends:]
        for worker in ended:
            assert self._nursery is not None
            self._nursery.start_soon(self._end, worker)
        self._became_idle = trio.Event()
        with trio.move_on_at(again):
            await self._became_idle.wait()


def surplus(
    idle_since: tuple[float, ...], now: float, most: int, seconds: float
) -> tuple[int, float]:
    """Decide how many idle workers to end, the oldest first, and when to look again.

    Args:
      idle_since: since when each is idle, the oldest first.
      now: the time, by the same clock.
      most: how many may be idle.
      seconds: for how long one may be.
    """
    old = sum(since + seconds <= now for since in idle_since)
    ends = max(old, len(idle_since) - most)
    return ends, idle_since[ends] + seconds if ends < len(idle_since) else math.inf


async def _cancel_when(stop: StopRequest, scope: trio.CancelScope) -> None:
    await stop.wait()
    scope.cancel(reason="a stop was requested")


def open_processes(
    *,
    idle_most: int = 4,
    idle_seconds: float = 60.0,
    close_grace: float = 5.0,
    interval: float = 0.1,
) -> Processes:
    """Return a pool of worker processes, to be opened by `async with`.

    Leaving the block ends every worker: an idle one at once, one that runs a handler by SIGTERM,
    and by SIGKILL after the grace.

    Args:
      idle_most: how many workers are kept while they have nothing to do.
      idle_seconds: for how long one of those is kept.
      close_grace: seconds that a worker has to end when the block is left, or when it is not
        needed any more.
      interval: seconds between two reports of a handler's progress, at least.
    """
    return Processes(
        idle_most=idle_most,
        idle_seconds=idle_seconds,
        close_grace=close_grace,
        interval=interval,
    )
