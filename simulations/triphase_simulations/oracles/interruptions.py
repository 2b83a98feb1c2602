"""Interruptions: nothing is lost unless a process was, and what follows is what its type says."""

from __future__ import annotations

from collections.abc import Iterable

from triphase_protocol import Cause, Event, EventType, OnRestart
from triphase_simulations.cast import TypeSpec

from .lives import Step
from .reading import MOMENT, Reading
from .violations import Violation


def wrong_interruptions(reading: Reading, oracle: str) -> Iterable[Violation]:
    """Return runs that are charged to a loss that was none, and runs that go on as they must not.

    Where a store stalled or refused, no loss is judged: a claim that became durable as its runtime
    closed is lost, though its process left in order.

    Args:
      reading: what is read.
      oracle: who says so.
    """
    stalled = any(kind == "stall" for kind, _, _ in reading.history.used)
    losses_are_known = not (reading.stepped or reading.refused or stalled)
    for job, steps in reading.steps.items():
        spec = reading.spec_of(job)
        started: Event | None = None
        for place, step in enumerate(steps):
            event = step.event
            if event.type is EventType.JOB_STARTED:
                started = event
            if event.type is not EventType.PHASE_INTERRUPTED:
                continue
            cause = event.data.get("cause")
            lost = cause == Cause.LOST.value
            if lost and losses_are_known and started is not None:
                yield from _loss(reading, oracle, started, event)
            if spec is not None and (lost or cause == Cause.SHUTDOWN.value):
                yield from _following(oracle, spec, event, steps[place + 1 :])


def _loss(reading: Reading, oracle: str, started: Event, event: Event) -> Iterable[Violation]:
    begin, end = reading.virtual(started) - MOMENT, reading.virtual(event) + MOMENT
    for life in reading.lives:
        died = life.killed or life.crashed_at is not None
        if died and life.gone is not None and begin <= life.gone <= end:
            return
    message = f"{event.phase} counts as lost, and no process had died"
    yield Violation(oracle, event.job, event.seq, reading.virtual(event), message)


def _following(oracle: str, spec: TypeSpec, event: Event, later: list[Step]) -> Iterable[Violation]:
    following = next((step.event for step in later if step.event.phase is None), None)
    if following is None:
        return
    if following.type is EventType.JOB_FAILED and event.data.get("cause") == Cause.LOST.value:
        # Its losses may be used up, whatever the policy says.
        return
    match spec.on_restart:
        case OnRestart.FAIL.value:
            wanted = EventType.JOB_FAILED
        case OnRestart.HOLD.value:
            wanted = EventType.JOB_INTERRUPTED
        case _:
            wanted = EventType.JOB_SCHEDULED
    anew = "phases" in following.data
    wrong = anew is not (spec.on_restart == OnRestart.RESTART.value)
    if following.type is not wanted or (wanted is EventType.JOB_SCHEDULED and wrong):
        message = (
            f"an interrupted run of a type that says {spec.on_restart!r} led to "
            f"{following.type.value}{', all phases anew' if anew else ''}"
        )
        yield Violation(oracle, event.job, following.seq, None, message)
