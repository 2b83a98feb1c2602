from __future__ import annotations

import attrs

from triphase_protocol import EventType

from .played import blamed, calm, event_of, with_event, with_more, with_row


def test_o8_an_event_of_an_older_run() -> None:
    progress = event_of("last", EventType.PHASE_PROGRESS, nth=2)
    assert blamed(with_event(progress.seq, run=0)) == {"O8", "fold"}


def test_o8_a_try_goes_on_when_its_run_is_over() -> None:
    assert "O8" in blamed(with_more(EventType.PHASE_COMPLETED, "stays", "a"))


def test_o8_a_run_is_started_twice() -> None:
    started = event_of("last", EventType.JOB_STARTED, nth=2)
    assert "O8" in blamed(with_event(started.seq, run=started.run - 1))


def test_o20_a_gap_in_the_log() -> None:
    last = calm().log[-1]
    assert "O20" in blamed(with_event(last.seq, seq=last.seq + 1))


def test_o20_a_gap_in_the_versions() -> None:
    last = calm().log[-1]
    assert "O20" in blamed(with_event(last.seq, version=last.version + 1))


def test_o20_an_event_outside_of_any_transaction() -> None:
    assert blamed(attrs.evolve(calm(), groups=calm().groups[:-1])) == {"O20"}


def test_fold_a_row_of_another_version() -> None:
    history = with_row("third", lambda row: attrs.evolve(row, version=row.version + 1))
    assert blamed(history) == {"fold"}


def test_fold_a_row_that_has_gone() -> None:
    jobs = tuple(row for row in calm().jobs if row.key != "third")
    assert blamed(attrs.evolve(calm(), jobs=jobs)) == {"fold"}


def test_fold_a_row_without_a_log() -> None:
    jobs = (*calm().jobs, attrs.evolve(calm().jobs[0], id="j99", key=None))
    assert "fold" in blamed(attrs.evolve(calm(), jobs=jobs))
