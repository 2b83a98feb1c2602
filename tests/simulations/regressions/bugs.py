"""Mistakes that triphase itself had until a simulation found them, as they were."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import trio

from triphase.client import Unreachable, link, session
from triphase.directory import Directory
from triphase.gateway.fanout import Fanout
from triphase.gateway.requests import Requests
from triphase.job_actor import JobActor, _extra
from triphase.runtime.changing import Changing
from triphase.websocket import SocketClosed
from triphase_protocol import CancelJob, Job, JobState, StopCause, StopStep
from triphase_protocol.wire import Welcome
from triphase_simulations.mutants import MUTANTS, Swap


def _graces_by_the_wall_clock() -> list[Swap]:
    def ask_to_stop(self: Any, context: Any) -> None:
        stop, phase, now = self._job.stop, self._phase(context), trio.current_time()
        if stop is None or self._handling is None:
            return
        asking = stop.step is StopStep.ASK
        wall = self._around.clock.now()
        harder = now + max(0.0, stop.cancel_at - wall) if asking else math.inf
        abandon = now + max(0.0, stop.grace_until - wall) + _extra(phase)
        self._timers.begin_to_stop(harder, min(self._timers.abandon, abandon))
        if asking:
            self._handling.ask()
        else:
            self._handling.cancel(f"job {self._job.id}: {stop.cause.value}")

    return [Swap(JobActor, "_ask_to_stop", ask_to_stop)]


def _nobody_puts_the_unborn_back() -> list[Swap]:
    async def put_back(self: Directory) -> None:
        await trio.lowlevel.checkpoint()

    return [Swap(Directory, "put_back", put_back)]


def _of_two_cancels_one_is_refused() -> list[Swap]:
    async def cancel(
        self: Any, id: str, *, reason: str | None = None, by: str | None = None
    ) -> Job:
        job: Job = await self.get(id)
        if job.state is JobState.STOPPING and job.stop and job.stop.cause is StopCause.CANCEL:
            return job
        ask_grace, grace = self._parts.registry.graces_of(job)
        command = CancelJob(reason=reason, by=by, ask_grace=ask_grace, grace=grace)
        after: Job = await self._parts.orders.give(job.id, command)
        return after

    return [Swap(Changing, "cancel", cancel)]


def _subscriptions_outlive_their_connection() -> list[Swap]:
    def close(self: Any) -> None:
        for subscription in self.subscriptions.values():
            subscription.sources.fanout.leave(subscription)

    offer: Any = Fanout.__dict__["_offer"]
    return [Swap(Requests, "close", close), Swap(Fanout, "_offer_safely", offer)]


def _a_bye_is_no_gateway() -> list[Swap]:
    heard, end_of = (link.__dict__[name] for name in ("_heard", "_end_of"))

    async def welcome(socket: Any, hello: bytes) -> Any:
        try:
            await socket.send(hello)
        except SocketClosed as exc:
            raise end_of(exc) from exc
        reply = await heard(socket)
        if not isinstance(reply, Welcome):
            raise Unreachable(f"what answers there is no gateway: {reply!r:.100}")
        return reply

    return [Swap(link, "_welcome", welcome)]


def _a_wait_as_long_as_the_connection_is_away() -> list[Swap]:
    return [Swap(session, "LATE", math.inf)]


BUGS: Mapping[str, Callable[[], Any]] = {
    "graces-by-the-wall-clock": _graces_by_the_wall_clock,
    "subscriptions-outlive-their-connection": _subscriptions_outlive_their_connection,
    "a-bye-is-no-gateway": _a_bye_is_no_gateway,
    "a-wait-as-long-as-the-connection-is-away": _a_wait_as_long_as_the_connection_is_away,
    "nobody-puts-the-unborn-back": _nobody_puts_the_unborn_back,
    "of-two-cancels-one-is-refused": _of_two_cancels_one_is_refused,
    "second-grace": MUTANTS["second-grace"].swaps,
}
"""What brings each of them back, by the name of the file that holds the plan which shows it."""
