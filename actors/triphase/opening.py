"""Opening a runtime: checks, the store, the threads and processes, and the tree of actors."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from os import PathLike

import trio

from triphase_protocol import JobState, Queue, Retention

from .actor import SupervisorFailed
from .checks import Webhooks, check_seconds, check_webhooks, check_whole
from .clock import Clock, SystemClock
from .entropy import Entropy
from .errors import RuntimeCrashed
from .feed import Feed
from .handler import Places
from .hooks import Keyring, Sending
from .outbox import Outbox
from .processes import KeptCommands, check_not_importing_main, open_processes
from .reconciler import keeping
from .registry import Registry
from .runtime import Runtime
from .store.backend import Store
from .store.location import store_from
from .threads import Threads
from .tree import Tree


@asynccontextmanager
async def open_runtime(
    jobs: Iterable[type],
    *,
    store: str | PathLike[str] | Store,
    queues: Mapping[str, Queue] | None = None,
    limit: int = 100,
    retention: Retention | Mapping[JobState | str, Retention] | None = None,
    drain_timeout: float = 30.0,
    progress_interval: float = 0.25,
    webhooks: Webhooks | None = None,
    secrets: Mapping[str, str | Sequence[str]] | None = None,
    sending: Sending | None = None,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
) -> AsyncGenerator[Runtime]:
    """Open a runtime; entered, it has recovered what a dead process left, and runs jobs.

    Left normally, it starts no more jobs and waits up to *drain_timeout* for those that run;
    left by an exception or a cancel, it does not wait. Jobs that still run then are stopped
    and put back into their queues, to be resumed from their interrupted phase at the next
    open. An exception of the body leaves the block as it is. A checkpoint on both ends.

    Args:
      jobs: the job types: classes that `@job` decorated.
      store: a path, "sqlite://…", "memory:", or a `Store`.
      queues: settings by name; a queue that a job type names has the default ones otherwise.
      limit: how many jobs may run at once, over all queues.
      retention: for how long jobs are kept that have ended: one policy, or one for each state
        that a job ends in. What is not given is kept for ever.
      drain_timeout: seconds.
      progress_interval: seconds between two recorded progresses of one job, at least.
      webhooks: a URL or a `Webhook`, or several: where the events of all jobs are POSTed.
      secrets: what webhooks are signed with, by the names that they have in `Webhook(secret=…)`:
        `whsec_…`, or two while one replaces the other, the new one first. None of them gets into
        the store, an event, an error or the log.
      sending: how webhooks are sent.
      clock: where the wall-clock time comes from.
      entropy: where ids and random draws come from.

    Raises:
      DefinitionError: if a class is no job type, or an argument is out of range.
      StoreError: if the store cannot be opened; its subclass says why.
      RuntimeCrashed: if the runtime's own tasks failed; the body was cancelled.
    """
    check_not_importing_main()
    registry = Registry(jobs, queues)
    check_whole("limit", limit, least=1)
    check_seconds("drain_timeout", drain_timeout, least=0.0)
    check_seconds("progress_interval", progress_interval, least=0.0)
    kept_for = keeping(retention)
    everywhere = check_webhooks("webhooks", webhooks)
    keyring = Keyring(secrets)
    keyring.check("webhooks", everywhere)
    for definition in registry:
        keyring.check(f"webhook of job type {definition.name!r}", definition.webhooks)
    entropy = entropy or Entropy()
    opened = store_from(store)
    await opened.open()
    threads = Threads()
    threads.open()
    try:
        registry.adopt(await opened.queue_settings())
        async with open_processes(interval=progress_interval) as processes:
            tree = Tree(
                registry,
                opened,
                Places(threads, processes, _kept_commands(opened)),
                Feed(opened, (await opened.statistics()).last_seq),
                limit,
                kept_for,
                progress_interval,
                clock or SystemClock(),
                entropy,
                Outbox(registry, everywhere, entropy.id),
                keyring,
                sending or Sending(),
            )
            async with tree.open(drain_timeout) as runtime:
                yield runtime
    except SupervisorFailed as exc:
        raise RuntimeCrashed("the runtime's own tasks failed") from (exc.__cause__ or exc)
    finally:
        threads.close()
        with trio.CancelScope(shield=True):
            await opened.close()


async def serve_runtime(
    jobs: Iterable[type],
    *,
    store: str | PathLike[str] | Store,
    queues: Mapping[str, Queue] | None = None,
    limit: int = 100,
    retention: Retention | Mapping[JobState | str, Retention] | None = None,
    progress_interval: float = 0.25,
    webhooks: Webhooks | None = None,
    secrets: Mapping[str, str | Sequence[str]] | None = None,
    sending: Sending | None = None,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
    task_status: trio.TaskStatus[Runtime] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a runtime until cancelled: `runtime = await nursery.start(serve_runtime, [Transcode])`.

    For keyword arguments use `functools.partial`. They, and the errors, are those of
    `open_runtime`; the runtime is what `nursery.start` returns. A cancel does not wait for what
    runs: call `runtime.drain` before it if you want that.
    """
    async with open_runtime(
        jobs,
        store=store,
        queues=queues,
        limit=limit,
        retention=retention,
        progress_interval=progress_interval,
        webhooks=webhooks,
        secrets=secrets,
        sending=sending,
        clock=clock,
        entropy=entropy,
    ) as runtime:
        task_status.started(runtime)
        await trio.sleep_forever()


def _kept_commands(store: Store) -> KeptCommands:
    folder = store.folder
    return KeptCommands(None if folder is None else os.path.join(folder, "commands"))
