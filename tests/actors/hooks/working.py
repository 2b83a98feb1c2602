"""Job types that end in every way there is, and a process that runs them until it is killed.

It tells, as a line of JSON each: `{"submitted": …}` with the id of a job, and `{"hook": …}` with
the type and the data of every event about a delivery, those before its time included.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import trio

import triphase
from triphase import Context, Retry, Runtime, Sending, Webhook, job, open_runtime, phase

SECRET = "whsec_" + "c2VjcmV0IG9mIHRoaXJ0eSBieXRlcyBvciBzbw=="

AT_ONCE = Sending(allow=["127.0.0.1"], retry=Retry(attempts=20, backoff=0.01))
"""A try that fails is followed by the next."""


@job
class Work:
    """Ends well, or does not."""

    well: bool = True

    @phase
    async def do(self, ctx: Context) -> str:
        """Return, or raise."""
        if not self.well:
            raise LookupError("nothing is there")
        return "done"


@job(approval=True)
class Asked(Work):
    """Waits for somebody's approval."""


@job(on_restart="hold")
class Held:
    """Does not end by itself, nor begin again."""

    @phase
    async def hold(self, ctx: Context) -> None:
        """Tell that it runs."""
        await ctx.progress(1)
        await trio.sleep_forever()


JOBS = (Work, Asked, Held)


def tell(value: dict[str, Any]) -> None:
    """Tell something to whoever has started the process."""
    print(json.dumps(value), flush=True)


async def run(store: str, url: str, delivery: str, count: int) -> None:
    """Submit so many jobs, and tell of their webhooks."""
    webhook = Webhook(url=url, secret="main", delivery=triphase.Delivery(delivery))
    async with open_runtime(
        JOBS, store=store, webhooks=webhook, secrets={"main": SECRET}, sending=AT_ONCE
    ) as runtime:
        for _ in range(count):
            tell({"submitted": (await runtime.submit(Work())).id})
        await _tell_hooks(runtime)


async def _tell_hooks(runtime: Runtime) -> None:
    async for event in runtime.events(after=0):
        if event.type.value.startswith("hook."):
            tell({"hook": {"type": event.type.value, "data": event.data}})


def main() -> None:
    """Run until the process is killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store")
    parser.add_argument("url")
    parser.add_argument("--delivery", default=triphase.Delivery.AT_LEAST_ONCE.value)
    parser.add_argument("--submit", type=int, default=0)
    given = parser.parse_args()
    trio.run(run, given.store, given.url, given.delivery, given.submit)


if __name__ == "__main__":
    main()
