"""What would leave a simulation raises where it is called; time and chance are the seed's."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable

import pytest
import trio

from triphase_simulations.escapes import SimulationEscape, sealed
from triphase_simulations.plan import Plan
from triphase_simulations.world import World


def sleep_really() -> None:
    time.sleep(1)


def start_thread() -> None:
    threading.Thread(target=print).start()


def start_process() -> None:
    subprocess.run(["true"], check=True)


def connect() -> None:
    socket.create_connection(("127.0.0.1", 9))


def bind() -> None:
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))


@pytest.mark.parametrize("escape", [sleep_really, start_thread, start_process, connect, bind])
def test_an_escape_raises_where_it_is_called(escape: Callable[[], None]) -> None:
    async def main() -> None:
        with pytest.raises(SimulationEscape, match="in a simulation") as raised:
            escape()
        assert escape.__name__ in [entry.name for entry in raised.traceback]
        await trio.lowlevel.checkpoint()

    World(Plan(1)).run(main)


def test_a_real_process_of_trio_raises() -> None:
    async def main() -> None:
        with pytest.raises(SimulationEscape, match="process"):
            await trio.run_process(["true"])

    World(Plan(1)).run(main)


def test_time_is_virtual() -> None:
    async def main() -> None:
        began = time.monotonic(), time.time(), time.perf_counter()
        await trio.sleep(3600)
        ended = time.monotonic(), time.time(), time.perf_counter()
        assert [b - a for a, b in zip(began, ended, strict=True)] == pytest.approx([3600] * 3)

    real = time.monotonic()
    World(Plan(1)).run(main)
    assert time.monotonic() - real < 60


def test_a_function_for_a_thread_runs_at_once() -> None:
    async def main() -> None:
        ran_in = await trio.to_thread.run_sync(threading.get_ident)
        assert ran_in == threading.get_ident()

    World(Plan(1)).run(main)


def draws(seed: int) -> list[object]:
    found: list[object] = []

    async def main() -> None:
        found.extend([random.random(), uuid.uuid4(), os.urandom(4), random.SystemRandom().random()])
        await trio.lowlevel.checkpoint()

    World(Plan(seed)).run(main)
    return found


def test_chance_is_the_seeds() -> None:
    assert draws(4) == draws(4)
    assert not set(map(str, draws(4))) & set(map(str, draws(5)))


def test_everything_is_as_it_was_afterwards() -> None:
    random.seed(5)
    expected = random.Random(5).random()
    before = time.time, time.sleep, os.urandom, threading.Thread.start, socket.socket.connect
    with pytest.raises(ZeroDivisionError), sealed(1, lambda: 0.0):
        raise ZeroDivisionError
    after = time.time, time.sleep, os.urandom, threading.Thread.start, socket.socket.connect
    assert before == after
    assert random.random() == expected
