"""A picture of the job's state machine, drawn from the table it runs by.

The states of a job that has not ended stand on the left, each in a row of its own; the others
stand in a line at the bottom. A transition to one of those is a dot, where the row of the state
meets the column of the end. The places, and the ways between the states on the left, are fixed
here; a transition without a way makes it fail, so that the picture is never less than the table.

Nobody knows on which page it is shown: every colour is readable on a light and on a dark one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from html import escape
from typing import TypeAlias

from triphase_protocol import STATES, TRANSITIONS, EventType, JobState

Way: TypeAlias = list[tuple[int, int]]
"""The corners of a line; at the last is an arrow."""

Used: TypeAlias = Collection[tuple[JobState | None, EventType]]
"""Which events happen to a job in which state, in this version."""

WIDTH, HEIGHT = 910, 604
BOX_WIDTH, BOX_HEIGHT = 100, 52

LINE = "#76808b"
TEXT = "#77818c"
FILLS = {"waits": "#1d5f8a", "holds a slot": "#a3470d", "has ended": "#4b5661"}

S = JobState
LIVE: dict[JobState, tuple[int, int]] = {
    S.SCHEDULED: (310, 90),
    S.GATED: (150, 160),
    S.QUEUED: (310, 230),
    S.RUNNING: (310, 310),
    S.DETACHED: (150, 380),
    S.STOPPING: (310, 430),
}
"""Where the middle of a state is."""

ENDS: dict[JobState, tuple[int, int]] = {
    S.COMPLETED: (436, 516),
    S.FAILED: (540, 516),
    S.CANCELLED: (644, 516),
    S.REJECTED: (748, 516),
    S.INTERRUPTED: (852, 516),
}
FRAME = (380, 482, 526, 68)
"""Around the ends: left, top, width, height."""

WAYS: dict[tuple[JobState, JobState], Way] = {
    (S.SCHEDULED, S.SCHEDULED): [(360, 78), (386, 78), (386, 48), (344, 48), (344, 62)],
    (S.SCHEDULED, S.GATED): [(260, 100), (192, 100), (192, 132)],
    (S.GATED, S.SCHEDULED): [(120, 134), (120, 86), (258, 86)],
    (S.SCHEDULED, S.QUEUED): [(310, 116), (310, 202)],
    (S.QUEUED, S.RUNNING): [(310, 256), (310, 282)],
    (S.QUEUED, S.GATED): [(260, 230), (178, 230), (178, 188)],
    (S.RUNNING, S.SCHEDULED): [(260, 290), (230, 290), (230, 112), (258, 112)],
    (S.RUNNING, S.GATED): [(260, 302), (150, 302), (150, 188)],
    (S.RUNNING, S.DETACHED): [(260, 314), (120, 314), (120, 352)],
    (S.DETACHED, S.RUNNING): [(170, 354), (170, 328), (258, 328)],
    (S.DETACHED, S.STOPPING): [(150, 406), (150, 424), (258, 424)],
    (S.RUNNING, S.STOPPING): [(310, 336), (310, 402)],
    (S.STOPPING, S.STOPPING): [(290, 456), (290, 480), (330, 480), (330, 458)],
    (S.STOPPING, S.SCHEDULED): [(260, 438), (70, 438), (70, 72), (258, 72)],
}
BEGIN: Way = [(310, 22), (310, 62)]
RETRY: Way = [(380, 516), (40, 516), (40, 46), (280, 46), (280, 62)]
STALE: Way = [(600, 550), (600, 568), (680, 568), (680, 552)]

WORDS: dict[EventType, tuple[int, int]] = {
    EventType.JOB_SUBMITTED: (322, 27),
    EventType.JOB_APPROVED: (126, 122),
    EventType.JOB_STARTED: (318, 274),
    EventType.JOB_REATTACHED: (178, 344),
    EventType.JOB_RETRIED: (50, 510),
    EventType.JOB_STALE: (686, 568),
}
"""Where the word of an event is that is not the name of the state it leads to."""


def picture(used: Used) -> str:
    """Return the picture as SVG.

    Args:
      used: what this version does; the rest is dashed.

    Raises:
      ValueError: if the table has something that no place here is for.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="system-ui, sans-serif" font-size="15">',
        "<title>The states of a job, and the events that lead from one to another</title>",
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8"'
        f' markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z" fill="{LINE}"/></marker></defs>',
        f'<g fill="none" stroke="{LINE}" stroke-width="1.6" stroke-linejoin="round">',
        *_ways(used),
        *_rows_and_columns(used),
        "</g>",
        *(_box(state, place, used) for state, place in (LIVE | ENDS).items()),
        *_words(),
        *_legend(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _ways(used: Used) -> Iterator[str]:
    """Yield the lines between the states on the left, into them, and around the ends."""
    yield f'<circle cx="{BEGIN[0][0]}" cy="{BEGIN[0][1]}" r="6" fill="{LINE}"/>'
    if TRANSITIONS[None] != {EventType.JOB_SUBMITTED: S.SCHEDULED}:
        raise ValueError(f"no way for {TRANSITIONS[None]}")
    yield _line(BEGIN, used=True)
    for state in LIVE:
        for event, target in TRANSITIONS[state].items():
            if target not in ENDS:
                yield _line(WAYS[state, target], used=(state, event) in used)
    for state in ENDS:
        if TRANSITIONS[state] != {EventType.JOB_RETRIED: S.SCHEDULED, EventType.JOB_STALE: state}:
            raise ValueError(f"no way for {TRANSITIONS[state]}")
    yield _line(RETRY, used=any((end, EventType.JOB_RETRIED) in used for end in ENDS))
    yield _line(STALE, used=any((end, EventType.JOB_STALE) in used for end in ENDS))
    left, top, width, height = FRAME
    yield (
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="12"'
        ' stroke-width="1" stroke-dasharray="1 4"/>'
    )


def _rows_and_columns(used: Used) -> Iterator[str]:
    """Yield the lines and dots of the transitions that end a job."""
    reached: dict[JobState, list[tuple[int, bool]]] = {end: [] for end in ENDS}
    for state, (x, y) in LIVE.items():
        ends = {
            ENDS[end][0]: (end, (state, event) in used)
            for event, end in TRANSITIONS[state].items()
            if end in ENDS
        }
        for end, is_used in ends.values():
            reached[end].append((y, is_used))
        yield from _track([(place, is_used) for place, (_, is_used) in ends.items()], x + 50, y)
    for end, (x, y) in ENDS.items():
        bottom = y - BOX_HEIGHT // 2 + 2
        top = min(place for place, _ in reached[end])
        solid = min((place for place, is_used in reached[end] if is_used), default=bottom)
        if top < solid:
            yield _line([(x, top), (x, solid)], used=False, arrow=solid == bottom)
        if solid < bottom:
            yield _line([(x, solid), (x, bottom)], used=True)


def _track(dots: list[tuple[int, bool]], x: int, y: int) -> Iterator[str]:
    """Yield a state's row: its dots, and the line to the last of them."""
    for place, is_used in sorted(dots):
        fill = LINE if is_used else "none"
        yield f'<circle cx="{place}" cy="{y}" r="4.5" fill="{fill}"/>'
    solid = max((place for place, is_used in dots if is_used), default=x)
    last = max((place for place, _ in dots), default=x)
    if solid > x:
        yield _line([(x, y), (solid, y)], used=True, arrow=False)
    if last > solid:
        yield _line([(solid, y), (last, y)], used=False, arrow=False)


def _line(way: Way, *, used: bool, arrow: bool = True) -> str:
    corners = " ".join(f"{x},{y}" for x, y in way)
    dashes = "" if used else ' stroke-dasharray="5 4"'
    head = ' marker-end="url(#arrow)"' if arrow else ""
    return f'<polyline points="{corners}"{dashes}{head}/>'


def _box(state: JobState, place: tuple[int, int], used: Used) -> str:
    x, y = place
    row = STATES[state]
    kind = "has ended" if row.terminal else "holds a slot" if row.holds_slot else "waits"
    entered = any(TRANSITIONS[source].get(event) is state for source, event in used)
    dashes = "" if entered else ' stroke-dasharray="5 4"'
    paint = FILLS[kind] if entered else "none"
    ink = "#ffffff" if entered else TEXT
    width = BOX_WIDTH if state in LIVE else BOX_WIDTH - 4
    height = BOX_HEIGHT if state in LIVE else BOX_HEIGHT - 12
    return (
        f'<rect x="{x - width // 2}" y="{y - height // 2}" width="{width}" height="{height}"'
        f' rx="8" fill="{paint}" stroke="{LINE}"{dashes}/>'
        f'<text x="{x}" y="{y + 5}" fill="{ink}" text-anchor="middle">{escape(state.value)}</text>'
    )


def _words() -> Iterator[str]:
    """Yield the word of each event that is not the name of the state it leads to."""
    named = {
        event
        for events in TRANSITIONS.values()
        for event, target in events.items()
        if event.value != f"job.{target.value}"
    }
    for event in sorted(named):
        x, y = WORDS[event]
        word = event.value.removeprefix("job.")
        yield f'<text x="{x}" y="{y}" fill="{TEXT}" font-size="13">{escape(word)}</text>'


def _legend() -> Iterator[str]:
    x, y = 40, 590
    for kind, colour in FILLS.items():
        yield f'<rect x="{x}" y="{y - 11}" width="14" height="14" rx="3" fill="{colour}"/>'
        yield f'<text x="{x + 20}" y="{y}" fill="{TEXT}" font-size="13">{kind}</text>'
        x += 120
    yield (
        f'<rect x="{x}" y="{y - 11}" width="14" height="14" rx="3" fill="none"'
        f' stroke="{LINE}" stroke-dasharray="3 2"/>'
    )
    yield f'<text x="{x + 20}" y="{y}" fill="{TEXT}" font-size="13">not in this version</text>'
