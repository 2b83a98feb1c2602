from __future__ import annotations

from collections.abc import Callable

import attrs

from triphase_protocol import Event, EventType
from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.history import History
from triphase_simulations.plan import Plan
from triphase_simulations.running import run_scenario
from triphase_simulations.scenario import JobPlan, Scenario

from .played import blamed, event_of, messages, with_data, with_event

LATER = Scenario(
    suite="oracles",
    types=(TypeSpec(name="T", phases=(PhaseSpec(name="a", attempts=3, backoff=5.0),)),),
    jobs=(
        JobPlan(
            name="fails",
            type="T",
            script={"a": [[["raise", "ValueError"]], [["raise", "ValueError"]], [["return", 1]]]},
        ),
        JobPlan(name="snoozes", type="T", script={"a": [[["snooze", 2.0]], [["return", 1]]]}),
    ),
    kinds=(),
)


def with_waits(change: Callable[[Event], float], cause: str) -> History:
    """Return how `LATER` is played, with other waits after tries that ended for a cause."""
    history = run_scenario(LATER, Plan())
    log = tuple(
        attrs.evolve(event, data={**event.data, "due_at": event.at + change(event)})
        if event.type is EventType.JOB_SCHEDULED and event.data["cause"] == cause
        else event
        for event in history.log
    )
    return attrs.evolve(history, log=log)


def asked(event: Event) -> float:
    return float(event.data["due_at"]) - event.at


def test_o22_a_wait_is_as_long_as_it_was_asked_for() -> None:
    assert blamed(with_waits(asked, "snooze"), LATER) == set()
    assert blamed(with_waits(lambda _: 1.5, "snooze"), LATER) == {"O22"}


def test_o22_a_try_waits_longer_than_its_policy_says() -> None:
    assert blamed(with_waits(lambda _: 30.0, "error"), LATER) == {"O22"}


def test_o22_no_try_waits_for_the_one_before_it() -> None:
    assert messages(with_waits(lambda _: 0.0, "error"), LATER) == {
        "O22: no try waits for the one before it, though its policy says so"
    }


def test_o22_what_is_put_back_has_to_wait() -> None:
    put_back = event_of("last", EventType.JOB_SCHEDULED)
    assert messages(with_data(put_back.seq, due_at=put_back.at + 1.0)) >= {
        "O22: it is due after N s, not N s"
    }


def test_o22_a_job_is_queued_before_it_is_due() -> None:
    queued = event_of("delayed", EventType.JOB_QUEUED)
    assert blamed(with_event(queued.seq, at=queued.at - 0.25)) == {"O22"}
