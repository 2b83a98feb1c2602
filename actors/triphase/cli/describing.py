"""What a record says, in a few words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, cast

from triphase_protocol import (
    ErrorRecord,
    Event,
    Job,
    JobState,
    Json,
    PhaseRecord,
    PhaseState,
    Progress,
    structure,
)

from .humane import age, duration, moment

STATE_STYLES: Final[Mapping[str, str]] = {
    "pending": "bright_black",
    "scheduled": "yellow",
    "gated": "magenta",
    "queued": "yellow",
    "running": "cyan",
    "stopping": "cyan",
    "detached": "magenta",
    "completed": "green",
    "failed": "red",
    "cancelled": "magenta",
    "rejected": "magenta",
    "interrupted": "magenta",
}
"""The colour of each state of a job or a phase, in every table."""


def percentage(progress: Progress | None) -> str:
    """Return `31%`, or how much is done if nobody knows of how much; empty for nothing."""
    if progress is None:
        return ""
    if progress.total:
        return f"{min(max(progress.done / progress.total, 0.0), 1.0):.0%}"
    return f"{progress.done:.15g}"


def progress_of(phase: PhaseRecord) -> str:
    """Return how far a phase has come; empty for one that has completed, or has not said."""
    return "" if phase.state is PhaseState.COMPLETED else percentage(phase.progress)


def place_of(job: Job) -> str:
    """Return how far a job has come through its phases: `4/4`, or `2/4 parse 31%`."""
    index, count = job.current, len(job.phases)
    if index is None:
        return f"{count}/{count}"
    phase = job.phases[index]
    if not phase.attempt:
        return f"{index}/{count}"
    running = phase.state is PhaseState.RUNNING
    parts = [f"{index + 1}/{count}", phase.name, percentage(phase.progress) if running else ""]
    return " ".join(part for part in parts if part)


def why(job: Job) -> str:
    """Return why a job is where it is, as far as the record knows; empty for nothing."""
    if job.error is not None:
        return error_text(job.error)
    if job.reason is not None:
        return job.reason
    if job.gate is not None:
        phase, gate = job.gate
        until = "" if gate.deadline is None else f", until {moment(gate.deadline)}"
        return f"waits for the approval of {phase}{until}"
    if job.state is JobState.SCHEDULED:
        wait = job.due_at - time.time()
        due = f"due in {duration(wait)}" if wait > 0 else "due"
        last = next((phase.error for phase in job.phases if phase.error is not None), None)
        return due if last is None else f"{due}, after {error_text(last)}"
    return ""


def error_text(error: ErrorRecord) -> str:
    """Return an error's type and message."""
    return f"{error.type}: {error.message}" if error.message else error.type


def phase_seconds(phase: PhaseRecord, now: float) -> float | None:
    """Return how long the phase's last try took, or takes until now."""
    if phase.started_at is None:
        return None
    return (now if phase.finished_at is None else phase.finished_at) - phase.started_at


def job_seconds(job: Job, now: float) -> float | None:
    """Return how long the job took from its first start, or takes until now."""
    if job.started_at is None:
        return None
    return (now if job.finished_at is None else job.finished_at) - job.started_at


def since(at: float) -> str:
    """Return how long ago a time was."""
    return age(time.time() - at)


def detail_of(event: Event) -> str:
    """Return what an event carries, as one text."""
    data = dict(event.data)
    attempt = data.pop("attempt", 1)
    parts = [f"try {attempt}"] if attempt > 1 else []
    if event.type.startswith("hook."):
        # What is told of a delivery is null where there is nothing to tell.
        data = {name: value for name, value in data.items() if value is not None}
    elif "error" in data:
        parts.append(error_text(structure(data.pop("error"), ErrorRecord)))
    if "done" in data:
        parts.append(_progress_text(data))
    parts += [f"{name}={_short(name, value)}" for name, value in data.items()]
    return "  ".join(parts)


def _progress_text(data: dict[str, Json]) -> str:
    done, total, message = data.pop("done"), data.pop("total", None), data.pop("message", None)
    text = f"{done:.15g}" if total is None else f"{done:.15g}/{total:.15g}"
    return text if message is None else f"{text} {message}"


def _short(name: str, value: Json) -> str:
    if isinstance(value, list):
        return ",".join(str(item) for item in cast("list[Json]", value))
    if isinstance(value, dict):
        entries = cast("dict[str, Json]", value)
        return ",".join(f"{key}:{item}" for key, item in entries.items())
    if isinstance(value, float):
        is_time = name.endswith(("_at", "_until")) or name == "deadline"
        return moment(value) if is_time else f"{value:.3f}"
    return str(value)
