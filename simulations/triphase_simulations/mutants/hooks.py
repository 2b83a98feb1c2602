"""Mistakes about webhooks: lost, sent twice, sent wrong, or sent to whom nobody should."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import trio

from triphase import outbox
from triphase.hooks import Answer, Deliverer, SendFailed, signed_headers, tries
from triphase.hooks.courier import Courier
from triphase.runtime.base import Base
from triphase.store.committer import Committer
from triphase.store.operations import (
    Applied,
    Claim,
    Delete,
    HookStep,
    NewHook,
    Operation,
    Result,
    Step,
    Submit,
)
from triphase.store.outbox_rows import new_rows, timestamp_of
from triphase.store.simulated import SimulatedStore
from triphase.store.simulated.contents import Contents, HookRow
from triphase.store.simulated.transaction import Transaction
from triphase_protocol import (
    Delivery,
    Event,
    Hook,
    Job,
    Webhook,
    decode,
    encode,
)

from .mutant import Mutant, Swap, Swaps

SUITES = ("webhooks",)


def _parts(operation: Operation) -> tuple[Job, tuple[Event, ...], tuple[NewHook, ...]] | None:
    """Return what an operation writes about a job, and the deliveries that it makes."""
    match operation:
        case Submit() | Step():
            return operation.job, operation.events, operation.hooks
        case Claim(step=step):
            return step.job, step.events, step.hooks
        case Delete(record=Job() as job):
            return job, operation.events, operation.hooks
        case _:
            return None


def _foreseen(operation: Operation, seq: int) -> list[Hook]:
    """Return the rows that an operation will have made, if all goes well."""
    found = _parts(operation)
    if found is None:
        return []
    job, events, hooks = found
    stamped = tuple(attrs.evolve(event, seq=seq + n) for n, event in enumerate(events, 1))
    return list(new_rows(hooks, job, stamped))


def _without_hooks(operation: Operation) -> Operation:
    match operation:
        case Submit() | Step() | Delete():
            return attrs.evolve(operation, hooks=())
        case Claim(step=step):
            return attrs.evolve(operation, step=attrs.evolve(step, hooks=()))
        case _:
            return operation


async def send_at_once(tree: Any, hook: Hook) -> None:
    """Send a hook, whoever else does."""
    secrets = tree.keyring.of(hook.secret) or ()
    body = (hook.body or "").encode()
    headers = signed_headers(hook.id, int(tree.clock.now()), body, secrets)
    with contextlib.suppress(SendFailed):
        await tree.sending.sender.send(hook.url, headers, body)


# When it is sent


def _before_the_commit() -> Swaps:
    real: Any = Committer.__dict__["_write"]

    async def write(self: Committer, group: Any) -> None:
        tree: Any = getattr(self.publish, "__self__", None)
        if tree is None:
            await real(self, group)
            return
        made = {
            id(operation): tree.outbox.address(operation)
            for envelope in group
            for operation in envelope.message.operations
        }
        for operation in made.values():
            for row in _foreseen(operation, tree.feed.last_seq):
                await send_at_once(tree, row)
        self.address = lambda operation: made[id(operation)]
        try:
            await real(self, group)
        finally:
            self.address = tree.outbox.address

    return [Swap(Committer, "_write", write)]


def _row_afterwards() -> Swaps:
    real = SimulatedStore.write

    async def write(self: SimulatedStore, operations: Sequence[Operation]) -> list[Result]:
        results = await real(self, [_without_hooks(operation) for operation in operations])
        # The moment that a second transaction takes.
        await trio.sleep(0.002)
        instance: Any = self
        contents: Contents = instance._open_disk()
        for operation, result in zip(operations, results, strict=True):
            found = _parts(operation)
            if found is not None and isinstance(result, Applied):
                place = contents.place_of(result.job.id) if result.job.id in contents.rows else None
                for hook in new_rows(found[2], result.job, result.events):
                    contents.put_hook(hook.id, HookRow(place, hook))
        return results

    return [Swap(SimulatedStore, "write", write)]


def _woken_by_a_reader() -> Swaps:
    real: Any = outbox.Outbox.__dict__["_hooks"]
    get = Base.get

    def hooks(self: outbox.Outbox, *about: Any) -> Any:
        made = real(self, *about)
        self.made = False
        return made

    async def get_and_look(self: Base, id: Any) -> Job:
        job = await get(self, id)
        self._open().deliveries.look()
        return job

    def never(self: Deliverer) -> float:
        return math.inf

    return [
        Swap(outbox.Outbox, "_hooks", hooks),
        Swap(Base, "get", get_and_look),
        Swap(Deliverer, "_seconds_to_next", never),
    ]


# What is written of it


def _marked_afterwards() -> Swaps:
    real: Any = Courier.__dict__["_try"]

    async def attempt(self: Any, hook: Hook, round: int) -> None:
        if hook.delivery is not Delivery.AT_MOST_ONCE:
            await real(self, hook, round)
            return
        outcome = await self._send(hook)
        mark = tries.begun(hook)
        if await self._commit(mark):
            step, _ = tries.tried(mark.hook, outcome, self.retry, 0.5, self.clock.now())
            await self._write(step)

    return [Swap(Courier, "_try", attempt)]


def _delivered_beforehand() -> Swaps:
    async def attempt(self: Any, hook: Hook, round: int) -> None:
        well = Answer(status=200)
        step, _ = tries.tried(hook, well, self.retry, 0.5, self.clock.now())
        if await self._commit(step):
            await self._send(hook)
            self.endpoints.succeeded(hook.url, round)

    return [Swap(Courier, "_try", attempt)]


def _mark_for_all() -> Swaps:
    """What has begun is repeated by the process that began it, or by nobody."""
    opened: dict[int, set[str]] = {}
    due, following = SimulatedStore.due_hooks, SimulatedStore.next_hook

    def begun_before(self: Any) -> set[str]:
        if id(self) not in opened:
            rows = self._open_disk().hooks.values()
            opened[id(self)] = {row.hook.id for row in rows if row.hook.attempts}
        return opened[id(self)]

    async def due_hooks(self: Any, now: float, limit: int, *, taken: Any, resting: Any) -> Any:
        return await due(self, now, limit, taken={*taken, *begun_before(self)}, resting=resting)

    async def next_hook(self: Any, *, taken: Any, resting: Any) -> Any:
        return await following(self, taken={*taken, *begun_before(self)}, resting=resting)

    return [
        Swap(SimulatedStore, "due_hooks", due_hooks),
        Swap(SimulatedStore, "next_hook", next_hook),
    ]


def _needs_its_job() -> Swaps:
    real: Any = Transaction.__dict__["_step_hook"]

    def step_hook(self: Any, step: HookStep) -> Result:
        row = self._contents.hooks.get(step.hook.id)
        if row is not None and row.n is None:
            raise KeyError(step.hook.job)
        result: Result = real(self, step)
        return result

    return [Swap(Transaction, "_step_hook", step_hook)]


def _all_pending_removed() -> Swaps:
    real: Any = Transaction.__dict__["_delete"]

    def delete(self: Any, delete: Delete) -> Result:
        result: Result = real(self, delete)
        if isinstance(result, Applied):
            for row in list(self._contents.hooks_of(delete.job)):
                if row.hook.seq < result.events[-1].seq:
                    self._put_hook(row.hook.id, None)
        return result

    return [Swap(Transaction, "_delete", delete)]


# What is sent


def _new_id() -> Swaps:
    real: Any = Courier.__dict__["_send"]

    async def send(self: Any, hook: Hook) -> Any:
        return await real(self, attrs.evolve(hook, id=self.entropy.id()))

    return [Swap(Courier, "_send", send)]


def _body_anew() -> Swaps:
    real: Any = Courier.__dict__["_send"]

    async def send(self: Any, hook: Hook) -> Any:
        content: Any = decode((hook.body or "").encode())
        content["timestamp"] = timestamp_of(self.clock.now())
        return await real(self, attrs.evolve(hook, body=encode(content).decode()))

    return [Swap(Courier, "_send", send)]


def _some_ends_only() -> Swaps:
    real = Webhook.wants

    def wants(self: Webhook, type: Any) -> bool:
        return real(self, type) and type.value != "job.interrupted"

    return [Swap(Webhook, "wants", wants)]


def _once_for_each_webhook() -> Swaps:
    def hooks_of(
        job: Job, events: Sequence[Event], webhooks: Sequence[Webhook], new_id: Callable[[], str]
    ) -> tuple[NewHook, ...]:
        return tuple(
            NewHook(
                id=new_id(),
                event=index,
                url=webhook.url,
                delivery=webhook.delivery,
                secret=webhook.secret,
            )
            for index, event in enumerate(events)
            for webhook in (*job.webhooks, *webhooks)
            if webhook.wants(event.type)
        )

    return [Swap(outbox, "hooks_of", hooks_of)]


MUTANTS = (
    Mutant(
        name="hook-before-the-commit",
        says="What an event says is sent before its commit is durable.",
        shipped="a task manager: the callback is called, and then the record is written",
        oracles=("O10",),
        suites=SUITES,
        swaps=_before_the_commit,
    ),
    Mutant(
        name="hook-written-afterwards",
        says="That something is to be sent is written after the event, in a commit of its own.",
        shipped="a job queue: nothing sends again what was not begun when the process died",
        oracles=("O10",),
        suites=SUITES,
        swaps=_row_afterwards,
    ),
    Mutant(
        name="hook-waits-for-a-reader",
        says="Webhooks are sent when somebody reads a job.",
        shipped="a job server: the state was found out by whoever listed or read the jobs",
        oracles=("O10", "O12"),
        suites=SUITES,
        swaps=_woken_by_a_reader,
    ),
    Mutant(
        name="hook-marked-after-it-was-sent",
        says="What is to be sent at most once is marked when it was sent, not before.",
        shipped="a coordinator: a death between the start of a job and its note starts two",
        oracles=("O10",),
        suites=SUITES,
        swaps=_marked_afterwards,
    ),
    Mutant(
        name="hook-delivered-beforehand",
        says="A webhook is written down as delivered, and then sent.",
        shipped="a chat platform: one blip of the network, and the callback is lost",
        oracles=("O10",),
        suites=SUITES,
        swaps=_delivered_beforehand,
    ),
    Mutant(
        name="hook-marked-is-hook-done",
        says="What was tried before the process died is never tried again.",
        shipped="a task manager: marked, then a death in the backoff, and no pending record",
        oracles=("O10", "O12"),
        suites=SUITES,
        swaps=_mark_for_all,
    ),
    Mutant(
        name="hook-needs-its-job",
        says="What became of a webhook cannot be written when its job was deleted.",
        shipped="a job queue: retention deleted the job, and the bookkeeping threw",
        oracles=("O10", "O12", "stuck"),
        suites=SUITES,
        swaps=_needs_its_job,
    ),
    Mutant(
        name="hook-deleted-with-its-job",
        says="With a job goes what is still to be sent of it.",
        shipped="such a system would make at this place: `ON DELETE CASCADE`",
        oracles=("O10",),
        suites=SUITES,
        swaps=_all_pending_removed,
    ),
    Mutant(
        name="hook-id-at-each-try",
        says="Each try has an id of its own, so the receiver cannot know it again.",
        shipped="a workflow engine: a retry made a new envelope, and its child ran twice",
        oracles=("O10",),
        suites=SUITES,
        swaps=_new_id,
    ),
    Mutant(
        name="hook-body-at-each-try",
        says="The body is made anew at each try, with what the clock says then.",
        shipped="a task manager: a redelivery sent the record of a job that ran again",
        oracles=("O10",),
        suites=SUITES,
        swaps=_body_anew,
    ),
    Mutant(
        name="interrupted-is-told-to-nobody",
        says="An interruption is an end for those who wait, and not for those who are notified.",
        shipped="a task manager: a list of states beside the table, that lacked one",
        oracles=("O10",),
        suites=SUITES,
        swaps=_some_ends_only,
    ),
    Mutant(
        name="hook-for-each-mention",
        says="A URL that is named twice is told of each event twice.",
        shipped="such a system would make at this place: a list where a set is meant",
        oracles=("O10",),
        suites=SUITES,
        swaps=_once_for_each_webhook,
    ),
)
