"""`triphase submit`: one job, into a store for whoever runs jobs there, or through a gateway."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, cast

import attrs
import trio
from cyclopts import Parameter

from triphase.actor import open_supervisor
from triphase.clock import SystemClock
from triphase.entropy import Entropy
from triphase.lifecycle import decide
from triphase.outbox import Outbox
from triphase.registry import Registry
from triphase.store import Applied, SqliteStore, Store, Submit as SubmitOperation
from triphase.store.committer import Committer, Writer
from triphase.store.operations import JobResult
from triphase.submission import check_same, submission
from triphase_protocol import Job, Json, StoreLocked, Submit, Webhook, decode

from .acting import asked
from .exits import Exit, UsageError
from .job_types import job_types
from .options import AsJson, Labels, WholeNumber, labels_from, store_at
from .places import ANYWHERE, Gateway, Place
from .screen import Screen
from .webhooks import NOBODY, Told

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
    webhook: tuple[Webhook, ...] = ()


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
    told: Told = NOBODY,
    place: Place = ANYWHERE,
    json: AsJson = False,
) -> int:
    """Submit a job, and print its id.

    To a gateway it is sent by its name. Into a store file it is written, and nothing is run: the
    process that opens the store as its runtime does that. A key that was used before, with the
    same payload, prints the id of the job that has it.

    Args:
      name: The job type's name.
      payload: The job's fields as a JSON object; `-` reads it from stdin, `@FILE` from a file.
      jobs: Where the job types are; a gateway knows them.
      key: An idempotency key.
      delay: Seconds before the job may start.
      priority: Higher starts earlier within a queue.
      queue: Another queue than the job type's.
      label: A label.
      told: Where its events go, beside where those of its type do.
      place: Where the job goes.
      json: Write JSON.
    """
    screen, where = Screen(json=json), place.located()
    options = Options(
        key=key,
        delay=delay,
        priority=priority,
        queue=queue,
        labels=labels_from(label),
        webhook=told.webhooks(),
    )
    if isinstance(where, Gateway):
        await _send(screen, where, name, _fields(decode(_text_of(payload))), options)
    else:
        await _write_into(screen, where, jobs, name, payload, options)
    return Exit.OK


async def _send(
    screen: Screen, gateway: Gateway, name: str, fields: Mapping[str, Json], options: Options
) -> None:
    """Submit a job through a gateway, and print its id."""
    async with asked(gateway, screen) as source:
        job = await source.client.submit(name, fields, **attrs.asdict(options, recurse=False))
        state = (await job.get()).state.value if screen.json else None
    _show(screen, job.id, state, job.created, options)


async def _write_into(
    screen: Screen, store: str, jobs: str | None, name: str, payload: str, options: Options
) -> None:
    """Write a job into a store file, and print its id."""
    if jobs is None:
        raise UsageError(
            "which job types? give --jobs MODULE:JOBS, or set TRIPHASE_JOBS; or give --url, and "
            "ask a gateway, which knows them"
        )
    place = store_at(store)
    registry = Registry(job_types(jobs))
    job = registry.named(name).instance_of(decode(_text_of(payload)))
    command = _command(registry, job, options)
    new_store = not await trio.Path(place.path).exists()
    outbox = Outbox(registry, (), Entropy().id)
    written, created = await _accepted(place, command, outbox)
    if new_store:
        screen.note(f"made a new store, {store}")
    _show(screen, written.id, written.state.value, created, options)


def _show(screen: Screen, id: str, state: str | None, created: bool, options: Options) -> None:
    """Print a job's id, and whether it is new."""
    if not created:
        screen.note(
            f"key {options.key!r} was used before, for the same payload: nothing was submitted"
        )
    if screen.json:
        screen.object({"id": id, "state": state, "created": created})
    else:
        screen.line([id])


def _fields(payload: Json) -> Mapping[str, Json]:
    if not isinstance(payload, Mapping):
        raise UsageError("the payload must be a JSON object, the job's fields")
    return cast("Mapping[str, Json]", payload)


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
        webhook=options.webhook,
    )


async def _accepted(place: SqliteStore, command: Submit, outbox: Outbox) -> tuple[Job, bool]:
    """Write a submit; return the job that has it, and whether it is new."""
    decision = decide(None, command, SystemClock().now())
    operation = SubmitOperation(job=decision.job, events=decision.events)
    result = await _write(place, operation, outbox)
    if isinstance(result, Applied):
        return result.job, True
    assert result.current is not None, "a store says which job has the key"
    check_same(result.current, command)
    return result.current, False


async def _write(store: Store, operation: SubmitOperation, outbox: Outbox) -> JobResult:
    """Write one operation as the store's owner, who runs no jobs."""
    try:
        await store.open()
    except StoreLocked as exc:
        raise StoreLocked(f"{exc}; submit through the process that owns it") from exc
    try:
        async with open_supervisor(name="submit") as supervisor:
            committer = await supervisor.start(
                lambda: Committer(store, _tell_nobody, address=outbox.address),
                name="committer",
            )
            return await Writer(committer).commit(operation)
    finally:
        with trio.CancelScope(shield=True):
            await store.close()


def _tell_nobody(_: Sequence[object]) -> None:
    """Nobody listens in this process; whoever watches the file sees the commit."""
