"""Budgets: each try that did not complete is charged to its cause, and to no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from triphase_protocol import EventType, JobState, OnRestart
from triphase_simulations.cast import TypeSpec

from .interruptions import wrong_interruptions
from .lives import Step
from .reading import Reading, part
from .violations import Violation

_RETRIED_ERRORS: Final = {"ConnectionError", "ValueError"}
"""What a script raises that the phase's budget decides about."""

_GOES_ON: Final = (OnRestart.RESUME.value, OnRestart.RESTART.value)


class Budgets:
    """O29."""

    name = "O29"
    says = "Tries are charged to their cause, and a job fails exactly when a budget is used up."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return wrong charges, ends that came too early or not at all, and policies not kept."""
        yield from wrong_interruptions(reading, self.name)
        for job, steps in reading.steps.items():
            spent: dict[str, Counter[str]] = {}
            for place, step in enumerate(steps):
                event = step.event
                if event.type is EventType.JOB_RETRIED:
                    for name in event.data.get("phases", ()):
                        spent.pop(name, None)
                elif event.type in (EventType.PHASE_FAILED, EventType.PHASE_INTERRUPTED):
                    counts = spent.setdefault(str(event.phase), Counter())
                    counts[str(event.data.get("cause"))] += 1
                    yield from self._verdict(reading, step, steps[place + 1 :], counts)
            row = reading.rows.get(job)
            if row is None or any("layout" in step.event.data for step in steps):
                continue
            for phase in row.phases:
                if Counter(phase.spent) != spent.get(phase.name, Counter()):
                    message = f"the tries of {phase.name} are not charged as the log tells"
                    yield Violation(self.name, job, None, None, message)

    def _verdict(
        self, reading: Reading, step: Step, later: list[Step], counts: Counter[str]
    ) -> Iterable[Violation]:
        event, spec = step.event, reading.spec_of(step.event.job)
        following = next((each for each in later if each.event.phase is None), None)
        if spec is None or following is None:
            return
        failed = following.event.type is EventType.JOB_FAILED
        most = self._most(reading, spec, step, counts)
        if most is None:
            return
        cause, goes_on = event.data.get("cause"), most
        if failed and goes_on:
            message = f"it failed, and had a try left after the {cause} of {event.phase}"
            yield Violation(self.name, event.job, following.event.seq, None, message)
        elif not failed and not goes_on and following.event.type is EventType.JOB_SCHEDULED:
            message = f"it goes on, and had no try left after the {cause} of {event.phase}"
            yield Violation(self.name, event.job, following.event.seq, None, message)

    def _most(
        self, reading: Reading, spec: TypeSpec, step: Step, counts: Counter[str]
    ) -> bool | None:
        """Return if the job should go on; None if that cannot be told."""
        event = step.event
        phase = reading.phase_spec(event.job, event.phase)
        error = event.data.get("error")
        if phase is None:
            return None
        timeouts = phase.attempts if phase.timeouts is None else phase.timeouts
        within = counts["error"] < phase.attempts and counts["timeout"] < timeouts
        match event.data.get("cause"):
            case "error":
                known = part(error, "type") in _RETRIED_ERRORS
                return within if known or not within else None
            case "timeout":
                # That of the whole job ends it, whatever tries are left.
                whole = "job's timeout" in str(error)
                return None if whole else within
            case "lost":
                if step.before is JobState.STOPPING or spec.on_restart not in _GOES_ON:
                    return None
                return counts["lost"] <= spec.lost_most
            case "shutdown":
                return True if spec.on_restart in _GOES_ON else None
            case _:
                return True
