"""What is decided about processes without one: by values alone."""

from __future__ import annotations

import signal

import pytest

from triphase.endings import Died, HandlerOutcome, Returned, TryOutcome, Unfinished, ended_by
from triphase.processes.captured import Captured
from triphase.processes.messages import Began, Ended, FromWorker, Lines, line_of, message_in
from triphase.processes.stopping import KILL_WAIT, REMINDERS, Step, escalation
from triphase.processes.worker_process import Conversation, outcome_of
from triphase_protocol import InvalidValue, Progress, StopHow


def test_the_beginning_and_the_end_are_kept() -> None:
    captured = Captured(3, 3)
    for data in (b"ab", b"cd", b"e" * 100, b"fgh"):
        captured.add(data)
    assert (captured.head, captured.tail) == (b"abc", b"fgh")
    assert (captured.total, captured.dropped) == (107, 101)
    assert captured.text() == "abc\n[101 bytes dropped]\nfgh"


def test_what_fits_is_kept_as_it_is() -> None:
    captured = Captured(3, 3)
    captured.add(b"abcdef")
    assert captured.text() == "abcdef"
    captured.clear()
    assert (captured.text(), captured.total) == ("", 0)


def test_of_a_stream_without_a_beginning_the_end_is_kept() -> None:
    captured = Captured(0, 4)
    for _ in range(50):
        captured.add(b"0123456789")
    assert captured.text() == "6789"


def test_lines_are_put_together_from_pieces() -> None:
    lines = Lines(5)
    assert lines.feed(b"ab") == []
    assert lines.feed(b"c\nde") == [b"abc"]
    assert lines.feed(b"\n\nfghij\n") == [b"de", b"", b"fghij"]


@pytest.mark.parametrize("pieces", [[b"abc", b"def"], [b"abcdef\n"]])
def test_a_line_that_is_too_long_is_refused(pieces: list[bytes]) -> None:
    lines = Lines(5)
    with pytest.raises(InvalidValue, match="more than 5 bytes"):
        [lines.feed(piece) for piece in pieces]


def test_a_message_is_the_same_on_the_other_side() -> None:
    outcome = Returned({"a": [1, None, "\n"]})
    message = Ended(number=3, outcome=outcome, progress=Progress(done=1.5), reusable=True)
    line = line_of(message, FromWorker)
    assert line.count(b"\n") == 1
    assert message_in(line) == message


@pytest.mark.parametrize("line", [b"", b"raw", b"{}", b'{"type": "began"}'])
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(InvalidValue):
        message_in(line)


def test_a_process_is_asked_then_made_to() -> None:
    assert escalation(5) == (
        Step(signal.SIGTERM, 5.0, StopHow.TERMINATED),
        Step(signal.SIGKILL, KILL_WAIT, StopHow.KILLED),
    )
    assert [step.seconds for step in escalation(-1)] == [0.0, KILL_WAIT]


def test_reminders_go_to_the_process_alone_and_take_nothing_from_the_grace() -> None:
    *asked, killed = escalation(5, REMINDERS)
    assert [step.group for step in asked] == [True] + [False] * len(REMINDERS)
    assert sum(step.seconds for step in asked) == pytest.approx(5)
    assert killed.group
    assert len(escalation(0.1, REMINDERS)) == 4


def conversation(ended: HandlerOutcome | None = None, broken: str | None = None) -> Conversation:
    """Return a conversation that is over."""
    talk = Conversation(1, b"", lambda _: None)
    talk.take(Began(number=1))
    if ended is not None:
        talk.take(Ended(number=1, outcome=ended, progress=None, reusable=True))
    if broken is not None:
        talk.break_off(broken)
    return talk


@pytest.mark.parametrize(
    ("talk", "status", "asked", "expected"),
    [
        # Who has ended has ended, asked or not.
        (conversation(Returned(1)), None, False, Returned(1)),
        (conversation(Returned(1)), -15, True, Returned(1)),
        (conversation(Unfinished()), 0, True, Unfinished()),
        # Who was asked and ended without a word did what was asked.
        (conversation(), -15, True, Unfinished()),
        (conversation(), -9, True, Unfinished()),
        (conversation(), None, True, Unfinished()),
        # Who was not asked has died.
        (conversation(), -11, False, "killed by SIGSEGV"),
        (conversation(), 3, False, "exit code 3"),
        (conversation(), None, False, "nothing more was heard"),
        (conversation(Unfinished()), 0, False, "somebody else sent"),
        (conversation(broken="not JSON"), -9, False, "something else than messages: not JSON"),
    ],
)
def test_what_came_of_a_call(
    talk: Conversation, status: int | None, asked: bool, expected: TryOutcome | str
) -> None:
    outcome = outcome_of(talk, status, "last words", asked=asked)
    if isinstance(expected, str):
        assert isinstance(outcome, Died)
        assert expected in outcome.error.message
    else:
        assert outcome == expected


def test_an_unknown_signal_has_a_number() -> None:
    assert ended_by(-63) == "killed by signal 63"
