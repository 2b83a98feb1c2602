"""Handlers in worker processes: what they are given, and what comes of them."""

from __future__ import annotations

import os
import sys

import pytest

from triphase.processes import (
    CancelledItself,
    Died,
    FailedItself,
    ProcessEnding,
    Processes,
    Raised,
    Refused,
    Returned,
    Snoozed,
)
from triphase_protocol import Progress

from .conftest import run
from .jobs import process_jobs

pytestmark = pytest.mark.slow

Do, Measure = process_jobs.Do, process_jobs.Measure


async def test_a_result_is_stored_by_its_declared_type_and_progress_arrives(
    processes: Processes,
) -> None:
    said: list[Progress] = []
    ending = await run(processes, Measure(7), "first", report=said.append)
    assert ending == ProcessEnding(Returned({"width": 7, "height": 3}))
    assert said == [Progress(done=1, total=2, message="half")]


async def test_a_context_has_in_a_worker_what_it_has_elsewhere(processes: Processes) -> None:
    said: list[Progress] = []
    results = {"first": {"width": 7, "height": 3}}
    ending = await run(processes, Measure(7), "second", results=results, report=said.append)
    assert ending.outcome == Returned(
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


async def test_a_handler_runs_in_another_process_under_the_same_names(
    processes: Processes,
) -> None:
    ending = await run(processes, Do("who"))
    assert isinstance(ending.outcome, Returned)
    assert ending.outcome.value["pid"] != os.getpid()
    assert ending.outcome.value["module"] == "process_jobs"
    assert ending.outcome.value["argv"] == sys.argv


async def test_the_latest_progress_wins_and_the_last_always_arrives(processes: Processes) -> None:
    said: list[Progress] = []
    await run(processes, Do("report"), report=said.append)
    assert said[-1] == Progress(done=49_999)
    assert len(said) < 1_000


@pytest.mark.parametrize(
    ("what", "outcome"),
    [
        ("snooze", Snoozed(5.0)),
        ("cancel", CancelledItself("enough")),
        ("fail", FailedItself("no such thing")),
        ("fail in trio", FailedItself("in a nursery")),
    ],
)
async def test_a_fate_is_known_for_what_it_is(
    processes: Processes, what: str, outcome: object
) -> None:
    deed, _, trio = what.partition(" in ")
    ending = await run(processes, Do(deed), "in_trio" if trio else "plain")
    assert ending == ProcessEnding(outcome)  # type: ignore[arg-type]


async def test_an_exception_is_data_of_a_bounded_size(processes: Processes) -> None:
    outcome = (await run(processes, Do("raise"))).outcome
    assert isinstance(outcome, Raised)
    assert outcome.error.type == "ValueError"
    assert outcome.error.message.startswith("\\udcff bad xxx")
    assert len(outcome.error.message) == 16_000
    assert outcome.error.traceback is not None
    assert len(outcome.error.traceback) <= 8_000


async def test_what_is_no_exception_is_data_as_well(processes: Processes) -> None:
    for what, name in [("exit", "SystemExit"), ("odd", "Odd")]:
        outcome = (await run(processes, Do(what))).outcome
        assert isinstance(outcome, Raised)
        assert outcome.error.type == name
        assert "in plain" in (outcome.error.traceback or "")


@pytest.mark.parametrize(
    ("what", "words"),
    [("unstorable", "$: {1, 2} (set) is not JSON"), ("large", "more than the 4,194,304 allowed")],
)
async def test_a_result_that_cannot_be_stored_is_refused(
    processes: Processes, what: str, words: str
) -> None:
    outcome = (await run(processes, Do(what))).outcome
    assert isinstance(outcome, Refused)
    assert outcome.error.type == "InvalidResult"
    assert words in outcome.error.message


async def test_an_exit_in_the_middle_is_a_death_with_its_code(processes: Processes) -> None:
    outcome = (await run(processes, Do("_exit"))).outcome
    assert isinstance(outcome, Died)
    assert (outcome.signal, outcome.error.type) == (None, "ProcessDied")
    assert "exit code 3" in outcome.error.message


async def test_a_segmentation_fault_is_a_death_that_says_where(processes: Processes) -> None:
    outcome = (await run(processes, Do("segfault"))).outcome
    assert isinstance(outcome, Died)
    assert outcome.signal == 11
    assert "SIGSEGV" in outcome.error.message
    assert "in string_at" in (outcome.error.traceback or "")


async def test_a_signal_from_elsewhere_is_a_death(processes: Processes) -> None:
    killed = (await run(processes, Do("die of a signal"))).outcome
    assert isinstance(killed, Died)
    assert killed.signal == 9
    terminated = (await run(processes, Do("terminate itself"))).outcome
    assert isinstance(terminated, Died)
    assert terminated.signal == 15
    assert processes.statistics().died == 2


async def test_what_a_handler_prints_does_not_reach_the_messages(
    processes: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "triphase.process")
    ending = await run(processes, Do("print"))
    assert ending == ProcessEnding(Returned(""))
    for words in ('{"type": "ended"}', "raw", "from a child"):
        assert words in caplog.text


async def test_a_flood_of_output_blocks_nothing_and_its_end_is_kept(processes: Processes) -> None:
    outcome = (await run(processes, Do("flood"))).outcome
    assert isinstance(outcome, Died)
    assert "exit code 7" in outcome.error.message
    assert outcome.error.traceback is not None
    assert outcome.error.traceback.endswith("xxx\nthe last words")
    assert len(outcome.error.traceback) <= 8_000


async def test_a_report_that_raises_stops_the_handler(processes: Processes) -> None:
    def report(progress: Progress) -> None:
        assert progress.message is not None
        raise LookupError(len(progress.message))

    with pytest.raises(LookupError, match="16000"):
        await run(processes, Do("report one"), report=report)
    assert processes.statistics().alive == 0
