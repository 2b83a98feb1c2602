"""A job that commands are given to, one after the other, and all its events."""

from __future__ import annotations

from typing import Any

from triphase.lifecycle import Decision, decide
from triphase_protocol import (
    Claim,
    Command,
    ErrorRecord,
    Event,
    Job,
    JobState,
    PhaseState,
    Submit,
    fold,
)

NOW = 1_000.0
BOOM = ErrorRecord(type="ValueError", message="boom")


def submit(
    *, due_at: float | None = None, phases: tuple[str, ...] = ("a", "b"), **more: Any
) -> Submit:
    return Submit(
        id="j", type="T", phases=phases, payload={}, digest="d", queue="q", due_at=due_at, **more
    )


class Log:
    """A job and all its events, moved by commands."""

    def __init__(self) -> None:
        self.job: Job | None = None
        self.events: list[Event] = []

    def do(self, command: Command, now: float = NOW) -> Decision:
        decision = decide(self.job, command, now)
        self.job = decision.job
        self.events += decision.events
        return decision

    @property
    def now(self) -> Job:
        """The record as it is; the log must be the one that leads to it."""
        assert self.job is not None
        summary = fold(self.events)
        assert (summary.state, summary.run, summary.version) == (
            self.job.state,
            self.job.run,
            self.job.version,
        )
        assert summary.phases == {phase.name: phase.state for phase in self.job.phases}
        return self.job

    def states(self) -> tuple[JobState, list[PhaseState]]:
        """The state of the job, and those of its phases."""
        return self.now.state, [phase.state for phase in self.now.phases]

    def running(self, *commands: Command) -> Job:
        for command in (submit(), Claim(owner="me"), *commands):
            self.do(command)
        assert self.job is not None
        return self.job


def types(decision: Decision) -> list[str]:
    return [event.type.value for event in decision.events]
