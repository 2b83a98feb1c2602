"""Every blocker has words."""

from __future__ import annotations

import time
from typing import get_args

import pytest

from triphase.cli.blockers import words_of
from triphase_protocol import (
    Blocker,
    Draining,
    JobState,
    NotApproved,
    NotDue,
    NotWaiting,
    QueueFull,
    QueuePaused,
    QueueUnknown,
    StoreFull,
    TypeUnknown,
)

WORDS: list[tuple[Blocker, str]] = [
    (QueuePaused("media"), "queue media is paused: `triphase queue resume media` goes on"),
    (QueueFull("media", 4, 4), "queue media is full: 4 of 4 slots are in use"),
    (
        QueueFull("media", 4, 3),
        "queue media is full: 3 of 4 slots are in use, and jobs before it take the others",
    ),
    (StoreFull(100, 101), "the runtime is full: 101 of 100 slots are in use"),
    (QueueUnknown("media"), "the runtime has no queue media"),
    (TypeUnknown("Film"), "the runtime has no job type Film"),
    (NotDue(0.0), "it is not due before 1970-01-01T00:00:00.000Z, which is now"),
    (NotApproved("cut", 1.0, None), "it waits for the approval of cut"),
    (
        NotApproved("cut", 1.0, 60.0),
        "it waits for the approval of cut, and is rejected without it at 1970-01-01T00:01:00.000Z",
    ),
    (Draining(), "the runtime drains: it starts nothing more, and the next one will"),
]


@pytest.mark.parametrize(("blocker", "words"), WORDS)
def test_a_blocker_is_a_sentence(blocker: Blocker, words: str) -> None:
    assert words_of(blocker) == words


def test_a_time_to_come_is_told_as_a_wait() -> None:
    assert words_of(NotDue(time.time() + 90)).endswith("in 1 m 30 s")


@pytest.mark.parametrize("state", JobState)
def test_every_state_has_words(state: JobState) -> None:
    assert words_of(NotWaiting(state)).startswith("it ")


def test_every_kind_has_words() -> None:
    told = {type(blocker) for blocker, _ in WORDS}
    assert told | {NotWaiting} == set(get_args(Blocker))
