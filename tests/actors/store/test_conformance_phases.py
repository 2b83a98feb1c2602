"""What every store must do, whatever it is made of: phases, their gates, and how many there are."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from triphase.store import Claim, Limits, Step, Store, Submit
from triphase_protocol import Gate, Job, JobState, PhaseRecord, PhaseState, Timeouts

from . import building
from .building import AT, applied
from .walks import LAYOUTS


async def first(store: Store, operation: Submit | Step | Claim) -> Job:
    """Write an operation that must be applied, and return the job as it is read then."""
    [result] = await store.write([operation])
    job = await store.get(applied(result).job.id)
    assert job is not None
    assert job == applied(result).job
    return job


async def half_done(store: Store, id: str = "a", **fields: Any) -> Job:
    """Complete the first phase of a job, and let the second fail."""
    job = await first(store, building.submit(id, **fields))
    job = await first(store, building.complete(await first(store, building.start(job)), "in.mp4"))
    return await first(store, building.fail(job))


@pytest.mark.parametrize(
    "timeouts", [Timeouts(), Timeouts(queue=1.5), Timeouts(queue=1, run=2.25, job=3e9)]
)
async def test_a_job_keeps_the_timeouts_it_was_submitted_with(
    store: Store, timeouts: Timeouts
) -> None:
    job = await first(store, building.submit("a", timeouts=timeouts))
    assert job.timeouts == timeouts
    step = building.start(attrs.evolve(job, timeouts=Timeouts(run=99.0)))
    await store.write([step])
    read = await store.get("a")
    assert read is not None
    assert read.timeouts == timeouts


async def test_a_gate_is_stored_and_replaced_with_its_phase(store: Store) -> None:
    job = await first(store, building.gated("a", timeout=60.0))
    assert job.gate == ("fetch", Gate(timeout=60.0, asked_at=AT))
    assert job.phases[1].gate is None
    job = await first(store, building.approve(job))
    assert job.phases[0].gate == Gate(asked_at=AT, decided_at=AT + 1, approved=True, by="me")
    job = await first(store, building.start(job))
    assert job.phases[0].gate is not None
    assert (job.phases[0].origin, job.phases[1].origin) == (1, 0)
    job = await first(store, building.complete(job))
    without = (attrs.evolve(job.phases[0], gate=None), job.phases[1])
    step = building.progress(attrs.evolve(job, phases=without))
    job = await first(store, attrs.evolve(step, changed=(0, 1)))
    assert job.phases[0].gate is None


async def test_a_step_may_leave_fewer_phases(store: Store) -> None:
    job = await half_done(store, phases=["fetch", "encode", "check", "publish"])
    other = await half_done(store, "b", phases=["fetch", "encode", "check", "publish"])
    job = await first(store, building.translate(job, ["fetch", "publish"]))
    assert [phase.name for phase in job.phases] == ["fetch", "publish"]
    assert job.phases[0].result == "in.mp4"
    job = await first(store, building.complete(await first(store, building.start(job)), "out"))
    assert (job.state, job.result) == (JobState.COMPLETED, "out")
    assert await store.get("b") == other


async def test_a_step_may_add_phases(store: Store) -> None:
    job = await half_done(store)
    step = building.translate(job, ["fetch", "encode", "check", "publish"])
    assert (step.phases, step.changed) == (4, (1, 2, 3))
    job = await first(store, step)
    assert [phase.name for phase in job.phases] == ["fetch", "encode", "check", "publish"]
    assert job.phases[0].result == "in.mp4"
    assert [phase.state for phase in job.phases[1:]] == [PhaseState.PENDING] * 3


async def test_phases_may_be_replaced_by_as_many(store: Store) -> None:
    job = await half_done(store)
    job = await first(store, building.translate(job, ["encode", "fetch"]))
    assert job.phases == (PhaseRecord(name="encode"), PhaseRecord(name="fetch"))


async def test_a_step_that_says_how_many_phases_writes_only_those_that_changed(
    store: Store,
) -> None:
    job = await half_done(store, phases=["fetch", "encode", "check"])
    # Whoever makes the step has lost the result on the way.
    lossy = (attrs.evolve(job.phases[0], result=None), *job.phases[1:])
    step = building.retry(attrs.evolve(job, phases=lossy))
    await store.write([attrs.evolve(step, phases=2)])
    read = await store.get("a")
    assert read is not None
    assert [phase.result for phase in read.phases] == ["in.mp4", None]


async def test_a_step_that_says_nothing_leaves_the_other_phases(store: Store) -> None:
    job = await half_done(store, phases=["fetch", "encode", "check"])
    job = await first(store, building.retry(job))
    assert len(job.phases) == 3


async def test_a_rejected_step_leaves_the_phases_that_it_would_remove(store: Store) -> None:
    job = await half_done(store)
    stale = attrs.evolve(building.translate(job, ["fetch"]), version=job.version - 1)
    await store.write([stale])
    assert await store.get("a") == job


async def test_a_claim_may_change_how_many_phases_there_are(store: Store) -> None:
    job = await first(store, building.submit("a", phases=["fetch", "encode"]))
    step = building.start(job)
    started, *_ = step.job.phases
    translated = attrs.evolve(step.job, phases=(started,))
    step = attrs.evolve(step, job=translated, phases=1)
    job = await first(store, Claim(step=step, limits=Limits(total=1, queue=1)))
    assert len(job.phases) == 1


async def test_phases_may_change_again_and_again(store: Store) -> None:
    job = await half_done(store)
    for layout in LAYOUTS * 2:
        job = await first(
            store, building.cancel(await first(store, building.translate(job, layout)))
        )
        assert tuple(phase.name for phase in job.phases) == layout
