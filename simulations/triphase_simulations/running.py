"""Running a scenario in a world: who submits, who does what when, and how it all ends."""

from __future__ import annotations

import functools
from typing import Any, Final

import attrs
import trio

import triphase
from triphase.store import Disk, SimulatedStore
from triphase_protocol import Event, HookState, InvalidValue, JobState, TriphaseError

from .cast import approval_of, job_type
from .clients import DOWN, NODE, Call, ClientProgram, ask_in, serve, small_memory
from .history import History
from .network import Network
from .pictures import PictureProgram
from .plan import Plan
from .receivers import SECRET, SECRET_NAME, Receivers
from .scenario import Anchor, JobPlan, Op, Scenario, SendingPlan
from .watching import OutboxWatch
from .webhooks import sending_of, webhooks_of
from .world import Process, World, WorldStore

PATIENCE: Final = 400.0
"""Virtual seconds that jobs have to end by themselves once nothing disturbs them any more, and
again after they were cancelled."""

OPS_MOST: Final = 100.0
"""Virtual seconds that an operation waits for its moment."""


def run_scenario(scenario: Scenario, plan: Plan) -> History:
    """Run a scenario to its end; return what happened.

    Raises:
      Stuck: if nothing would ever happen any more, or time stands still.
    """
    world = World(plan)
    stage = Stage(world, scenario)
    return world.run(stage.play)


@attrs.define(eq=False)
class _Moments:
    """Fires when what an anchor names was committed."""

    waiting: list[tuple[Anchor, trio.Event]] = attrs.field(factory=list[Any])
    seen: dict[Anchor, int] = attrs.field(factory=dict[Anchor, int])

    def note(self, event: Event, name: str | None) -> None:
        """An event was committed, of the job of that name."""
        for anchor, reached in self.waiting:
            if reached.is_set() or anchor.event != event.type.value:
                continue
            if anchor.job in (None, name) and anchor.phase in (None, event.phase):
                self.seen[anchor] = self.seen.get(anchor, 0) + 1
                if self.seen[anchor] >= anchor.nth:
                    reached.set()


class Stage:
    """One run of one scenario.

    Args:
      world: where.
      scenario: what.

    Raises:
      TriphaseError: if it is one that cannot be played.
    """

    def __init__(self, world: World, scenario: Scenario) -> None:
        self.world = world
        self.scenario = scenario
        self.disk = Disk()
        self.types = {spec.name: job_type(spec) for spec in scenario.types}
        self.ids: dict[str, str] = {}
        """The jobs' ids by their names, once they are known."""

        self._names: dict[str, str] = {}
        self._moments = _Moments()
        self._log: list[Event] = []
        self._groups: list[int] = []
        self._process: Process | None = None
        self._runtime: triphase.Runtime | None = None
        self._up = trio.Event()
        self._leave = trio.Event()
        self._changed = trio.Event()
        self._written = trio.Event()
        self._over = False
        self._cursor = 0
        self._receivers = Receivers(world, scenario.receivers, lambda: self.disk.last_seq)
        self._watch = OutboxWatch(world, self.disk) if scenario.receivers else None
        self._sending = sending_of(scenario.sending or SendingPlan())
        self._webhooks = webhooks_of(scenario.webhooks)
        self._webhooks_of = {job.name: webhooks_of(job.webhooks) for job in scenario.jobs}
        network = Network(world, scenario.capacity)
        self._network = network
        self.programs = {
            plan.name: ClientProgram(world, network, plan, self.ids, self._id_of, self._last_seq)
            for plan in scenario.clients
        }
        _check_clients(scenario)
        pictures = [PictureProgram(world, network, plan) for plan in scenario.pictures]
        self._followers: list[ClientProgram | PictureProgram] = [*self.programs.values(), *pictures]
        world.on_commit.append(self._committed)

    async def play(self) -> None:
        """Play it to its end."""
        with small_memory(self.scenario.ring):
            await self._play()
        self._write_down()

    async def _play(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_up, name="keeper")
            for program in self._followers:
                nursery.start_soon(program.keep_up, name=f"keeper:{program.plan.name}")
            async with trio.open_nursery() as acts:
                for job in self.scenario.jobs:
                    acts.start_soon(self._submit, job, name=f"submitter:{job.name}")
                for number, op in enumerate(self.scenario.ops):
                    acts.start_soon(self._act, op, number, name=f"actor:{number}")
            self.world.plan.quiet = True
            self.world.note("world", "quiet")
            self.world.history.settled = await self._settle()
            await self._catch_up()
            self._over = True
            await self._go_down()
            nursery.cancel_scope.cancel(reason="it is over")

    def _write_down(self) -> None:
        history = self.world.history
        history.log, history.groups = tuple(self._log), tuple(self._groups)
        history.jobs = tuple(self.disk.records())
        history.hooks, history.disabled = tuple(self.disk.hooks()), self.disk.disabled()
        history.used = dict(self.world.plan.used)
        moved = any(op.what == "limit" for op in self.scenario.ops)
        history.limits = {} if moved else {**self.scenario.limits, "": self.scenario.limit}

    # The process, and its lives

    async def _keep_up(self) -> None:
        """Start the process, and start it again whenever it has gone."""
        while not self._over:
            self._leave = trio.Event()
            self._process = self.world.start(NODE, self._node)
            await self._process.ended.wait()
            self._runtime = None
            if self._up.is_set():
                # Whoever waits for a life that never came waits for the next one.
                self._up = trio.Event()
            await trio.sleep(DOWN)

    async def _node(self, process: Process) -> None:
        scenario, world = self.scenario, self.world
        retention, served = scenario.retention, None
        try:
            async with triphase.open_runtime(
                list(self.types.values()),
                store=WorldStore(world, process, self.disk),
                queues={name: triphase.Queue(limit) for name, limit in scenario.limits.items()},
                limit=scenario.limit,
                retention=None if retention is None else triphase.Retention(delete_after=retention),
                drain_timeout=scenario.drain_timeout,
                clock=world.clock,
                entropy=world.entropy(),
                webhooks=self._webhooks,
                secrets={SECRET_NAME: SECRET},
                sending=attrs.evolve(self._sending, sender=self._receivers.sender(process)),
            ) as runtime:
                self._runtime = runtime
                if scenario.followed:
                    process.spawn(self._follow, process, runtime, name="follower")
                if scenario.clients or scenario.pictures:
                    served = trio.Event()
                    process.spawn(self._serve, process, runtime, served, name="gateway")
                self._up.set()
                await self._leave.wait()
                world.note(process.lane, "leaving")
        except TriphaseError as exc:
            # A store that refuses again and again ends a runtime; whoever runs it starts another.
            world.note(process.lane, "crashed", error=type(exc).__name__, message=str(exc))
        if served is not None:
            await served.wait()

    async def _serve(self, process: Process, runtime: triphase.Runtime, served: trio.Event) -> None:
        """Serve clients until the runtime has closed, and they have been told so."""
        try:
            await serve(self._network, process, runtime)
        finally:
            served.set()

    async def _go_down(self) -> None:
        """Have the process leave in good order, if it is there."""
        process = self._process
        if process is not None and not process.dead:
            self._leave.set()
            await process.ended.wait()

    async def _follow(self, process: Process, runtime: triphase.Runtime) -> None:
        """Follow the events, as a client whose cursor outlives the process."""
        try:
            async for event in runtime.events(after=min(self._cursor, self.disk.last_seq)):
                self._cursor = event.seq
                self.world.note(
                    process.lane, "heard", seq=event.seq, job=event.job, version=event.version
                )
                try:
                    record = await runtime.get(event.job)
                except triphase.JobNotFound:
                    self.world.note(process.lane, "read", job=event.job, after=event.seq, gone=True)
                    continue
                self.world.note(
                    process.lane,
                    "read",
                    job=event.job,
                    after=event.seq,
                    version=record.version,
                    state=record.state.value,
                )
        except TriphaseError as exc:
            self.world.note(process.lane, "follower ended", error=type(exc).__name__)

    def _committed(self, store: SimulatedStore) -> None:
        """A transaction is durable, and nobody has heard of it."""
        written, self._written = self._written, trio.Event()
        written.set()
        if self._watch is not None and isinstance(store, WorldStore):
            self._watch.committed(store.writing)
        fresh = store.committed
        if not fresh:
            return
        for event in fresh:
            self._log.append(event)
            if event.type.value == "job.submitted":
                key = self.disk.key_of(event.job)
                if key is not None:
                    self._names[event.job], self.ids[key] = key, event.job
            self._moments.note(event, self._names.get(event.job))
        self._groups.append(fresh[-1].seq)
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    async def _id_of(self, name: str) -> str:
        """Return the id of a job, once it is known."""
        while name not in self.ids:
            await self._changed.wait()
        return self.ids[name]

    def _last_seq(self) -> int:
        return self._log[-1].seq if self._log else 0

    # What clients do

    async def _ask(self, via: str | None, lane: str, call: Call, **about: Any) -> Any:
        """Ask something of the runtime, or of a client program; see `ask_in`."""
        if via is not None:
            return await self.programs[via].ask(lane, call, **about)
        while self._runtime is None:
            await self._up.wait()
        process, runtime = self._process, self._runtime
        assert process is not None, "a runtime lives in a process"
        return await ask_in(process, runtime, lane, call, **about)

    async def _submit(self, job: JobPlan) -> None:
        await trio.sleep(job.at)
        payload = self.types[job.type](script=job.script)

        async def submit(runtime: triphase.Runtime) -> Any:
            return await runtime.submit(
                payload,
                key=job.name,
                delay=job.delay,
                webhook=self._webhooks_of[job.name],
                priority=job.priority,
                queue_timeout=job.queue_timeout,
                approval=approval_of(job.approval),
            )

        # With its key it may be submitted until somebody has said that it was accepted.
        while True:
            answer = await self._ask(
                job.via, f"client:{job.name}", submit, op="submit", name=job.name
            )
            if isinstance(answer, triphase.JobHandle):
                return
            if isinstance(answer, TriphaseError) and answer.code not in (
                "store_unavailable",
                "closed",
                "crashed",
            ):
                return
            await trio.sleep(DOWN)

    async def _act(self, op: Op, number: int) -> None:
        with trio.move_on_after(OPS_MOST):
            await self._moment(op.when)
            await self._do(op, number)
            return
        self.world.note(f"op:{number}", "dropped", op=op.what, name=op.job)

    async def _moment(self, anchor: Anchor) -> None:
        if anchor.at is not None:
            await trio.sleep(anchor.at)
        if anchor.event is not None:
            reached = trio.Event()
            self._moments.waiting.append((anchor, reached))
            await reached.wait()
        if anchor.offset:
            await trio.sleep(anchor.offset)

    async def _do(self, op: Op, number: int) -> None:
        world, lane = self.world, f"op:{number}"
        match op.what:
            case "crash" if op.via is not None:
                self.programs[op.via].die()
            case "deaf" if op.via is not None:
                self.programs[op.via].hear_nothing(op.about)
            case "crash":
                if self._process is not None:
                    world.kill(self._process, "as the scenario says")
            case "restart":
                world.note(lane, "asked", op="restart", name=None)
                await self._go_down()
            case "step":
                world.clock.step(op.about)
                world.note("clock", "stepped", seconds=op.about)
            case _:
                id = "" if op.job is None else await self._id_of(op.job)
                about = {"op": op.what, "name": op.job}
                if op.via is not None:
                    about["job"] = id
                await self._ask(op.via, lane, lambda subject: _call(subject, op, id), **about)

    # The end

    async def _settle(self) -> bool:
        """Let what is left come to its end; False if it does not."""
        for queue in self._queues():
            await self._insist(functools.partial(_resume, queue), op="resume")
        if self.scenario.receivers and any(op.what == "drain" for op in self.scenario.ops):
            # What is drained sends nothing any more: that is left to the next life.
            await self._go_down()
        # What waits for ever does so until it is told to stop; then it has to.
        return (
            await self._all_end(by_itself=True) or await self._all_end(by_itself=False)
        ) and await self._all_sent()

    async def _all_sent(self) -> bool:
        """Let each delivery come to its end; False if one does not."""
        with trio.move_on_after(PATIENCE):
            while any(hook.state is HookState.PENDING for hook in self.disk.hooks()):
                await self._written.wait()
            return True
        return False

    async def _all_end(self, *, by_itself: bool) -> bool:
        told: dict[str, int] = {}
        with trio.move_on_after(PATIENCE):
            while True:
                left = self.disk.unfinished()
                if not left:
                    return True
                for job in left:
                    call = self._nudge(job, by_itself)
                    if call is not None and told.get(job.id) != job.run:
                        told[job.id] = job.run
                        await self._insist(call, op="nudge")
                        break
                else:
                    await self._changed.wait()
        return False

    async def _catch_up(self) -> None:
        """Let the client programs hear of all that there was, and have their answers."""
        with trio.move_on_after(PATIENCE):
            for program in self._followers:
                await program.settled(self._log)

    def _nudge(self, job: triphase.Job, by_itself: bool) -> Call | None:
        """Return what brings a job nearer to its end, if somebody has to do something."""
        if job.state is JobState.GATED:
            return functools.partial(_approve, job.id)
        return None if by_itself else functools.partial(_cancel, job.id)

    async def _insist(self, call: Call, *, op: str) -> None:
        """Do something until somebody has answered."""
        answered = False

        async def call_and_note(runtime: triphase.Runtime) -> None:
            nonlocal answered
            try:
                await call(runtime)
            finally:
                answered = True

        while not answered:
            await self._ask(None, "end", call_and_note, op=op)

    def _queues(self) -> list[str]:
        return sorted({spec.queue for spec in self.scenario.types} | set(self.scenario.limits))


def _check_clients(scenario: Scenario) -> None:
    """Check that whoever is named is there.

    Raises:
      InvalidValue: if it is not.
    """
    there = {None, *(client.name for client in scenario.clients)}
    for job in scenario.jobs:
        if job.via not in there:
            raise InvalidValue(f"job {job.name}: via={job.via!r}: there is no such client")
    for number, op in enumerate(scenario.ops):
        if op.via not in there:
            raise InvalidValue(f"op {number}, {op.what}: via={op.via!r}: there is no such client")


async def _resume(queue: str, runtime: triphase.Runtime) -> None:
    await runtime.resume(queue)


async def _cancel(id: str, runtime: triphase.Runtime) -> None:
    await runtime.cancel(id, reason="it is time")


async def _approve(id: str, runtime: triphase.Runtime) -> None:
    await runtime.approve(id)


async def _call(runtime: Any, op: Op, id: str) -> Any:
    match op.what:
        case "cancel":
            return await runtime.cancel(id, reason="scripted", by="somebody")
        case "retry":
            return await runtime.retry(id, from_phase=op.about)
        case "approve":
            return await runtime.approve(id, by="somebody")
        case "reject":
            return await runtime.reject(id, by="somebody")
        case "wait":
            return await runtime.wait(id, timeout=op.about)
        case "explain" | "get":
            return await getattr(runtime, op.what)(id)
        case "pause" | "resume":
            return await getattr(runtime, op.what)(op.about)
        case "limit":
            return await runtime.set_limit(op.about[0], op.about[1])
        case "redeliver":
            return await _redeliver(runtime, id, op.about)
        case "drain":
            return await runtime.drain(op.about)
        case _:
            raise ValueError(f"{op.what!r} is nothing that can be done")


async def _redeliver(runtime: triphase.Runtime, job: str, nth: int) -> triphase.Hook:
    hooks = await runtime.hooks(job=job, limit=1000)
    if nth >= len(hooks):
        raise triphase.HookNotFound(f"the job has only {len(hooks)} deliveries")
    return await runtime.redeliver(hooks[nth].id)
