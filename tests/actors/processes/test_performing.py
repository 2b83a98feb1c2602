"""What comes of a handler where it runs: the part of a worker that needs no process."""

from __future__ import annotations

import pytest

from triphase.endings import (
    CancelledItself,
    FailedItself,
    HandlerOutcome,
    Raised,
    Refused,
    Returned,
    Snoozed,
)
from triphase.processes.performing import Performer
from triphase.processes.stop_signal import StopSignal
from triphase_protocol import Json, Progress

from .jobs import call_of, process_jobs

Do, Measure = process_jobs.Do, process_jobs.Measure


def perform(instance: object, phase: str = "plain") -> HandlerOutcome:
    """Run one phase of a job to its end, in this process."""
    return Performer(StopSignal()).perform(call_of(instance, phase), lambda _: None)


@pytest.mark.parametrize(
    ("what", "outcome"),
    [
        ("snooze", Snoozed(5.0)),
        ("cancel", CancelledItself("enough")),
        ("fail", FailedItself("no such thing")),
        ("fail in trio", FailedItself("in a nursery")),
    ],
)
def test_a_fate_is_known_for_what_it_is(what: str, outcome: HandlerOutcome) -> None:
    deed, _, trio = what.partition(" in ")
    assert perform(Do(deed), "in_trio" if trio else "plain") == outcome


def test_an_exception_is_data_of_a_bounded_size() -> None:
    outcome = perform(Do("raise"))
    assert isinstance(outcome, Raised)
    assert outcome.error.type == "ValueError"
    assert outcome.error.message.startswith("\\udcff bad xxx")
    assert len(outcome.error.message) == 16_000
    assert outcome.error.traceback is not None
    assert len(outcome.error.traceback) <= 8_000


@pytest.mark.parametrize(
    ("what", "error", "again"),
    [
        ("connection lost", "ConnectionResetError", True),
        ("group", "ExceptionGroup", True),
        ("not found", "FileNotFoundError", False),
        ("raise", "ValueError", False),
        ("exit", "SystemExit", False),
        ("interrupt", "KeyboardInterrupt", False),
    ],
)
def test_the_retry_filter_of_the_phase_is_asked_where_the_exception_is(
    what: str, error: str, again: bool
) -> None:
    outcome = perform(Do(what), "picky")
    assert isinstance(outcome, Raised)
    assert (outcome.error.type, outcome.again) == (error, again)


def test_what_leaves_a_handler_though_nothing_should_is_held_against_the_filter_too() -> None:
    performer = Performer(StopSignal())
    for phase, again in [("plain", True), ("picky", False)]:
        call = call_of(Do("odd"), phase)
        with pytest.raises(process_jobs.Odd) as caught:
            performer.perform(call, lambda _: None)
        outcome = performer.outcome_of_odd(call, caught.value)
        assert isinstance(outcome, Raised)
        assert (outcome.error.type, outcome.again) == ("Odd", again)


@pytest.mark.parametrize(
    ("what", "words"),
    [("unstorable", "$: {1, 2} (set) is not JSON"), ("large", "more than the 4,194,304 allowed")],
)
def test_a_result_that_cannot_be_stored_is_refused(what: str, words: str) -> None:
    outcome = perform(Do(what))
    assert isinstance(outcome, Refused)
    assert outcome.error.type == "InvalidResult"
    assert words in outcome.error.message


def test_a_context_has_in_a_worker_what_it_has_elsewhere() -> None:
    said: list[Progress] = []
    results: dict[str, Json] = {"first": {"width": 7, "height": 3}}
    call = call_of(Measure(7), "second", results)
    outcome = Performer(StopSignal()).perform(call, said.append)
    assert outcome == Returned(
        {
            "size": 7,
            "job": "a-job",
            "run": 4,
            "phase": "second",
            "attempt": 2,
            "key": "a-job:second",
            "labels": {"color": "red"},
            "stop": False,
        }
    )
    assert said == [Progress(done=2, total=2)]


def test_a_phase_that_was_not_declared_for_a_process_runs_in_one_all_the_same() -> None:
    assert perform(Do("fail"), "for_a_thread") == FailedItself("no such thing")
