"""What the tests of exploring share: a rule that is easily broken, and what breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs
import pytest

from triphase_protocol import EventType
from triphase_simulations import oracles
from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.exploring import Failure, Means, Played, failure_of
from triphase_simulations.history import History
from triphase_simulations.oracles import Reading, Violation
from triphase_simulations.plan import Plan
from triphase_simulations.scenario import Anchor, JobPlan, Op, Scenario
from triphase_simulations.shrinking import shrink


@attrs.frozen
class Unbroken:
    """Says that no phase may be interrupted: any crash at the right moment breaks it."""

    name: str = "planted"
    says: str = "No phase is interrupted."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return a violation for each that was."""
        for event in reading.log:
            if event.type is EventType.PHASE_INTERRUPTED:
                message = f"{event.phase} of {event.job} was interrupted at {event.seq}"
                yield Violation(self.name, event.job, event.seq, None, message)


def judge_unbroken(history: History, scenario: Scenario) -> tuple[Violation, ...]:
    """Judge by the planted rule alone."""
    return tuple(Unbroken().judge(Reading(history, scenario)))


PLANTED = Means(judge=judge_unbroken)


@attrs.frozen
class Never:
    """Says that a word may not stand in a history: any run in which it does is wrong."""

    word: str
    name: str = "planted"
    says: str = "It does not happen."

    def judge(self, reading: Reading) -> list[Violation]:
        """Return a violation for the last time that it does."""
        last = list(reading.history.all(self.word))[-1]
        return [Violation(self.name, None, None, last.time, f"it was {self.word}")]

    def alone(self, history: History, scenario: Scenario) -> list[Violation]:
        """Judge by this rule alone."""
        return self.judge(Reading(history, scenario))


def shrunk_while(scenario: Scenario, fails: Callable[[Scenario], bool]) -> Scenario:
    """Return the smallest scenario that fails by a rule that only looks at the scenario."""
    failing: list[bool] = []

    def play(scenario: Scenario, plan: Plan) -> Played:
        failing.append(fails(scenario))
        return Played(History())

    def judge(history: History, scenario: Scenario) -> list[Violation]:
        return [Violation("rule", None, None, None, "bad")] if failing[-1] else []

    means, plan = Means(play=play, judge=judge), Plan(7, kinds=frozenset())
    failure = failure_of("busy", 7, scenario, plan, means.observe(scenario, plan))
    return shrink(failure, means=means).scenario


def busy_scenario() -> Scenario:
    """Return three jobs, of which one loses its process while it sleeps."""
    script: dict[str, list[list[list[object]]]] = {
        "fetch": [[["progress", 1], ["sleep", 2.0], ["return", 1]]],
        "store": [[["sleep", 0.25], ["return", "ok"]]],
    }
    phases = (PhaseSpec(name="fetch", attempts=3), PhaseSpec(name="store", timeout=20.0))
    return Scenario(
        suite="busy",
        types=(TypeSpec(name="Film", phases=phases), TypeSpec(name="Idle", phases=phases)),
        jobs=tuple(
            JobPlan(name=f"film{n}", type="Film", at=0.1 * n, script=script) for n in range(3)
        ),
        ops=(
            Op(what="get", job="film1", when=Anchor(at=0.5)),
            Op(what="crash", when=Anchor(event="phase.started", job="film0", offset=0.7)),
            Op(what="cancel", job="film2", when=Anchor(at=0.2)),
        ),
        limits={"default": 3},
        kinds=("hold", "stall"),
    )


@pytest.fixture(scope="session")
def broken() -> Failure:
    """A failure of the planted rule, as an exploration finds it."""
    scenario, plan = busy_scenario(), Plan(7, kinds=frozenset({"hold", "stall"}))
    return failure_of("busy", 7, scenario, plan, PLANTED.observe(scenario, plan))


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the planted rule judged in the place of all others."""
    monkeypatch.setattr(oracles, "ORACLES", (Unbroken(),))
