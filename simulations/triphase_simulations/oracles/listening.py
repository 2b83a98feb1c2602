"""Those who follow and those who wait: what they hear, when, and what they read then."""

from __future__ import annotations

import math
from collections.abc import Iterable

from triphase_protocol import TERMINAL_EVENTS, Event, EventType, JobState
from triphase_simulations.history import Entry, History
from triphase_simulations.scenario import Scenario

from .lives import Call, Life
from .reading import MOMENT, Reading, part
from .violations import Violation

_CLOSING = ("closed", "store_closed", "crashed")
"""What a runtime that ends says to those who wait."""


class DurableFirst:
    """O3."""

    name = "O3"
    says = "Events are heard in order without a gap, and what is read then is not older."

    def judge(self, history: History, scenario: Scenario) -> Iterable[Violation]:
        """Return what was heard out of order, and what was read too old."""
        reading = Reading(history, scenario)
        by_seq = {event.seq: event for event in history.log}
        last = 0
        for _, entry in reading.entries:
            if entry.what == "heard":
                seq = int(entry.data["seq"])
                yield from self._heard(reading, by_seq, entry, last)
                last = max(last, seq)
            elif entry.what == "read":
                yield from self._read(reading, by_seq, entry)

    def _heard(
        self, reading: Reading, by_seq: dict[int, Event], entry: Entry, last: int
    ) -> Iterable[Violation]:
        seq, job = int(entry.data["seq"]), str(entry.data["job"])
        if seq <= last:
            message = f"seq {seq} was heard after seq {last}"
            yield Violation(self.name, job, seq, entry.time, message)
        for missed in range(last + 1, seq):
            event = by_seq.get(missed)
            # Of a deleted job only its deletion is left to hear.
            if event is not None and event.job not in reading.deleted:
                message = f"{event.type.value} was never heard"
                yield Violation(self.name, event.job, missed, entry.time, message)
        said = by_seq.get(seq)
        if said is None or (said.job, said.version) != (job, entry.data["version"]):
            message = "what was heard is not in the log"
            yield Violation(self.name, job, seq, entry.time, message)

    def _read(
        self, reading: Reading, by_seq: dict[int, Event], entry: Entry
    ) -> Iterable[Violation]:
        job, after = str(entry.data["job"]), int(entry.data["after"])
        if entry.data.get("gone"):
            if job not in reading.deleted:
                message = "a job that was not deleted was not found after its event"
                yield Violation(self.name, job, after, entry.time, message)
            return
        version, event = int(entry.data["version"]), by_seq.get(after)
        if event is not None and version < event.version:
            message = f"version {version} was read after version {event.version} was heard"
            yield Violation(self.name, job, after, entry.time, message)
            return
        for step in reading.steps.get(job, ()):
            state = step.after.value if step.after else None
            if step.event.version == version and state != entry.data["state"]:
                message = f"the row of version {version} said {entry.data['state']}, not {state}"
                yield Violation(self.name, job, step.event.seq, entry.time, message)


class NoLostWakeup:
    """O4."""

    name = "O4"
    says = "Who waits returns when the job ends, or when the own timeout is over, or at the close."

    def judge(self, history: History, scenario: Scenario) -> Iterable[Violation]:
        """Return waits that were left open, came too late or said something wrong."""
        reading = Reading(history, scenario)
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

    def _unanswered(
        self, reading: Reading, call: Call, job: str, timeout: float
    ) -> Iterable[Violation]:
        gone = None if call.life is None else call.life.gone
        if gone is None:
            return
        if call.asked.time + timeout < gone - MOMENT:
            message = "a wait was left open after its own timeout"
            yield Violation(self.name, job, None, call.asked.time, message)
        # While its process was there, an end must have woken it.
        yield from self._late(reading, call, job, gone)

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
        elif code in _CLOSING and life is not None and not _closes(life):
            message = "a wait was told that the runtime has closed, and it had not"
            yield Violation(self.name, job, None, answer.time, message)

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


def _closes(life: Life) -> bool:
    """True if there was a moment from which on it was closing."""
    return life.leaving_at is not None or life.crashed_at is not None or life.killed


def _outcome(event: Event) -> str:
    return JobState(event.type.value.partition(".")[2]).name.capitalize()
