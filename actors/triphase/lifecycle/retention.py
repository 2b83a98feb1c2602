"""The rules of what becomes of jobs that have ended a while ago."""

from __future__ import annotations

from triphase_protocol import Delete, EventType, IllegalTransition, MarkStale

from .draft import Draft


def mark_stale(draft: Draft, _: MarkStale) -> None:
    """Mark a job that has ended; only a mark: it can be retried as before."""
    _check_ended(draft)
    if draft.job.stale_at is not None:
        raise IllegalTransition(f"job {draft.job.id} is marked as stale already")
    draft.emit(EventType.JOB_STALE, stale_at=draft.now)


def delete(draft: Draft, _: Delete) -> None:
    """Remove a job that has ended; the event carries its id, and nothing else of it."""
    _check_ended(draft)
    draft.emit(EventType.JOB_DELETED)


def _check_ended(draft: Draft) -> None:
    if not draft.job.terminal:
        raise IllegalTransition(f"job {draft.job.id} has not ended: it is {draft.job.state.value}")
