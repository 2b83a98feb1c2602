"""Those who follow and those who ask: what they hear, when, and what they read then."""

from __future__ import annotations

from collections.abc import Iterable

from triphase_protocol import Event
from triphase_simulations.history import Entry

from .reading import Reading, part
from .violations import Violation


class DurableFirst:
    """O3."""

    name = "O3"
    says = "Events are heard in order without a gap, and records are what the log made of them."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return what was heard out of order, read too old, or answered and never written."""
        history = reading.history
        by_seq = {event.seq: event for event in history.log}
        last = 0
        for _, entry in reading.entries:
            if entry.what == "heard":
                seq = int(entry.data["seq"])
                yield from self._heard(reading, by_seq, entry, last)
                last = max(last, seq)
            elif entry.what in ("read", "looked"):
                yield from self._read(reading, by_seq, entry)
            elif entry.what == "received" and entry.data["seq"] > entry.data["committed"]:
                message = "it was received before it was committed"
                job, seq = str(entry.data["job"]), int(entry.data["seq"])
                yield Violation(self.name, job, seq, entry.time, message)
        yield from self._answers(reading)

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

    def _answers(self, reading: Reading) -> Iterable[Violation]:
        """Find the records that calls were answered with, and that nobody had written.

        Whether an answer was the newest record is not judged: between the write and the answer
        more may have been written.
        """
        written = {
            (job, step.event.version): (step.after, step.event)
            for job, steps in reading.steps.items()
            for step in steps
        }
        for call in (*reading.calls, *reading.remote):
            answer = call.answer
            said = None if answer is None else answer.data.get("answer")
            if answer is None or part(said, "version") is None:
                continue
            job, version, run = str(part(said, "id")), part(said, "version"), part(said, "run")
            after, event = written.get((job, version), (None, None))
            if event is None:
                message = f"a {call.op} was answered with version {version}: it is not in the log"
                yield Violation(self.name, job, None, answer.time, message)
            elif after is None or (after.value, event.run) != (part(said, "state"), run):
                state = part(said, "state")
                message = f"a {call.op} was answered with {state}, which version {version} is not"
                yield Violation(self.name, job, event.seq, answer.time, message)
