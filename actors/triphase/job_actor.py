"""One job's life, from the start of a run to its end.

A job actor exists while its job has a run. It starts the phases' handlers in a nursery of
its own, hears how they end, decides, commits, and goes on. It is the only writer of its job
in that time; should somebody else have moved the row all the same, its next commit is
rejected, it stops what it runs, and ends: the row is the truth.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import TypeAlias

import attrs
import trio

from triphase_protocol import (
    Cause,
    Command,
    ErrorRecord,
    FailJob,
    IllegalTransition,
    Interrupt,
    Job,
    JobState,
    Progress,
    ReportProgress,
    StaleWrite,
    TriphaseError,
)

from .actor import Actor, ActorRef, Envelope, Mailbox
from .clock import Clock
from .context import Context
from .definition import Definition
from .entropy import Entropy
from .handler import Ending, command_for, error_of, run_handler
from .journal import Journal, Moved
from .lifecycle import Effect, StartPhase
from .registry import Registry
from .store.operations import Rejected
from .threads import Threads, call_in_trio

log = logging.getLogger("triphase.job")


@attrs.frozen
class PhaseEnded:
    """A handler has ended."""

    run: int
    index: int
    ending: Ending


@attrs.frozen
class FlushProgress:
    """There is progress that is not recorded."""


JobMessage: TypeAlias = PhaseEnded | FlushProgress
"""What a job actor receives."""


@attrs.frozen(eq=False)
class Surroundings:
    """What every job actor of a runtime needs."""

    journal: Journal
    registry: Registry
    clock: Clock
    entropy: Entropy
    threads: Threads
    progress_interval: float
    """Seconds between two recorded progresses of one job, at least."""


class JobActor(Actor[JobMessage]):
    """See the module's text.

    Args:
      surroundings: the runtime's parts.
      job: the record, running and owned by this runtime.
      effects: what its start asks for.
      forget: called when it has ended.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        job: Job,
        effects: tuple[Effect, ...],
        forget: Callable[[], None],
    ) -> None:
        self._around = surroundings
        self._forget = forget
        self._job = job
        self._effects = effects
        self._ended = False
        self._why = Interrupt(cause=Cause.SHUTDOWN, reason="the runtime stopped")
        self._progress: Progress | None = None
        self._flush_asked = False
        self._flushed_at = -math.inf
        self._flush_at = math.inf

    async def run(self, mailbox: Mailbox[JobMessage]) -> None:
        """Live through one run."""
        loaded = self._load()
        if isinstance(loaded, ErrorRecord):
            await self._move(FailJob(run=self._job.run, error=loaded))
            return
        async with trio.open_nursery() as nursery:
            context = _Run(*loaded, ActorRef(mailbox), nursery)
            self._carry_out(context, self._effects)
            try:
                while not self._ended:
                    await self._next(context, mailbox)
            except Exception as exc:
                self._why = Interrupt(cause=Cause.LOST, reason=f"its actor crashed: {exc!r}")
                raise
            nursery.cancel_scope.cancel(reason=f"run {self._job.run} of {self._job.id} ended")

    async def stopped(self) -> None:
        """Put the job back if its run has not ended, so that another run resumes it."""
        try:
            if not self._ended:
                await self._move(self._why)
        except TriphaseError as exc:
            # The row still says who owned it: the reconciler, or the next open, finds it.
            log.warning("job %s could not be put back: %s", self._job.id, exc)
        finally:
            self._forget()

    def _load(self) -> tuple[Definition, object] | ErrorRecord:
        """Return what the job is made of, or why it cannot be run as it is declared now."""
        try:
            definition = self._around.registry.named(self._job.type)
            stored = tuple(phase.name for phase in self._job.phases)
            declared = tuple(phase.name for phase in definition.phases)
            if stored != declared:
                return ErrorRecord(
                    type="DefinitionChanged",
                    message=f"submitted with the phases {', '.join(stored)}; "
                    f"{self._job.type} now has {', '.join(declared)}",
                )
            return definition, definition.instance_of(self._job.payload)
        except TriphaseError as exc:
            return error_of(exc)

    async def _next(self, context: _Run, mailbox: Mailbox[JobMessage]) -> None:
        envelope: Envelope[JobMessage] | None = None
        if self._flush_at == math.inf:
            envelope = await mailbox.receive()
        else:
            # The deadline may pass between a message's arrival and this task's turn: what has
            # been received is handled outside of its scope.
            with trio.move_on_at(self._flush_at):
                envelope = await mailbox.receive()
        if envelope is not None:
            await self._receive(context, envelope)
        if trio.current_time() >= self._flush_at:
            await self._flush()

    async def _receive(self, context: _Run, envelope: Envelope[JobMessage]) -> None:
        match envelope.message:
            case PhaseEnded() as ended:
                await self._phase_ended(context, ended)
            case FlushProgress():
                self._flush_asked = False
                self._flush_at = self._flushed_at + self._around.progress_interval
        envelope.answer()

    async def _phase_ended(self, context: _Run, ended: PhaseEnded) -> None:
        if ended.run != self._job.run:
            return
        phase = context.definition.phases[ended.index]
        command = command_for(
            ended.ending,
            phase,
            context.definition.result_type(phase.name),
            ended.run,
            self._around.entropy.draw(),
            self._take_progress(),
        )
        self._carry_out(context, await self._move(command))

    async def _flush(self) -> None:
        self._flush_at, self._flushed_at = math.inf, trio.current_time()
        progress = self._take_progress()
        if progress is not None:
            await self._move(ReportProgress(run=self._job.run, progress=progress))

    def _take_progress(self) -> Progress | None:
        progress, self._progress = self._progress, None
        self._flush_at = math.inf
        return progress

    async def _move(self, command: Command) -> tuple[Effect, ...]:
        """Commit what a command leads to; end quietly if the job is no longer ours."""
        try:
            result = await self._around.journal.move(self._job, command)
        except (StaleWrite, IllegalTransition) as exc:
            log.warning("job %s: %s", self._job.id, exc)
            self._ended = True
            return ()
        match result:
            case Moved(job, effects):
                self._job = job
                if job.state is not JobState.RUNNING:
                    self._ended = True
                return effects
            case Rejected(why):
                log.warning("job %s: run %d is fenced off: %s", self._job.id, self._job.run, why)
                self._ended = True
                return ()

    def _carry_out(self, context: _Run, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            if isinstance(effect, StartPhase):
                context.nursery.start_soon(
                    self._run_phase,
                    context,
                    effect.index,
                    name=f"phase:{self._job.id}:{self._job.phases[effect.index].name}",
                )

    async def _run_phase(self, context: _Run, index: int) -> None:
        job, token = self._job, trio.lowlevel.current_trio_token()

        def report(progress: Progress) -> None:
            if trio.lowlevel.in_trio_run():
                self._reported(context, job.run, index, progress)
            else:
                call_in_trio(token, lambda: self._reported(context, job.run, index, progress))

        phase = context.definition.phases[index]
        ending = await run_handler(
            phase,
            context.instance,
            Context(context.definition, job, index, report),
            self._around.threads,
            self._seconds_left(context.definition),
        )
        await context.me.send(PhaseEnded(job.run, index, ending), control=True)

    def _reported(self, context: _Run, run: int, index: int, progress: Progress) -> None:
        # A thread that was abandoned, or a task left over, may speak of what is past.
        if self._ended or run != self._job.run or index != self._job.current:
            return
        self._progress = progress
        if not self._flush_asked and context.me.alive:
            self._flush_asked = True
            context.me.send_nowait(FlushProgress())

    def _seconds_left(self, definition: Definition) -> float:
        if definition.timeout is None or self._job.started_at is None:
            return math.inf
        return self._job.started_at + definition.timeout - self._around.clock.now()


@attrs.frozen(eq=False)
class _Run:
    """What one run works with."""

    definition: Definition
    instance: object
    me: ActorRef[JobMessage]
    nursery: trio.Nursery
