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
    Deadline,
    ErrorRecord,
    FailJob,
    IllegalTransition,
    Interrupt,
    Job,
    JobState,
    Progress,
    ReportProgress,
    StaleWrite,
    StopCause,
    StopHarder,
    StopHow,
    Stopped,
    StopStep,
    TimeOut,
    TriphaseError,
)

from .actor import Actor, ActorRef, ActorStopped, Envelope, Mailbox, Request
from .clock import Clock
from .context import Context
from .definition import Definition
from .endings import Ending
from .entropy import Entropy
from .handler import Places, Try, run_handler
from .handlers import Handlers, Handling
from .journal import Journal, Moved
from .lifecycle import Effect, StartPhase, StopPhase
from .outcomes import command_for, error_of
from .phases import Phase, PhaseKind
from .processes import KILL_WAIT
from .registry import Registry
from .run_timers import RunTimers, timeout_error
from .store.operations import Rejected
from .threads import call_in_trio

log = logging.getLogger("triphase.job")


@attrs.frozen
class PhaseEnded:
    """A handler has ended."""

    run: int
    index: int
    ending: Ending
    at: float
    """When, by trio's clock."""


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
    places: Places
    handlers: Handlers
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
        self._why = Interrupt(
            cause=Cause.SHUTDOWN,
            reason="the runtime stopped",
            policy=surroundings.registry.recovery_of(job.type),
        )
        self._timers = RunTimers()
        self._handling: Handling | None = None
        self._try: Try | None = None
        self._how = StopHow.STOPPED
        """How the last handler that ended did so, if it was stopped."""

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
        self._begin_run()
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
            how = await self._stop_handler()
            if self._ended:
                return
            stop = self._job.stop if self._job.state is JobState.STOPPING else None
            if how is not None and stop is not None and stop.cause is StopCause.CANCEL:
                await self._move(self._stopped_as(how))
            else:
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
        try:
            # What came while something was written is looked at before the timers: a handler that
            # has ended in time has not ended late because the disk was slow.
            envelope = mailbox.receive_nowait()
        except trio.WouldBlock:
            # A timer may be due between a message's arrival and this task's turn: what has been
            # received is handled outside of the timer's scope, where no cancel can lose it.
            with trio.move_on_at(self._timers.next()):
                envelope = await mailbox.receive()
        if envelope is not None:
            await self._receive(context, envelope)
        now = trio.current_time()
        if now >= self._timers.flush:
            await self._flush()
        deadline = self._timers.passed(now)
        if deadline is not None and not self._ended:
            await self._time_out(context, deadline)
        if now >= self._timers.harder and not self._ended:
            self._timers.harder = math.inf
            await self._carry_out(context, await self._move(StopHarder(run=self._job.run)))
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
        deadline = self._timers.passed(ended.at)
        if deadline is not None:
            # It was late, which nobody had the time to see.
            await self._time_out(context, deadline)
            if self._ended:
                return
        self._timers.end_phase()
        before, each, ending = self._job, self._try, ended.ending
        if self._job.state is JobState.STOPPING:
            await self._stopped(context, self._how)
        else:
            command = command_for(
                ending,
                context.definition.phases[ended.index],
                ended.run,
                self._around.entropy.draw(),
                self._take_progress(),
                context.definition.recovery,
            )
            await self._carry_out(context, await self._move(command))
        if each is not None and each.declared().survives and self._job is not before:
            # Its end is durable: nobody will ask for it again.
            try:
                await self._around.places.commands.discard(each.kept)
            except OSError as exc:
                # Whoever looks for leftovers comes across it again.
                log.warning("job %s: what its command left cannot be removed: %s", each.job.id, exc)

    async def _time_out(self, context: _Run, deadline: Deadline) -> None:
        phase = self._phase(context)
        command = TimeOut(
            run=self._job.run,
            deadline=deadline,
            error=timeout_error(phase, deadline, self._job.timeouts),
            ask_grace=phase.ask_grace,
            grace=phase.stop_grace,
        )
        del self._timers.limits[deadline]
        await self._carry_out(context, await self._move(command))

    async def _abandon(self, context: _Run) -> None:
        if self._handling is not None:
            log.warning("job %s: %s would not stop", self._job.id, self._handling.name)
            self._around.handlers.abandon(self._handling)
        await self._stopped(context, StopHow.ABANDONED)

    async def _stopped(self, context: _Run, how: StopHow) -> None:
        self._timers.end_phase()
        await self._carry_out(context, await self._move(self._stopped_as(how)))

    def _stopped_as(self, how: StopHow) -> Stopped:
        assert self._try is not None, "what was stopped had been started"
        return Stopped(
            run=self._job.run,
            how=how,
            retry=self._try.declared().retry,
            draw=self._around.entropy.draw(),
            progress=self._take_progress(),
        )

    async def _stop_handler(self) -> StopHow | None:
        """Stop the handler of a run that ends from outside, within its graces; return how."""
        handling, each = self._handling, self._try
        if handling is None or each is None or self._ended:
            return None
        phase, now, stopping = each.declared(), trio.current_time(), self._timers.abandon < math.inf
        if phase.survives and not stopping:
            handling.leave(self._why.reason)
            await handling.ended.wait()
            return None
        # A second reason to stop gives no second grace.
        cancelled = stopping and self._timers.harder == math.inf
        harder = now if cancelled else min(self._timers.harder, now + phase.ask_grace)
        abandon = min(self._timers.abandon, harder + phase.stop_grace + _extra(phase))
        handling.ask()
        with trio.move_on_at(harder):
            await handling.over.wait()
        handling.cancel(self._why.reason)
        with trio.move_on_at(abandon):
            await handling.over.wait()
        if not handling.ended.is_set():
            self._around.handlers.abandon(handling)
            return StopHow.ABANDONED
        return self._how

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
                    self._handling.cancel("its run is fenced off")
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

    def _begin_run(self) -> None:
        """Set the deadlines of the run and of the whole job, by the clock that only goes on."""
        timeouts, now = self._job.timeouts, trio.current_time()
        if timeouts.run is not None:
            self._timers.limits[Deadline.RUN] = now + timeouts.run
        if timeouts.job is not None and self._job.started_at is not None:
            # A clock that was set back gives it no more than its whole time.
            past = max(0.0, self._around.clock.now() - self._job.started_at)
            self._timers.limits[Deadline.JOB] = now + timeouts.job - past

    async def _start(self, context: _Run, index: int) -> None:
        phase, now = context.definition.phases[index], trio.current_time()
        if self._timers.limits.get(Deadline.JOB, math.inf) <= now:
            # Its time passed while it waited for this try, which is not started.
            error = timeout_error(phase, Deadline.JOB, self._job.timeouts)
            await self._move(FailJob(run=self._job.run, error=error))
            return
        self._timers.begin_phase(phase, now)
        # What `stopped` may take: the graces, and the time to put the job back.
        self.stop_grace = phase.ask_grace + phase.stop_grace + _extra(phase) + JobActor.stop_grace
        each = self._try = self._new_try(context, index)
        self._handling = self._around.handlers.start(
            f"phase:{self._job.id}:{phase.name}",
            phase.kind,
            lambda handling: self._run_phase(context, each, handling),
        )

    def _ask_to_stop(self, context: _Run) -> None:
        stop, phase, now = self._job.stop, self._phase(context), trio.current_time()
        if stop is None or self._handling is None:
            return
        asking = stop.step is StopStep.ASK
        # Not before the stop was decided: a clock that was set back since would prolong the graces.
        wall = max(stop.asked_at, self._around.clock.now())
        harder = now + max(0.0, stop.cancel_at - wall)
        abandon = now + max(0.0, stop.grace_until - wall) + _extra(phase)
        # A second reason to stop gives no second grace.
        harder = min(self._timers.harder, harder) if asking else math.inf
        self._timers.begin_to_stop(harder, min(self._timers.abandon, abandon))
        if asking:
            self._handling.ask()
        else:
            self._handling.cancel(f"job {self._job.id}: {stop.cause.value}: {stop.reason or '-'}")

    def _new_try(self, context: _Run, index: int) -> Try:
        token, job = trio.lowlevel.current_trio_token(), self._job

        def report(progress: Progress) -> None:
            if trio.lowlevel.in_trio_run():
                self._reported(context, job.run, index, progress)
            else:
                call_in_trio(token, lambda: self._reported(context, job.run, index, progress))

        return Try(context.definition, context.instance, job, index, report)

    async def _run_phase(self, context: _Run, each: Try, handling: Handling) -> None:
        """Run a handler; in its own task, which may outlive this actor."""
        job, index = each.job, each.index
        ctx = Context(each.definition, job, index, each.report, handling.asked.is_set)
        ending = await run_handler(each, ctx, self._around.places, handling)
        self._how = StopHow.STOPPED if ending.halt is None else ending.halt.how
        try:
            ended = PhaseEnded(job.run, index, ending, trio.current_time())
            await context.me.send(ended, control=True)
        except ActorStopped:
            # It was abandoned, or its run has ended: nobody waits for it.
            log.info("job %s: %s ended after its run", job.id, handling.name)

    def _reported(self, context: _Run, run: int, index: int, progress: Progress) -> None:
        # A thread that was abandoned, or a task left over, may speak of what is past.
        if self._ended or run != self._job.run or index != self._job.current:
            return
        self._progress = progress
        self._timers.progressed(self._phase(context), trio.current_time())
        if not self._flush_asked and context.me.alive:
            self._flush_asked = True
            context.me.send_nowait(FlushProgress())

    def _phase(self, context: _Run) -> Phase[object]:
        index = self._job.current
        assert index is not None, "a run has a phase until it ends"
        return context.definition.phases[index]


@attrs.frozen(eq=False)
class _Run:
    """What one run works with."""

    definition: Definition
    instance: object
    me: ActorRef[JobMessage]


def _extra(phase: Phase[object]) -> float:
    """Return the seconds that a stop may take beyond its grace: a process is killed then."""
    killed = phase.kind in (PhaseKind.PROCESS, PhaseKind.COMMAND)
    # Twice: a command that survives is waited for by its keeper, and then the keeper is.
    return 2 * KILL_WAIT + 1.0 if killed else 0.0
