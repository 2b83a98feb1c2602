"""The world: a seed is a run, and a death is one."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

import triphase
from triphase.store import Disk, SimulatedStore
from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.plan import Plan
from triphase_simulations.running import run_scenario
from triphase_simulations.scenario import Anchor, JobPlan, Op, Scenario
from triphase_simulations.world import Process, ProcessKilled, Stuck, World, WorldStore

KINDS = ("hold", "stall", "crash", "step", "refuse")
TYPE = TypeSpec(
    name="Three",
    phases=(
        PhaseSpec(name="a"),
        PhaseSpec(name="b", attempts=3, timeout=20.0),
        PhaseSpec(name="c", plain=True),
    ),
)


def scenario() -> Scenario:
    """Two jobs with a retry, one of them cancelled at a boundary, and a restart."""
    script: dict[str, Any] = {
        "a": [[["progress", 1], ["sleep", 1.0], ["return", 1]]],
        "b": [[["sleep", 0.5], ["raise", "ConnectionError"]], [["return", {"x": 1}]]],
        "c": [[["progress", 3], ["return", "ok"]]],
    }
    jobs = tuple(JobPlan(name=f"k{n}", type="Three", at=0.1 * n, script=script) for n in range(2))
    boundary = Anchor(event="phase.completed", job="k0", phase="a")
    ops = (Op(what="cancel", job="k0", when=boundary), Op(what="restart", when=Anchor(at=1.2)))
    return Scenario(suite="test", types=(TYPE,), jobs=jobs, ops=ops, kinds=KINDS)


def hash_of(seed: int) -> str:
    """Return the hash of what happens with a seed."""
    return run_scenario(scenario(), Plan(seed, kinds=frozenset(KINDS))).hash()


# Determinism


def test_the_same_seed_is_the_same_run_and_seeds_differ() -> None:
    hashes = [hash_of(seed) for seed in range(12)]
    assert hashes == [hash_of(seed) for seed in range(12)]
    assert len(set(hashes)) > 8


def test_a_recorded_plan_does_the_same_again() -> None:
    for seed in range(1, 8):
        plan = Plan(seed, kinds=frozenset(KINDS))
        first = run_scenario(scenario(), plan)
        again = Plan(seed, kinds=frozenset(), fixed=dict(plan.used))
        assert run_scenario(scenario(), again).hash() == first.hash()


@pytest.mark.slow
def test_hash_seeds_and_garbage_collections_make_no_difference() -> None:
    folder = Path(__file__).parent
    program = (
        f"import sys; sys.path.insert(0, {str(folder)!r})\n"
        "import gc, test_world\n"
        "hashes = [test_world.hash_of(seed) for seed in range(6)]\n"
        "gc.set_threshold(7, 2, 2)\n"
        "assert hashes == [test_world.hash_of(seed) for seed in range(6)]\n"
        "print(*hashes)\n"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "4711")
    }
    gc.disable()
    try:
        here = " ".join(hash_of(seed) for seed in range(6)) + "\n"
    finally:
        gc.enable()
    assert printed == {here}


# Deaths


@triphase.job()
class Write:
    @triphase.phase()
    async def write(self, ctx: triphase.Context) -> str:
        await trio.sleep(10)
        return "written"


async def serve(world: World, process: Process, disk: Disk, tell: list[str]) -> None:
    """Run a runtime that writes at its end what a process that is killed must not."""
    async with triphase.open_runtime(
        [Write], store=WorldStore(world, process, disk), clock=world.clock, entropy=world.entropy()
    ) as runtime:
        await runtime.submit(Write(), key="one")
        try:
            await trio.sleep_forever()
        finally:
            tell.append("left")
            with trio.CancelScope(shield=True):
                await runtime.submit(Write(), key="two")
                tell.append("submitted")


def test_what_is_killed_writes_nothing_and_its_finally_reaches_no_disk() -> None:
    world, disk, tell = World(Plan()), Disk(), list[str]()

    async def main() -> None:
        async def node(process: Process) -> None:
            await serve(world, process, disk, tell)

        process = world.start("node", node)
        await trio.sleep(1)
        before = disk.last_seq
        assert [job.key for job in disk.records()] == ["one"]
        world.kill(process, "to see what happens")
        assert process.ended.is_set()
        await trio.sleep(100)
        assert (tell, disk.last_seq) == ([], before)

    world.run(main)
    assert [job.key for job in disk.records()] == ["one"]
    assert "submitted" not in tell


@pytest.mark.parametrize(
    ("site", "kept"),
    [("store.before", 0), ("store.apply", 0), ("store.commit", 0), ("store.after", 1)],
)
def test_a_death_at_a_point_of_the_store_keeps_what_was_durable(site: str, kept: int) -> None:
    world, disk = World(Plan(fixed={("crash", site, 0): 1})), Disk()
    lives: list[Process] = []

    async def main() -> None:
        async def node(process: Process) -> None:
            await serve(world, process, disk, [])

        lives.append(world.start("node", node))
        await lives[0].ended.wait()

    world.run(main)
    assert lives[0].dead
    assert len(disk.records()) == kept


def test_a_commit_is_heard_of_by_the_world_though_the_process_dies_of_it() -> None:
    world, disk, seen = World(Plan(fixed={("crash", "store.after", 0): 1})), Disk(), list[int]()

    def committed(store: SimulatedStore) -> None:
        seen.append(disk.last_seq)

    world.on_commit.append(committed)

    async def main() -> None:
        async def node(process: Process) -> None:
            await serve(world, process, disk, [])

        await world.start("node", node).ended.wait()

    world.run(main)
    assert seen == [disk.last_seq]


def test_a_process_kills_itself_and_runs_no_step_more() -> None:
    world, taken = World(Plan()), list[str]()

    async def main() -> None:
        async def node(process: Process) -> None:
            process.spawn(other, name="other")
            await trio.sleep(1)
            world.die(process, "by its own hand")

        async def other() -> None:
            while True:
                taken.append("step")
                await trio.sleep(0.3)

        process = world.start("node", node)
        await process.ended.wait()
        count = len(taken)
        await trio.sleep(10)
        assert len(taken) == count
        assert not process.spawn(other, name="late")
        assert world.start("node", node).lane == "node#2"

    world.run(main)
    assert [entry.what for entry in world.history.entries][:2] == ["started", "killed"]


def test_the_dead_are_no_exceptions() -> None:
    assert not issubclass(ProcessKilled, Exception)


# Stuck


def test_a_deadlock_is_reported_with_who_waits_where() -> None:
    world = World(Plan())

    async def wait_for_each_other(event: trio.Event) -> None:
        await event.wait()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_each_other, trio.Event(), name="left")
            nursery.start_soon(wait_for_each_other, trio.Event(), name="right")

    with pytest.raises(BaseExceptionGroup) as raised:
        world.run(main)
    found = raised.value.split(Stuck)[0]
    assert found
    text = "".join(str(error) for error in leaves(found))
    assert "deadlock: nothing will ever run again" in text
    assert "  left: wait_for_each_other:" in text
    assert "  right: wait_for_each_other:" in text


def leaves(error: BaseException) -> list[BaseException]:
    """Return what a group holds, however deep."""
    inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    return [leaf for each in inner for leaf in leaves(each)] or [error]
