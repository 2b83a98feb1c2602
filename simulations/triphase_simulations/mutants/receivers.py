"""Mistakes about receivers of webhooks: how often each is tried, how many at once, until when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import trio

from triphase.hooks import Answer, Deliveries, Endpoints, SendFailed, policy, tries
from triphase.hooks.breaker import Breaker, BreakerState
from triphase.hooks.policy import Dead, Decision, why_failed
from triphase.runtime.hooks import Hooks
from triphase.store.operations import HookStep, Redeliver, Result
from triphase.store.simulated import SimulatedStore
from triphase.store.simulated.contents import Contents
from triphase.store.simulated.transaction import Transaction
from triphase_protocol import Hook, HookState, Retry

from .hooks import SUITES, send_at_once
from .mutant import Mutant, Swap, Swaps

# Whether it is tried again


def _deciding(change: Callable[[Any], Any]) -> Callable[[], Swaps]:
    """Return swaps that see another outcome than there was, or decide about it themselves."""

    def swaps() -> Swaps:
        real = policy.decide

        def decide(attempts: int, outcome: Any, retry: Retry, draw: float) -> Decision:
            outcome = change(outcome)
            if isinstance(outcome, Dead):
                return outcome
            return real(attempts, outcome, retry, draw)

        return [Swap(tries, "decide", decide)]

    return swaps


def _dead_if_refused(outcome: Any) -> Any:
    if isinstance(outcome, Answer) and 400 <= outcome.status < 500 and outcome.status != 410:
        return Dead(why_failed(outcome))
    return outcome


def _dead_if_unanswered(outcome: Any) -> Any:
    return Dead(why_failed(outcome)) if isinstance(outcome, SendFailed) else outcome


def _impatient(outcome: Any) -> Any:
    return attrs.evolve(outcome, retry_after=None) if isinstance(outcome, Answer) else outcome


# How many, where, and in which order


def _any_order() -> Swaps:
    def first_pending(self: Contents) -> list[Hook]:
        return [row.hook for row in self.hooks.values() if row.hook.state is HookState.PENDING]

    return [Swap(Contents, "first_pending", first_pending)]


def _any_number() -> Swaps:
    def is_full(self: Endpoints, url: str) -> bool:
        return False

    return [Swap(Endpoints, "is_full", is_full)]


def _never_half_open() -> Swaps:
    def state(self: Breaker, now: float) -> BreakerState:
        return BreakerState.CLOSED if self.until is None else BreakerState.OPEN

    return [Swap(Breaker, "state", state)]


def _probe_is_lost() -> Swaps:
    def abandoned(self: Breaker, round: int) -> Breaker:
        return self

    return [Swap(Breaker, "abandoned", abandoned)]


def _gone_is_not_kept() -> Swaps:
    real: Any = Transaction.__dict__["_step_hook"]

    def step_hook(self: Any, step: HookStep) -> Result:
        result: Result = real(self, attrs.evolve(step, disabled=False))
        return result

    return [Swap(Transaction, "_step_hook", step_hook)]


def _gone_in_one_life() -> Swaps:
    opened: dict[int, set[str]] = {}
    real = SimulatedStore.disabled
    open = SimulatedStore.open

    async def open_and_look(self: SimulatedStore) -> None:
        await open(self)
        instance: Any = self
        opened[id(self)] = set(instance._open_disk().disabled)

    async def disabled(self: SimulatedStore, urls: Any) -> Any:
        return await real(self, set(urls) - opened.get(id(self), set()))

    return [Swap(SimulatedStore, "open", open_and_look), Swap(SimulatedStore, "disabled", disabled)]


# Asked for again


def _sent_by_who_asks() -> Swaps:
    real = Hooks.redeliver

    async def redeliver(self: Hooks, id: str) -> Hook:
        hook = await real(self, id)
        tree: Any = getattr(self._parts.look, "__self__", None)
        if tree is not None:
            await send_at_once(tree, hook)
        return hook

    return [Swap(Hooks, "redeliver", redeliver)]


def _old_budget() -> Swaps:
    real: Any = Transaction.__dict__["_redeliver"]

    def redeliver(self: Any, redeliver: Redeliver) -> Result:
        before = self._contents.hooks.get(redeliver.hook)
        result: Result = real(self, redeliver)
        after = self._contents.hooks.get(redeliver.hook)
        if before is not None and after is not None:
            hook = attrs.evolve(after.hook, spent=before.hook.spent)
            self._put_hook(hook.id, attrs.evolve(after, hook=hook))
        return result

    return [Swap(Transaction, "_redeliver", redeliver)]


# Shutdown


def _not_waited_for() -> Swaps:
    async def settle(self: Deliveries) -> None:
        """Wait for nothing."""
        self.settled = True
        await trio.lowlevel.checkpoint()

    return [Swap(Deliveries, "settle", settle)]


MUTANTS = (
    Mutant(
        name="too-many-requests-is-final",
        says="Every answer of the 400s is the last, also the one that asks for patience.",
        shipped="a chat platform: 4xx is permanent, and 429 among them",
        oracles=("O10",),
        suites=SUITES,
        swaps=_deciding(_dead_if_refused),
    ),
    Mutant(
        name="one-blip-is-final",
        says="A webhook whose answer never came is not tried again.",
        shipped="a chat platform: sent and forgotten, so one blip loses it",
        oracles=("O10",),
        suites=SUITES,
        swaps=_deciding(_dead_if_unanswered),
    ),
    Mutant(
        name="retry-after-is-not-read",
        says="A receiver that asks for patience is tried again as soon as any other.",
        shipped="any sender that has a backoff of its own, and reads no header",
        oracles=("O10",),
        suites=SUITES,
        swaps=_deciding(_impatient),
    ),
    Mutant(
        name="hooks-in-any-order",
        says="An event does not wait for the one before it, of its job and to its URL.",
        shipped="such a system would make at this place: one query for all that is due",
        oracles=("O10",),
        suites=SUITES,
        swaps=_any_order,
    ),
    Mutant(
        name="one-url-takes-all",
        says="As many are sent to one URL as there is room for altogether.",
        shipped="any pool without a share for each, which one slow receiver fills",
        oracles=("O10",),
        suites=SUITES,
        swaps=_any_number,
    ),
    Mutant(
        name="breaker-stays-open",
        says="A receiver that was left alone once is left alone for ever.",
        shipped="such a system would make at this place: no probe when the pause is over",
        oracles=("O10", "O12"),
        suites=SUITES,
        swaps=_never_half_open,
    ),
    Mutant(
        name="probe-is-lost",
        says="A probe that was cut off keeps its place, so no other may try.",
        shipped="such a system would make at this place: a flag that only an answer takes away",
        oracles=("O10", "O12"),
        suites=SUITES,
        swaps=_probe_is_lost,
    ),
    Mutant(
        name="gone-is-not-kept",
        says="What is sent to a receiver that is gone fails each for itself.",
        shipped="such a system would make at this place: the state of the delivery, not of the URL",
        oracles=("O10",),
        suites=SUITES,
        swaps=_gone_is_not_kept,
    ),
    Mutant(
        name="gone-until-a-restart",
        says="That a receiver is gone is known only to the process that heard it.",
        shipped="a task manager: a cache in memory, lost on restart",
        oracles=("O10",),
        suites=SUITES,
        swaps=_gone_in_one_life,
    ),
    Mutant(
        name="redelivery-beside-the-delivery",
        says="Who asks for a delivery again sends it, also while it is under way.",
        shipped="a task manager: a redelivery beside the first delivery made two",
        oracles=("O10",),
        suites=SUITES,
        swaps=_sent_by_who_asks,
    ),
    Mutant(
        name="redelivery-has-no-budget",
        says="What is asked for again has the tries that were left: often none.",
        shipped="such a system would make at this place: a counter that nobody sets back",
        oracles=("O10",),
        suites=SUITES,
        swaps=_old_budget,
    ),
    Mutant(
        name="hooks-cut-off-at-the-end",
        says="A runtime that is left does not wait for what is being sent.",
        shipped="a job queue: the store was closed while deliveries were to be written down",
        oracles=("O10",),
        suites=SUITES,
        swaps=_not_waited_for,
    ),
)
