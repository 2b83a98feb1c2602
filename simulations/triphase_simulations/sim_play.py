"""One run of a test: its claims, what goes wrong first, and who waits where when nothing ends."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from typing import Any, Final, Self

import trio

from triphase_protocol import STATES, Event, Hook, HookState, Job, TriphaseError

from .plan import Plan
from .scheduling import all_tasks, wait_of
from .services import SERVICES, Services
from .sim_claims import Claims
from .sim_moments import Moment, Moments
from .sim_node import Node
from .world import PROCESS, World

CHAOS: Final = ("hold", "stall")
"""The kinds of perturbation that need nobody's leave."""


class Unsettled(AssertionError):
    """Something did not come to its end though nothing disturbed it; the message says what."""


class Play:
    """See the module's text.

    Args:
      world: where it runs.
      replays: the plan is fixed, and does what it says whatever the test allows.
    """

    def __init__(self, world: World, *, replays: bool = False) -> None:
        self.world = world
        """The world: its history, its plan, its processes."""

        self.claims = Claims()
        """What the test claims."""

        self.node: Node | None = None
        """The process of the runtime, once there is one."""

        self.failure: BaseException | None = None
        """What went wrong first."""

        self._replays = replays
        self._moments = Moments()
        self._exits = ExitStack()
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._services: Services | None = None
        self._ats = 0
        self._busy = 0
        self._waiting: dict[int, trio.CancelScope] = {}
        if not replays:
            self.plan.allow(CHAOS)

    @property
    def plan(self) -> Plan:
        """What disturbs this run."""
        return self.world.plan

    @property
    def seed(self) -> int:
        """The seed of this run; 0 disturbs nothing."""
        return self.plan.seed or 0

    def now(self) -> float:
        """Return the virtual seconds since the beginning."""
        return self.world.now()

    def check(self) -> None:
        """Look at the claims as things are now. Never waits, never raises: the run ends."""
        if self.failure is None:
            try:
                self.claims.check()
            except Exception as exc:
                self.fail(exc)

    def fail(self, error: BaseException) -> None:
        """End the run as failed. The first error counts."""
        if self.failure is None:
            self.failure = single(error)
            self.world.note("test", "failed", error=_said(self.failure))
            self._scope.cancel(reason="the run has failed")

    def unfinished(self) -> list[Job]:
        """Return the jobs that have not ended, as they lie on the disk."""
        return [] if self.node is None else self.node.disk.unfinished()

    def undelivered(self) -> list[Hook]:
        """Return the deliveries of webhooks that are pending, as they lie on the disk."""
        hooks = [] if self.node is None else self.node.disk.hooks()
        return [hook for hook in hooks if hook.state is HookState.PENDING]

    def log(self) -> list[Event]:
        """Return every event that was committed, in order."""
        return [] if self.node is None else list(self.node.log)

    def who_waits(self, why: str) -> str:
        """Return in words what has not ended, and where the tasks outside of triphase wait.

        Args:
          why: the first line.
        """
        lines = [why]
        for job in self.unfinished():
            done = [phase.name for phase in job.phases if STATES[job.state].terminal]
            open_phases = [p for p in job.phases if p.name not in done and p.state != "completed"]
            phase = f", phase {open_phases[0].name}: {open_phases[0].state}" if open_phases else ""
            lines.append(f"  job {job.id} ({job.type}) is {job.state.value}, run {job.run}{phase}")
        for hook in self.undelivered():
            error = f", {hook.error}" if hook.error else ""
            lines.append(f"  a webhook of job {hook.job} to {hook.url} is pending{error}")
        for task in all_tasks():
            process = task.context.get(PROCESS)
            own = task.name.startswith(("at:", "service:", "phase:")) or task.name == "test"
            if own and (process is None or not process.dead):
                lines.append(f"  {task.name} waits at {wait_of(task)}")
        return "\n".join(lines)

    # The run

    async def play(self, test: Callable[[Self], Awaitable[None]], *, most: float) -> None:
        """Run a test in this simulation, to its end or its failure.

        Args:
          test: the test.
          most: virtual seconds that it may take.
        """
        async with trio.open_nursery() as self._nursery:
            with self._exits:
                services = SERVICES.set(self._all_services())
                try:
                    self._nursery.start_soon(self._watch, most, name="watch")
                    done = trio.Event()
                    self._nursery.start_soon(self._test, test, done, name="test")
                    await done.wait()
                except Exception as exc:
                    self.fail(exc)
                finally:
                    SERVICES.reset(services)
                    self._nursery.cancel_scope.cancel(reason="the test is over")
                    self._write_down()

    async def _test(self, test: Callable[[Self], Awaitable[None]], done: trio.Event) -> None:
        try:
            with self._scope:
                try:
                    await test(self)
                    self.check()
                except _failures() as exc:
                    self.fail(exc)
        finally:
            done.set()

    async def _watch(self, most: float) -> None:
        await trio.sleep(most)
        self.fail(Unsettled(self.who_waits(f"the test has not ended in {most:g} virtual seconds")))

    async def _at(
        self,
        number: int,
        moment: Moment,
        call: Callable[..., Awaitable[object]],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        lane = f"at:{number}"
        come = False
        with trio.CancelScope() as scope:
            self._waiting[number] = scope
            try:
                await self._moments.wait(moment)
                come = True
            finally:
                del self._waiting[number]
        if not come:
            self.world.note(lane, "dropped")
            return
        self._busy += 1
        try:
            if seconds := self.plan.next("stall", lane, chance=0.8):
                await trio.sleep(seconds)
            await call(*args, **kwargs)
        except TriphaseError as exc:
            self.world.note(lane, "denied", error=exc.code, message=str(exc))
        except _failures() as exc:
            self.fail(exc)
        finally:
            self._busy -= 1
            if self.node is not None:
                self.node.stir()

    async def _all_ended(self) -> None:
        node = self._the_node()
        while self._busy or self.unfinished() or self.undelivered():
            await node.changed()
        await trio.lowlevel.checkpoint()

    def _crashed(self, error: TriphaseError) -> None:
        if not any(kind == "refuse" for kind, _, _ in self.plan.used):
            self.fail(error)

    def _fix(self, kind: str, site: str, n: int, value: float) -> None:
        self.plan.fixed = {**self.plan.fixed, (kind, site, n): value}

    def _start(self, function: Callable[..., Awaitable[object]], *args: Any, name: str) -> None:
        if self._nursery is None:
            raise RuntimeError("the simulation does not run")
        self._nursery.start_soon(function, *args, name=name)

    def _all_services(self) -> Services:
        if self._services is None:
            if self._nursery is None:
                raise RuntimeError("the simulation does not run")
            self._services = Services(
                self.world,
                self._nursery,
                passing=self._moments.passing,
                served=self.check,
                broken=self.fail,
            )
        return self._services

    def _the_node(self) -> Node:
        if self.node is None:
            raise RuntimeError("there is no runtime yet: `await sim.runtime([...])`")
        return self.node

    def _write_down(self) -> None:
        history, node = self.world.history, self.node
        if node is None:
            return
        history.log, history.groups = tuple(node.log), tuple(node.groups)
        history.jobs = tuple(node.disk.records())
        history.used = dict(self.plan.used)
        if not any(entry.data.get("op") == "set_limit" for entry in history.all("asked")):
            declared = node.options.queues or {}
            history.limits = {name: queue.limit for name, queue in declared.items()}
            history.limits = {**history.limits, "": node.options.limit}


def _failures() -> tuple[type[BaseException], ...]:
    """Return what a failing test raises; that of `pytest.fail` is no `Exception`."""
    pytest: Any = sys.modules.get("pytest")
    return (Exception,) if pytest is None else (Exception, pytest.fail.Exception)


def single(error: BaseException) -> BaseException:
    """Return what a group of one holds: nurseries wrap what leaves them."""
    inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    return single(inner[0]) if len(inner) == 1 else error


def _said(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
