"""Mistakes about ends: said twice, said too early, or not of everything."""

from __future__ import annotations

from typing import Any

import attrs

from triphase import lifecycle
from triphase.lifecycle import runs, stops
from triphase.lifecycle.draft import Draft, charge
from triphase.orders import Orders
from triphase_protocol import (
    STATES,
    CancelJob,
    Cause,
    EventType,
    JobState,
    PhaseState,
    Stop,
    StopCause,
    StopHow,
    Stopped,
    TimeOut,
)

from .mutant import Mutant, Swap, Swaps


def _end_twice() -> Swaps:
    real = Draft.end

    def end(self: Draft, event: EventType, **more: Any) -> None:
        real(self, event, **more)
        if event is EventType.JOB_CANCELLED:
            self._note(event, None, dict(self.events[-1].data))

    return [Swap(Draft, "end", end)]


def _phases_left() -> Swaps:
    real = Draft.end

    def end(self: Draft, event: EventType, **more: Any) -> None:
        phases = self.phases[:]
        version, events = self.version, len(self.events)
        real(self, event, **more)
        if event is EventType.JOB_CANCELLED:
            # As if only the job's own row had been written.
            last = self.events[-1]
            self.phases[:] = phases
            del self.events[events:]
            self.version = version + 1
            self.events.append(attrs.evolve(last, version=self.version))

    return [Swap(Draft, "end", end)]


def _cancel_forgotten() -> Swaps:
    real = Orders._move

    async def move(self: Orders, id: str, command: Any) -> Any:
        if isinstance(command, CancelJob):
            job = await self.store.get(id)
            if job is not None and job.state in (JobState.QUEUED, JobState.SCHEDULED):
                return attrs.evolve(job, state=JobState.CANCELLED)
        return await real(self, id, command)

    return [Swap(Orders, "_move", move)]


def _cancel_lost_in_claim() -> Swaps:
    real = Orders._move

    async def move(self: Orders, id: str, command: Any) -> Any:
        if isinstance(command, CancelJob) and self.directory.is_claiming(id):
            return await self.store.get(id)
        return await real(self, id, command)

    return [Swap(Orders, "_move", move)]


def _cancelled_at_once() -> Swaps:
    def cancel_job(draft: Draft, command: CancelJob) -> None:
        if STATES[draft.job.state].terminal:
            real(draft, command)
        stop = Stop(
            cause=StopCause.CANCEL,
            asked_at=draft.now,
            cancel_at=draft.now,
            grace_until=draft.now,
            reason=command.reason,
            by=command.by,
            stopped_at=draft.now,
        )
        stops._cancelled(draft, stop, StopHow.NOTHING_RAN)

    real = stops.cancel_job
    return [Swap(lifecycle._RULES, CancelJob, cancel_job)]


def _timed_out_at_once() -> Swaps:
    def time_out(draft: Draft, command: TimeOut) -> None:
        draft.running()
        draft.end(EventType.JOB_FAILED, error=command.error)

    return [Swap(lifecycle._RULES, TimeOut, time_out)]


def _both_ends() -> Swaps:
    def stopped(draft: Draft, command: Stopped) -> None:
        index, stop = draft.current, draft.job.stop
        returned = command.how is StopHow.STOPPED and stop and stop.cause is StopCause.TIMEOUT
        if returned and index is not None and draft.phases[index].state is PhaseState.RUNNING:
            draft._note(EventType.PHASE_COMPLETED, draft.phases[index].name, {})
        stops.stopped(draft, command)

    return [Swap(lifecycle._RULES, Stopped, stopped)]


def _completed_with_errors() -> Swaps:
    real = runs.failed

    def failed(draft: Draft, index: int, *about: Any, **more: Any) -> None:
        end = draft.end

        def completed(event: EventType, **to: Any) -> None:
            if event is EventType.JOB_FAILED:
                to.pop("error", None)
                event = EventType.JOB_COMPLETED
            end(event, **to)

        instance: Any = draft
        instance.end = completed
        real(draft, index, *about, **more)

    return [Swap(runs, "failed", failed)]


def _abandoned_is_forgotten() -> Swaps:
    real = stops.stopped

    def stopped(draft: Draft, command: Stopped) -> None:
        stop = draft.job.stop
        if command.how is StopHow.ABANDONED and stop and stop.cause is StopCause.CANCEL:
            # It would not stop, so it is treated as if nobody had asked: back into the queue.
            index = draft.running(JobState.STOPPING)
            draft.emit_phase(
                index,
                EventType.PHASE_INTERRUPTED,
                data={"cause": Cause.LOST.value},
                spent=charge(draft.phases[index], Cause.LOST),
                finished_at=draft.now,
            )
            draft.emit(
                EventType.JOB_SCHEDULED,
                data={"cause": "lost", "due_at": draft.now},
                due_at=draft.now,
                owner=None,
            )
            draft.enqueue()
            return
        real(draft, command)

    return [Swap(lifecycle._RULES, Stopped, stopped)]


MUTANTS = (
    Mutant(
        name="terminal-event-twice",
        says="A cancelled job says twice that it was cancelled.",
        shipped="a SQLite job queue: the cancel and the phase loop each announced the end",
        oracles=("O2",),
        suites=("cancel_at_phase_boundary",),
        swaps=_end_twice,
    ),
    Mutant(
        name="cancel-leaves-phases",
        says="A cancel ends the job's row, and leaves its phases as they were.",
        shipped="a SQLite job queue: a cancelled job's phases stayed pending",
        oracles=("O9",),
        suites=("cancel_at_phase_boundary",),
        swaps=_phases_left,
    ),
    Mutant(
        name="cancel-acknowledged-and-forgotten",
        says="A cancel of a job that waits is answered, and nothing is written.",
        shipped="RQ (rq#2160) and others: cancelled jobs still start",
        oracles=("O28",),
        suites=("cancel_at_phase_boundary", "limits"),
        swaps=_cancel_forgotten,
    ),
    Mutant(
        name="cancel-lost-while-claimed",
        says="A cancel that comes while the job is being claimed is answered, and lost.",
        shipped="a coding agent's job runner: a cancel before the kill handle was registered",
        oracles=("O28",),
        suites=("cancel_at_phase_boundary", "limits"),
        swaps=_cancel_lost_in_claim,
    ),
    Mutant(
        name="cancelled-before-it-stopped",
        says="`cancelled` is committed while the handler still runs, which nobody stops.",
        shipped="Hatchet says so of timeouts: the task need not have stopped",
        oracles=("O7", "O28"),
        suites=("cancel_at_phase_boundary",),
        swaps=_cancelled_at_once,
    ),
    Mutant(
        name="timed-out-but-running",
        says="A deadline fails the job's row, and nobody stops the handler.",
        shipped="a chat platform: a failed row's thread went on for an hour, and held its place",
        oracles=("O7", "O28"),
        suites=("deadlines",),
        swaps=_timed_out_at_once,
    ),
    Mutant(
        name="finished-and-failed",
        says="A handler that returns just after its deadline counts as completed, and as failed.",
        shipped="Solid Queue #589: one job both finished and failed",
        oracles=("O9",),
        suites=("deadlines",),
        swaps=_both_ends,
    ),
    Mutant(
        name="failed-is-completed",
        says="A job whose last try has failed is recorded as completed.",
        shipped="a task manager: six builds that had died at once were logged as worked",
        oracles=("O9",),
        suites=("retries",),
        swaps=_completed_with_errors,
    ),
    Mutant(
        name="cancel-that-resurrects",
        says="A cancelled job whose handler will not stop is put back into the queue.",
        shipped="Restate #3217: killed invocations were tried again for ever",
        oracles=("O28", "O29"),
        suites=("cancel_at_phase_boundary", "shutdown"),
        swaps=_abandoned_is_forgotten,
    ),
)
