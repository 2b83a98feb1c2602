"""Mistakes about what is durable, and when: told before, written apart, or written twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from triphase import lifecycle
from triphase.actor import Envelope
from triphase.job_actor import JobActor
from triphase.lifecycle import runs
from triphase.lifecycle.draft import Draft
from triphase.store.committer import Commit, Committer
from triphase.store.operations import Applied, Claim, Operation, Result, Step, Submit
from triphase.store.simulated import SimulatedStore
from triphase.store.simulated.transaction import Transaction
from triphase_protocol import (
    CompletePhase,
    Event,
    EventType,
    JobState,
    PhaseState,
    StoreError,
)

from .mutant import Mutant, Swap, Swaps


def _foreseen(operations: Sequence[Operation], seq: int) -> list[Applied]:
    """Return what will have become of operations, if all goes well."""
    found: list[Applied] = []
    for operation in operations:
        match operation:
            case Submit(job=job, events=events) | Step(job=job, events=events):
                pass
            case Claim(step=Step(job=job, events=events)):
                pass
            case _:
                continue
        stamped = tuple(attrs.evolve(event, seq=seq + n) for n, event in enumerate(events, 1))
        seq += len(stamped)
        found.append(Applied(job, stamped))
    return found


def _say_nothing(applied: Sequence[Applied]) -> None:
    """Publish nothing."""


def _published_first() -> Swaps:
    async def write(self: Committer, group: list[Envelope[Commit]]) -> None:
        tree: Any = getattr(self.publish, "__self__", None)
        operations = [op for envelope in group for op in envelope.message.operations]
        foreseen = _foreseen(operations, 0 if tree is None else tree.feed.last_seq)
        if foreseen and tree is not None:
            self.publish(foreseen)
            instance: Any = self
            publish, instance.publish = self.publish, _say_nothing
            try:
                await real(self, group)
            finally:
                instance.publish = publish
            return
        await real(self, group)

    real = Committer._write
    return [Swap(Committer, "_write", write)]


def _answered_first() -> Swaps:
    async def write(self: Committer, group: list[Envelope[Commit]]) -> None:
        for envelope in group:
            operations = envelope.message.operations
            if operations and all(isinstance(op, Submit) for op in operations):
                envelope.answer(list(_foreseen(operations, 0)))
        await real(self, group)

    real = Committer._write
    return [Swap(Committer, "_write", write)]


def _refusal_ignored() -> Swaps:
    async def write(self: Committer, group: list[Envelope[Commit]]) -> None:
        store = self.store
        operations = [op for envelope in group for op in envelope.message.operations]
        try:
            results = await store.write(operations) if operations else []
        except StoreError:
            # Kept in memory, and told to everybody.
            results = list[Result](_foreseen(operations, 0))
            if len(results) != len(operations):
                raise
        applied = [each for each in results if isinstance(each, Applied) and each.events[0].seq]
        if applied:
            self.publish(applied)
        begin = 0
        for envelope in group:
            end = begin + len(envelope.message.operations)
            envelope.answer(results[begin:end])
            begin = end

    return [Swap(Committer, "_write", write)]


def _answers_mixed_up() -> Swaps:
    async def write(self: Committer, group: list[Envelope[Commit]]) -> None:
        operations = [op for envelope in group for op in envelope.message.operations]
        results = await self.store.write(operations) if operations else []
        applied = [result for result in results if isinstance(result, Applied)]
        if applied:
            self.publish(applied)
        for envelope in group:
            # From the first on, for each of them.
            envelope.answer(results[: len(envelope.message.operations)])

    return [Swap(Committer, "_write", write)]


def _two_transactions() -> Swaps:
    """The rows in one transaction, their events in another, each durable by itself."""

    async def write(self: SimulatedStore, operations: Sequence[Operation]) -> list[Result]:
        transaction = Transaction(self._open_disk())
        contents = transaction._contents
        begin = len(contents.log)
        results = [transaction.apply(operation) for operation in operations]
        events = contents.log[begin:]
        del contents.log[begin:]
        transaction.commit()
        try:
            self._at("commit")
        except BaseException:
            self.fence()
            raise
        contents.log += events
        try:
            self._at("after")
        except BaseException:
            self.fence()
            raise
        return results

    return [Swap(SimulatedStore, "write", write)]


@attrs.frozen
class _Follow:
    """Start what comes after a phase that has completed."""

    run: int


def _next_apart() -> Swaps:
    def complete_phase(draft: Draft, command: CompletePhase) -> None:
        index = draft.running()
        draft.progress(index, command.progress)
        draft.emit_phase(
            index,
            EventType.PHASE_COMPLETED,
            result=command.result,
            error=None,
            finished_at=draft.now,
        )

    def follow(draft: Draft, _: _Follow) -> None:
        runs.start_next(draft)

    async def phase_ended(self: JobActor, context: Any, ended: Any) -> None:
        await real(self, context, ended)
        job, index = self._job, self._job.current
        between = job.state is JobState.RUNNING and not self._ended
        if between and (index is None or job.phases[index].state is PhaseState.PENDING):
            command: Any = _Follow(job.run)
            await self._carry_out(context, await self._move(command))

    real = JobActor._phase_ended
    return [
        Swap(lifecycle._RULES, CompletePhase, complete_phase),
        Swap(lifecycle._RULES, _Follow, follow),
        Swap(JobActor, "_phase_ended", phase_ended),
    ]


def _key_ignored() -> Swaps:
    real = Transaction._submit

    def submit(self: Transaction, submit: Submit) -> Result:
        keys, self._contents.keys = self._contents.keys, {}
        try:
            return real(self, submit)
        finally:
            self._contents.keys = {**keys, **self._contents.keys}

    return [Swap(Transaction, "_submit", submit)]


def _version_gap() -> Swaps:
    real = Draft._note

    def note(self: Draft, event: EventType, phase: Any, data: Any) -> None:
        if event is EventType.PHASE_PROGRESS:
            self.version += 1
        real(self, event, phase, data)

    return [Swap(Draft, "_note", note)]


def _seq_by_count() -> Swaps:
    """The next number is how many events there are: it comes again when some were deleted."""
    real = Transaction._put

    def put(self: Transaction, *about: Any, **more: Any) -> Result:
        self._contents.last_seq = len(self._contents.log)
        return real(self, *about, **more)

    return [Swap(Transaction, "_put", put)]


def _swapped_order() -> Swaps:
    """Within one write, the events stand in another order than they happened in."""
    real = Draft.decision

    def decision(self: Draft) -> Any:
        made = real(self)
        events: list[Event] = list(made.events)
        if len(events) > 1:
            first, second = events[-2], events[-1]
            events[-2] = attrs.evolve(second, version=first.version)
            events[-1] = attrs.evolve(first, version=second.version)
        return attrs.evolve(made, events=tuple(events))

    return [Swap(Draft, "decision", decision)]


MUTANTS = (
    Mutant(
        name="published-before-the-commit",
        says="Events are published before they are durable.",
        shipped="a coding agent's job runner: the publish stood before the last write",
        oracles=("O3",),
        suites=("cancel_at_phase_boundary", "restart"),
        swaps=_published_first,
    ),
    Mutant(
        name="accepted-before-the-commit",
        says="A submit is answered before the job is durable: a crash loses an accepted job.",
        shipped="a coding agent's job runner: a failed write was kept in memory, and told",
        oracles=("O24",),
        suites=("restart", "limits", "retries"),
        swaps=_answered_first,
    ),
    Mutant(
        name="refusal-taken-for-success",
        says="What the store refuses is taken for written.",
        shipped="Mydia on Oban and SQLite (#283): busy errors lost updates of the state",
        oracles=("O9", "O24"),
        suites=("everything",),
        swaps=_refusal_ignored,
    ),
    Mutant(
        name="answers-mixed-up",
        says="Who shares a transaction with another gets the other's answer.",
        shipped="such a system would make at this place: group commit has many askers",
        oracles=("O9", "O24", "crash"),
        suites=("cancel_at_phase_boundary", "limits"),
        swaps=_answers_mixed_up,
    ),
    Mutant(
        name="row-and-events-apart",
        says="A row and its events are written in two transactions.",
        shipped="such a system would make at this place: a table and a log, each with a commit",
        oracles=("fold",),
        suites=("restart", "limits"),
        swaps=_two_transactions,
    ),
    Mutant(
        name="next-phase-apart",
        says="A phase's completion and the start of the next are two transactions.",
        shipped="such a system would make at this place: two writes for one step",
        oracles=("O12",),
        suites=("restart", "limits", "retries"),
        swaps=_next_apart,
    ),
    Mutant(
        name="key-ignored",
        says="A submit that is repeated after an unknown outcome makes a second job.",
        shipped="job queues without keys: who repeats a submit has two jobs",
        oracles=("O24",),
        suites=("restart", "limits"),
        swaps=_key_ignored,
    ),
    Mutant(
        name="version-gap",
        says="A job's versions leave one out, now and then.",
        shipped="such a system would make at this place: readers take gaps for losses",
        oracles=("O20",),
        suites=("cancel_at_phase_boundary", "retries"),
        swaps=_version_gap,
    ),
    Mutant(
        name="seq-from-a-count",
        says="The next number of the log is how many events there are, and comes twice.",
        shipped="such a system would make at this place: `COUNT(*)` for a sequence",
        oracles=("O2", "O20", "fold"),
        suites=("everything",),
        swaps=_seq_by_count,
    ),
    Mutant(
        name="events-out-of-order",
        says="Two events of one write stand in the wrong order.",
        shipped="a coding agent's job runner: two connections voided the order",
        oracles=("fold",),
        suites=("cancel_at_phase_boundary",),
        swaps=_swapped_order,
    ),
)
