"""One job's life, from the start of a run to its end.

A job actor exists while its job has a run. It starts the phases' handlers, hears how they end,
decides, commits, and goes on. It is the only writer of its job in that time; should somebody
else have moved the row all the same, its next commit is rejected, it stops what it runs, and
ends: the row is the truth.

A handler that is to stop (a cancel, a timeout, the end of the runtime) is asked to, and has its
grace. When that is over it is abandoned: the job goes on to what it was stopped for, and what
the handler still does is refused, since it belongs to a run that has ended.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import TypeAlias

import attrs
import trio

from triphase_protocol import (
    STATES,
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
    Stopped,
    TimeOut,
    TriphaseError,
)

from .actor import Actor, ActorRef, ActorStopped, Envelope, Mailbox, Request
from .clock import Clock
from .context import Context
from .definition import Definition, Phase
from .entropy import Entropy
from .handler import Ending, command_for, error_of, run_handler, timeout_error
from .handlers import Handlers, Handling
from .journal import Journal, Moved
from .lifecycle import Effect, StartPhase, StopPhase
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


@attrs.frozen
class Order(Request[Job]):
    """Carry out a command from outside; answered with the record after it."""

    command: Command


JobMessage: TypeAlias = PhaseEnded | FlushProgress | Order
"""What a job actor receives."""


@attrs.frozen(eq=False)
class Surroundings:
    """What every job actor of a runtime needs."""

    journal: Journal
    registry: Registry
    clock: Clock
    entropy: Entropy
    threads: Threads
    handlers: Handlers
    progress_interval: float
    """Seconds between two recorded progresses of one job, at least."""


@attrs.define(eq=False)
class _Timers:
    """When this actor has to do something by itself: trio's time, or infinity."""

    flush: float = math.inf
    """Record the progress."""

    time_out: float = math.inf
    """The phase's time, or the job's, is over."""

    abandon: float = math.inf
    """The grace of a handler that was asked to stop is over."""

    def next(self) -> float:
        return min(self.flush, self.time_out, self.abandon)


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
        self._why = Interrupt(
            cause=Cause.SHUTDOWN,
            reason="the runtime stopped",
            policy=surroundings.registry.recovery_of(job.type),
        )
        self._timers = _Timers()
        self._handling: Handling | None = None
        self._grace = 0.0
        self._progress: Progress | None = None
        self._flush_asked = False
        self._flushed_at = -math.inf

    async def run(self, mailbox: Mailbox[JobMessage]) -> None:
        """Live through one run."""
        loaded = self._load()
        if isinstance(loaded, ErrorRecord):
            await self._move(FailJob(run=self._job.run, error=loaded))
            return
        context = _Run(*loaded, ActorRef(mailbox))
        try:
            await self._carry_out(context, self._effects)
            while not self._ended:
                await self._next(context, mailbox)
        except Exception as exc:
            reason = f"its actor crashed: {exc!r}"
            self._why = attrs.evolve(self._why, cause=Cause.LOST, reason=reason)
            raise

    async def stopped(self) -> None:
        """Stop what runs; put the job back if its run has not ended, so that another resumes it."""
        try:
            await self._stop_handler()
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
            changed = definition.changed_since(self._job)
            if changed is not None:
                return ErrorRecord(type="DefinitionChanged", message=changed)
            return definition, definition.instance_of(self._job.payload)
        except TriphaseError as exc:
            return error_of(exc)

    async def _next(self, context: _Run, mailbox: Mailbox[JobMessage]) -> None:
        envelope: Envelope[JobMessage] | None = None
        # A timer may be due between a message's arrival and this task's turn: what has been
        # received is handled outside of the timer's scope, where no cancel can lose it.
        with trio.move_on_at(self._timers.next()):
            envelope = await mailbox.receive()
        if envelope is not None:
            await self._receive(context, envelope)
        now = trio.current_time()
        if now >= self._timers.flush:
            await self._flush()
        if now >= self._timers.time_out and not self._ended:
            await self._time_out(context)
        if now >= self._timers.abandon and not self._ended:
            await self._abandon(context)

    async def _receive(self, context: _Run, envelope: Envelope[JobMessage]) -> None:
        match envelope.message:
            case PhaseEnded() as ended:
                await self._phase_ended(context, ended)
            case FlushProgress():
                self._flush_asked = False
                self._timers.flush = self._flushed_at + self._around.progress_interval
            case Order(command):
                await self._obey(context, command, envelope)
        envelope.answer()

    async def _obey(self, context: _Run, command: Command, envelope: Envelope[JobMessage]) -> None:
        """Carry out an order; one that cannot be carried out is refused, and the run goes on."""
        try:
            result = await self._around.journal.move(self._job, command)
        except TriphaseError as exc:
            envelope.fail(exc)
            return
        effects = self._took(result)
        if isinstance(result, Rejected):
            envelope.fail(StaleWrite(f"job {self._job.id} was moved by somebody else"))
        envelope.answer(self._job)
        await self._carry_out(context, effects)

    async def _phase_ended(self, context: _Run, ended: PhaseEnded) -> None:
        if ended.run != self._job.run or ended.index != self._job.current:
            return
        self._timers.time_out = self._timers.abandon = math.inf
        if self._job.state is JobState.STOPPING:
            await self._stopped(context, abandoned=False)
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
        await self._carry_out(context, await self._move(command))

    async def _time_out(self, context: _Run) -> None:
        self._timers.time_out = math.inf
        phase = self._phase(context)
        whole_job = self._seconds_left(context.definition) <= 0
        command = TimeOut(
            run=self._job.run,
            error=timeout_error(phase, whole_job=whole_job),
            whole_job=whole_job,
            grace=phase.stop_grace,
        )
        await self._carry_out(context, await self._move(command))

    async def _abandon(self, context: _Run) -> None:
        if self._handling is not None:
            log.warning("job %s: %s would not stop", self._job.id, self._handling.name)
            self._around.handlers.abandon(self._handling)
        await self._stopped(context, abandoned=True)

    async def _stopped(self, context: _Run, *, abandoned: bool) -> None:
        self._timers.abandon = math.inf
        command = Stopped(
            run=self._job.run,
            abandoned=abandoned,
            retry=self._phase(context).retry,
            draw=self._around.entropy.draw(),
            progress=self._take_progress(),
        )
        await self._carry_out(context, await self._move(command))

    async def _stop_handler(self) -> None:
        """Stop the handler of a run that ends from outside, within its grace."""
        handling = self._handling
        if handling is None or handling.ended.is_set() or self._ended:
            return
        handling.stop(self._why.reason)
        with trio.move_on_after(self._grace):
            await handling.ended.wait()
            return
        self._around.handlers.abandon(handling)

    async def _flush(self) -> None:
        self._flushed_at = trio.current_time()
        progress = self._take_progress()
        if progress is not None and self._job.state is JobState.RUNNING:
            await self._move(ReportProgress(run=self._job.run, progress=progress))

    def _take_progress(self) -> Progress | None:
        progress, self._progress = self._progress, None
        self._timers.flush = math.inf
        return progress

    async def _move(self, command: Command) -> tuple[Effect, ...]:
        """Commit what a command leads to; end quietly if the job is no longer ours."""
        try:
            return self._took(await self._around.journal.move(self._job, command))
        except (StaleWrite, IllegalTransition) as exc:
            log.warning("job %s: %s", self._job.id, exc)
            self._ended = True
            return ()

    def _took(self, result: Moved | Rejected) -> tuple[Effect, ...]:
        match result:
            case Moved(job, effects):
                self._job = job
                self._ended = not STATES[job.state].holds_slot
                return effects
            case Rejected(why):
                log.warning("job %s: run %d is fenced off: %s", self._job.id, self._job.run, why)
                self._ended = True
                if self._handling is not None:
                    self._handling.stop("its run is fenced off")
                return ()

    async def _carry_out(self, context: _Run, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case StartPhase(index):
                    await self._start(context, index)
                case StopPhase():
                    self._ask_to_stop(context)
                case _:
                    pass

    async def _start(self, context: _Run, index: int) -> None:
        phase = context.definition.phases[index]
        left = self._seconds_left(context.definition)
        if left <= 0:
            # Its time passed while it waited for this try, which is not started.
            error = timeout_error(phase, whole_job=True)
            await self._move(FailJob(run=self._job.run, error=error))
            return
        limit = min(left, math.inf if phase.timeout is None else phase.timeout)
        self._timers.time_out = trio.current_time() + limit
        job, self._grace = self._job, phase.stop_grace
        # What `stopped` may take: the grace, and the time to put the job back.
        self.stop_grace = self._grace + JobActor.stop_grace
        self._handling = self._around.handlers.start(
            f"phase:{job.id}:{phase.name}",
            lambda handling: self._run_phase(context, job, index, handling),
        )

    def _ask_to_stop(self, context: _Run) -> None:
        stop = self._job.stop
        self._timers.time_out = math.inf
        # A second reason to stop gives no second grace.
        grace = trio.current_time() + self._phase(context).stop_grace
        self._timers.abandon = min(self._timers.abandon, grace)
        if self._handling is not None and stop is not None:
            self._handling.stop(f"job {self._job.id}: {stop.cause.value}: {stop.reason or '-'}")

    async def _run_phase(self, context: _Run, job: Job, index: int, handling: Handling) -> None:
        """Run a handler; in its own task, which may outlive this actor."""
        token = trio.lowlevel.current_trio_token()

        def report(progress: Progress) -> None:
            if trio.lowlevel.in_trio_run():
                self._reported(context, job.run, index, progress)
            else:
                call_in_trio(token, lambda: self._reported(context, job.run, index, progress))

        ctx = Context(context.definition, job, index, report, lambda: handling.stop_requested)
        phase = context.definition.phases[index]
        ending = await run_handler(phase, context.instance, ctx, self._around.threads, handling)
        try:
            await context.me.send(PhaseEnded(job.run, index, ending), control=True)
        except ActorStopped:
            # It was abandoned, or its run has ended: nobody waits for it.
            log.info("job %s: %s ended after its run", job.id, handling.name)

    def _reported(self, context: _Run, run: int, index: int, progress: Progress) -> None:
        # A thread that was abandoned, or a task left over, may speak of what is past.
        if self._ended or run != self._job.run or index != self._job.current:
            return
        self._progress = progress
        if not self._flush_asked and context.me.alive:
            self._flush_asked = True
            context.me.send_nowait(FlushProgress())

    def _phase(self, context: _Run) -> Phase[object]:
        index = self._job.current
        assert index is not None, "a run has a phase until it ends"
        return context.definition.phases[index]

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
