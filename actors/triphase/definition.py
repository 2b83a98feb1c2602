"""What a user declares: job types, their phases, and queues.

    @triphase.job(queue="media", timeout=3600)
    class Transcode:
        url: str

        @triphase.phase(retry=triphase.Retry(attempts=5))
        async def fetch(self, ctx: triphase.Context) -> str: ...

A declaration is checked when it is made, as far as Python lets it be; annotations that name
something defined later are resolved when a runtime is opened with the job type.
"""

from __future__ import annotations

import functools
import inspect
import math
import sys
import types
import typing
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

import attrs

from triphase_protocol import (
    NO_RETRY,
    DefinitionError,
    InvalidPayload,
    Job,
    Json,
    OnRestart,
    Recovery,
    Retry,
    UnknownPhase,
    decode,
    digest_of,
    storable,
    structure,
    unstructure,
)

from .fates import Cancel, Fail, Fate, Snooze

if TYPE_CHECKING:
    from .context import Context

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

_MARK = "__triphase_definition__"


class Phase(Generic[R_co]):
    """A phase of a job type, as `@phase` declares it.

    Read from the class it stands for the phase (`ctx.result_of(Transcode.fetch)`); read from
    an instance it is the plain method, so that a test may call the handler by itself.
    """

    def __init__(
        self,
        handler: Callable[..., Any],
        name: str,
        timeout: float | None,
        retry: Retry,
        stop_grace: float,
        version: int,
    ) -> None:
        self.handler = handler
        """The function as it was written."""

        self.name = name
        """Its name, unique in the job type."""

        self.timeout = timeout
        """Seconds that one try may take, or None."""

        self.retry = retry
        """The policy after a try that failed."""

        self.version = version
        """The version of the declaration: a job submitted with another is not run."""

        self.stop_grace = stop_grace
        """Seconds that the handler has to stop, once asked to, before it is abandoned."""

        self.is_async = inspect.iscoroutinefunction(handler)
        """True for `async def`: runs as a trio task. False: runs in a thread."""

        self.__doc__ = handler.__doc__

    def __repr__(self) -> str:
        return f"<phase {self.handler.__qualname__}>"

    @overload
    def __get__(self, instance: None, owner: type) -> Phase[R_co]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> Callable[..., Any]: ...

    def __get__(self, instance: object | None, owner: type) -> Phase[R_co] | Callable[..., Any]:
        """Return the phase itself from the class, the bound handler from an instance."""
        return self if instance is None else types.MethodType(self.handler, instance)


class _PhaseDecorator(Protocol):
    @overload
    def __call__(
        self, handler: Callable[[Any, Context], Coroutine[Any, Any, R | Fate]], /
    ) -> Phase[R]: ...

    @overload
    def __call__(self, handler: Callable[[Any, Context], R | Fate], /) -> Phase[R]: ...


@overload
def phase(handler: Callable[[Any, Context], Coroutine[Any, Any, R | Fate]], /) -> Phase[R]: ...


@overload
def phase(handler: Callable[[Any, Context], R | Fate], /) -> Phase[R]: ...


@overload
def phase(
    *,
    name: str | None = None,
    timeout: float | None = None,
    retry: Retry = NO_RETRY,
    stop_grace: float = 10.0,
    version: int = 1,
) -> _PhaseDecorator: ...


def phase(
    handler: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    timeout: float | None = None,
    retry: Retry = NO_RETRY,
    stop_grace: float = 10.0,
    version: int = 1,
) -> Any:
    """Make a method a phase of its job type. Phases run in the order they are written.

    The method takes a `Context` and returns the phase's result, or a `Snooze`, `Cancel` or
    `Fail`. An `async def` runs as a trio task, a plain `def` in a thread. A thread cannot be
    stopped, only asked to: it has `ctx.stop_requested` to look at.

    Args:
      handler: the method, when used as `@phase` without arguments.
      name: the phase's name; the method's name if it is not given.
      timeout: seconds that one try may take; None is no limit.
      retry: what happens after a try that raised or timed out; by default, nothing.
      stop_grace: seconds that the handler has to stop when it is cancelled or its time has
        passed. One that has not stopped then is abandoned: it may run on, and nothing it does
        counts.
      version: raise it when what the phase returns no longer means the same. Jobs submitted with
        another version are not run or retried, instead of guessing at their results.

    Raises:
      DefinitionError: if the method cannot be a phase, or there is one of that name already.
    """

    def decorate(handler: Callable[..., Any], /, depth: int = 1) -> Phase[Any]:
        chosen = name if name is not None else getattr(handler, "__name__", "")
        # The class body so far: a second method of the same name would silently replace the first.
        taken = _locals_above(depth)
        for other in [*taken.values(), taken.get(getattr(handler, "__name__", ""))]:
            if isinstance(other, Phase) and other.name == chosen:
                raise DefinitionError(
                    f"there are two phases named {chosen!r}: give one another name"
                )
        _check_handler(handler, chosen)
        if timeout is not None:
            check_seconds(f"phase {chosen!r}: timeout", timeout)
        if not isinstance(retry, Retry):
            raise DefinitionError(f"phase {chosen!r}: retry={retry!r} is not a triphase.Retry")
        check_seconds(f"phase {chosen!r}: stop_grace", stop_grace, least=0.0)
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise DefinitionError(
                f"phase {chosen!r}: version={version!r}: must be a whole number from 1"
            )
        return Phase(handler, chosen, timeout, retry, stop_grace, version)

    return decorate if handler is None else decorate(handler, depth=2)


def _locals_above(depth: int) -> dict[str, Any]:
    """Return the local names of the function or class body that called the caller."""
    frame = inspect.currentframe()
    for _ in range(depth + 1):
        frame = None if frame is None else frame.f_back
    return {} if frame is None else dict(frame.f_locals)


def _check_handler(handler: Callable[..., Any], name: str) -> None:
    if not name or not isinstance(handler, types.FunctionType):
        raise DefinitionError(f"@phase() needs a method, not {handler!r}")
    if inspect.isasyncgenfunction(handler) or inspect.isgeneratorfunction(handler):
        raise DefinitionError(f"phase {name!r} is a generator; a phase returns one result")
    try:
        inspect.signature(handler).bind(None, None)
    except TypeError as exc:
        raise DefinitionError(
            f"phase {name!r} must take (self, ctx) and nothing else that is required: {exc}"
        ) from None


def check_seconds(what: str, seconds: object, *, least: float | None = None) -> None:
    """Check a number of seconds that a user gave: above 0, or at least *least*.

    Raises:
      DefinitionError: if it is not one.
    """
    if (
        isinstance(seconds, int | float)
        and not isinstance(seconds, bool)
        and math.isfinite(seconds)
        and (seconds > 0 or seconds == least)
    ):
        return
    bound = "above 0" if least is None else f"of at least {least:g}"
    raise DefinitionError(f"{what}={seconds!r}: must be a finite number of seconds {bound}")


@attrs.frozen(eq=False)
class Definition:
    """A job type, as `@job` declares it."""

    name: str
    """The name that stands in the store and on the wire."""

    cls: type[Any]
    """The class; its instances are payloads."""

    queue: str
    """Where its jobs go unless `submit` says otherwise."""

    timeout: float | None
    """Seconds from a job's first start to its end, or None."""

    recovery: Recovery
    """What becomes of a job whose run is interrupted."""

    phases: tuple[Phase[Any], ...]
    """In the order in which they run."""

    _result_types: dict[str, Any] = attrs.field(factory=dict[str, Any], init=False, repr=False)

    def phase(self, name: str) -> Phase[Any]:
        """Return the phase of that name.

        Raises:
          UnknownPhase: if there is none.
        """
        for candidate in self.phases:
            if candidate.name == name:
                return candidate
        known = ", ".join(p.name for p in self.phases)
        raise UnknownPhase(f"job type {self.name!r} has no phase {name!r}; it has: {known}")

    def resolve(self) -> None:
        """Resolve the annotations of fields and results.

        Raises:
          DefinitionError: if one names something that cannot be found.
        """
        names = {self.cls.__name__: self.cls}
        try:
            attrs.resolve_types(self.cls, localns=names)
            for each in self.phases:
                self._result_types[each.name] = _result_type(each.handler, names)
        except NameError as exc:
            raise DefinitionError(
                f"job type {self.name!r}: an annotation cannot be resolved ({exc}); "
                "what it names must be importable from the module of the class"
            ) from exc

    def changed_since(self, job: Job) -> str | None:
        """Return how the phases differ from those a job was submitted with; None if they do not."""
        stored = [_versioned(phase.name, phase.version) for phase in job.phases]
        declared = [_versioned(phase.name, phase.version) for phase in self.phases]
        if stored == declared:
            return None
        return (
            f"submitted with the phases {', '.join(stored)}; "
            f"{self.name} now has {', '.join(declared)}"
        )

    def payload_of(self, job: object) -> Json:
        """Return a job's fields as JSON, after a check that they can be read back.

        Raises:
          InvalidPayload: with one problem for each bad field.
        """
        what = f"payload of {self.name}"
        data = storable(unstructure(job), what=what, error=InvalidPayload)
        payload = decode(data)
        self.instance_of(payload)
        return payload

    def instance_of(self, payload: Json) -> Any:
        """Return the job that a payload describes.

        Raises:
          InvalidPayload: with one problem for each bad field.
        """
        return structure(payload, self.cls, error=InvalidPayload)

    def digest(self, payload: Json) -> str:
        """Return the hash that a second submit with the same key must match."""
        return digest_of(self.name, payload)

    def result_type(self, name: str) -> Any:
        """Return the declared type of a phase's result; `Any` if none is declared."""
        return self._result_types[name]


class _JobDecorator(Protocol):
    def __call__(self, cls: type[T], /) -> type[T]: ...


@overload
def job(cls: type[T], /) -> type[T]: ...


@overload
def job(
    *,
    name: str | None = None,
    queue: str = "default",
    timeout: float | None = None,
    on_restart: OnRestart | str = OnRestart.RESUME,
    lost_most: int = 5,
) -> _JobDecorator: ...


@typing.dataclass_transform(frozen_default=True, field_specifiers=(attrs.field, attrs.Factory))
def job(
    cls: type | None = None,
    /,
    *,
    name: str | None = None,
    queue: str = "default",
    timeout: float | None = None,
    on_restart: OnRestart | str = OnRestart.RESUME,
    lost_most: int = 5,
) -> Any:
    """Make a class a job type: a frozen attrs class whose fields are the job's payload.

    Args:
      cls: the class, when used as `@job` without arguments.
      name: the name in the store and on the wire; the class's name if it is not given. Keep it
        when you rename the class, so that stored jobs still find it.
      queue: where its jobs go unless `submit` says otherwise.
      timeout: seconds from a job's first start to its end; a job that takes longer fails.
      on_restart: what becomes of a job whose process died or was shut down while it ran:
        "resume" goes on with the interrupted phase, "restart" begins with the first, "fail"
        fails it, "hold" ends it as `interrupted` until somebody retries it.
      lost_most: how often its process may die in one phase before the job fails. A shutdown
        does not count.

    Raises:
      DefinitionError: if the class has no phases, two of one name, or a bad argument.
    """

    def decorate(cls: type) -> type:
        chosen = name if name is not None else cls.__name__
        if not chosen or not isinstance(queue, str) or not queue:
            raise DefinitionError(f"job type {chosen!r}: name and queue must not be empty")
        if timeout is not None:
            check_seconds(f"job type {chosen!r}: timeout", timeout)
        phases = _phases_of(cls, chosen)
        # Not slotted: a slotted class is a copy, and its methods would close over the original.
        frozen = attrs.frozen(cls, slots=False)
        definition = Definition(
            chosen, frozen, queue, timeout, _recovery(chosen, on_restart, lost_most), phases
        )
        setattr(frozen, _MARK, definition)
        return frozen

    return decorate if cls is None else decorate(cls)


def _recovery(name: str, then: object, lost_most: object) -> Recovery:
    try:
        chosen = OnRestart(str(then))
    except ValueError:
        known = ", ".join(repr(each.value) for each in OnRestart)
        raise DefinitionError(
            f"job type {name!r}: on_restart={then!r}; there are: {known}"
        ) from None
    if not isinstance(lost_most, int) or isinstance(lost_most, bool) or lost_most < 0:
        raise DefinitionError(
            f"job type {name!r}: lost_most={lost_most!r}: must be a whole number from 0"
        )
    return Recovery(chosen, lost_most)


def _phases_of(cls: type, name: str) -> tuple[Phase[Any], ...]:
    found: dict[str, Phase[Any]] = {}
    for base in reversed(cls.__mro__):
        for attribute, value in vars(base).items():
            if isinstance(value, Phase):
                found[attribute] = value
            else:
                found.pop(attribute, None)
    names = [each.name for each in found.values()]
    for each in names:
        if names.count(each) > 1:
            raise DefinitionError(f"job type {name!r}: there are two phases named {each!r}")
    if not names:
        raise DefinitionError(f"job type {name!r} has no phases: decorate a method with @phase()")
    return tuple(found.values())


def definition_of(cls: type) -> Definition:
    """Return the definition of a class that `@job` decorated.

    Raises:
      DefinitionError: if it was not.
    """
    definition = vars(cls).get(_MARK) if isinstance(cls, type) else None
    if not isinstance(definition, Definition):
        raise DefinitionError(f"{cls!r} is not a job type: decorate the class with @triphase.job()")
    return definition


def _versioned(name: str, version: int) -> str:
    return name if version == 1 else f"{name} (version {version})"


def _result_type(handler: Callable[..., Any], names: dict[str, Any]) -> Any:
    """Return a handler's declared result without the fates, with its names resolved."""
    declared = _return_annotation(handler)
    holder = types.SimpleNamespace(__annotations__={"return": declared})
    hints = typing.get_type_hints(holder, globalns=handler.__globals__, localns=names)
    resolved = hints["return"]
    if typing.get_origin(resolved) in (typing.Union, types.UnionType):
        arms: tuple[Any, ...] = typing.get_args(resolved)
        kept = [arm for arm in arms if arm not in (Snooze, Cancel, Fail)]
        return functools.reduce(_or, kept) if kept else None
    return None if resolved in (Snooze, Cancel, Fail) else resolved


def _or(one: Any, other: Any) -> Any:
    return one | other


def _return_annotation(handler: Callable[..., Any]) -> Any:
    if sys.version_info >= (3, 14):
        import annotationlib

        found = annotationlib.get_annotations(handler, format=annotationlib.Format.FORWARDREF)
    else:
        found = handler.__annotations__
    return found.get("return", Any)
