"""The runtime beside a plain model of it, driven by hypothesis step by step.

Every rule is done to both; afterwards each job must be in the state, the run and the phase that the
model says. The runtime lives in a simulated world, whose processes are really killed.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import hypothesis.strategies as st
import trio
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from tests.simulations.model.table import LOST_MOST, PHASES, TRIES, ModelJob, Refused

import triphase
from triphase.store import Disk
from triphase_protocol import STATES, OnRestart, PhaseState, TriphaseError
from triphase_simulations.guest import Guest
from triphase_simulations.plan import Plan
from triphase_simulations.world import Process, World, WorldStore

LONG = 60.0
"""Virtual seconds in which every backoff and every grace is over."""


class Desk:
    """Where handlers wait to be told how to end."""

    def __init__(self) -> None:
        self._waiting: dict[str, trio.MemorySendChannel[str]] = {}

    async def wait(self, ctx: triphase.Context, stubborn: bool) -> int:
        """Wait for a word, and do what it says."""
        send, receive = trio.open_memory_channel[str](1)
        self._waiting[ctx.job_id] = send
        how = ""
        with trio.CancelScope(shield=stubborn):
            how = await receive.receive()
        if how == "raise":
            raise ConnectionError("as told")
        if how == "snooze":
            raise triphase.Snooze(1.0)
        return ctx.run

    def tell(self, job: str, how: str) -> None:
        """Tell the handler of a job how to end."""
        self._waiting[job].send_nowait(how)


def job_types(desk: Desk) -> dict[str, type[Any]]:
    """Return a job type for each policy of what becomes of interrupted runs."""

    async def act(self: Any, ctx: triphase.Context) -> int:
        return await desk.wait(ctx, self.stubborn)

    def phase(name: str) -> Any:
        @functools.wraps(act)
        async def handler(self: Any, ctx: triphase.Context) -> int:
            return await act(self, ctx)

        handler.__name__ = handler.__qualname__ = name
        approval = triphase.Approval(timeout=None) if name == "b" else None
        retry = triphase.Retry(attempts=TRIES)
        return triphase.phase(retry=retry, approval=approval)(handler)

    def job_type(policy: OnRestart) -> type[Any]:
        body: dict[str, Any] = {
            "__annotations__": {"stubborn": bool},
            "stubborn": attrs.field(default=False),
            **{name: phase(name) for name in PHASES},
        }
        made = type(policy.value.title(), (), body)
        return triphase.job(name=policy.value, on_restart=policy, lost_most=LOST_MOST)(made)

    return {policy.value: job_type(policy) for policy in OnRestart}


class Beside(RuleBasedStateMachine):
    """The runtime and the model of it."""

    jobs: Bundle[str] = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.guest = Guest(World(Plan()))
        self.disk = Disk()
        self.desk = Desk()
        self.types = job_types(self.desk)
        self.model: dict[str, ModelJob] = {}
        self.limit = 1
        self.paused = False
        self.process: Process | None = None
        self.runtime: triphase.Runtime | None = None
        self.leave = trio.Event()

    def teardown(self) -> None:
        """End the world."""
        self.guest.close()

    # The process

    @initialize(limit=st.integers(1, 3))
    def begin(self, limit: int) -> None:
        """Start the first process."""
        self.limit = limit
        self.start()

    def start(self) -> None:
        """Start a process, and wait until it is up."""
        up = trio.Event()
        self.leave = trio.Event()

        async def node(process: Process) -> None:
            async with triphase.open_runtime(
                list(self.types.values()),
                store=WorldStore(self.guest.world, process, self.disk),
                queues={"default": triphase.Queue(self.limit)},
                drain_timeout=0.0,
                clock=self.guest.world.clock,
                entropy=self.guest.world.entropy(),
            ) as self.runtime:
                up.set()
                await self.leave.wait()

        async def begin() -> None:
            self.process = self.guest.world.start("node", node)
            await up.wait()

        self.guest.call(begin)

    def ask(self, call: Callable[[triphase.Runtime], Awaitable[Any]]) -> Any:
        """Do something inside of the process; return what it answers, or its error."""
        runtime, process = self.runtime, self.process
        assert runtime is not None, "the first rule starts a process"
        assert process is not None, "the first rule starts a process"
        answers: list[Any] = []
        answered = trio.Event()

        async def inside() -> None:
            try:
                answers.append(await call(runtime))
            except TriphaseError as exc:
                answers.append(exc)
            answered.set()

        async def outside() -> None:
            process.spawn(inside, name="client")
            await answered.wait()

        self.guest.call(outside)
        return answers[0]

    def both(
        self, call: Callable[[triphase.Runtime], Awaitable[Any]], beside: Callable[[], bool | None]
    ) -> None:
        """Do something to both; they agree whether it is allowed, and what the answer is."""
        answer = self.ask(call)
        try:
            expected = beside()
        except Refused:
            assert isinstance(answer, triphase.IllegalTransition), (
                f"the model refuses, and the runtime answers {answer!r}"
            )
        else:
            assert not isinstance(answer, TriphaseError), f"the model allows it: {answer!r}"
            assert expected in (None, answer), f"{answer!r}, the model: {expected}"

    # What clients do

    @rule(
        target=jobs,
        policy=st.sampled_from(OnRestart),
        stubborn=st.booleans(),
        priority=st.integers(0, 2),
        delay=st.sampled_from([None, 1.0]),
    )
    def submit(self, policy: OnRestart, stubborn: bool, priority: int, delay: float | None) -> str:
        """Submit a job."""
        payload = self.types[policy.value](stubborn=stubborn)
        handle = self.ask(
            lambda runtime: runtime.submit(payload, priority=priority, delay=delay),
        )
        job = ModelJob(policy=policy.value, stubborn=stubborn, priority=priority)
        job.state = "queued" if delay is None else "scheduled"
        self.model[handle.id] = job
        id: str = handle.id
        return id

    @rule(job=jobs)
    def cancel(self, job: str) -> None:
        """Cancel a job."""
        self.both(lambda runtime: runtime.cancel(job), self.model[job].cancel)

    @rule(job=jobs, phase=st.sampled_from([None, *PHASES]))
    def retry(self, job: str, phase: str | None) -> None:
        """Run a job again."""
        beside = functools.partial(self.model[job].retry, phase)
        self.both(lambda runtime: runtime.retry(job, from_phase=phase), beside)

    @rule(job=jobs, approved=st.booleans())
    def decide(self, job: str, approved: bool) -> None:
        """Approve of a job's next phase, or reject it."""

        async def call(runtime: triphase.Runtime) -> bool:
            ask = runtime.approve if approved else runtime.reject
            return (await ask(job, by="ann")).approved is True

        self.both(call, functools.partial(self.model[job].decide, approved))

    @rule(limit=st.integers(1, 3))
    def set_limit(self, limit: int) -> None:
        """Change how many may run."""
        self.ask(lambda runtime: runtime.set_limit("default", limit))
        self.limit = limit

    @rule()
    def pause(self) -> None:
        """Start nothing more."""
        self.ask(lambda runtime: runtime.pause("default"))
        self.paused = True

    @rule()
    def resume(self) -> None:
        """Start jobs again."""
        self.ask(lambda runtime: runtime.resume("default"))
        self.paused = False

    # What handlers, time and fate do

    @rule(job=jobs, how=st.sampled_from(["return", "return", "return", "raise", "snooze"]))
    def finish(self, job: str, how: str) -> None:
        """A handler ends, if one runs."""
        if self.model[job].state in ("running", "stopping"):
            self.desk.tell(job, how)
            self.model[job].finish(how)

    @rule()
    def later(self) -> None:
        """Much time passes."""
        self.guest.call(trio.sleep, LONG)
        for job in self.model.values():
            job.later()

    @rule()
    def crash(self) -> None:
        """The process is killed, and another one started."""

        async def kill() -> None:
            assert self.process is not None, "the first rule starts a process"
            self.guest.world.kill(self.process, "a rule says so")

        self.guest.call(kill)
        for job in self.model.values():
            job.interrupt(lost=True)
        self.start()

    @rule()
    def restart(self) -> None:
        """The process leaves in good order, and another one is started."""

        async def go() -> None:
            self.leave.set()
            assert self.process is not None, "the first rule starts a process"
            await self.process.ended.wait()
            # Leaving takes time if a handler will not stop: so it always does.
            await trio.sleep(LONG)

        self.guest.call(go)
        for job in self.model.values():
            job.interrupt(lost=False)
            job.later()
        self.start()

    # What is compared

    @invariant()
    def agree(self) -> None:
        """Every job is what the model says, once nothing moves any more."""
        if self.runtime is None:
            return
        self.guest.call(trio.testing.wait_all_tasks_blocked)
        rows = {job.id: job for job in self.disk.records()}
        assert rows.keys() == self.model.keys()
        started = [
            id
            for id, job in self.model.items()
            if job.state == "queued" and rows[id].state.value == "running"
        ]
        self.check_started(started)
        for id in started:
            self.model[id].start()
        for id, job in self.model.items():
            row = rows[id]
            assert row.state.value == job.state, f"{id}: {row.state.value}, the model: {job.state}"
            assert row.run == job.run, f"{id}: run {row.run}, the model: {job.run}"
            done = [each.name for each in row.phases if each.state is PhaseState.COMPLETED]
            assert done == list(PHASES[: job.done]), f"{id}: {done}, the model: {job.done}"

    def check_started(self, started: list[str]) -> None:
        """The scheduler has filled the free slots, most urgent first, and no more than those."""
        held = sum(job.state in ("running", "stopping") for job in self.model.values())
        waiting = [id for id, job in self.model.items() if job.state == "queued"]
        free = 0 if self.paused else max(0, self.limit - held)
        assert len(started) == min(free, len(waiting)), (
            f"{len(started)} were started; {free} slots were free, and {len(waiting)} waited"
        )
        urgent = sorted((self.model[id].priority for id in waiting), reverse=True)
        chosen = sorted((self.model[id].priority for id in started), reverse=True)
        assert chosen == urgent[: len(chosen)], "a less urgent job was started first"


def test_the_runtime_does_what_the_model_says() -> None:
    run_state_machine_as_test(
        Beside,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )


def test_every_state_of_the_table_is_in_the_model() -> None:
    said = {"queued", "running", "stopping", "gated", "scheduled"} | {
        state.value for state, spec in STATES.items() if spec.terminal
    }
    assert said == {state.value for state in STATES} - {"detached"}
