"""trio's loop under a plan: which task runs first, who is held, and what is noticed."""

from __future__ import annotations

import re
from typing import Any

import pytest
import trio
import trio._core._run as trio_run
import trio.testing

from triphase_simulations.plan import Plan
from triphase_simulations.scheduling import (
    Schedule,
    TrioChanged,
    all_tasks,
    check_trio,
    installed,
    wait_of,
)


def order_of(plan: Plan) -> list[str]:
    """Run three tasks of five steps each; return who took the steps."""
    taken: list[str] = []

    async def walk(name: str) -> None:
        for _ in range(5):
            taken.append(name)
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for name in ("a", "b", "c"):
                nursery.start_soon(walk, name, name=name)

    run(Schedule(plan), main)
    return taken


def run(schedule: Schedule, main: Any) -> None:
    """Run a program under a schedule, with a clock that jumps."""
    with installed(schedule):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_this_release_of_trio_can_be_taken_over() -> None:
    check_trio()


@pytest.mark.parametrize("name", ["_r", "GLOBAL_RUN_CONTEXT", "_ALLOW_DETERMINISTIC_SCHEDULING"])
def test_a_release_of_trio_without_a_name_is_refused_loudly(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delattr(trio_run, name)
    with pytest.raises(TrioChanged, match=rf"trio {trio.__version__} has no .*{name}"):
        check_trio()


def test_a_release_of_trio_that_does_not_ask_is_refused_loudly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run_nothing(*_: Any, **__: Any) -> None: ...

    monkeypatch.setattr(trio, "run", run_nothing)
    with pytest.raises(TrioChanged, match="does not ask for the order"):
        check_trio()


def test_without_a_seed_the_order_is_that_of_the_starts() -> None:
    assert order_of(Plan()) == ["a", "b", "c"] * 5


def test_the_same_seed_is_the_same_order_and_seeds_differ() -> None:
    orders = [tuple(order_of(Plan(seed))) for seed in range(60)]
    assert orders == [tuple(order_of(Plan(seed))) for seed in range(60)]
    assert len(set(orders)) > 5


def test_a_held_task_is_overtaken() -> None:
    order = order_of(Plan(fixed={("hold", "a", 1): 3}))
    assert order == ["a", "b", "c", *["b", "c"] * 3, "a", "b", "c", "a", "a", "a"]


def test_a_stopped_task_stays_until_it_is_let_go() -> None:
    plan = Plan()
    schedule = Schedule(plan)
    taken: list[str] = []

    async def walk(name: str) -> None:
        for _ in range(4):
            taken.append(name)
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        stop = schedule.stop("a", 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(walk, "a", name="a")
            nursery.start_soon(walk, "b", name="b")
            await stop.reached.wait()
            await trio.sleep(10)
            assert taken.count("a") == 2
            assert taken.count("b") == 4
            schedule.let_go(stop)
            schedule.let_go(stop)

    run(schedule, main)
    assert taken.count("a") == 4


def test_a_deadlock_is_noticed() -> None:
    schedule = Schedule(Plan())
    noticed: list[str] = []

    async def main() -> None:
        with trio.CancelScope() as scope:

            def stuck(why: str) -> None:
                noticed.append(why)
                scope.cancel()

            schedule.on_stuck = stuck
            await trio.sleep_forever()

    run(schedule, main)
    assert noticed == ["deadlock: nothing will ever run again"]


def test_time_that_stands_still_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triphase_simulations.scheduling.TURNS_MOST", 50)
    schedule = Schedule(Plan())
    noticed: list[str] = []
    schedule.on_stuck = noticed.append

    async def main() -> None:
        while not noticed:
            await trio.lowlevel.checkpoint()

    run(schedule, main)
    assert noticed == ["livelock: 50 turns of the loop at 0.000 s"]


def test_tasks_are_told_in_the_order_of_their_start_with_where_they_wait() -> None:
    async def sleep_on() -> None:
        await trio.sleep(5)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleep_on, name="first")
            nursery.start_soon(sleep_on, name="second")
            await trio.testing.wait_all_tasks_blocked()
            ours = [task for task in all_tasks() if task.name in ("first", "second")]
            assert [task.name for task in ours] == ["first", "second"]
            assert re.fullmatch(r"sleep_on:\d+ > sleep:\d+", wait_of(ours[0]))

    run(Schedule(Plan()), main)


def test_trio_has_its_own_order_back_afterwards() -> None:
    before = (trio_run._r, trio_run._ALLOW_DETERMINISTIC_SCHEDULING)
    order_of(Plan(3))
    assert (trio_run._r, trio_run._ALLOW_DETERMINISTIC_SCHEDULING) == before
