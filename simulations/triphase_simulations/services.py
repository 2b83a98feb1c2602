"""Services that handlers call, without a network: they outlive crashes, and answer as a plan says.

A service is an object of the test's own. A handler reaches it by `call`, or by a `stub` that looks
like it. A call may be slow, refused before it took effect, or lose its answer after it did, and the
process that asks may die on either side of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, TypeVar, cast

import attrs
import trio

from .world import PROCESS, World

A = TypeVar("A")

SERVICES: ContextVar[Services | None] = ContextVar("triphase_services", default=None)
"""The services of the current run."""

CHANCES: Final = {"stall": 0.3, "refuse": 0.15, "crash": 0.1}
"""The odds at each side of a call: higher than elsewhere, since a run makes only a few."""


@attrs.frozen
class Service:
    """Something that can be called by its address."""

    url: str
    app: object
    refused: Callable[[str], Exception]
    """What a caller gets whose call did not take effect."""

    lost: Callable[[str], Exception]
    """What a caller gets whose call took effect, and whose answer did not come."""

    def method(self, name: str) -> Callable[..., Any]:
        """Return the method of this name.

        Raises:
          AttributeError: if the service has none, or it begins with an underscore.
        """
        found: Any = None if name.startswith("_") else getattr(self.app, name, None)
        if not callable(found):
            raise AttributeError(f"{self.url} has no method {name!r}")
        return cast("Callable[..., Any]", found)


class Services:
    """The services of one run.

    Args:
      world: whose plan disturbs their calls.
      nursery: where they run: outside of every process.
      passing: waited for at every named point of a call.
      served: called after each call that took effect.
      broken: called with an `AssertionError` of a service: the test's own, no answer to anybody.
    """

    def __init__(
        self,
        world: World,
        nursery: trio.Nursery,
        *,
        passing: Callable[[str], Awaitable[None]],
        served: Callable[[], None],
        broken: Callable[[Exception], None],
    ) -> None:
        self._world = world
        self._nursery = nursery
        self._passing = passing
        self._served = served
        self.broken = broken
        self._services: dict[str, Service] = {}

    def add(self, service: Service) -> None:
        """Let a service be called.

        Raises:
          ValueError: if there is one of that address already.
        """
        if service.url in self._services:
            raise ValueError(f"there is a service at {service.url} already")
        self._services[service.url] = service

    def at(self, url: str) -> Service:
        """Return the service of an address.

        Raises:
          ConnectionRefusedError: if there is none.
        """
        try:
            return self._services[url]
        except KeyError:
            known = ", ".join(self._services) or "nothing"
            raise ConnectionRefusedError(f"nothing is at {url}; there is {known}") from None

    async def call(self, url: str, method: str, args: Any, kwargs: Any) -> Any:
        """Call a service, as the plan disturbs it; see `call`."""
        service = self.at(url)
        function = service.method(method)
        self._note("called", url, method)
        before, after = f"call:{url}", f"answer:{url}"
        await self._pass(before)
        self._disturb(before, service.refused, f"{url} refused {method}")
        done, answers = trio.Event(), list[Callable[[], Any]]()

        async def serve() -> None:
            try:
                value = function(*args, **kwargs)
                if inspect.isawaitable(value):
                    value = await value
                answers.append(lambda: value)
            except Exception as exc:
                answers.append(_raiser(exc))
                self._judge(exc)
            done.set()
            self._served()

        # The service is nobody's process: it goes on when the one that asked has died.
        mark = PROCESS.set(None)
        try:
            self._nursery.start_soon(serve, name=f"service:{url}")
        finally:
            PROCESS.reset(mark)
        await done.wait()
        self._note("served", url, method)
        self._disturb(after, service.lost, f"the answer of {url} to {method} was lost")
        await self._pass(after)
        return answers[0]()

    def call_nowait(self, url: str, method: str, args: Any, kwargs: Any) -> Any:
        """Call a plain method of a service; see `call_nowait`."""
        service = self.at(url)
        function = service.method(method)
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"{method} of {url} is an `async def`: `await call(...)` it")
        self._note("called", url, method)
        self._disturb(f"call:{url}", service.refused, f"{url} refused {method}")
        try:
            value = function(*args, **kwargs)
        except Exception as exc:
            self._judge(exc)
            raise
        finally:
            self._served()
        self._note("served", url, method)
        self._disturb(f"answer:{url}", service.lost, f"the answer of {url} to {method} was lost")
        return value

    async def point(self, name: str) -> None:
        """Pass a named point; see `point`."""
        plan, process = self._world.plan, PROCESS.get()
        self._world.note("test" if process is None else process.lane, f"at {name}")
        await trio.lowlevel.checkpoint()
        await self._passing(name)
        if process is not None and plan.next("crash", name, chance=CHANCES["crash"]):
            self._world.die(process, f"at {name}")
        if seconds := plan.next("stall", name, chance=CHANCES["stall"]):
            await trio.sleep(seconds)

    async def _pass(self, site: str) -> None:
        await self._passing(site)
        if seconds := self._world.plan.next("stall", site, chance=CHANCES["stall"]):
            await trio.sleep(seconds)

    def _disturb(self, site: str, error: Callable[[str], Exception], words: str) -> None:
        plan, process = self._world.plan, PROCESS.get()
        if process is not None and plan.next("crash", site, chance=CHANCES["crash"]):
            self._world.die(process, f"at {site}")
        if plan.next("refuse", site, chance=CHANCES["refuse"]):
            self._note(words, "", "")
            raise error(words)

    def _judge(self, exc: Exception) -> None:
        if isinstance(exc, AssertionError):
            self.broken(exc)

    def _note(self, what: str, url: str, method: str) -> None:
        process = PROCESS.get()
        about = {"service": url, "method": method} if url else {}
        self._world.note("test" if process is None else process.lane, what, **about)


def _raiser(exc: Exception) -> Callable[[], Any]:
    def raise_it() -> Any:
        raise exc

    return raise_it


def _current() -> Services:
    services = SERVICES.get()
    if services is None:
        raise RuntimeError("there are simulated services only in a simulation: see `simulate`")
    return services


async def call(url: str, method: str, *args: Any, **kwargs: Any) -> Any:
    """Call a method of the service at an address; return what it returns.

    A checkpoint. The method may be a `def` or an `async def`; it runs outside of the process, so
    that it goes on when that dies, or when the caller is cancelled.

    Args:
      url: where, as `Sim.service` was told.
      method: the method's name.
      args: its arguments.
      kwargs: its arguments by name.

    Raises:
      ConnectionRefusedError: if the plan has it refused, or nothing is there: nothing happened.
      ConnectionResetError: if the plan loses the answer: it has happened.
      Exception: what the method raises. An `AssertionError` fails the test beside.
      RuntimeError: outside of a simulation.
    """
    return await _current().call(url, method, args, kwargs)


def call_nowait(url: str, method: str, *args: Any, **kwargs: Any) -> Any:
    """Like `call`, for a plain `def` handler; never waits. The method must be a `def` too."""
    return _current().call_nowait(url, method, args, kwargs)


async def point(name: str) -> None:
    """Pass a named point of a handler or a service; only a checkpoint if it is not simulated.

    A plan may stall there, or let the process die; a test may wait for it, or hold who passes it.

    Args:
      name: its name, for `Sim.reached`, `Sim.held_at` and `Sim.crash_at`.
    """
    services = SERVICES.get()
    if services is None:
        await trio.lowlevel.checkpoint()
    else:
        await services.point(name)


class _Stub:
    def __init__(self, url: str, app: type[Any]) -> None:
        self._url = url
        self._app = app

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._app, name)
        if not inspect.iscoroutinefunction(method):
            raise AttributeError(
                f"{name!r} of {self._app.__name__} is no `async def`: no stub reaches it"
            )

        async def called(*args: Any, **kwargs: Any) -> Any:
            return await call(self._url, name, *args, **kwargs)

        return called


def stub(url: str, app: type[A]) -> A:
    """Return something with the `async def` methods of a class, each of which is a `call`.

    Give it to handlers in the place of what reaches the real service. It finds the service when it
    is called, so one stub serves every run.

    Args:
      url: where the service is.
      app: the class of the service, or a protocol that it follows.
    """
    return cast("A", _Stub(url, app))
