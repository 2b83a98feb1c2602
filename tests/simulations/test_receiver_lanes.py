"""Webhooks in reports: what goes where, what became of it, and a test that shows it again."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from triphase_simulations import oracles
from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.client_lanes import words_of
from triphase_simulations.exploring import Failure, Means, failure_of
from triphase_simulations.history import Entry
from triphase_simulations.plan import Plan
from triphase_simulations.receivers import ReceiverPlan
from triphase_simulations.scenario import Anchor, JobPlan, Op, Scenario, SendingPlan, WebhookPlan
from triphase_simulations.telling import regression_test, source, workload
from triphase_simulations.timeline import draw, picture

from .conftest import Never

R0, R1 = (f"https://r{number}.example/in" for number in range(2))

SCENARIO = Scenario(
    suite="webhooks",
    types=(
        TypeSpec(
            name="T",
            phases=(PhaseSpec(name="a"),),
            webhooks=(WebhookPlan(url=R1, events=("job.started", "job.completed"), signed=True),),
        ),
    ),
    jobs=(JobPlan(name="T0", type="T", webhooks=(WebhookPlan(url=R0, at_most_once=True),)),),
    ops=(Op(what="redeliver", job="T0", about=1, when=Anchor(event="hook.delivered", offset=3.0)),),
    receivers=(ReceiverPlan(url=R0), ReceiverPlan(url=R1, answers=("500", "refuse"))),
    webhooks=(WebhookPlan(url=R1),),
    sending=SendingPlan(limit_each=1, pause=5.0),
    followed=False,
    kinds=(),
)


@pytest.fixture(scope="module")
def failure() -> Failure:
    """A failure with receivers that do not do well at first."""
    plan = Plan(7, kinds=frozenset())
    return failure_of(
        "x", 7, SCENARIO, plan, Means(judge=Never("posted").alone).observe(SCENARIO, plan)
    )


def told(failure: Failure, lane: str) -> list[str]:
    """Return what stands in a lane."""
    return [row.text for row in picture(failure).rows if row.lane == lane]


def test_webhooks_are_told_in_words_one_a_line() -> None:
    assert workload(SCENARIO) == [
        "type T: a",
        "submit T0 (T) at 0 s",
        "redeliver T0 1 at the hook.delivered of any job +3 s",
        "webhook of type T to r1: job.started, job.completed; signed",
        "webhook of T0 to r0: its end; at most once",
        "webhook of any job to r1: its end",
        "receiver r0: ok from then on",
        "receiver r1: 500, refuse, ok from then on",
        "sending: limit_each 1, pause 5",
        "nobody follows",
    ]


def test_each_receiver_has_a_lane(failure: Failure) -> None:
    assert picture(failure).lanes[-2:] == ("r0", "r1")


def test_what_comes_and_what_is_told_stands_in_its_lane(failure: Failure) -> None:
    started, completed = "T0 job.started", "T0 job.completed"
    assert told(failure, "r0") == [f"{completed}: ok", f"{completed}: told 200"] * 2
    assert told(failure, "r1")[:5] == [
        f"{started}: 500",
        f"{started}: told 500",
        f"{started}: refuse",
        f"{started}: told nothing",
        f"{started}: ok",
    ]
    assert any("T0 job.completed: told 200 " in line for line in draw(failure))


def test_a_delivery_that_nobody_knows_is_told_by_its_id() -> None:
    entry = Entry(time=0.0, lane="r0", what="posted", data={"hook": "j9", "does": "ok"})
    assert words_of(entry, {}) == "j9: ok"


def test_a_scenario_with_receivers_is_code_again() -> None:
    names = {
        kind.__name__: kind for kind in (Scenario, TypeSpec, PhaseSpec, JobPlan, Op, Anchor)
    } | {kind.__name__: kind for kind in (WebhookPlan, ReceiverPlan, SendingPlan)}
    assert eval(source(SCENARIO), dict(names)) == SCENARIO


def test_the_regression_test_imports_what_it_names(
    failure: Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = regression_test(failure)
    assert "import Anchor, JobPlan, Op, Scenario, SendingPlan, WebhookPlan\n" in text
    assert "receivers import ReceiverPlan\n" in text
    names: dict[str, Any] = {}
    exec(compile(text, "pasted.py", "exec"), names)
    names["test_x_planted_7"]()
    monkeypatch.setattr(oracles, "ORACLES", (Never("posted"),))
    with pytest.raises(AssertionError):
        names["test_x_planted_7"]()


def test_a_scenario_without_webhooks_needs_no_more_names(failure: Failure) -> None:
    plain = attrs.evolve(
        failure,
        scenario=Scenario(suite="x", types=(), jobs=()),
    )
    text = regression_test(plain)
    assert "import Anchor, JobPlan, Op, Scenario\n" in text
    assert "ReceiverPlan" not in text
    assert "SendingPlan" not in text
