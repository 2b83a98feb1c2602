"""Handlers in worker processes: what they are given, and what comes of them."""

from __future__ import annotations

import os
import sys

import pytest
import trio

from triphase.endings import (
    CancelledItself,
    Died,
    Ending,
    FailedItself,
    HandlerOutcome,
    Raised,
    Refused,
    Returned,
    Snoozed,
)
from triphase.processes import Processes
from triphase_protocol import Progress

from .conftest import run, start
from .jobs import process_jobs

pytestmark = pytest.mark.slow

Do, Measure = process_jobs.Do, process_jobs.Measure


async def test_a_result_is_stored_by_its_declared_type_and_progress_arrives(
    processes: Processes,
) -> None:
    said: list[Progress] = []
    ending = await run(processes, Measure(7), "first", report=said.append)
    assert ending == Ending(Returned({"width": 7, "height": 3}))
    assert said == [Progress(done=1, total=2, message="half")]


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


async def test_whatever_came_of_a_handler_is_told_as_it_is_and_the_worker_is_used_again(
    processes: Processes,
) -> None:
    fates: dict[str, HandlerOutcome] = {
        "snooze": Snoozed(5.0),
        "cancel": CancelledItself("enough"),
        "fail": FailedItself("no such thing"),
    }
    for what, outcome in fates.items():
        assert await run(processes, Do(what)) == Ending(outcome)
    refused = (await run(processes, Do("large"))).outcome
    assert isinstance(refused, Refused)
    assert refused.error.type == "InvalidResult"
    for what, again in [("connection lost", True), ("not found", False)]:
        raised = (await run(processes, Do(what), "picky")).outcome
        assert isinstance(raised, Raised)
        assert raised.again == again
        assert "in picky" in (raised.error.traceback or "")
    assert processes.statistics().started == 1


async def test_what_is_no_exception_is_data_as_well(processes: Processes) -> None:
    for what, name in [("exit", "SystemExit"), ("odd", "Odd")]:
        outcome = (await run(processes, Do(what))).outcome
        assert isinstance(outcome, Raised)
        assert outcome.error.type == name
        assert "in plain" in (outcome.error.traceback or "")


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
    deeds = {"die of a signal": 9, "terminate itself": 15}
    async with trio.open_nursery() as nursery:
        running = {what: start(nursery, processes, Do(what)) for what in deeds}
    for what, number in deeds.items():
        outcome = (await running[what].ending()).outcome
        assert isinstance(outcome, Died)
        assert outcome.signal == number
    assert processes.statistics().died == 2


async def test_what_a_handler_prints_does_not_reach_the_messages(
    processes: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "triphase.process")
    ending = await run(processes, Do("print"))
    assert ending == Ending(Returned(""))
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
