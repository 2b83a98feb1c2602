"""What a job looks like from outside: the record, and its phases.

Records are values: frozen, comparable, and the same whether they were read from a
store, sent over a wire or built by a test. Times are wall-clock seconds since the
Unix epoch, in UTC, as floats.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .deadlines import Stop, Timeouts
from .gates import Gate
from .parts import ErrorRecord, Json, Progress
from .states import STATES, JobState, PhaseState
from .webhooks import Webhook


def _no_numbers() -> Mapping[str, int]:
    return {}


def _no_labels() -> Mapping[str, str]:
    return {}


@attrs.frozen(kw_only=True)
class PhaseRecord:
    """One phase of one job."""

    name: str
    """The phase's name, unique within the job type."""

    version: int = 1
    """The version of the phase's declaration that its result belongs to."""

    state: PhaseState = PhaseState.PENDING
    """Where the phase is in its life."""

    attempt: int = 0
    """The number of the current or last try; 0 before the first."""

    spent: Mapping[str, int] = attrs.field(factory=_no_numbers)
    """Tries that did not complete, counted by cause: error, timeout, lost, shutdown, snooze."""

    result: Json = None
    """What the handler returned, as JSON; meaningful when the state is `completed`."""

    error: ErrorRecord | None = None
    """Why the last try did not complete."""

    progress: Progress | None = None
    """The last progress of the current or last try."""

    gate: Gate | None = None
    """What must be approved before it starts; None if nothing must."""

    origin: int = 0
    """The run in which its current or last execution began.

    A try that resumes one which was interrupted goes on with its execution; any other try
    begins one.
    """

    started_at: float | None = None
    """When the current or last try started."""

    finished_at: float | None = None
    """When the last try ended."""


@attrs.frozen(kw_only=True)
class Job:
    """One job: the row that `get` and `find` return."""

    id: str
    """The job's id; any unique prefix of it is accepted where a person types it."""

    type: str
    """The name of the job type."""

    state: JobState
    """Where the job is in its life."""

    run: int = 0
    """The number of the current or last run: the fencing token. It only grows."""

    version: int = 0
    """The version of the last event; goes up by one with each event of this job."""

    payload: Json = None
    """The job's fields, as JSON."""

    phases: tuple[PhaseRecord, ...] = ()
    """The phases in the order in which they run."""

    queue: str = "default"
    """The queue whose limit the job runs under."""

    priority: int = 0
    """Higher starts earlier within a queue."""

    position: int = 0
    """Where it stands among equals of its queue: lower starts earlier; 0 before it was queued."""

    key: str | None = None
    """The idempotency key it was submitted with."""

    digest: str = ""
    """A hash of type and payload: what a second submit with the same key must match."""

    labels: Mapping[str, str] = attrs.field(factory=_no_labels)
    """The submitter's own labels, to find jobs by."""

    webhooks: tuple[Webhook, ...] = ()
    """Where its events are POSTed, as it was submitted; beside where its type's are."""

    owner: str | None = None
    """The runtime that holds the current run, or None."""

    result: Json = None
    """The result of the last phase, once the job has completed."""

    error: ErrorRecord | None = None
    """Why the job failed."""

    reason: str | None = None
    """Why the job was cancelled, rejected or interrupted, in somebody's words."""

    stop: Stop | None = None
    """The last stopping of a run; None if no run was stopped since the last claim."""

    timeouts: Timeouts = attrs.field(factory=Timeouts)
    """What it may take, as it was submitted."""

    deadline: float | None = None
    """When it has waited too long, if it waits; None while it runs, or may wait for ever."""

    submitted_at: float = 0.0
    """When it was accepted."""

    due_at: float = 0.0
    """The earliest time at which it may be queued."""

    queued_at: float | None = None
    """When it was last queued."""

    started_at: float | None = None
    """When its first run since the submit, or since the last retry, started."""

    claimed_at: float | None = None
    """When its current or last run started."""

    finished_at: float | None = None
    """When its last run ended; None while it has not ended."""

    stale_at: float | None = None
    """When it was marked as stale, some time after its end; None if it was not."""

    @property
    def terminal(self) -> bool:
        """True once the job has ended, whichever way."""
        return STATES[self.state].terminal

    @property
    def current(self) -> int | None:
        """The index of the first phase that has not completed, or None if all have."""
        for index, phase in enumerate(self.phases):
            if phase.state is not PhaseState.COMPLETED:
                return index
        return None

    @property
    def gate(self) -> tuple[str, Gate] | None:
        """The phase that waits for approval, and its gate; None if none does."""
        index = self.current
        if self.state is not JobState.GATED or index is None:
            return None
        phase = self.phases[index]
        return None if phase.gate is None else (phase.name, phase.gate)
