"""What simulations should have met: goals, counted over a run of many scenarios.

A suite that never does what it is for finds nothing, and looks well. So the long run fails if one
of these was not met once.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from triphase_protocol import (
    STATES,
    TRANSITIONS,
    Deadline,
    Event,
    EventType,
    JobState,
    StopCause,
    StopHow,
    next_state,
)

from .history import History
from .hook_goals import HOOK_GOALS, hook_goals_of
from .network_goals import NETWORK_GOALS, network_goals_of
from .scenario import Scenario
from .world import OVER

Goal = Callable[[History], bool]

NOT_YET: Final = frozenset({JobState.DETACHED})
"""States that no scenario can reach, since what leads to them does not exist."""


NEVER: Final = frozenset(
    {
        *((state, EventType.JOB_STALE) for state in JobState),
        (JobState.QUEUED, EventType.JOB_GATED),
    }
)
"""What no scenario does: mark jobs as stale, and change the phases of a type between two lives."""


def goals_of(history: History, scenario: Scenario) -> frozenset[str]:
    """Return the goals that a run has met."""
    met = (name for name, met in _GOALS.items() if met(history))
    more = (*network_goals_of(history), *hook_goals_of(history, scenario))
    return frozenset([*_edges(history), *met, *more])


def goals() -> tuple[str, ...]:
    """Return every goal there is, in order."""
    edges = [
        _edge(state, event)
        for state, row in TRANSITIONS.items()
        for event, target in row.items()
        if not {state, target} & NOT_YET and (state, event) not in NEVER
    ]
    return (*_GOALS, *NETWORK_GOALS, *HOOK_GOALS, *edges)


def _edge(state: JobState | None, event: EventType) -> str:
    return f"{'nothing' if state is None else state.value} + {event.value}"


def _edges(history: History) -> Iterator[str]:
    """Every transition of the table that a job of the run has made."""
    for events in history.by_job().values():
        state: JobState | None = None
        for event in events:
            if event.type in TRANSITIONS.get(state, {}):
                yield _edge(state, event.type)
            state = next_state(state, event.type)


def _events(history: History, *types: str) -> Iterator[Event]:
    return (event for event in history.log if event.type.value in types)


def _cancelled(how: StopHow) -> Goal:
    return lambda history: any(
        event.data.get("how") == how.value for event in _events(history, "job.cancelled")
    )


def _failed(how: StopHow) -> Goal:
    return lambda history: any(
        event.data.get("how") == how.value for event in _events(history, "phase.failed")
    )


def _timed_out(deadline: Deadline) -> Goal:
    return lambda history: any(
        event.data.get("deadline") == deadline.value for event in _events(history, "job.stopping")
    )


def _crashed_at(site: str) -> Goal:
    return lambda history: any(
        kind == "crash" and where.startswith(site) for kind, where, _ in history.used
    )


def _cancel_at_boundary(history: History) -> bool:
    """A cancel was asked for at the very moment at which a phase had completed."""
    boundaries = {(event.job, round(event.at, 3)) for event in _events(history, "phase.completed")}
    return any(
        (event.job, round(event.at, 3)) in boundaries
        for event in _events(history, "job.stopping", "job.cancelled")
    )


def _timeout_and_success(history: History) -> bool:
    """A phase completed within a millisecond of another's timeout, or of its own."""
    ends = {round(event.at, 2) for event in _events(history, "phase.completed")}
    stops = _events(history, "job.stopping")
    return any("deadline" in event.data and round(event.at, 2) in ends for event in stops)


def _kills(history: History) -> list[float]:
    return [entry.time for entry in history.all("killed") if entry.data["why"] != OVER]


def _killed_twice(history: History) -> bool:
    times = _kills(history)
    return any(after - before < 2.0 for before, after in itertools.pairwise(times))


def _killed_while_opening(history: History) -> bool:
    starts = [entry.time for entry in history.all("started")]
    return any(0 <= killed - start < 0.001 for killed in _kills(history) for start in starts)


def _grouped(history: History) -> bool:
    """One transaction held events of three jobs."""
    begin = 0
    for end in history.groups:
        jobs = {event.job for event in history.log if begin < event.seq <= end}
        begin = end
        if len(jobs) >= 3:
            return True
    return False


def _denied(*codes: str) -> Goal:
    return lambda history: any(entry.data["error"] in codes for entry in history.all("denied"))


def _interrupted(cause: str) -> Goal:
    return lambda history: any(
        event.data.get("cause") == cause for event in _events(history, "phase.interrupted")
    )


def _stepped(forward: bool) -> Goal:
    return lambda history: any(
        (entry.data["seconds"] > 0) is forward for entry in history.all("stepped")
    )


def _had(event: EventType) -> Goal:
    return lambda history: any(each.type is event for each in history.log)


def _retried_from_the_middle(history: History) -> bool:
    return any(
        event.data["from"] != "a" and "phases" in event.data
        for event in _events(history, "job.retried")
    )


def _decided_twice(history: History) -> bool:
    asked = Counter(
        entry.data.get("name") for entry in history.all("answered") if entry.data["op"] == "approve"
    )
    return any(count > 1 for count in asked.values())


def _asked_again(history: History) -> bool:
    """An approval was asked for once more, since a retry had made what it rests on anew."""
    approved: set[tuple[str, str | None]] = set()
    for event in _events(history, "job.approved", "job.gated"):
        if event.type is EventType.JOB_APPROVED:
            approved.add((event.job, event.phase))
        elif (event.job, event.phase) in approved:
            return True
    return False


def _cancelled_in_a_timeout(history: History) -> bool:
    """A cancel was asked for while a timeout was stopping the job."""
    timing_out: set[tuple[str, int]] = set()
    for event in _events(history, "job.stopping"):
        if event.data["cause"] == StopCause.TIMEOUT.value:
            timing_out.add((event.job, event.run))
        elif (event.job, event.run) in timing_out:
            return True
    return False


def _waited_for_a_later_run(history: History) -> bool:
    """A wait was answered with the end of a run that a retry had begun."""
    retried = {(event.job, event.run) for event in _events(history, "job.retried")}
    return any(
        entry.data["op"] == "wait"
        and (entry.data["answer"]["job"], entry.data["answer"]["run"]) in retried
        for entry in history.all("answered")
    )


def _waited_at_the_close(history: History) -> bool:
    return any(
        entry.data["op"] == "wait" and entry.data["error"] == "closed"
        for entry in history.all("denied")
    )


def _retried_before_a_deletion(history: History) -> bool:
    """A job was retried less than a moment before others that were as old were deleted."""
    retried = [event.at for event in _events(history, "job.retried")]
    deleted = [event.at for event in _events(history, "job.deleted")]
    return any(0 <= gone - again < 0.1 for gone in deleted for again in retried)


_GOALS: Final[Mapping[str, Goal]] = {
    **{
        f"cancelled: {how.value}": _cancelled(how)
        for how in StopHow
        if how.value not in ("terminated", "killed")
    },
    **{f"timed out: {how.value}": _failed(how) for how in (StopHow.STOPPED, StopHow.ABANDONED)},
    **{
        f"deadline: {deadline.value}": _timed_out(deadline)
        for deadline in (Deadline.PHASE, Deadline.PROGRESS, Deadline.RUN, Deadline.JOB)
    },
    "a cancel at a phase boundary": _cancel_at_boundary,
    "a cancel after the end": _denied("illegal_transition"),
    "a timeout and a success at once": _timeout_and_success,
    **{
        f"a crash at store.{point}": _crashed_at(f"store.{point}")
        for point in ("before", "apply", "commit", "after")
    },
    "a crash as a task takes a step": _crashed_at("step:"),
    "a crash while opening": _killed_while_opening,
    "two crashes in a row": _killed_twice,
    "lost work was found": _interrupted("lost"),
    "work was put back at a shutdown": _interrupted("shutdown"),
    "a snooze": _interrupted("snooze"),
    "a write was refused": lambda history: any(history.all("refused")),
    "the clock was set forward": _stepped(True),
    "the clock was set back": _stepped(False),
    "a transaction of three jobs": _grouped,
    "a retry from the middle": _retried_from_the_middle,
    "a gate decided twice": _decided_twice,
    "an approval asked for again": _asked_again,
    "a cancel during a timeout": _cancelled_in_a_timeout,
    "a wait for a later run": _waited_for_a_later_run,
    "a wait as the runtime closes": _waited_at_the_close,
    "a retry just before a deletion": _retried_before_a_deletion,
    "a job was deleted": _had(EventType.JOB_DELETED),
    "somebody met a deleted job": _denied("gone"),
    **{
        f"ended: {state.value}": _had(event)
        for state, event in (
            (JobState.COMPLETED, EventType.JOB_COMPLETED),
            (JobState.FAILED, EventType.JOB_FAILED),
            (JobState.CANCELLED, EventType.JOB_CANCELLED),
            (JobState.REJECTED, EventType.JOB_REJECTED),
            (JobState.INTERRUPTED, EventType.JOB_INTERRUPTED),
        )
        if STATES[state].terminal
    },
}
