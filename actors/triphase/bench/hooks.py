"""Webhooks a second, to a receiver that refuses some of them, and what a backlog costs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs
import trio

from triphase.hooks import Answer, Sending
from triphase.opening import open_runtime
from triphase.runtime import Runtime
from triphase_protocol import EventType, HookState, Queue, Retry, Webhook, decode, structure

from .elsewhere import process_of
from .jobs import OnePhase
from .receiver import Received
from .residence import resident_mb

RETRY: Final = Retry(attempts=50, backoff=0.2, factor=1.5, limit=2.0)
"""Soon again: what is measured is the work, not the patience."""

SECRET: Final = "whsec_" + "dGhpcyBpcyBvbmx5IG9mIGEgYmVuY2htYXJr"

AT_ONCE: Final = 100
"""Jobs in flight while the outbox is filled."""


@attrs.frozen(kw_only=True)
class HooksFigure:
    """What one measurement of webhooks gave."""

    hooks: int
    """Deliveries that were in the outbox when the runtime was opened."""

    refuses_one_in: int
    """The receiver refuses one request in so many; 0 is none."""

    delivered: int
    """Deliveries that the store says were delivered."""

    requests: int
    """Requests that the receiver saw."""

    accepted: int
    """Deliveries that it accepted."""

    repeated: int
    """Requests that it accepted though it had before."""

    seconds: float
    """From the open to the last one delivered."""

    per_second: float
    """Deliveries in that time."""

    cpu_us: float
    """Microseconds of the runtime's CPU time for each delivery."""

    resident_mb: tuple[float, float]
    """Megabytes of this process when the runtime was opened, and the most while it delivered."""


class _Nowhere:
    """Sends nothing, and never ends."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """See `Sender.send`."""
        await trio.sleep_forever()
        raise AssertionError("unreachable")


async def measure_hooks(store: Path, *, hooks: int, refuse_one_in: int) -> HooksFigure:
    """Fill an outbox with the ends of jobs, and deliver it to another process.

    A checkpoint; when it is cancelled, the process is ended.

    Args:
      store: a path that does not exist yet.
      hooks: how many.
      refuse_one_in: the receiver answers one request in so many with 503; 0 is none.
    """
    async with process_of("receiver", str(refuse_one_in)) as receiver:
        port = (await receiver.hear()).removeprefix("ready ")
        webhook = Webhook(url=f"http://127.0.0.1:{port}/", secret="bench")
        await _fill(store, webhook, hooks)
        before = resident_mb()
        begin, cpu = time.perf_counter(), time.process_time()
        async with open_runtime(
            [OnePhase],
            store=store,
            secrets={"bench": SECRET},
            sending=Sending(allow=["127.0.0.1"], retry=RETRY),
        ) as runtime:
            most = await _all_delivered(runtime, hooks)
            seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
            delivered = (await runtime.parts.store.statistics()).hooks.get(HookState.DELIVERED, 0)
        await receiver.finish()
        received = structure(decode((await receiver.hear()).encode()), Received)
    return HooksFigure(
        hooks=hooks,
        refuses_one_in=refuse_one_in,
        delivered=delivered,
        requests=received.requests,
        accepted=received.accepted,
        repeated=received.repeated,
        seconds=seconds,
        per_second=hooks / seconds,
        cpu_us=1e6 * cpu / hooks,
        resident_mb=(before, most),
    )


async def _fill(store: Path, webhook: Webhook, hooks: int) -> None:
    numbers = iter(range(hooks))

    async def submitter(runtime: Runtime) -> None:
        for number in numbers:
            await (await runtime.submit(OnePhase(number))).wait()

    async with (
        open_runtime(
            [OnePhase],
            store=store,
            queues={"bench": Queue(limit=AT_ONCE)},
            webhooks=webhook,
            secrets={"bench": SECRET},
            sending=Sending(sender=_Nowhere()),
            drain_timeout=0.0,
        ) as runtime,
        trio.open_nursery() as nursery,
    ):
        for _ in range(AT_ONCE):
            nursery.start_soon(submitter, runtime)


async def _all_delivered(runtime: Runtime, hooks: int) -> float:
    """Wait until so many were delivered; return the most megabytes meanwhile."""
    most, left = 0.0, hooks
    async for _ in runtime.events(after=0, types=EventType.HOOK_DELIVERED):
        left -= 1
        if left % 100 == 0:
            most = max(most, resident_mb())
        if not left:
            break
    return most
