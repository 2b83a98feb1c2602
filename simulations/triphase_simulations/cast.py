"""Job types whose handlers do what a script says: the actors of a scenario.

A type is made from a description, so that a scenario is data and can be saved, changed and shrunk.
What a handler does in each try stands in the job's payload.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import attrs
import trio

import triphase
from triphase_protocol import OnRestart, Retry

from .webhooks import WebhookPlan, webhooks_of
from .world import WORLD

HUGE: Final = 5_000_000
"""Characters of a result that is too large to be stored."""


@attrs.frozen(kw_only=True)
class PhaseSpec:
    """How one phase is declared."""

    name: str
    timeout: float | None = None
    progress_timeout: float | None = None
    attempts: int = 1
    timeouts: int | None = None
    backoff: float = 1.0
    ask_grace: float = 0.0
    stop_grace: float = 5.0
    approval: float | None = None
    """Seconds to approve; 0 is for ever; None asks for no approval."""

    plain: bool = False
    """A `def`, not an `async def`; its steps take no time."""


@attrs.frozen(kw_only=True)
class TypeSpec:
    """How a job type is declared."""

    name: str
    phases: tuple[PhaseSpec, ...]
    queue: str = "default"
    timeout: float | None = None
    run_timeout: float | None = None
    queue_timeout: float | None = None
    approval: float | None = None
    on_restart: str = OnRestart.RESUME.value
    lost_most: int = 5
    webhooks: tuple[WebhookPlan, ...] = ()


def approval_of(seconds: float | None) -> triphase.Approval | None:
    """Return the approval that a number of seconds stands for."""
    if seconds is None:
        return None
    return triphase.Approval(timeout=seconds or None)


@functools.cache
def job_type(spec: TypeSpec) -> type[Any]:
    """Return the job class of a description. The same one for equal ones."""
    namespace: dict[str, Any] = {
        "__annotations__": {"script": dict[str, list[list[list[Any]]]]},
        "__module__": __name__,
        "__qualname__": spec.name,
        "script": attrs.field(factory=dict),
    }
    for phase in spec.phases:
        namespace[phase.name] = _handler(phase)
    return triphase.job(
        name=spec.name,
        queue=spec.queue,
        timeout=spec.timeout,
        run_timeout=spec.run_timeout,
        queue_timeout=spec.queue_timeout,
        approval=approval_of(spec.approval),
        on_restart=spec.on_restart,
        lost_most=spec.lost_most,
        webhook=webhooks_of(spec.webhooks),
    )(type(spec.name, (), namespace))


def _handler(spec: PhaseSpec) -> Any:
    async def act(self: Any, ctx: triphase.Context) -> Any:
        return await perform(self.script.get(ctx.phase, []), ctx)

    def act_plainly(self: Any, ctx: triphase.Context) -> Any:
        return perform_plainly(self.script.get(ctx.phase, []), ctx)

    handler: Any = act_plainly if spec.plain else act
    handler.__name__ = handler.__qualname__ = spec.name
    return triphase.phase(
        timeout=spec.timeout,
        progress_timeout=spec.progress_timeout,
        retry=Retry(attempts=spec.attempts, timeouts=spec.timeouts, backoff=spec.backoff),
        ask_grace=spec.ask_grace,
        stop_grace=spec.stop_grace,
        approval=approval_of(spec.approval),
    )(handler)


Step = list[Any]
"""A word, and what it is about: `["sleep", 1.0]`. See `perform`."""


async def perform(tries: list[list[Step]], ctx: triphase.Context) -> Any:
    """Do what the script says for this try, step by step; the last try is for all that follow.

    `sleep s` · `progress done` · `shield s`: sleeps on though it is cancelled · `tidy s`: waits for
    ever, and takes so long to clean up · `swallow s`: sleeps, and returns if it is cancelled ·
    `forever` · `never`: waits for ever, shielded · `raise name` · `snooze s` · `cancel` · `fail` ·
    `return value` · `huge`: returns too much · `unstorable`: returns what is no JSON.
    """
    world = WORLD.get()
    assert world is not None, "a scripted handler runs in a world"
    result: Any = None
    with world.running(ctx):
        for word, *about in _script(tries, ctx.attempt):
            result = await _step(word, about[0] if about else None, ctx)
    return result


def perform_plainly(tries: list[list[Step]], ctx: triphase.Context) -> Any:
    """The same for a `def`: only steps that take no time."""
    world = WORLD.get()
    assert world is not None, "a scripted handler runs in a world"
    result: Any = None
    with world.running(ctx):
        for word, *about in _script(tries, ctx.attempt):
            if word == "progress":
                ctx.progress_nowait(about[0], total=10)
            else:
                result = _at_once(word, about[0] if about else None)
    return result


def _script(tries: list[list[Step]], attempt: int) -> list[Step]:
    return tries[min(attempt, len(tries)) - 1] if tries else []


async def _step(word: str, about: Any, ctx: triphase.Context) -> Any:
    match word:
        case "sleep":
            await trio.sleep(about)
        case "progress":
            await ctx.progress(about, total=10)
        case "shield":
            with trio.CancelScope(shield=True):
                await trio.sleep(about)
        case "tidy":
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(about)
        case "swallow":
            with trio.CancelScope() as scope:
                try:
                    await trio.sleep(about)
                except trio.Cancelled:
                    # As a handler may that catches everything: trio lets it out at the scope.
                    scope.cancel()
                    raise
        case "forever":
            await trio.sleep_forever()
        case "never":
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()
        case _:
            return _at_once(word, about)
    return None


def _at_once(word: str, about: Any) -> Any:
    match word:
        case "raise":
            raise {"ConnectionError": ConnectionError, "ValueError": ValueError}[about]("scripted")
        case "snooze":
            raise triphase.Snooze(about)
        case "cancel":
            raise triphase.Cancel("scripted")
        case "fail":
            raise triphase.Fail("scripted")
        case "return":
            return about
        case "huge":
            return "x" * HUGE
        case "unstorable":
            return {1, 2}
        case _:
            raise ValueError(f"{word!r} is no step of a script")
