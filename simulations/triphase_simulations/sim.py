"""A simulated world for a test of job types: their runtime, its crashes, and what calls them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import attrs
import trio

import triphase
from triphase.checks import Webhooks
from triphase_protocol import EventType

from .posting import Poster
from .services import Service
from .sim_moments import Moment
from .sim_node import Node, Options, witnessed
from .sim_play import Play, Unsettled
from .sim_runtime import SimRuntime

A = TypeVar("A")

DISTURBED: Final = 1_000.0
"""Virtual seconds that `settle` lets jobs run while the plan may still disturb them."""

WITHIN: Final = 10_000.0
"""Virtual seconds that everything has to end once nothing is disturbed any more."""


class Sim(Play):
    """A test's hold on its simulated world; `simulate` gives it to the test."""

    # What the test builds

    def service(
        self,
        url: str,
        app: A,
        *,
        refused: Callable[[str], Exception] = ConnectionRefusedError,
        lost: Callable[[str], Exception] = ConnectionResetError,
    ) -> A:
        """Let handlers reach an object by its address; return the object.

        What it holds outlives every crash. See `call` and `stub` for the handler's side.

        Args:
          url: its address: any text.
          app: the service; its public methods can be called.
          refused: makes the error of a call that did not take effect, from a message.
          lost: makes the error of a call that did, and whose answer was lost.
        """
        self._all_services().add(Service(url, app, refused, lost))
        return app

    async def runtime(
        self,
        jobs: Iterable[type],
        *,
        queues: Mapping[str, triphase.Queue] | None = None,
        limit: int = 100,
        retention: triphase.Retention | None = None,
        drain_timeout: float = 0.0,
        webhooks: Webhooks | None = None,
        secrets: Mapping[str, str | Sequence[str]] | None = None,
        sending: triphase.Sending | None = None,
    ) -> SimRuntime:
        """Open a runtime in a process of its own; return its verbs, which outlive its crashes.

        Its store is a simulated disk, its clock is the world's, its ids count up. The arguments
        are those of `open_runtime`. Webhooks go to the services of their URLs, which need a
        method `post`: it is called with the headers and the body, and returns a status, an
        `Answer`, or None. A simulation has one runtime. A checkpoint.

        Raises:
          DefinitionError: if a class is no job type, or an argument is out of range.
          SimulationEscape: if a phase runs in a process of its own, which no simulation reaches.
          RuntimeError: if there is a runtime already.
        """
        if self.node is not None:
            raise RuntimeError("a simulation has one runtime: give it all of the job types")
        types = tuple(jobs)
        self._exits.enter_context(witnessed(self.world, types))
        node = self.node = Node(
            self.world,
            Options(
                jobs=types,
                queues=queues,
                limit=limit,
                retention=retention,
                drain_timeout=drain_timeout,
                webhooks=webhooks,
                secrets=secrets,
                sending=self._posting(sending or triphase.Sending()),
            ),
            self._moments,
            on_commit=self.check,
            on_crash=self._crashed,
        )
        self._start(node.keep_up, name="keeper")
        await node.alive()
        return SimRuntime(node)

    def _posting(self, sending: triphase.Sending) -> triphase.Sending:
        """Return how webhooks are sent in this simulation: never over a network."""
        return attrs.evolve(sending, client=None, sender=Poster(self._all_services()))

    def chaos(
        self,
        *,
        crash: bool = False,
        stalls: bool = True,
        holds: bool = True,
        refusals: bool = False,
        clock: bool = False,
    ) -> None:
        """Say what may go wrong from now on. Without it, only holds and stalls happen.

        Args:
          crash: the process dies, at any step and at any point of the store, a few times a run.
          stalls: the store and the services are slow, and a moment of `at` comes later.
          holds: tasks that could run are kept from it, so that others overtake them.
          refusals: the store refuses writes; services refuse calls, or their answer is lost.
          clock: the wall clock is set, by seconds or by an hour, forward or back.
        """
        chosen = {
            "crash": crash,
            "stall": stalls,
            "hold": holds,
            "refuse": refusals,
            "step": clock,
        }
        if not self._replays:
            self.plan.allow(kind for kind, on in chosen.items() if on)

    # What the test claims

    def always(self, claim: str, holds: Callable[[], object]) -> None:
        """Claim that something is true, after each transaction and each call of a service.

        Args:
          claim: in words, for the report.
          holds: returns whether it is; never waits.
        """
        self.claims.always[claim] = holds
        self.check()

    def sometimes(self, claim: str, holds: Callable[[], object] | object = True) -> None:
        """Claim that something is true at some moment of some run.

        The test fails at its end if it never was, in 20 runs or more.

        Args:
          claim: in words, for the report.
          holds: looked at when `always` is; or a value: then it is about this moment.
        """
        self.claims.note(claim, holds)

    def eventually(self, claim: str, holds: Callable[[], object]) -> None:
        """Claim that something is true once all jobs have ended: `settle` waits for it.

        Args:
          claim: in words, for the report.
          holds: returns whether it is; never waits.
        """
        self.claims.eventually[claim] = holds

    # Moments

    def boundary(self, job: str | triphase.JobHandle, phase: str, *, nth: int = 1) -> Moment:
        """Return the moment at which a phase's end is durable, and nobody has heard of it."""
        return self.event(EventType.PHASE_COMPLETED, job=job, phase=phase, nth=nth)

    def event(
        self,
        type: EventType | str,
        *,
        job: str | triphase.JobHandle | None = None,
        phase: str | None = None,
        nth: int = 1,
    ) -> Moment:
        """Return the moment at which an event is durable, and nobody has heard of it.

        Args:
          type: of this type.
          job: of this job; None is any.
          phase: of this phase; None is any.
          nth: the how many-th of them in the run.
        """
        id = job.id if isinstance(job, triphase.JobHandle) else job
        return Moment(event=EventType(type).value, job=id, phase=phase, nth=nth)

    def reached(self, point: str, *, nth: int = 1) -> Moment:
        """Return the moment at which somebody passes a named point.

        Args:
          point: a name that `point` was given, or one of `call:URL`, `answer:URL`, `store.write`
            and `store.answer`.
          nth: the how many-th time in the run.
        """
        return Moment(point=point, nth=nth)

    def after(self, seconds: float) -> Moment:
        """Return the moment so many virtual seconds from when it is asked for."""
        return Moment(seconds=seconds)

    async def until(self, moment: Moment) -> None:
        """Wait for a moment; at once if it is past. A checkpoint."""
        await self._moments.wait(moment)

    def at(
        self, moment: Moment, call: Callable[..., Awaitable[object]], *args: Any, **kwargs: Any
    ) -> None:
        """Call something at a moment, or so much later as the plan has it. Never waits.

        An error of triphase's own that it raises, such as that the job has ended, is noted in the
        history and is no failure; any other error is one.

        Args:
          moment: when.
          call: an `async def`: a verb of the runtime, or one of your own.
          args: its arguments.
          kwargs: its arguments by name.
        """
        self._ats += 1
        self._start(self._at, self._ats, moment, call, args, kwargs, name=f"at:{self._ats}")

    async def point(self, name: str) -> None:
        """Pass a named point, as `point` does in handlers and services. A checkpoint."""
        await self._all_services().point(name)

    # Scripted races

    def hold(self, task: str, turns: int, *, at_step: int) -> None:
        """Keep a task from running for some turns of the loop, as a plan may.

        Args:
          task: its name, as a report writes it.
          turns: how many.
          at_step: which of its steps it takes later, counted as in a report.
        """
        self._fix("hold", task, at_step, turns)

    def crash_at(self, site: str, *, nth: int = 1) -> None:
        """Let the process die the *nth* time from now that it comes to a site.

        Args:
          site: `store.before`, `store.apply`, `store.commit` or `store.after`: before a
            transaction, after an operation of it, after the last of them, and when it is durable;
            `call:URL` or `answer:URL`: before a service is called, and after; `step:TASK`: as a
            task takes a step; or a name that `point` was given.
          nth: the how many-th time.
        """
        self._fix("crash", site, self.plan.passed("crash", site) + nth - 1, 1)

    def crash(self) -> None:
        """Let the process die now. Never waits; the next life begins half a second later."""
        self._the_node().kill("as the test says")

    async def restart(self) -> None:
        """Have the runtime leave in good order, and wait for its next life. A checkpoint."""
        await self._the_node().restart()

    @asynccontextmanager
    async def held(self, task: str, *, at_step: int | None = None) -> AsyncGenerator[None]:
        """Run until a task has come to a step, and keep it there for the block.

        The others, and virtual time, go on. It is reported as a deadlock if it never comes there.

        Args:
          task: its name, as a report writes it: `committer`, `scheduler`, `phase:j1:charge`.
          at_step: the step that it does not take, counted as in a report; None is its next.
        """
        schedule = self.world.schedule
        stop = schedule.stop(task, at_step)
        try:
            await stop.reached.wait()
            yield
        finally:
            schedule.let_go(stop)

    @asynccontextmanager
    async def held_at(self, point: str, *, nth: int = 1) -> AsyncGenerator[None]:
        """Run until somebody passes a named point, and keep them there for the block.

        Args:
          point: as for `reached`.
          nth: the how many-th time from now.
        """
        stop = self._moments.stop(point, nth)
        try:
            await stop.reached.wait()
            yield
        finally:
            self._moments.let_go(stop)

    # The end

    async def settle(self, *, disturbed: float = DISTURBED, within: float = WITHIN) -> None:
        """Let all jobs end, and be told of: first as the plan disturbs it, then with no faults.

        What `at` was to do at a moment that has not come by then is not done. A checkpoint.

        Args:
          disturbed: virtual seconds with faults, at most.
          within: virtual seconds without them in which everything has to end.

        Raises:
          Unsettled: if a job has not, a webhook is pending, or something that is claimed to be
            true eventually is not.
        """
        with trio.move_on_after(disturbed):
            await self._all_ended()
        self.plan.quiet = True
        self.world.note("world", "quiet")
        for scope in list(self._waiting.values()):
            scope.cancel(reason="its moment has not come")
        with trio.move_on_after(within):
            await self._all_ended()
            while self.claims.missing():  # noqa: ASYNC110 - what it waits for tells nobody
                await trio.sleep(1.0)
            self.world.history.settled = True
            self.check()
            return
        missing = self.claims.missing()
        if missing and not (self.unfinished() or self.undelivered()):
            raise Unsettled(f"not eventually: {'; '.join(missing)}")
        raise Unsettled(self.who_waits(f"not settled in {within:g} s without any fault"))
