"""The rules of gates: a phase that somebody must approve is not started before.

A gate is a condition of the start, not a place on the way to it: whatever leads a job to its next
phase (a submit, a retry, a restart, a recovery) comes by `Draft.enqueue` or `runs.start_next`, and
both ask the gate. It is decided once; who comes later is told so.
"""

from __future__ import annotations

from triphase_protocol import (
    Approve,
    EventType,
    Gate,
    IllegalTransition,
    Reject,
)

from .draft import Draft


def approve(draft: Draft, command: Approve) -> None:
    """Let a job that waits for approval go on."""
    phase, gate = _waiting(draft, command)
    draft.decide_gate(phase, approved=True, by=command.by, reason=command.reason)
    draft.emit(
        EventType.JOB_APPROVED,
        phase=phase,
        data={
            "by": command.by,
            "reason": command.reason,
            "seconds": draft.since(gate.asked_at),
        },
    )
    draft.enqueue()


def reject(draft: Draft, command: Reject) -> None:
    """End a job that waits for approval."""
    phase, _ = _waiting(draft, command)
    draft.reject(phase, cause="rejected", by=command.by, reason=command.reason)


def _waiting(draft: Draft, command: Approve | Reject) -> tuple[str, Gate]:
    """Return the gate that the job waits at, if it is the one that is meant."""
    job = draft.job
    if job.gate is None:
        raise IllegalTransition(f"job {job.id} does not wait for approval: it is {job.state.value}")
    phase, gate = job.gate
    if command.phase not in (None, phase):
        raise IllegalTransition(
            f"job {job.id} waits for the approval of {phase!r}, not of {command.phase!r}"
        )
    if command.asked_in not in (None, gate.asked_in):
        raise IllegalTransition(
            f"the approval of {phase!r} of job {job.id} was asked for again, in run "
            f"{gate.asked_in}; the decision is about run {command.asked_in}"
        )
    return phase, gate
