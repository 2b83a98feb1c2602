"""Due times: what is to be tried later is tried as much later as was asked for, and not before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from triphase_protocol import Cause, EventType, Retry

from .lives import Step
from .reading import MOMENT, Reading
from .violations import Violation

_TRIED_AGAIN: Final = (Cause.ERROR.value, Cause.TIMEOUT.value)
_PUT_BACK: Final = (Cause.LOST.value, Cause.SHUTDOWN.value)


def wrong_dues(reading: Reading, oracle: str) -> Iterable[Violation]:
    """Return waits that are not as long as they should be, and jobs queued before they are due.

    How long a try waits for the next is drawn from nothing to the longest wait, so only the
    longest is judged, and that of several tries one waits at all.

    Args:
      reading: what is judged.
      oracle: who says so.
    """
    drawn: list[float] = []
    for job, steps in reading.steps.items():
        for step, following in pairwise(steps):
            event = following.event
            if event.type is EventType.JOB_SCHEDULED:
                wait = float(event.data["due_at"]) - event.at
                least, most = _asked(reading, step, event.data.get("cause"))
                if not least - MOMENT <= wait <= most + MOMENT:
                    message = f"it is due after {wait:g} s, not {_span(least, most)} s"
                    yield Violation(oracle, job, event.seq, None, message)
                elif least < most < float("inf"):
                    drawn.append(wait)
            elif event.type is EventType.JOB_QUEUED and not reading.stepped:
                yield from _queued(oracle, step, following)
    if len(drawn) > 1 and max(drawn) < MOMENT:
        message = "no try waits for the one before it, though its policy says so"
        yield Violation(oracle, None, None, None, message)


def _queued(oracle: str, step: Step, following: Step) -> Iterator[Violation]:
    due = step.event.data.get("due_at") if step.event.type is EventType.JOB_SCHEDULED else None
    if due is not None and following.event.at < due - MOMENT:
        early = due - following.event.at
        message = f"it was queued {early:g} s before it was due"
        yield Violation(oracle, following.event.job, following.event.seq, None, message)


def _asked(reading: Reading, step: Step, cause: object) -> tuple[float, float]:
    """Return the shortest and the longest wait that follows from how a try ended."""
    event = step.event
    if cause in _PUT_BACK:
        return 0.0, 0.0
    if cause == Cause.SNOOZE.value:
        script = reading.script(event.job, str(event.phase), int(event.data.get("attempt", 1)))
        asked = [float(str(about[0])) for word, *about in script or () if word == "snooze"]
        return (asked[-1], asked[-1]) if asked else (0.0, float("inf"))
    phase = reading.phase_spec(event.job, event.phase)
    if cause in _TRIED_AGAIN and phase is not None:
        # Of all its tries, those before a retry too: rather too long a wait than too short a one.
        tries = sum(
            each.event.type is EventType.PHASE_FAILED and each.event.phase == event.phase
            for each in reading.steps[event.job]
            if each.event.seq <= event.seq
        )
        retry = Retry(attempts=phase.attempts, backoff=phase.backoff)
        return 0.0, retry.delay(tries, 1.0)
    return 0.0, float("inf")


def _span(least: float, most: float) -> str:
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"
