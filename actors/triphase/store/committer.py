"""The store actor: the one writer, which commits in groups and publishes what committed.

While one transaction is being written, the operations of everybody else gather in the
mailbox; the next transaction takes them all. So the cost of making a commit durable is
shared by whoever waits for it, with no timer and nobody waiting for company.

After each transaction, in this order: the committed events are published, in the order of
their `seq`; then every writer gets its result. Nothing is published that is not durable, and
only what was `Applied`: an operation that is about no job has no events to tell of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast, overload

import attrs

from triphase.actor import Actor, ActorRef, Envelope, Mailbox, Request
from triphase_protocol import StoreError

from .backend import Store
from .operations import (
    Applied,
    Done,
    HookStep,
    JobOperation,
    JobResult,
    Operation,
    Prune,
    Redeliver,
    Rejected,
    Result,
    SetQueue,
)

GROUP_MOST = 512
"""The most operations in one transaction."""

Publish = Callable[[Sequence[Applied]], None]
"""Called with what each transaction applied, once it is durable. Never waits."""

Address = Callable[[Operation], Operation]
"""Called with each operation that is about to be written; returns it with its deliveries."""


def to_nobody(operation: Operation) -> Operation:
    """Return an operation as it is: it makes no deliveries."""
    return operation


@attrs.frozen(eq=False)
class Commit(Request["list[Result]"]):
    """Write these operations in one transaction, in order, with whoever else is waiting."""

    operations: Sequence[Operation]


@attrs.frozen(kw_only=True)
class CommitterStatistics:
    """What the store actor has done since it was opened."""

    transactions: int
    """Transactions written."""

    operations: int
    """Operations in them."""

    largest_group: int
    """The most operations that one transaction held."""


@attrs.define(eq=False)
class Counts:
    """The store actor's counts, which outlive its restarts."""

    transactions: int = 0
    operations: int = 0
    largest_group: int = 0

    def add(self, operations: int) -> None:
        """Note a transaction."""
        self.transactions += 1
        self.operations += operations
        self.largest_group = max(self.largest_group, operations)

    def statistics(self) -> CommitterStatistics:
        """Return the counts."""
        return CommitterStatistics(
            transactions=self.transactions,
            operations=self.operations,
            largest_group=self.largest_group,
        )


@attrs.define(eq=False)
class Committer(Actor[Commit]):
    """See the module's text."""

    store: Store
    publish: Publish
    counts: Counts = attrs.field(factory=Counts)
    address: Address = to_nobody

    async def run(self, mailbox: Mailbox[Commit]) -> None:
        """Write group after group until cancelled."""
        while True:
            group = [await mailbox.receive()]
            size = len(group[0].message.operations)
            for envelope in mailbox.drain(GROUP_MOST - 1):
                group.append(envelope)
                size += len(envelope.message.operations)
                if size >= GROUP_MOST:
                    break
            await self._write(group)

    async def _write(self, group: list[Envelope[Commit]]) -> None:
        # Here, and nowhere else: whoever writes, what it makes is written with it.
        operations = [self.address(op) for envelope in group for op in envelope.message.operations]
        try:
            results = await self.store.write(operations) if operations else []
        except StoreError as exc:
            # Nothing was written. It may be the fault of one writer, which must not harm others.
            if len(group) == 1:
                group[0].fail(exc)
            else:
                for envelope in group:
                    await self._write([envelope])
            return
        if operations:
            self.counts.add(len(operations))
        applied = [result for result in results if isinstance(result, Applied)]
        if applied:
            self.publish(applied)
        begin = 0
        for envelope in group:
            end = begin + len(envelope.message.operations)
            envelope.answer(results[begin:end])
            begin = end


@attrs.frozen(eq=False)
class Writer:
    """What everybody else holds: write through the store actor."""

    committer: ActorRef[Commit]

    @overload
    async def commit(self, operation: JobOperation) -> JobResult: ...

    @overload
    async def commit(self, operation: HookStep) -> JobResult | Done: ...

    @overload
    async def commit(self, operation: Redeliver) -> Rejected | Done: ...

    @overload
    async def commit(self, operation: Prune | SetQueue) -> Done: ...

    async def commit(self, operation: Operation) -> Result:
        """Write one operation; return once its outcome is durable and published.

        A checkpoint. Cancelled before its transaction has begun, it has certainly not been
        written; cancelled later, it waits for the outcome all the same.

        Raises:
          StoreUnavailable: nothing was written.
          ActorStopped: the store is closed; nothing was written.
        """
        [result] = await self._write([operation])
        return result

    async def commit_all(self, operations: Sequence[JobOperation]) -> list[JobResult]:
        """Like `commit`, for several operations about jobs in one transaction, in this order."""
        return cast("list[JobResult]", await self._write(operations))

    async def flush(self) -> None:
        """Return when every write that was under way is durable, published and answered."""
        await self.committer.ask(Commit(()))

    async def _write(self, operations: Sequence[Operation]) -> list[Result]:
        return await self.committer.ask(Commit(operations), uninterruptible=True)
