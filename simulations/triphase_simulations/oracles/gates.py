"""Gates: nothing starts that must be approved and is not, and each is decided once."""

from __future__ import annotations

from collections.abc import Iterable

from triphase_protocol import Event, EventType

from .lives import Step
from .reading import MOMENT, Reading
from .violations import Violation


class Gates:
    """O17."""

    name = "O17"
    says = "No gated phase starts before its approval, and each asking is decided once, in time."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return starts without an approval, and decisions that were none."""
        scenario = reading.scenario
        plans = {job.name: job for job in scenario.jobs}
        names = {id: name for name, id in reading.ids.items()}
        for job, steps in reading.steps.items():
            if any("layout" in step.event.data for step in steps):
                # What was approved for other phases is for the translation to say.
                continue
            gated = _gated(reading, job)
            spec, plan = reading.spec_of(job), plans.get(names.get(job, ""))
            if spec is not None and spec.phases:
                asks = [spec.approval, plan.approval if plan is not None else None]
                if any(ask is not None for ask in asks):
                    gated.add(spec.phases[0].name)
            yield from self._job(reading, job, steps, gated)

    def _job(
        self, reading: Reading, job: str, steps: list[Step], gated: set[str]
    ) -> Iterable[Violation]:
        approved: set[str] = set()
        asked: dict[str, Event] = {}
        for step in steps:
            event = step.event
            phase = str(event.phase)
            match event.type:
                case EventType.JOB_GATED:
                    asked[phase] = event
                case EventType.JOB_APPROVED | EventType.JOB_REJECTED:
                    if phase not in asked:
                        message = f"{phase} was decided about, and nobody had asked"
                        yield Violation(self.name, job, event.seq, None, message)
                    else:
                        yield from self._in_time(reading, event, asked.pop(phase))
                    if event.type is EventType.JOB_APPROVED:
                        approved.add(phase)
                case EventType.JOB_RETRIED | EventType.JOB_SCHEDULED:
                    # What was approved of the first of them stands.
                    approved -= set(event.data.get("phases", ())[1:])
                case EventType.PHASE_STARTED if phase in gated and phase not in approved:
                    message = f"{phase} was started without its approval"
                    yield Violation(self.name, job, event.seq, None, message)
                case _:
                    pass

    def _in_time(self, reading: Reading, event: Event, asked: Event) -> Iterable[Violation]:
        deadline = asked.data.get("deadline")
        if event.data.get("cause") != "timeout" or reading.stepped:
            return
        if deadline is None or event.at < deadline - MOMENT:
            message = f"{event.phase} was rejected before its time was over"
            yield Violation(self.name, event.job, event.seq, reading.virtual(event), message)


def _gated(reading: Reading, job: str) -> set[str]:
    """Return the phases that have a gate, by the row, the log and the declaration."""
    row, spec = reading.rows.get(job), reading.spec_of(job)
    found = {
        str(step.event.phase)
        for step in reading.steps[job]
        if step.event.type is EventType.JOB_GATED
    }
    if row is not None:
        found |= {phase.name for phase in row.phases if phase.gate is not None}
    if spec is not None:
        found |= {phase.name for phase in spec.phases if phase.approval is not None}
    return found
