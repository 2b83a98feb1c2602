"""Those who wait for a job to end: each is answered, in time, and with the end of that run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from triphase_protocol import TERMINAL_EVENTS, Event, EventType, JobState
from triphase_simulations.history import Entry

from .lives import Call, Life
from .reading import MOMENT, Reading, part
from .remote import judge_waits
from .violations import Violation

_CLOSING = ("closed", "store_closed", "crashed")
"""What a runtime that ends says to those who wait."""


class NoLostWakeup:
    """O4."""

    name = "O4"
    says = "Who waits is told how the run ends, or that the own timeout is over, or of the close."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return waits that were left open, came too late or said something wrong."""
        scenario = reading.scenario
        timeouts = {
            f"op:{number}": float(op.about) if op.about is not None else math.inf
            for number, op in enumerate(scenario.ops)
            if op.what == "wait"
        }
        for call in reading.calls:
            job = reading.ids.get(call.name or "")
            if call.op != "wait" or job is None or call.life is None:
                continue
            timeout = timeouts.get(call.asked.lane, math.inf)
            if call.answer is None:
                yield from self._unanswered(reading, call, job, timeout)
            elif call.answer.what == "denied":
                yield from self._denied(reading, call, call.answer, job, timeout)
            else:
                yield from self._answered(reading, call, call.answer, job, timeout)
        yield from judge_waits(self.name, reading)

    def _unanswered(
        self, reading: Reading, call: Call, job: str, timeout: float
    ) -> Iterable[Violation]:
        life, asked = call.life, call.asked.time
        if life is None or life.gone is None:
            return
        if asked + timeout < life.gone - MOMENT:
            message = "a wait was left open after its own timeout"
            yield Violation(self.name, job, None, asked, message)
        elif asked < life.gone - MOMENT and not (life.killed or _is_held(reading, call)):
            message = "a wait was left open, and its runtime has closed"
            yield Violation(self.name, job, None, life.gone, message)
        # While its process was there, an end must have woken it.
        yield from self._late(reading, call, job, life.gone)

    def _denied(
        self, reading: Reading, call: Call, answer: Entry, job: str, timeout: float
    ) -> Iterable[Violation]:
        life, code = call.life, str(answer.data.get("error"))
        asked = call.asked.time
        if code == "timed_out":
            if abs(answer.time - (asked + timeout)) > MOMENT:
                message = f"a wait of {timeout:g} s timed out after {answer.time - asked:g} s"
                yield Violation(self.name, job, None, answer.time, message)
            yield from self._late(reading, call, job, answer.time)
        elif code in ("not_found", "gone"):
            if job not in reading.deleted:
                message = f"a wait for a job that was not deleted was told {code}"
                yield Violation(self.name, job, None, answer.time, message)
        elif code in _CLOSING and life is not None:
            if not _closes(life):
                message = "a wait was told that the runtime has closed, and it had not"
                yield Violation(self.name, job, None, answer.time, message)
            for event in _published(reading, call, job):
                message = f"a wait was told {code}, and {event.type.value} had been published"
                yield Violation(self.name, job, event.seq, answer.time, message)

    def _answered(
        self, reading: Reading, call: Call, answer: Entry, job: str, timeout: float
    ) -> Iterable[Violation]:
        said = answer.data.get("answer")
        kind, run = str(part(said, "type")), part(said, "run")
        ends = [
            event
            for event in reading.history.events_of(job)
            if event.type in TERMINAL_EVENTS
            and _outcome(event) == kind
            and event.run == run
            and (reading.stepped or reading.virtual(event) <= answer.time + MOMENT)
        ]
        if not ends:
            message = f"a wait returned {kind}, and the job had not ended so"
            yield Violation(self.name, job, None, answer.time, message)
        elif answer.time > call.asked.time + timeout + MOMENT:
            message = "a wait returned after its own timeout"
            yield Violation(self.name, job, None, answer.time, message)
        elif ends[0].run < _newest(reading, call, job):
            message = "a wait returned the end of a run that was over before it was asked"
            yield Violation(self.name, job, ends[0].seq, answer.time, message)
        else:
            yield from self._late(reading, call, job, answer.time)

    def _late(self, reading: Reading, call: Call, job: str, returned: float) -> Iterable[Violation]:
        """Find out if it returned later than an end of the job that its process had published."""
        if reading.stepped or call.life is None:
            return
        heard = {
            int(entry.data["seq"]): entry.time
            for _, entry in reading.entries
            if entry.what == "heard" and entry.lane == call.life.lane
        }
        events = reading.history.events_of(job)
        for place, event in enumerate(events):
            if event.type not in TERMINAL_EVENTS or event.seq not in heard:
                continue
            retried = [each for each in events[place:] if each.type is EventType.JOB_RETRIED]
            if retried and reading.virtual(retried[0]) <= call.asked.time + MOMENT:
                continue
            if returned > max(heard[event.seq], call.asked.time) + MOMENT:
                message = f"a wait did not return at the job's {event.type.value}"
                yield Violation(self.name, job, event.seq, returned, message)
            return


def _is_held(reading: Reading, call: Call) -> bool:
    """True if the task that asked was kept from running: its process may go before its turn."""
    return any(kind == "hold" and site == call.asked.lane for kind, site, _ in reading.history.used)


def _published(reading: Reading, call: Call, job: str) -> Iterator[Event]:
    """Return the ends that the process published between a question and its answer."""
    assert call.life is not None, "only what was asked of a process is judged"
    ends = {
        event.seq: event
        for event in reading.history.events_of(job)
        if event.type in TERMINAL_EVENTS
    }
    for at, entry in reading.entries:
        if entry.what != "heard" or entry.lane != call.life.lane or at > (call.answered_at or 0):
            continue
        # At the very moment of the question its task may not have had a turn yet.
        if entry.time > call.asked.time + MOMENT and int(entry.data["seq"]) in ends:
            yield ends[int(entry.data["seq"])]


def _newest(reading: Reading, call: Call, job: str) -> int:
    """Return the newest run of a job of which somebody had heard before a call was made."""
    retries = {
        event.seq: event.run
        for event in reading.history.events_of(job)
        if event.type is EventType.JOB_RETRIED
    }
    heard = (
        retries.get(int(entry.data["seq"]), 0)
        for at, entry in reading.entries
        if entry.what == "heard" and at < call.at
    )
    return max(heard, default=0)


def _closes(life: Life) -> bool:
    """True if there was a moment from which on it was closing."""
    return life.leaving_at is not None or life.crashed_at is not None or life.killed


def _outcome(event: Event) -> str:
    return JobState(event.type.value.partition(".")[2]).name.capitalize()
