"""Every error that a triphase user can meet, under one base.

Each class has a `code`: the same word stands in the wire protocol and decides the
command line's exit code. Messages name the value and the place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class TriphaseError(Exception):
    """The base of every error that triphase raises on purpose."""

    code: ClassVar[str] = "error"
    """A stable word for this kind of error, the same in the wire protocol."""


class DefinitionError(TriphaseError):
    """A job type was declared wrongly: no phases, two phases of one name, a bad policy.

    Raised when the class is decorated or registered, before anything is stored.
    """

    code = "definition"


class InvalidValue(TriphaseError):
    """A value does not have the shape that its place asks for.

    Raised for payloads, results, labels and options. `problems` holds one line for
    each bad field, with the path to it (`$.frames[2]: expected int, got 'x' (str)`).
    """

    code = "invalid_value"

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(": ".join([message, "; ".join(problems)]) if problems else message)
        self.problems = tuple(problems)


class InvalidPayload(InvalidValue):
    """A job's payload does not structure into its job type. Nothing was stored."""

    code = "invalid_payload"


class InvalidResult(InvalidValue):
    """A phase returned something that cannot be stored as JSON. The phase fails with it."""

    code = "invalid_result"


class UnknownJobType(TriphaseError):
    """The job type is not among those that this runtime was opened with."""

    code = "unknown_job_type"


class UnknownQueue(TriphaseError):
    """The queue was neither declared with `queues=` nor named by a job type."""

    code = "unknown_queue"


class UnknownPhase(TriphaseError):
    """The job type has no phase of that name."""

    code = "unknown_phase"


class JobNotFound(TriphaseError):
    """No job has that id, or begins with that prefix."""

    code = "not_found"


class JobGone(JobNotFound):
    """There was a job of that id; it was deleted some time after its end."""

    code = "gone"


class HookNotFound(TriphaseError):
    """No delivery of a webhook has that id, or begins with that prefix."""

    code = "hook_not_found"


class AmbiguousId(TriphaseError):
    """More than one id begins with that prefix; give more of it."""

    code = "ambiguous_id"


class KeyConflict(TriphaseError):
    """The idempotency key belongs to a job with another type or payload.

    Nothing was stored. Use another key, or submit what was submitted the first time.
    """

    code = "key_conflict"


class IllegalTransition(TriphaseError):
    """The command cannot be carried out on a job in the state it is in. Nothing changed."""

    code = "illegal_transition"


class DefinitionChanged(TriphaseError):
    """The job type has other phases now than the job was submitted with. Nothing changed.

    The job's results belong to phases that are no longer there, or stand elsewhere.
    """

    code = "definition_changed"


class StaleWrite(TriphaseError):
    """A write named a run or a version that is no longer the current one. Nothing changed."""

    code = "stale"


class WaitTimeout(TriphaseError, TimeoutError):
    """The job had not ended when the wait's own timeout passed. The job goes on."""

    code = "timed_out"


class StoreError(TriphaseError):
    """The store cannot be opened, read or written. The base of the errors below."""

    code = "store"


class StoreUnavailable(StoreError):
    """The store refused a write or a read (disk full, I/O error, file gone).

    What was being written is certainly not in the store.
    """

    code = "store_unavailable"


class StoreLocked(StoreError):
    """Another process, or another runtime of this one, owns the store: one at a time may."""

    code = "store_locked"


class StoreTooNew(StoreError):
    """The store was written by a newer triphase. It was left untouched."""

    code = "store_too_new"


class NotAStore(StoreError):
    """The path is a directory, another application's database, or no database at all."""

    code = "not_a_store"


class StoreClosed(StoreError):
    """The store is closed or was fenced off; nothing can be written any more."""

    code = "store_closed"


class CorruptRecord(StoreError):
    """A row cannot be read back. What names it raises this; what lists rows skips and counts it."""

    code = "corrupt_record"
