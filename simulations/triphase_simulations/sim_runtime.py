"""The runtime as a test holds it: the verbs of `triphase.Runtime`, which outlive its crashes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import wraps
from typing import Any, Final, TypeVar, cast

import attrs
import trio

import triphase
from triphase.arguments import checked_after, event_type, id_of, names
from triphase_protocol import Event, EventType, Json

from .sim_node import DOWN, Node, ProcessDied

V = TypeVar("V", bound=Callable[..., Any])

GONE: Final = (ProcessDied, triphase.RuntimeClosed, triphase.RuntimeCrashed)
"""What says that there was nobody to answer any more."""


def _verb(verb: V, safe: Callable[[Mapping[str, Any]], bool]) -> V:
    """Return a verb that runs inside of the process, and again in its next life if it may."""

    @wraps(verb)
    async def ask(self: SimRuntime, *args: Any, **kwargs: Any) -> Any:
        def call(runtime: triphase.Runtime) -> Awaitable[Any]:
            return cast("Awaitable[Any]", verb(runtime, *args, **kwargs))

        return await self._ask(verb.__name__, args, kwargs, call, again=safe(kwargs))

    return cast("V", ask)


def _again(verb: V) -> V:
    """Return a verb that may be called any number of times."""
    return _verb(verb, lambda kwargs: True)


def _once(verb: V) -> V:
    """Return a verb of which it matters whether it took effect."""
    return _verb(verb, lambda kwargs: False)


class SimRuntime(triphase.Runtime):
    """A runtime inside of a simulated process; made by `Sim.runtime`.

    Each verb runs as a task of the process. When that dies before it has answered, the verb is
    called again in the next life if that is safe: `submit` with a key, reads, waits, settings of
    queues. Otherwise it raises `ProcessDied`. A write that the store refused is tried again: of
    that it is certain that nothing happened. The timeout of a wait begins anew in each life.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    def __repr__(self) -> str:
        life = self._node.life
        return f"<SimRuntime: {'down' if life is None else life.process.lane}>"

    get = _again(triphase.Runtime.get)
    find = _again(triphase.Runtime.find)
    hook = _again(triphase.Runtime.hook)
    hooks = _again(triphase.Runtime.hooks)
    explain = _again(triphase.Runtime.explain)
    wait = _again(triphase.Runtime.wait)
    wait_all = _again(triphase.Runtime.wait_all)
    pause = _again(triphase.Runtime.pause)
    resume = _again(triphase.Runtime.resume)
    set_limit = _again(triphase.Runtime.set_limit)
    queue_states = _again(triphase.Runtime.queue_states)
    cancel = _once(triphase.Runtime.cancel)
    retry = _once(triphase.Runtime.retry)
    approve = _once(triphase.Runtime.approve)
    reject = _once(triphase.Runtime.reject)
    drain = _once(triphase.Runtime.drain)
    redeliver = _once(triphase.Runtime.redeliver)
    submit = _verb(triphase.Runtime.submit, lambda kwargs: kwargs.get("key") is not None)

    def make(self, type: str, payload: Json) -> object:
        """Return a job by the name of its type; see `Runtime.make`. Never waits.

        Raises:
          ProcessDied: if there is no process now.
        """
        return self._now().make(type, payload)

    def queues(self) -> Mapping[str, triphase.Queue]:
        """Return the queues by name, as they are in the life that is under way. Never waits.

        Raises:
          ProcessDied: if there is none.
        """
        return self._now().queues()

    def statistics(self) -> triphase.RuntimeStatistics:
        """Return what the runtime does in the life that is under way. Never waits.

        Raises:
          ProcessDied: if there is none.
        """
        return self._now().statistics()

    def events(
        self,
        *,
        after: int | None = None,
        job: str | triphase.JobHandle | None = None,
        types: EventType | str | Iterable[EventType | str] = (),
    ) -> triphase.EventStream:
        """Return the committed events; see `Runtime.events`. The stream outlives a crash."""
        cursor = self._node.disk.last_seq if after is None else checked_after(after)
        chosen = [event_type(each) for each in names(types)]
        about = None if job is None else id_of(job)
        return SimEvents(
            self._node,
            cursor,
            lambda runtime, seq: runtime.events(after=seq, job=about, types=chosen),
        )

    def events_of(self, id: str | triphase.JobHandle, *, after: int = 0) -> triphase.EventStream:
        """Return one job's events; see `Runtime.events_of`. The stream outlives a crash."""
        job = id_of(id)
        return SimEvents(
            self._node,
            checked_after(after),
            lambda runtime, seq: runtime.events_of(job, after=seq),
        )

    def _now(self) -> triphase.Runtime:
        life = self._node.life
        if life is None or life.process.dead:
            raise ProcessDied("there is no process now")
        return life.runtime

    def _handle(self, id: str) -> triphase.JobHandle:
        return triphase.JobHandle(id, self)

    async def _ask(
        self,
        op: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        call: Callable[[triphase.Runtime], Awaitable[Any]],
        *,
        again: bool,
    ) -> Any:
        about = kwargs.get("key", args[0] if args else kwargs.get("id"))
        name = about.id if isinstance(about, triphase.JobHandle) else about
        name = self._node.names.get(name, name) if isinstance(name, str) else None
        while True:
            try:
                answer = await self._node.ask(op, name, call)
            except triphase.StoreUnavailable:
                await trio.sleep(DOWN)
            except GONE as exc:
                if not again:
                    if isinstance(exc, ProcessDied):
                        raise
                    raise ProcessDied(f"{op}: {exc}") from exc
                await trio.sleep(DOWN)
            else:
                if not isinstance(answer, triphase.JobHandle):
                    return answer
                # A handle of ours asks in whatever life there is.
                return attrs.evolve(self._handle(answer.id), created=answer.created)


class SimEvents(triphase.EventStream):
    """A stream of events that goes on where it was in the next life of the process."""

    def __init__(
        self,
        node: Node,
        cursor: int,
        open_stream: Callable[[triphase.Runtime, int], triphase.EventStream],
    ) -> None:
        self._node = node
        self._seq = cursor
        self._open_stream = open_stream
        self._stream: triphase.EventStream | None = None
        self._runtime: triphase.Runtime | None = None

    def __aiter__(self) -> SimEvents:
        return self

    async def __anext__(self) -> Event:
        """Return the next event. A checkpoint; when it is cancelled no event is lost."""
        while True:
            try:
                event = await self._node.ask("events", None, self._next)
            except GONE:
                await trio.sleep(DOWN)
                continue
            if event is None:
                raise StopAsyncIteration
            self._seq = event.seq
            return event

    @property
    def cursor(self) -> int:
        """Pass this as `after=` to go on where this reader is."""
        return self._seq

    async def _next(self, runtime: triphase.Runtime) -> Event | None:
        if self._stream is None or self._runtime is not runtime:
            self._stream, self._runtime = self._open_stream(runtime, self._seq), runtime
        try:
            return await self._stream.__anext__()
        except StopAsyncIteration:
            # Over, or only this life of the runtime is: then this raises `RuntimeClosed`.
            runtime.queues()
            return None
