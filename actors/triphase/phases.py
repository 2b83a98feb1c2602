"""Phases, as a job type declares them.

    @triphase.phase(timeout=60, retry=triphase.Retry(attempts=5))
    async def fetch(self, ctx: triphase.Context) -> str: ...

    @triphase.command(survives=True)
    def encode(self, ctx: triphase.Context) -> list[str]:
        return ["ffmpeg", "-i", ctx.result_of(Transcode.fetch), "out.mp4"]

A declaration is checked when it is made, as far as Python lets it be.
"""

from __future__ import annotations

import enum
import inspect
import types
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, overload

import attrs

from triphase_protocol import NO_RETRY, Approval, DefinitionError, Gate, Retry

from .checks import check_approval, check_seconds, check_version
from .external import Command, CommandResult
from .fates import Fate

if TYPE_CHECKING:
    from .context import Context

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class PhaseKind(enum.Enum):
    """Where a phase runs, and so how it is stopped."""

    TASK = "task"
    """An `async def`: a trio task, which is cancelled."""

    THREAD = "thread"
    """A `def`: a thread, which is asked to stop, and let go if it does not."""

    PROCESS = "process"
    """`isolation="process"`: a worker process, which is killed if it does not stop."""

    COMMAND = "command"
    """`@command`: a program, which is killed if it does not stop."""


@attrs.frozen(eq=False, slots=False, repr=False, kw_only=True)
class Phase(Generic[R_co]):
    """A phase of a job type, as `@phase` or `@command` declares it.

    Read from the class it stands for the phase (`ctx.result_of(Transcode.fetch)`); read from
    an instance it is the plain method, so that a test may call the handler by itself.
    """

    handler: Callable[..., Any]
    """The function as it was written."""

    name: str
    """Its name, unique in the job type."""

    kind: PhaseKind
    """Where it runs."""

    timeout: float | None
    """Seconds that one try may take, or None."""

    progress_timeout: float | None
    """Seconds that may pass between two reports of progress, or None."""

    retry: Retry
    """The policy after a try that failed."""

    ask_grace: float
    """Seconds that the handler has to stop by itself, once asked to, before it is cancelled."""

    stop_grace: float
    """Seconds that it has to stop then, before it is abandoned or killed."""

    version: int
    """The version of the declaration: a job submitted with another is not run."""

    approval: Approval | None
    """Somebody has to approve before it starts; None if nobody has to."""

    survives: bool = False
    """A command that goes on when the runtime ends, and is found again."""

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "__doc__", self.handler.__doc__)

    def __repr__(self) -> str:
        return f"<phase {self.handler.__qualname__}>"

    @property
    def gate(self) -> Gate | None:
        """The gate that a new job gets before this phase."""
        return None if self.approval is None else Gate(timeout=self.approval.timeout)

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
    progress_timeout: float | None = None,
    retry: Retry = NO_RETRY,
    ask_grace: float = 0.0,
    stop_grace: float = 10.0,
    version: int = 1,
    approval: Approval | bool | None = None,
    isolation: Literal["process"] | None = None,
) -> _PhaseDecorator: ...


def phase(
    handler: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    timeout: float | None = None,
    progress_timeout: float | None = None,
    retry: Retry = NO_RETRY,
    ask_grace: float = 0.0,
    stop_grace: float = 10.0,
    version: int = 1,
    approval: Approval | bool | None = None,
    isolation: Literal["process"] | None = None,
) -> Any:
    """Make a method a phase of its job type. Phases run in the order they are written.

    The method takes a `Context` and returns the phase's result, or a `Snooze`, `Cancel` or
    `Fail`. An `async def` runs as a trio task, a plain `def` in a thread, either of them in a
    process of its own with `isolation="process"`. A thread cannot be stopped, only asked to: it
    has `ctx.stop_requested` to look at.

    Args:
      handler: the method, when used as `@phase` without arguments.
      name: the phase's name; the method's name if it is not given.
      timeout: seconds that one try may take; None is no limit.
      progress_timeout: seconds that may pass without a call of `ctx.progress`; None is no limit.
      retry: what happens after a try that raised or timed out; by default, nothing.
      ask_grace: seconds that the handler has to stop by itself, when it is cancelled or its time
        has passed: `ctx.stop_requested` is true, and nothing else happens. 0 goes on at once.
        Not for processes, which are asked by SIGTERM.
      stop_grace: seconds that it has to stop after that, once its task is cancelled, or its
        process has been sent SIGTERM. One that has not stopped then is abandoned (it may run on,
        and nothing it does counts), a process is killed.
      version: raise it when what the phase returns no longer means the same. Jobs submitted with
        another version are not run or retried, instead of guessing at their results.
      approval: True, or an `Approval`: the job waits as `gated` before this phase, until
        somebody approves or rejects it.
      isolation: "process" runs it in a worker process, which can be killed. The job class must be
        one that another process can import.

    Raises:
      DefinitionError: if the method cannot be a phase, there is one of that name already, or
        options contradict each other.
    """
    options = _Options(
        name, timeout, progress_timeout, retry, ask_grace, stop_grace, version, approval
    )

    def decorate(handler: Callable[..., Any], /, depth: int = 1) -> Phase[Any]:
        if isolation not in (None, "process"):
            raise DefinitionError(
                f"phase {getattr(handler, '__name__', '')!r}: isolation={isolation!r}: "
                "there is only 'process'"
            )
        kind = PhaseKind.PROCESS if isolation else _kind_of(handler)
        return _declared(handler, kind, options, depth=depth + 1)

    return decorate if handler is None else decorate(handler, depth=2)


_CommandHandler = Callable[[Any, "Context"], Command | Sequence[str] | Fate]


def command(
    *,
    name: str | None = None,
    timeout: float | None = None,
    retry: Retry = NO_RETRY,
    stop_grace: float = 10.0,
    version: int = 1,
    approval: Approval | bool | None = None,
    survives: bool = False,
) -> Callable[[_CommandHandler], Phase[CommandResult]]:
    """Make a method a phase that runs an external command: the method says which.

    It takes a `Context` and returns a list of the program and its arguments, or a `Command`; or
    a `Snooze`, `Cancel` or `Fail` instead. It is a plain `def`, which runs on the trio thread and
    must be quick. There is no shell; what the command writes is kept up to a bound; its exit
    code decides. The phase's result is a `CommandResult`. When it is stopped its process group
    gets SIGTERM, and SIGKILL after the grace.

    Args:
      name: the phase's name; the method's name if it is not given.
      timeout: seconds that one try may take; None is no limit.
      retry: what happens after a try that failed or timed out; by default, nothing.
      stop_grace: seconds between SIGTERM and SIGKILL.
      version: as with `@phase`.
      approval: as with `@phase`.
      survives: the command goes on when the runtime ends or its process dies, and the next
        runtime on the store finds it again, or learns how it ended. Needs Linux, and a store in
        a file.

    Raises:
      DefinitionError: if the method cannot be a phase, there is one of that name already, or an
        option is out of range.
    """
    options = _Options(name, timeout, None, retry, 0.0, stop_grace, version, approval)

    def decorate(handler: _CommandHandler, /) -> Phase[CommandResult]:
        if inspect.iscoroutinefunction(handler):
            raise DefinitionError(
                f"@command() {handler.__name__!r} is `async def`: it only says which command"
            )
        declared = _declared(handler, PhaseKind.COMMAND, options, depth=2)
        return attrs.evolve(declared, survives=bool(survives))

    return decorate


@attrs.frozen
class _Options:
    """What is the same for every kind of phase, as it was given."""

    name: str | None
    timeout: float | None
    progress_timeout: float | None
    retry: Retry
    ask_grace: float
    stop_grace: float
    version: int
    approval: Approval | bool | None


def _declared(
    handler: Callable[..., Any], kind: PhaseKind, options: _Options, *, depth: int
) -> Phase[Any]:
    name = options.name if options.name is not None else getattr(handler, "__name__", "")
    _check_unique(name, handler, depth + 1)
    _check_handler(handler, name)
    what = f"phase {name!r}"
    for option in ("timeout", "progress_timeout"):
        value = getattr(options, option)
        if value is not None:
            check_seconds(f"{what}: {option}", value)
    if not isinstance(options.retry, Retry):
        raise DefinitionError(f"{what}: retry={options.retry!r} is not a triphase.Retry")
    check_seconds(f"{what}: ask_grace", options.ask_grace, least=0.0)
    check_seconds(f"{what}: stop_grace", options.stop_grace, least=0.0)
    check_version(what, options.version)
    declared = Phase[Any](
        handler=handler,
        name=name,
        kind=kind,
        timeout=options.timeout,
        progress_timeout=options.progress_timeout,
        retry=options.retry,
        ask_grace=options.ask_grace,
        stop_grace=options.stop_grace,
        version=options.version,
        approval=check_approval(what, options.approval),
    )
    _check_sense(declared)
    return declared


def _check_sense(phase: Phase[Any]) -> None:
    """Refuse options that contradict each other."""
    what, timeout, progress = f"phase {phase.name!r}", phase.timeout, phase.progress_timeout
    if phase.ask_grace and phase.kind is PhaseKind.PROCESS:
        raise DefinitionError(
            f"{what}: ask_grace={phase.ask_grace!r}: a process is asked by SIGTERM, "
            "which its stop_grace is the time for"
        )
    if timeout is not None and progress is not None and progress >= timeout:
        raise DefinitionError(
            f"{what}: progress_timeout={progress!r} is not below timeout={timeout!r}, "
            "so it would never pass first"
        )


def _kind_of(handler: object) -> PhaseKind:
    return PhaseKind.TASK if inspect.iscoroutinefunction(handler) else PhaseKind.THREAD


def _check_unique(name: str, handler: Callable[..., Any], depth: int) -> None:
    # The class body so far: a second method of the same name would silently replace the first.
    taken = _locals_above(depth)
    for other in [*taken.values(), taken.get(getattr(handler, "__name__", ""))]:
        if isinstance(other, Phase) and other.name == name:
            raise DefinitionError(f"there are two phases named {name!r}: give one another name")


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
