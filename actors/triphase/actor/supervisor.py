"""The supervisor: it starts actors, and restarts them when they crash.

    async with open_supervisor(strategy="one_for_one", intensity=3, period=5) as supervisor:
        counter = await supervisor.start(Counter, name="counter")
        await counter.send(Increment())

Children run in a nursery of the supervisor's own, and leaving the block stops them all. They
are shielded from a cancel that comes from outside: it reaches the block, and the supervisor
then stops its children one after the other, last started first, as it does on a normal exit.
So a child may rely on those that were started before it until it has ended itself; a cancel
that reached all of them at once would take the ground away under their clean-up.

A crash never raises into the block. When children crash more often than the intensity
allows, the supervisor restarts nobody any more, cancels the block, stops the children and
raises `SupervisorFailed`: to whoever opened it, which may be an actor under another
supervisor, so that failure climbs a tree of supervisors as it does in OTP.
"""

# What is private here is private to the file: `open_supervisor` is the supervisor's own.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import trio

from .actor import Actor
from .children import Child, ChildStatistics, SupervisorStatistics
from .errors import ActorStopped, SupervisorFailed
from .mailbox import Mailbox
from .ref import ActorRef
from .restarts import (
    Exit,
    Intensity,
    Restart,
    RestartHistory,
    Strategy,
    Verdict,
    affected,
    verdict,
    wanted,
)

M = TypeVar("M")

log = logging.getLogger("triphase.actor")


class Supervisor:
    """The children of one `open_supervisor` block."""

    def __init__(self, name: str, strategy: Strategy, intensity: Intensity, ordered: bool) -> None:
        self.name = name
        """Its own name, for logs."""

        self._strategy = strategy
        self._ordered = ordered
        self._closing = False
        self._history = RestartHistory(intensity)
        self._children: dict[str, Child] = {}
        self._nursery: trio.Nursery | None = None
        self._body = trio.CancelScope()
        self._failure: SupervisorFailed | None = None
        self._restarting = False
        self._started = 0
        self._crashes = 0
        self._restarts = 0

    def __repr__(self) -> str:
        return f"<Supervisor {self.name!r}: {len(self._children)} children>"

    async def start(
        self,
        factory: Callable[[], Actor[M]],
        *,
        name: str,
        restart: Restart | str = Restart.PERMANENT,
        capacity: int = 64,
    ) -> ActorRef[M]:
        """Start a child, and return once its `started` has returned.

        A checkpoint. When it is cancelled the child is taken down again.

        Args:
          factory: makes the actor; called again for every restart.
          name: unique among the children; the name of its task, in errors and logs.
          restart: when it is started again after it has ended.
          capacity: how many messages each lane of its mailbox holds.

        Raises:
          ActorStopped: if the supervisor is closing, or the child is stopped meanwhile.
          ValueError: if a child of that name is there, or an argument is out of range.
          Exception: what the factory or `started` raised; there is no such child then.
        """
        child = self._add(factory, name, restart, capacity)
        nursery = self._open_nursery()
        try:
            await nursery.start(self._live, child, name=name)
        except BaseException:
            self._remove(child)
            raise
        self._started += 1
        return ActorRef(child.mailbox)

    def start_nowait(
        self,
        factory: Callable[[], Actor[M]],
        *,
        name: str,
        restart: Restart | str = Restart.PERMANENT,
        capacity: int = 64,
    ) -> ActorRef[M]:
        """Like `start`, but return at once; a failure to start is a crash of the child."""
        child = self._add(factory, name, restart, capacity)
        self._open_nursery().start_soon(self._live, child, name=name)
        self._started += 1
        return ActorRef(child.mailbox)

    async def stop(self, name: str) -> None:
        """Cancel a child, wait until it has ended, and remove it.

        A checkpoint; when it is cancelled the child is ending all the same.

        Raises:
          KeyError: if there is no child of that name.
        """
        child = self._children[name]
        self._stop_nowait(child, "stopped by its supervisor")
        await child.gone.wait()

    def statistics(self) -> SupervisorStatistics:
        """Return the children and what has happened to them."""
        return SupervisorStatistics(
            children=tuple(
                ChildStatistics(
                    name=child.name,
                    restarts=child.restarts,
                    mailbox=child.mailbox.statistics(),
                )
                for child in self._children.values()
            ),
            started=self._started,
            crashes=self._crashes,
            restarts=self._restarts,
        )

    def _open_nursery(self) -> trio.Nursery:
        assert self._nursery is not None, "the supervisor's block has not been entered"
        return self._nursery

    def _add(
        self, factory: Callable[[], Actor[Any]], name: str, restart: Restart | str, capacity: int
    ) -> Child:
        if self._closing:
            raise ActorStopped(f"{self.name} is closing; {name} was not started")
        if name in self._children:
            raise ValueError(f"{self.name} has a child named {name!r} already")
        child = Child(name, factory, Restart(restart), Mailbox(name, capacity))
        self._children[name] = child
        return child

    def _remove(self, child: Child) -> None:
        if self._children.get(child.name) is child:
            del self._children[child.name]
        child.mailbox.close()

    def _take_down(self, child: Child, reason: str) -> None:
        child.taken_down = True
        child.scope.cancel(reason=reason)

    def _stop_nowait(self, child: Child, reason: str) -> None:
        child.removed = True
        self._take_down(child, reason)
        child.resume.set()

    def hurry(self) -> None:
        """Tell every child not to take its time with its end. Never waits."""
        for child in self._children.values():
            child.hurry()

    async def _close(self) -> None:
        """Stop every child, last started first; one by one if they are ordered.

        Shielded, so that only an interrupt is raised in here: the first one makes the children
        hurry, the second stops them all at once and cuts off what they clean up.
        """
        self._closing = True
        children = list(reversed(self._children.values()))
        try:
            await self._stop_all(children)
        except BaseException:
            self.hurry()
            try:
                await self._stop_all(children)
            except BaseException:
                for child in children:
                    self._stop_nowait(child, f"{self.name} is closing")
                    child.cut_off()
                raise
            raise

    async def _stop_all(self, children: Sequence[Child]) -> None:
        for child in children:
            self._stop_nowait(child, f"{self.name} is closing")
            if self._ordered:
                await child.gone.wait()
        for child in children:
            await child.gone.wait()

    async def _live(
        self,
        child: Child,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run a child's incarnations, one after the other, until it is removed."""
        child.awaited = task_status is not trio.TASK_STATUS_IGNORED
        try:
            while not child.removed:
                error = await self._incarnation(child, task_status)
                if error is not None and child.awaited:
                    raise error
                self._settle(child, error)
                child.up.set()
                child.ended.set()
                if not child.removed:
                    await self._next_turn(child)
            if child.awaited:
                # Whoever waits may be cancelled as well: that says more.
                await trio.lowlevel.checkpoint_if_cancelled()
                raise ActorStopped(f"{child.name} was stopped before it had started")
        finally:
            # Also on the way out of a cancelled supervisor: no ask waits for a dead actor.
            self._remove(child)
            child.up.set()
            child.ended.set()
            child.gone.set()

    async def _incarnation(
        self, child: Child, task_status: trio.TaskStatus[None]
    ) -> Exception | None:
        """Run one actor from start to end; return what it crashed with."""
        try:
            with child.scope:
                await self._act(child, task_status)
        except Exception as exc:
            return exc
        except BaseExceptionGroup as group:
            cancelled, crash = group.split(trio.Cancelled)
            if child.awaited or cancelled is None or not isinstance(crash, Exception):
                raise
            # A crash beside a cancel from outside: nobody else would hear of it.
            self._note_crash(child, crash)
            raise cancelled from None
        return None

    async def _act(self, child: Child, task_status: trio.TaskStatus[None]) -> None:
        actor = child.actor = child.factory()
        await actor.started()
        try:
            # A cancel of `start` that `started` did not see. From here on only the supervisor
            # ends the actor; see the module's text.
            await trio.lowlevel.checkpoint_if_cancelled()
            child.scope.shield = True
            child.up.set()
            if child.awaited:
                child.awaited = False
                task_status.started()
            await actor.run(child.mailbox)
        except Exception as exc:
            # Whoever asked hears of it now: cleaning up may take a while.
            child.mailbox.crash(exc)
            raise
        finally:
            seconds = 0.0 if child.rushed else actor.stop_grace
            with trio.move_on_after(seconds, shield=True) as grace:
                child.cleaning = grace
                await actor.stopped()
            child.cleaning = None
            if grace.cancelled_caught:
                log.warning(
                    "%s: %s had not cleaned up after %g seconds",
                    self.name,
                    child.name,
                    actor.stop_grace,
                )

    def _note_crash(self, child: Child, error: Exception) -> None:
        self._crashes += 1
        log.error("%s: %s crashed", self.name, child.name, exc_info=error)
        child.mailbox.crash(error)

    def _settle(self, child: Child, error: Exception | None) -> None:
        """Note an end, and decide what follows. Synchronous: no second end can come between."""
        if error is None:
            child.mailbox.abandon()
        else:
            self._note_crash(child, error)
        # Nobody is started again by a supervisor that is about to end.
        cancelled = trio.current_effective_deadline() == -math.inf
        if self._closing or cancelled or not self._stays(child, error):
            child.removed = True
        elif self._strategy is not Strategy.ONE_FOR_ONE and not child.taken_down:
            self._restart_with(child)

    def _stays(self, child: Child, error: Exception | None) -> bool:
        exit_ = Exit.NORMAL if error is None else Exit.CRASHED
        if child.removed:
            return False
        if child.taken_down:
            # Whoever waits for its start has not been told that it was up.
            return child.awaited or child.restart is not Restart.TEMPORARY
        if child.due:
            # It ended beside the one that it was to be restarted with: that was one failure.
            return wanted(exit_, child.restart)
        decision = verdict(exit_, child.restart, self._history, trio.current_time())
        if decision is Verdict.ESCALATE:
            self._give_up(child, error)
        return decision is Verdict.RESTART

    def _give_up(self, child: Child, error: Exception | None) -> None:
        log.error("%s: %s was restarted too often; giving up", self.name, child.name)
        self._closing = True
        self._failure = SupervisorFailed(
            f"{self.name}: {child.name} ended more often than its intensity allows"
        )
        self._failure.__cause__ = error
        self._body.cancel(reason=str(self._failure))

    async def _next_turn(self, child: Child) -> None:
        """Wait until the next incarnation may start."""
        if child.due:
            await child.resume.wait()
        else:
            await trio.lowlevel.checkpoint()
            child.next_incarnation()
        if not child.removed:
            child.restarts += 1
            self._restarts += 1

    def _restart_with(self, child: Child) -> None:
        """Have a child restarted, and all that its strategy restarts with it."""
        for name in [child.name, *affected(self._strategy, list(self._children), child.name)]:
            due = self._children[name]
            due.due = True
            # It may be starting, and waiting for one that has just ended: it is not waited for.
            due.up.set()
        if not self._restarting:
            self._restarting = True
            self._open_nursery().start_soon(self._restart_due)

    async def _restart_due(self) -> None:
        """Take down all that are due, last started first; then start them, first started first.

        One that ends while others are started makes more of them due, and it begins again.
        """
        try:
            while not self._closing:
                due = [child for child in self._children.values() if child.due]
                alive = [child for child in due if not child.ended.is_set()]
                if alive:
                    self._take_down(alive[-1], "restarted with another child")
                    await alive[-1].ended.wait()
                elif due:
                    resume = due[0].resume
                    due[0].next_incarnation()
                    resume.set()
                    await due[0].up.wait()
                else:
                    return
        finally:
            self._restarting = False


@asynccontextmanager
async def open_supervisor(
    *,
    name: str = "supervisor",
    strategy: Strategy | str = Strategy.ONE_FOR_ONE,
    intensity: int = 3,
    period: float = 5.0,
    ordered: bool = True,
) -> AsyncGenerator[Supervisor]:
    """Open a supervisor; on the way out every child is cancelled and waited for.

    An exception of the block leaves it as it is. A checkpoint on the way in and out.

    Args:
      name: for logs and errors.
      strategy: which children are restarted with one that ended.
      intensity: how many restarts are allowed in any `period`.
      period: seconds.
      ordered: on the way out, wait for each child before the one that was started earlier is
        stopped. False stops all at the same time: for many children that are alike.

    Raises:
      SupervisorFailed: if children ended more often than that. The block was cancelled.
      ValueError: if an argument is out of range.
    """
    supervisor = Supervisor(name, Strategy(strategy), Intensity(intensity, period), ordered)
    raised: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            supervisor._nursery = nursery
            try:
                with supervisor._body:
                    yield supervisor
            except BaseException as exc:
                # Kept, and raised when the children have ended: a nursery would wrap it.
                raised = exc
            with trio.CancelScope(shield=True):
                try:
                    await supervisor._close()
                except KeyboardInterrupt as exc:
                    # As it is, and not in the nursery's group.
                    raised = exc
            nursery.cancel_scope.cancel(reason=f"{name} is closing")
    except (trio.Cancelled, BaseExceptionGroup) as exc:
        if _crash_in(exc) is not None:
            raise exc from raised
        # The host's cancel. What the block raised itself, if anything, says more.
        raised = raised or exc
    failure = supervisor._failure
    crash = _crash_in(raised)
    if failure is not None and isinstance(crash, Exception):
        causes = [error for error in (failure.__cause__, crash) if isinstance(error, Exception)]
        raise failure from ExceptionGroup("the supervisor's block raised as well", causes)
    if failure is not None and crash is None:
        raise failure
    if raised is not None:
        raise raised


def _crash_in(exc: BaseException | None) -> BaseException | None:
    """Return what is left of an exception without the `Cancelled` in it."""
    if isinstance(exc, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", exc).split(trio.Cancelled)[1]
    return None if isinstance(exc, trio.Cancelled) else exc
