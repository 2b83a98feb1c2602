"""What jobs should do, said as plainly as possible: no actors, no time, no store, no tasks."""

from __future__ import annotations

import attrs

PHASES = ("a", "b", "c")
GATED = 1
"""The index of the phase that must be approved."""

TRIES = 2
LOST_MOST = 2

TERMINAL = {"completed", "failed", "cancelled", "rejected", "interrupted"}


class Refused(Exception):
    """The model does not allow this now."""


@attrs.define
class ModelJob:
    """One job."""

    policy: str
    stubborn: bool
    priority: int
    state: str = "queued"
    run: int = 0
    done: int = 0
    """How many phases have completed."""

    decision: bool | None = None
    """What was decided about the phase with a gate."""

    opened: bool = False
    """A retry has opened the run that the next start enters."""

    errors: list[int] = attrs.field(factory=lambda: [0, 0, 0])
    lost: list[int] = attrs.field(factory=lambda: [0, 0, 0])

    def start(self) -> None:
        """A slot was free for it."""
        assert self.state == "queued", f"{self.state} jobs are not started"
        self.run += 0 if self.opened else 1
        self.opened = False
        self.state = "running"

    def finish(self, how: str) -> None:
        """Its handler has returned, raised or snoozed."""
        if self.state == "stopping":
            self.state = "cancelled"
        elif how == "return":
            self.done += 1
            if self.done == len(PHASES):
                self.state = "completed"
            elif self.waits_for_approval:
                self.state = "gated"
        elif how == "raise":
            self.errors[self.done] += 1
            self.state = "failed" if self.errors[self.done] >= TRIES else "scheduled"
        else:
            self.state = "scheduled"

    @property
    def waits_for_approval(self) -> bool:
        """True if its next phase must be approved first."""
        return self.done == GATED and self.decision is not True

    def later(self) -> None:
        """Much time has passed."""
        if self.state == "scheduled":
            self.state = "queued"
        elif self.state == "stopping":
            self.state = "cancelled"

    def cancel(self) -> None:
        """Somebody cancels it; twice is once."""
        if self.state in TERMINAL:
            raise Refused
        running = self.state in ("running", "stopping")
        self.state = "stopping" if running and self.stubborn else "cancelled"

    def decide(self, approved: bool) -> bool:
        """Somebody approves of its next phase, or rejects it; who comes later is told what was."""
        if self.decision is not None:
            return self.decision
        if self.state != "gated":
            raise Refused
        self.decision = approved
        self.state = "queued" if approved else "rejected"
        return approved

    def retry(self, phase: str | None) -> None:
        """Somebody has it run again."""
        if self.state not in TERMINAL or (phase is None and self.done == len(PHASES)):
            raise Refused
        begin = self.done if phase is None else min(PHASES.index(phase), self.done)
        self._again(begin)
        for index in range(begin, len(PHASES)):
            self.errors[index] = self.lost[index] = 0
        self.run += 1
        self.opened = True
        self.state = "gated" if self.waits_for_approval else "queued"

    def interrupt(self, *, lost: bool) -> None:
        """Its process has died or left."""
        if self.state == "stopping":
            self.state = "cancelled"
        if self.state != "running":
            return
        self.lost[self.done] += lost
        if (lost and self.lost[self.done] > LOST_MOST) or self.policy == "fail":
            self.state = "failed"
        elif self.policy == "hold":
            self.state = "interrupted"
        else:
            if self.policy == "restart":
                self._again(0)
            self.state = "queued"

    def _again(self, begin: int) -> None:
        """Forget what was completed from a phase on; its approval is for the first of them."""
        self.done = begin
        if begin < GATED or (begin == GATED and self.decision is False):
            self.decision = None
