"""`triphase submit`: write one job into a store, for whoever runs jobs there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import attrs
import trio
from cyclopts import Parameter

from triphase.actor import open_supervisor
from triphase.clock import SystemClock
from triphase.entropy import Entropy
from triphase.lifecycle import decide
from triphase.registry import Registry
from triphase.store import Applied, SqliteStore, Store, Submit as SubmitOperation
from triphase.store.committer import Committer, Writer
from triphase.store.operations import JobResult
from triphase.submission import check_same, submission
from triphase_protocol import Job, Json, StoreLocked, Submit, decode

from .exits import Exit, UsageError
from .job_types import job_types
from .options import DEFAULT_STORE, AsJson, Labels, StorePath, WholeNumber, labels_from, store_at
from .screen import Screen

Jobs = Annotated[
    str | None,
    Parameter(
        env_var="TRIPHASE_JOBS",
        help="MODULE:JOBS, where JOBS is a job type or a list of them; or MODULE for all it has.",
    ),
]


@attrs.frozen(kw_only=True)
class Options:
    """How a job is to be submitted."""

    key: str | None
    delay: float | None
    priority: int
    queue: str | None
    labels: dict[str, str]


async def submit(
    name: str,
    # A hyphen alone is stdin; without this it would be an option.
    payload: Annotated[str, Parameter(allow_leading_hyphen=True)] = "{}",
    /,
    *,
    jobs: Jobs = None,
    key: str | None = None,
    delay: float | None = None,
    priority: WholeNumber = 0,
    queue: str | None = None,
    label: Labels = None,
    store: StorePath = DEFAULT_STORE,
    json: AsJson = False,
) -> int:
    """Write a job into the store file, and print its id.

    Nothing is run: the process that opens the store as its runtime does that. A key that was
    used before, with the same payload, prints the id of the job that has it.

    Args:
      name: The job type's name.
      payload: The job's fields as a JSON object; `-` reads it from stdin, `@FILE` from a file.
      jobs: Where the job types are.
      key: An idempotency key.
      delay: Seconds before the job may start.
      priority: Higher starts earlier within a queue.
      queue: Another queue than the job type's.
      label: A label.
      store: The store file.
      json: Write JSON.
    """
    if jobs is None:
        raise UsageError("which job types? give --jobs MODULE:JOBS, or set TRIPHASE_JOBS")
    screen, place = Screen(json=json), store_at(store)
    registry = Registry(job_types(jobs))
    definition = registry.named(name)
    job = definition.instance_of(decode(_text_of(payload)))
    options = Options(
        key=key, delay=delay, priority=priority, queue=queue, labels=labels_from(label)
    )
    command = _command(registry, job, options)
    new_store = not await trio.Path(place.path).exists()
    written, created = await _accepted(place, command)
    if new_store:
        screen.note(f"made a new store, {store}")
    if not created:
        screen.note(f"key {key!r} was used before, for the same payload: nothing was submitted")
    if json:
        screen.object(_answer(written, created))
    else:
        screen.line([written.id])
    return Exit.OK


def _answer(job: Job, created: bool) -> Json:
    return {"id": job.id, "state": job.state.value, "created": created}


def _text_of(argument: str) -> str:
    """Return the JSON that an argument is, or names."""
    try:
        if argument == "-":
            return sys.stdin.read()
        if argument.startswith("@"):
            return Path(argument[1:]).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"the payload cannot be read from {argument!r}: {exc}") from exc
    return argument


def _command(registry: Registry, job: object, options: Options) -> Submit:
    return submission(
        registry,
        job,
        id=Entropy().id(),
        now=SystemClock().now(),
        key=options.key,
        delay=options.delay,
        at=None,
        priority=options.priority,
        queue=options.queue,
        labels=options.labels,
        queue_timeout=None,
        approval=None,
    )


async def _accepted(place: SqliteStore, command: Submit) -> tuple[Job, bool]:
    """Write a submit; return the job that has it, and whether it is new."""
    decision = decide(None, command, SystemClock().now())
    result = await _write(place, SubmitOperation(job=decision.job, events=decision.events))
    if isinstance(result, Applied):
        return result.job, True
    assert result.current is not None, "a store says which job has the key"
    check_same(result.current, command)
    return result.current, False


async def _write(store: Store, operation: SubmitOperation) -> JobResult:
    """Write one operation as the store's owner, who runs no jobs."""
    try:
        await store.open()
    except StoreLocked as exc:
        raise StoreLocked(f"{exc}; submit through the process that owns it") from exc
    try:
        async with open_supervisor(name="submit") as supervisor:
            committer = await supervisor.start(
                lambda: Committer(store, _tell_nobody), name="committer"
            )
            return await Writer(committer).commit(operation)
    finally:
        with trio.CancelScope(shield=True):
            await store.close()


def _tell_nobody(_: Sequence[object]) -> None:
    """Nobody listens in this process; whoever watches the file sees the commit."""
