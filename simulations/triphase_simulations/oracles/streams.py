"""Those who follow over a network: what they receive, and what those who are slow cost the others.

That a slow client costs a bounded amount of memory is not judged here: a history does not show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from triphase_protocol import Event, EventType
from triphase_simulations.clients import wanted
from triphase_simulations.history import Entry
from triphase_simulations.scenario import ClientPlan

from .reading import Reading
from .violations import Violation

PROMPT: Final = 0.5
"""Virtual seconds in which an event reaches whoever follows, if nothing disturbs."""


def judge_followers(name: str, reading: Reading) -> Iterable[Violation]:
    """Return what was received twice, out of order, or never, and pictures that are wrong.

    Of a report of progress it is enough that a later one of the same try was received, and of
    a deleted job, that it is gone.
    """
    for plan in reading.scenario.clients:
        yield from _received(name, reading, plan)
    yield from _pictures(name, reading)


def _pictures(name: str, reading: Reading) -> Iterable[Violation]:
    """Find what a picture, drawn from a snapshot and the events since, has wrong."""
    rows = {job.id: [job.version, job.state.value] for job in reading.history.jobs}
    for _, entry in reading.entries:
        if entry.what == "misdrawn":
            message = f"an event does not fit into the picture of {entry.lane}"
            yield Violation(name, None, int(entry.data["seq"]), entry.time, message)
    for entry in reading.history.all("picture"):
        jobs = entry.data["jobs"]
        for job in sorted({*rows, *jobs} - reading.deleted.keys()):
            if rows.get(job) != jobs.get(job):
                shown, is_so = (each.get(job, ["nothing"])[-1] for each in (jobs, rows))
                message = f"the picture of {entry.lane} says {shown}, and it is {is_so}"
                yield Violation(name, job, None, entry.time, message)


def _received(name: str, reading: Reading, plan: ClientPlan) -> Iterable[Violation]:
    due = due_to(reading, plan)
    by_seq = {event.seq: event for event in due}
    last = 0
    for entry in received(reading, plan):
        if entry.what == "reset":
            # A log that is another, or has not come so far: there is only one.
            if entry.data["reason"] != "pruned":
                message = f"the stream began anew: {entry.data['reason']}"
                yield Violation(name, None, last, entry.time, message)
            continue
        seq, job = int(entry.data["seq"]), str(entry.data["job"])
        if seq <= last:
            message = f"{plan.name} received seq {seq} after seq {last}"
            yield Violation(name, job, seq, entry.time, message)
            continue
        event = by_seq.get(seq)
        if event is None or (event.job, event.version) != (job, entry.data["version"]):
            message = f"{plan.name} received what it does not follow, or what is not in the log"
            yield Violation(name, job, seq, entry.time, message)
        yield from _missed(name, reading, plan, due, last, seq, entry.time)
        last = seq
    if reading.history.settled:
        end = reading.history.seconds
        yield from _missed(name, reading, plan, due, last, due[-1].seq + 1 if due else 0, end)


def _missed(
    name: str,
    reading: Reading,
    plan: ClientPlan,
    due: list[Event],
    after: int,
    before: int,
    time: float,
) -> Iterable[Violation]:
    for event in due:
        if after < event.seq < before and not _may_be_left_out(reading, event):
            message = f"{plan.name} never received {event.type.value}"
            yield Violation(name, event.job, event.seq, time, message)


class Undelayed:
    """O30."""

    name = "O30"
    says = "A client that takes nothing, or is slow, delays nobody else."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return what others received late, in runs that nothing but slow clients disturbed."""
        if not reading.undisturbed:
            return
        deaf = {entry.lane for entry in reading.history.all("deaf")}
        for plan in reading.scenario.clients:
            if plan.name in deaf or plan.pause or plan.reads:
                continue
            events = {event.seq: event for event in reading.log}
            first: float | None = None
            for entry in received(reading, plan):
                event = events.get(int(entry.data.get("seq", 0)))
                if event is None:
                    continue
                first = entry.time if first is None else first
                since = max(reading.virtual(event), first)
                if entry.time > since + PROMPT:
                    message = f"{plan.name} received it {entry.time - since:g} s late"
                    yield Violation(self.name, event.job, event.seq, entry.time, message)


def received(reading: Reading, plan: ClientPlan) -> Iterator[Entry]:
    """Return what a client program has received, in all of its lives, and where it began anew."""
    for _, entry in reading.entries:
        if entry.what in ("received", "reset") and entry.lane.partition("#")[0] == plan.name:
            yield entry


def due_to(reading: Reading, plan: ClientPlan) -> list[Event]:
    """Return the events that a client program follows."""
    follows = (
        entry.data["job"]
        for entry in reading.history.all("follows")
        if entry.lane.partition("#")[0] == plan.name
    )
    return wanted(plan, next(follows, None), reading.log)


def _may_be_left_out(reading: Reading, event: Event) -> bool:
    if event.job in reading.deleted:
        return True
    if event.type is not EventType.PHASE_PROGRESS:
        return False
    return any(
        later.seq > event.seq
        and later.type is EventType.PHASE_PROGRESS
        and (later.job, later.run, later.phase) == (event.job, event.run, event.phase)
        for later in reading.log
    )
