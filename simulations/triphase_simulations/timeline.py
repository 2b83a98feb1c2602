"""The picture of a failure, as text: what is wrong, how to see it again, and what led to it."""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import attrs

from triphase_protocol import Event, EventType

from .client_lanes import MARKED, lane_of, words_of
from .exploring import Failure, Moment
from .history import Entry, Ran
from .plan import Key, lines
from .telling import beside, commands, headline, names_of, regression_test, shrunk_words, workload

ROWS: Final = 25
"""Lines of the picture, around the violation."""

CELL_MOST: Final = 30
"""Columns of a lane."""

LANES_MOST: Final = 3
"""Jobs with a lane of their own; more of them share one."""

MARKS: Final = {
    "crash": "!",
    "stall": "~",
    "refuse": "x",
    "step": "±",
    "cut": "/",
    "vanish": "?",
    "violation": ">",
}
"""What stands at the edge of a line."""

BARS: Final = " ┃║"
"""What stands before a lane in which none, one or more handlers run."""

LEGEND: Final = (
    "! crash  ~ stall  x refusal  ± clock step  / cut  ? vanished  > violation  "
    "┃ a handler runs  ║ several"
)
"""What the marks mean."""


@attrs.frozen(kw_only=True)
class Row:
    """One thing that happened, in the lane of whom it happened to."""

    time: float
    lane: str
    text: str
    mark: str = ""
    """A key of `MARKS`, or nothing."""

    event: Event | None = None
    """The event that it is, if it is one."""

    began: str | None = None
    """The handler that begins here."""

    ended: str | None = None
    """The handler that ends here."""

    died: str | None = None
    """The process that dies here."""


@attrs.frozen
class Picture:
    """Everything that happened, in order."""

    lanes: tuple[str, ...]
    rows: tuple[Row, ...]
    at: int
    """The row of the violation."""


def picture(failure: Failure) -> Picture:
    """Return what a timeline shows of a failure."""
    history = failure.history
    names = names_of(history)
    jobs = sorted({names.get(event.job, event.job) for event in history.log})
    shared = len(jobs) > LANES_MOST
    rows = list(_rows(failure, names, shared=shared))
    _add_handlers(rows, history.ran, names, shared=shared)
    at = _place(rows, failure)
    if rows:
        mark = rows[at].mark or "violation"
        rows[at] = attrs.evolve(rows[at], mark=mark)
    present = {row.lane for row in rows}
    order = ("clients", "node", *(["jobs"] if shared else jobs), "follower")
    more = sorted(present - set(order))
    return Picture(tuple(lane for lane in (*order, *more) if lane in present), tuple(rows), at)


def _rows(failure: Failure, names: Mapping[str, str], *, shared: bool) -> Iterator[Row]:
    history = failure.history
    moments, log = list(failure.moments), list(history.log)
    if not any(isinstance(moment.about, int) for moment in moments) and log:
        # Nobody saw the commits: they stand where the clock said it was.
        timed = [(event.at - log[0].at, event.seq) for event in log]
        times = [entry.time for entry in history.entries]
        moments = [Moment(time, bisect.bisect(times, time), seq) for time, seq in timed]
    told = 0
    for place, entry in enumerate([*history.entries, None]):
        while moments and (moments[0].after <= place or entry is None):
            moment = moments.pop(0)
            if isinstance(moment.about, int):
                upto = bisect.bisect(log, moment.about, key=lambda event: event.seq)
                for event in log[told:upto]:
                    yield _event_row(moment.time, event, names, shared=shared)
                told = max(told, upto)
            else:
                yield from _perturbed(moment.time, moment.about, failure.perturbations)
        if entry is not None and not _is_read_of(history.entries[place - 1], entry):
            read = next(iter(history.entries[place + 1 : place + 2]), None)
            yield _entry_row(entry, read if _is_read_of(entry, read) else None, names)


def _event_row(time: float, event: Event, names: Mapping[str, str], *, shared: bool) -> Row:
    subject, _, verb = event.type.value.partition(".")
    attempt = event.data.get("attempt")
    words = [f"{event.seq}", event.phase or subject, verb]
    if isinstance(attempt, int) and attempt > 1:
        words.append(f"(try {attempt})")
    lane, text = _in_lane(names.get(event.job, event.job), " ".join(words), shared=shared)
    return Row(time=time, lane=lane, text=text, event=event)


def _in_lane(name: str, text: str, *, shared: bool) -> tuple[str, str]:
    return ("jobs", f"{name}: {text}") if shared else (name, text)


def _perturbed(time: float, key: Key, used: Mapping[Key, float]) -> Iterator[Row]:
    # Crashes, refusals, clock steps, cuts and what vanishes have entries of their own.
    kind, site, _ = key
    value = used.get(key, 0.0)
    if kind == "stall":
        yield Row(time=time, lane="node", text=f"{site} stalls {value:g} s", mark="stall")
    elif kind == "hold":
        yield Row(time=time, lane="node", text=f"{site} held {value:g} turns")
    elif kind == "delay":
        text = f"{site} takes {value:g} s more"
        yield Row(time=time, lane=lane_of(site), text=text, mark="stall")


def _is_read_of(heard: Entry, read: Entry | None) -> bool:
    """True if the follower read a job at once when it had heard of it: one row tells both."""
    return (
        read is not None
        and (heard.what, read.what) == ("heard", "read")
        and (heard.lane, heard.time) == (read.lane, read.time)
        and heard.data.get("seq") == read.data.get("after")
    )


def _entry_row(entry: Entry, read: Entry | None, names: Mapping[str, str]) -> Row:
    data, time, what = entry.data, entry.time, entry.what
    process, _, life = entry.lane.partition("#")
    mine = f" (life {life})" if life else ""
    match what:
        case "asked" | "answered" | "denied":
            lane = str(data.get("via") or "clients")
            return Row(time=time, lane=lane, text=_client_words(entry))
        case "heard":
            then = f", read {_read_words(read, names)}" if read is not None else ""
            return Row(time=time, lane="follower", text=f"heard {data.get('seq')}{then}")
        case "read":
            return Row(time=time, lane="follower", text=f"read {_read_words(entry, names)}")
        case "killed":
            text = f"dies {data.get('why')}{mine}"
            return Row(time=time, lane=process, text=text, mark="crash", died=entry.lane)
        case "refused":
            return Row(time=time, lane=process, text="a write is refused", mark="refuse")
        case "stepped":
            text = f"clock set by {data.get('seconds'):g} s"
            return Row(time=time, lane="node", text=text, mark="step")
        case "quiet":
            return Row(time=time, lane="node", text="(nothing disturbs any more)")
        case "dropped":
            text = f"{_about(entry)}: never came about"
            return Row(time=time, lane="clients", text=text)
        case _:
            words = words_of(entry, names)
            if words is not None:
                mark = MARKED.get(what, "")
                return Row(time=time, lane=process, text=f"{words}{mine}", mark=mark)
            more = "".join(f" {value}" for value in data.values() if isinstance(value, str))
            return Row(time=time, lane=process.partition(":")[0], text=f"{what}{mine}{more}")


def _read_words(entry: Entry, names: Mapping[str, str]) -> str:
    data = entry.data
    job = names.get(str(data.get("job")), str(data.get("job")))
    return (
        f"{job} gone" if data.get("gone") else f"{job} {data.get('state')} v{data.get('version')}"
    )


def _about(entry: Entry) -> str:
    return " ".join(str(part) for part in (entry.data.get("op"), entry.data.get("name")) if part)


def _client_words(entry: Entry) -> str:
    about = _about(entry)
    if entry.what == "asked":
        return about
    if entry.what == "denied":
        return f"{about}: {entry.data.get('error')}"
    answer = entry.data.get("answer")
    shown = "ok"
    if isinstance(answer, Mapping):
        fields = cast("Mapping[str, Any]", answer)
        shown = str(fields.get("state") or fields.get("type") or "ok")
    return f"{about} → {shown}"


def _add_handlers(
    rows: list[Row], ran: Iterable[Ran], names: Mapping[str, str], *, shared: bool
) -> None:
    """Put the beginning and the end of each handler among the rows."""
    for number, each in enumerate(ran):
        name = f"{number}"
        job = names.get(each.job, each.job)
        what = f"{each.phase}()" + (f" try {each.attempt}" if each.attempt > 1 else "")
        lane, text = _in_lane(job, f"{what} begins", shared=shared)
        place = _beginning(rows, each)
        rows.insert(place, Row(time=each.began, lane=lane, text=text, began=name))
        death = next((index for index, row in enumerate(rows) if row.died == each.process), None)
        if death is not None and (each.ended is None or each.ended > rows[death].time):
            # What the dead do as the run is taken down is no end.
            lane, text = _in_lane(job, f"{what} dies", shared=shared)
            rows.insert(death + 1, Row(time=rows[death].time, lane=lane, text=text, ended=name))
        elif each.ended is not None:
            lane, text = _in_lane(job, f"{what} {each.how}", shared=shared)
            ending = _ending(rows, place + 1, each, each.ended)
            rows.insert(ending, Row(time=each.ended, lane=lane, text=text, ended=name))


def _beginning(rows: Sequence[Row], ran: Ran) -> int:
    """Return where a handler begins: behind the event that says so, and not before its time."""
    started = next(
        (
            index + 1
            for index, row in enumerate(rows)
            if row.event is not None
            and (row.event.job, row.event.run, row.event.phase) == (ran.job, ran.run, ran.phase)
            and row.event.type is EventType.PHASE_STARTED
            and row.event.data.get("attempt") == ran.attempt
        ),
        0,
    )
    timely = bisect.bisect_left(rows, ran.began, key=lambda row: row.time)
    return max(started, timely)


def _ending(rows: Sequence[Row], first: int, ran: Ran, ended: float) -> int:
    """Return where a handler ends: before the first event of its job that may follow from it."""
    for index in range(first, len(rows)):
        row = rows[index]
        follows = row.event is not None and row.event.job == ran.job
        if row.time > ended or (row.time == ended and follows):
            return index
    return len(rows)


def _place(rows: Sequence[Row], failure: Failure) -> int:
    """Return the row of the violation: its event's, or the last by its time, or of its job."""
    violation = failure.violation
    if violation.seq is not None:
        for index, row in enumerate(rows):
            if row.event is not None and row.event.seq == violation.seq:
                return index
    time = violation.time if violation.time is not None else math.inf
    before = [index for index, row in enumerate(rows) if row.time <= time]
    if violation.time is None and violation.job is not None:
        events = ((index, row.event) for index, row in enumerate(rows))
        of_job = [index for index, event in events if event and event.job == violation.job]
        before = of_job or before
    return before[-1] if before else 0


# Drawing


@attrs.define
class Line:
    """Rows that stand side by side: later ones are further to the right, so the order is kept."""

    time: float
    cells: dict[int, str] = attrs.field(factory=dict[int, str])
    """What happened, by the place of the lane."""

    mark: str = ""
    """A key of `MARKS`, or nothing."""

    running: dict[int, int] = attrs.field(factory=dict[int, int])
    """How many handlers run in each lane in which one does."""

    bad: bool = False
    """The violation is here."""


def draw(failure: Failure, rows: int = ROWS) -> list[str]:
    """Return the timeline around the violation: time runs down, lanes stand side by side."""
    whole = picture(failure)
    drawn = packed(whole)
    if not drawn:
        return ["(nothing happened)"]
    bad = next((index for index, line in enumerate(drawn) if line.bad), len(drawn) - 1)
    first = max(0, min(bad - rows * 2 // 3, len(drawn) - rows))
    shown = drawn[first : first + rows]
    widths = [
        min(max(len(lane) + 2, *(len(line.cells.get(at, "")) + 3 for line in shown)), CELL_MOST)
        for at, lane in enumerate(whole.lanes)
    ]
    text = [f"    t (s)  {_cells(whole.lanes, widths, ' ')}"]
    if first:
        text.append(f"           … {first} lines before")
    last: float | None = None
    for line in shown:
        time = "" if line.time == last else f"{line.time:.3f}"
        last = line.time
        cells = [
            f"{BARS[min(line.running.get(place, 0), 2)]} {line.cells.get(place, '')}"
            for place in range(len(whole.lanes))
        ]
        edge = "<- here" if line.bad else ""
        body = f"{MARKS.get(line.mark, ' ')}{time:>9} │{_cells(cells, widths, '│')}{edge}"
        text.append(body.rstrip())
    if first + rows < len(drawn):
        text.append(f"           … {len(drawn) - first - rows} lines after")
    return [*text, "", f"  {LEGEND}"]


def _cells(cells: Sequence[str], widths: Sequence[int], rule: str) -> str:
    return "".join(
        (cell if len(cell) <= width else cell[: width - 1] + "…").ljust(width) + rule
        for cell, width in zip(cells, widths, strict=True)
    )


def packed(whole: Picture) -> list[Line]:
    """Return the rows side by side where one moment allows it."""
    drawn: list[Line] = []
    running: dict[str, int] = {}
    rightmost = -1
    for index, row in enumerate(whole.rows):
        lane, bad = whole.lanes.index(row.lane), index == whole.at
        mark = "violation" if bad else row.mark
        busy = dict(Counter(running.values()))
        joins = drawn and drawn[-1].time == row.time and lane > rightmost
        if not joins or (mark and drawn[-1].mark) or busy != drawn[-1].running:
            drawn.append(Line(row.time, running=busy))
        line = drawn[-1]
        line.cells[lane], line.mark, line.bad = row.text, mark or line.mark, line.bad or bad
        rightmost = lane
        if row.began is not None:
            running[row.began] = lane
            line.running[lane] = line.running.get(lane, 0) + 1
        if row.ended is not None:
            running.pop(row.ended, None)
    return drawn


def report(failure: Failure, saved: Path | None = None) -> str:
    """Return the whole picture of a failure.

    Args:
      failure: which.
      saved: the file that it was saved to.
    """
    violation = failure.violation
    perturbations = lines(failure.perturbations) or ["none: it fails undisturbed"]
    sections: list[tuple[str, Sequence[str]]] = [
        (f"VIOLATION  {headline(failure)}", violation.message.splitlines()),
        ("beside it", beside(failure)),
        ("seed", [f"{failure.seed} of {failure.suite}"]),
        ("to see it again", commands(failure, saved)),
        ("shrunk", [shrunk_words(failure)]),
        ("workload", workload(failure.scenario)),
        ("perturbations", perturbations),
        ("as a test", regression_test(failure).splitlines()),
        ("timeline", draw(failure)),
        ("details", failure.details.splitlines()),
    ]
    return "\n".join(
        "\n".join([title, *(f"  {line}".rstrip() for line in body), ""])
        for title, body in sections
        if body
    )
