"""Those who wait over a network: each is answered, in time, and with an end of the job."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from triphase_protocol import TERMINAL_EVENTS, Event, JobState
from triphase_simulations.history import Entry

from .lives import Call
from .reading import MOMENT, Reading, part
from .violations import Violation

PROMPT: Final = 0.2
"""Virtual seconds in which an end reaches whoever waits, if nothing disturbs."""

LATE: Final = 2.0
"""Virtual seconds after its own timeout at which a wait has returned, whatever disturbs."""


def judge_waits(name: str, reading: Reading) -> Iterable[Violation]:
    """Return waits over a connection that were left open, came too late or said something wrong.

    What was asked by a program that died is not judged: nobody is there to be answered.
    """
    timeouts = {
        f"op:{number}": float(op.about) if op.about is not None else math.inf
        for number, op in enumerate(reading.scenario.ops)
        if op.what == "wait"
    }
    for call in reading.remote:
        if call.op != "wait":
            continue
        job = str(call.asked.data["job"])
        timeout = timeouts.get(call.asked.lane, math.inf)
        if call.answer is None:
            if call.life is not None and call.life.stayed:
                message = "a wait over a connection was left open"
                yield Violation(name, job, None, call.asked.time, message)
            continue
        if call.answer.time > call.asked.time + timeout + LATE:
            message = f"a wait of {timeout:g} s took {call.answer.time - call.asked.time:g} s"
            yield Violation(name, job, None, call.answer.time, message)
        if call.answer.what == "denied":
            yield from _denied(name, reading, call, call.answer, job, timeout)
        else:
            yield from _answered(name, reading, call, call.answer, job)


def _denied(
    name: str, reading: Reading, call: Call, answer: Entry, job: str, timeout: float
) -> Iterable[Violation]:
    code = str(answer.data.get("error"))
    if code == "timed_out":
        if answer.time < call.asked.time + timeout - MOMENT:
            message = f"a wait of {timeout:g} s timed out after {answer.time - call.asked.time:g} s"
            yield Violation(name, job, None, answer.time, message)
        yield from _late(name, reading, call, job, answer.time)
    elif code in ("not_found", "gone"):
        if job not in reading.deleted:
            message = f"a wait for a job that was not deleted was told {code}"
            yield Violation(name, job, None, answer.time, message)
    else:
        message = f"a wait over a connection was told {code}"
        yield Violation(name, job, None, answer.time, message)


def _answered(
    name: str, reading: Reading, call: Call, answer: Entry, job: str
) -> Iterable[Violation]:
    said = answer.data.get("answer")
    kind, run = str(part(said, "type")), part(said, "run")
    ends = [
        event
        for event in _ends(reading, job)
        if event.run == run
        and JobState(event.type.value.partition(".")[2]).name.capitalize() == kind
        and (reading.stepped or reading.virtual(event) <= answer.time + MOMENT)
    ]
    if not ends:
        message = f"a wait returned {kind}, and the job had not ended so"
        yield Violation(name, job, None, answer.time, message)
    else:
        yield from _late(name, reading, call, job, answer.time)


def _late(
    name: str, reading: Reading, call: Call, job: str, returned: float
) -> Iterable[Violation]:
    """Find out if it returned later than the first end after it was asked, in a calm run."""
    deaf = {entry.lane for entry in reading.history.all("deaf")}
    if not reading.undisturbed or call.asked.data["via"] in deaf:
        return
    for event in _ends(reading, job):
        time = reading.virtual(event)
        if time < call.asked.time:
            # It may have been retried since.
            continue
        if returned > time + PROMPT:
            message = f"a wait did not return at the job's {event.type.value}"
            yield Violation(name, job, event.seq, returned, message)
        return


def _ends(reading: Reading, job: str) -> list[Event]:
    return [event for event in reading.history.events_of(job) if event.type in TERMINAL_EVENTS]
