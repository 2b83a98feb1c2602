"""Processes that share work: in order, and gone when nobody waits for them."""

from __future__ import annotations

import operator
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from triphase_simulations.workers import WorkerFailed, Workers


@pytest.fixture
def pool() -> Iterator[Workers]:
    """Two processes."""
    with Workers(2) as pool:
        yield pool


def is_alive(pid: int) -> bool:
    """Is there such a process, and not only what is left of it?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A pipe with a name: to read it whole takes until somebody else has written it."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_results_come_in_order_whoever_is_slow(pool: Workers, pipe: Path) -> None:
    # The first is done when the last has been.
    numbers = [(operator.neg, n) for n in range(1, 10)]
    calls = [(Path.read_text, pipe), *numbers, (Path.write_text, pipe, "written")]
    assert list(pool.map(operator.call, calls)) == ["written", *range(-1, -10, -1), 7]


def test_nothing_to_do_starts_nothing() -> None:
    with Workers(2) as pool:
        assert list(pool.map(operator.neg, [])) == []


def test_the_processes_are_used_again_and_end_with_the_block() -> None:
    with Workers(2) as pool:
        first = set(pool.map(os.getpid, [()] * 20))
        second = set(pool.map(os.getpid, [()] * 20))
        assert first == second
        assert os.getpid() not in first
        assert all(is_alive(pid) for pid in first)
    assert not any(is_alive(pid) for pid in first)


def test_an_error_says_where_it_was_raised(pool: Workers) -> None:
    with pytest.raises(WorkerFailed, match="ValueError: invalid literal"):
        list(pool.map(int, [("1",), ("x",), ("2",)]))
    # And others come in the place of those that were at work.
    assert list(pool.map(operator.neg, [(1,), (2,)])) == [-1, -2]


def test_a_death_is_noticed(pool: Workers) -> None:
    with pytest.raises(WorkerFailed, match="has died"):
        list(pool.map(os._exit, [(3,)]))


def test_whoever_stops_waiting_ends_them(pool: Workers, pipe: Path) -> None:
    (pid,) = pool.map(os.getpid, [()])
    for_ever = (Path.read_text, pipe)
    answers = pool.map(operator.call, [(operator.neg, 1), for_ever, for_ever])
    assert next(answers) == -1
    answers.close()
    assert not is_alive(pid)


def test_no_interrupt_reaches_them(pool: Workers) -> None:
    (pid,) = pool.map(os.getpid, [()])
    os.kill(pid, signal.SIGINT)
    assert list(pool.map(os.getpid, [()])) == [pid]
