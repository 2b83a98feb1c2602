"""Changing what becomes of jobs, and asking why one does not start."""

from __future__ import annotations

import attrs

from triphase.admission import blockers, room
from triphase.arguments import checked_run, checked_words
from triphase.handle import JobHandle
from triphase_protocol import (
    STATES,
    Approve,
    Blocker,
    CancelJob,
    DefinitionChanged,
    Gate,
    IllegalTransition,
    Job,
    JobState,
    Reject,
    RetryJob,
    StopCause,
    UnknownPhase,
)

from .base import Base


class Changing(Base):
    """The verbs that change a job."""

    async def cancel(
        self, id: str | JobHandle, *, reason: str | None = None, by: str | None = None
    ) -> Job:
        """Cancel a job; return its record once that is durable.

        A job that does not run is `cancelled` at once. A running one is `stopping`: its handler
        is asked to stop, and `cancelled` is committed when it has, or when it is abandoned
        after its phase's graces; `wait` tells. A job that is being cancelled already is
        left as it is. A checkpoint.

        Args:
          id: the job's id, or a handle.
          reason: why, for people; kept in the record and the event.
          by: who asks; kept in the record and the event.

        Raises:
          IllegalTransition: if the job has ended; the message says how.
          JobNotFound: if there is no job of that id.
          RuntimeClosed: if the runtime's block has been left.
        """
        words = checked_words("reason", reason), checked_words("by", by)
        while not _is_being_cancelled(job := await self.get(id)):
            ask_grace, grace = self._parts.registry.graces_of(job)
            command = CancelJob(reason=words[0], by=words[1], ask_grace=ask_grace, grace=grace)
            try:
                return await self._parts.orders.give(job.id, command)
            except IllegalTransition:
                # One that had not ended was moved since it was read: by another cancel, perhaps.
                if STATES[job.state].terminal:
                    raise
        return job

    async def retry(
        self, id: str | JobHandle, *, from_phase: str | None = None, by: str | None = None
    ) -> Job:
        """Start a job that has ended over; return its record once it is queued, or gated, again.

        Results of the phases before the one it starts from are kept, byte for byte, and those
        phases are not run again. Attempts and errors of the others are forgotten. A checkpoint.

        Args:
          id: the job's id, or a handle.
          from_phase: the phase to start from; None is the first that has not completed, and the
            first phase's name starts from the beginning. A phase after the first unfinished
            one starts from that.
          by: who asks; kept in the event.

        Raises:
          IllegalTransition: if the job has not ended, or has completed and no phase is named.
          DefinitionChanged: if the job type has other phases now than the job, and no
            translation of it.
          UnknownPhase: if the job has no phase of that name.
          UnknownJobType: if the job's type is not among the runtime's job types.
          JobNotFound: if there is no job of that id.
          RuntimeClosed: if the runtime's block has been left.
        """
        job = await self.get(id)
        try:
            translate = self._parts.registry.named(job.type).translation_of(job)
        except DefinitionChanged as exc:
            raise DefinitionChanged(f"job {job.id} cannot be retried: {exc}") from None
        command = RetryJob(from_phase=from_phase, translate=translate, by=checked_words("by", by))
        return await self._parts.orders.give(job.id, command)

    async def approve(
        self,
        id: str | JobHandle,
        *,
        phase: str | None = None,
        asked_in: int | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Gate:
        """Approve a job that waits for it; return the decision once it is durable.

        A gate is decided once: whoever comes later is given the decision that was made, which
        may be another one, and changes nothing. A checkpoint.

        Args:
          id: the job's id, or a handle.
          phase: the phase whose gate is meant, for jobs that have several; None is the one that
            the job waits at.
          asked_in: the run in which the approval was asked for, as the gate says. Given, a
            decision about an earlier asking is refused.
          by: who decides; kept in the gate and the event.
          reason: why, for people; kept in the gate and the event.

        Raises:
          IllegalTransition: if the job does not wait for approval, and nobody has decided; or if
            the approval was asked for again since *asked_in*.
          UnknownPhase: if the job has no phase of that name.
          JobNotFound: if there is no job of that id; `JobGone` if there was one.
          RuntimeClosed: if the runtime's block has been left.
        """
        command = Approve(
            phase=phase,
            asked_in=checked_run("asked_in", asked_in),
            by=checked_words("by", by),
            reason=checked_words("reason", reason),
        )
        return await self._decide_gate(id, command)

    async def reject(
        self,
        id: str | JobHandle,
        *,
        phase: str | None = None,
        asked_in: int | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Gate:
        """Reject a job that waits for approval: it ends as `rejected`.

        Arguments, answer and errors are those of `approve`.
        """
        command = Reject(
            phase=phase,
            asked_in=checked_run("asked_in", asked_in),
            by=checked_words("by", by),
            reason=checked_words("reason", reason),
        )
        return await self._decide_gate(id, command)

    async def explain(self, id: str | JobHandle) -> tuple[Blocker, ...]:
        """Return what stands in the way of a job's start, as values; nothing if it starts next.

        The answer is the scheduler's own: the function that admits jobs is asked about this one.
        A checkpoint.

        Args:
          id: the job's id, or a handle.

        Raises:
          JobNotFound: if there is no job of that id.
          RuntimeClosed: if the runtime's block has been left.
        """
        parts = self._open()
        job = await self.get(id)
        holders = await parts.store.slots()
        queues, limit = parts.registry.queues, parts.limit
        ahead: list[Job] = []
        for queue, most in room(queues=queues, limit=limit, holders=holders).items():
            ahead += await parts.store.queued(queue, parts.registry.names, most)
        return blockers(
            job,
            ahead,
            types=parts.registry.names,
            queues=queues,
            limit=limit,
            holders=holders,
            now=parts.clock.now(),
            draining=parts.signals.draining,
        )

    async def _decide_gate(self, id: str | JobHandle, command: Approve | Reject) -> Gate:
        job = await self.get(id)
        phase = command.phase or _last_asked(job)
        if phase is None:
            raise IllegalTransition(
                f"job {job.id} does not wait for approval: it is {job.state.value}"
            )
        gate = _gate_of(job, phase)
        if gate is not None and command.asked_in not in (None, gate.asked_in):
            raise IllegalTransition(
                f"the approval of {phase!r} of job {job.id} was asked for again, in run "
                f"{gate.asked_in}; the decision is about run {command.asked_in}"
            )
        if gate is None or gate.approved is None:
            # Bound to the asking that was seen: by the time it is its turn, there may be another.
            asked_in = command.asked_in if gate is None else gate.asked_in
            gate = await self._decided(
                job.id, attrs.evolve(command, phase=phase, asked_in=asked_in)
            )
        return gate

    async def _decided(self, id: str, command: Approve | Reject) -> Gate:
        """Decide a gate; return the decision, whoever made it."""
        assert command.phase is not None, "it is bound to a gate"
        try:
            after = await self._parts.orders.give(id, command)
        except IllegalTransition:
            # Somebody may have decided a moment ago: then that is the answer.
            gate = _gate_of(await self.get(id), command.phase)
            if gate is None or gate.approved is None or gate.asked_in != command.asked_in:
                raise
            return gate
        gate = _gate_of(after, command.phase)
        assert gate is not None, "a gate that was decided is there"
        return gate


def _is_being_cancelled(job: Job) -> bool:
    stop = job.stop if job.state is JobState.STOPPING else None
    return stop is not None and stop.cause is StopCause.CANCEL


def _last_asked(job: Job) -> str | None:
    """Return the phase whose approval was asked for last, decided or not."""
    if job.gate is not None:
        return job.gate[0]
    asked = [
        (phase.gate.asked_at, phase.name)
        for phase in job.phases
        if phase.gate is not None and phase.gate.asked_at is not None
    ]
    return max(asked)[1] if asked else None


def _gate_of(job: Job, name: str) -> Gate | None:
    for phase in job.phases:
        if phase.name == name:
            return phase.gate
    names = ", ".join(phase.name for phase in job.phases)
    raise UnknownPhase(f"job {job.id} has no phase {name!r}; it has: {names}")
