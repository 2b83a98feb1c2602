"""How a test comes to stand exactly between two steps of a runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Self

import trio
import trio.lowlevel

import triphase
from triphase.store import Claim, Operation
from triphase_protocol import TERMINAL_EVENTS, fold


async def ticks(count: int) -> None:
    """Let everybody who can go on do so, this many times; not at all if it is negative."""
    for _ in range(count):
        await trio.lowlevel.checkpoint()


class Died(BaseException):
    """The process is gone."""


class Fuse:
    """Lets so many points of a store's writes pass, and has the process die at the next.

    Args:
      points: how many.
      lit: points count from the beginning; else from `light` on.
    """

    def __init__(self, points: int, *, lit: bool = True) -> None:
        self._left = points
        self._lit = lit

    def light(self) -> None:
        """Let the points count from now on."""
        self._lit = True

    def __call__(self, point: str) -> None:
        if self._lit:
            if not self._left:
                raise Died(point)
            self._left -= 1


class Hold:
    """Holds back one call of a method, and what it has read gets old meanwhile.

    Later calls pass, and so do all when the block is left.

    Args:
      of: whose method; a store's, as a rule.
      method: its name.
      before: hold it back before it is carried out; else afterwards, with its answer.
      wanted: which call: it is given the arguments. None is the next one.
      answer: which answer, if it is held back afterwards. None is any.
    """

    def __init__(
        self,
        of: object,
        method: str,
        *,
        before: bool = False,
        wanted: Callable[..., bool] | None = None,
        answer: Callable[[Any], bool] | None = None,
    ) -> None:
        self.reached, self.go, self.done = trio.Event(), trio.Event(), trio.Event()
        self._before = before
        self._wanted = wanted
        self._answer = answer
        self._real: Callable[..., Any] = getattr(of, method)
        setattr(of, method, self._call)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.go.set()

    async def _call(self, *args: Any, **kwargs: Any) -> Any:
        if self.reached.is_set() or (self._wanted and not self._wanted(*args, **kwargs)):
            return await self._real(*args, **kwargs)
        if self._before:
            await self._hold()
        answer = await self._real(*args, **kwargs)
        if not self._before and (self._answer is None or self._answer(answer)):
            await self._hold()
        if self.go.is_set():
            self.done.set()
        return answer

    async def _hold(self) -> None:
        self.reached.set()
        # What has begun in a store runs to its end, whoever is cancelled.
        with trio.CancelScope(shield=True):
            await self.go.wait()


class Refusal:
    """Makes a store refuse one of its calls.

    Args:
      store: whose method.
      method: its name.
      which: the number of the call that is refused, from 0.
    """

    def __init__(self, store: object, method: str, which: int) -> None:
        self._calls = 0
        self._which = which
        self._real: Callable[..., Any] = getattr(store, method)
        setattr(store, method, self._call)

    @property
    def happened(self) -> bool:
        """True once the call was refused."""
        return self._calls > self._which

    async def _call(self, *args: Any, **kwargs: Any) -> Any:
        self._calls += 1
        if self._calls == self._which + 1:
            raise triphase.StoreUnavailable("the disk is full")
        return await self._real(*args, **kwargs)


def starts_a_job(operations: Iterable[Operation]) -> bool:
    """True if one of these operations is the start of a run."""
    return any(isinstance(each, Claim) for each in operations)


async def log_of(runtime: triphase.Runtime, id: str) -> list[triphase.Event]:
    """Return the whole log of a job: it leads to the row, and no run in it has two ends."""
    record = await runtime.get(id)
    log = await runtime._parts.store.events(job=id)
    events = [event for event in log if event.version <= record.version]
    summary = fold(events)
    assert (summary.state, summary.run, summary.version) == (
        record.state,
        record.run,
        record.version,
    )
    assert summary.phases == {phase.name: phase.state for phase in record.phases}
    ends = [event.run for event in events if event.type in TERMINAL_EVENTS]
    assert len(ends) == len(set(ends))
    return events


def types(events: Iterable[triphase.Event]) -> list[str]:
    """Return what happened, in words."""
    return [event.type.value for event in events]
