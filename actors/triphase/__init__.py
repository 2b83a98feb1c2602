"""Durable, multi-phase jobs for trio.

@triphase.job(queue="media")
class Transcode:
    url: str

    @triphase.phase()
    async def fetch(self, ctx: triphase.Context) -> str: ...

async with triphase.open_runtime([Transcode], store="jobs.db") as runtime:
    job = await runtime.submit(Transcode("https://…"))
    outcome = await job.wait()
"""

from __future__ import annotations

from triphase_protocol import (
    AmbiguousId as AmbiguousId,
)
from triphase_protocol import (
    Cancelled as Cancelled,
)
from triphase_protocol import (
    Completed as Completed,
)
from triphase_protocol import (
    CorruptRecord as CorruptRecord,
)
from triphase_protocol import (
    DefinitionError as DefinitionError,
)
from triphase_protocol import (
    ErrorRecord as ErrorRecord,
)
from triphase_protocol import (
    Event as Event,
)
from triphase_protocol import (
    EventType as EventType,
)
from triphase_protocol import (
    Failed as Failed,
)
from triphase_protocol import (
    IllegalTransition as IllegalTransition,
)
from triphase_protocol import (
    Interrupted as Interrupted,
)
from triphase_protocol import (
    InvalidPayload as InvalidPayload,
)
from triphase_protocol import (
    InvalidResult as InvalidResult,
)
from triphase_protocol import (
    InvalidValue as InvalidValue,
)
from triphase_protocol import (
    Job as Job,
)
from triphase_protocol import (
    JobNotFound as JobNotFound,
)
from triphase_protocol import (
    JobState as JobState,
)
from triphase_protocol import (
    KeyConflict as KeyConflict,
)
from triphase_protocol import (
    NotAStore as NotAStore,
)
from triphase_protocol import (
    NotFound as NotFound,
)
from triphase_protocol import (
    Outcome as Outcome,
)
from triphase_protocol import (
    PhaseRecord as PhaseRecord,
)
from triphase_protocol import (
    PhaseState as PhaseState,
)
from triphase_protocol import (
    Progress as Progress,
)
from triphase_protocol import (
    Rejected as Rejected,
)
from triphase_protocol import (
    Retry as Retry,
)
from triphase_protocol import (
    StaleWrite as StaleWrite,
)
from triphase_protocol import (
    StoreClosed as StoreClosed,
)
from triphase_protocol import (
    StoreError as StoreError,
)
from triphase_protocol import (
    StoreLocked as StoreLocked,
)
from triphase_protocol import (
    StoreTooNew as StoreTooNew,
)
from triphase_protocol import (
    StoreUnavailable as StoreUnavailable,
)
from triphase_protocol import (
    TimedOut as TimedOut,
)
from triphase_protocol import (
    TriphaseError as TriphaseError,
)
from triphase_protocol import (
    UnknownJobType as UnknownJobType,
)
from triphase_protocol import (
    UnknownPhase as UnknownPhase,
)
from triphase_protocol import (
    UnknownQueue as UnknownQueue,
)
from triphase_protocol import (
    WaitTimeout as WaitTimeout,
)

from . import actor as actor
from . import store as store
from .clock import Clock as Clock
from .clock import SystemClock as SystemClock
from .clock import TrioClock as TrioClock
from .context import Context as Context
from .definition import Phase as Phase
from .definition import Queue as Queue
from .definition import job as job
from .definition import phase as phase
from .entropy import Entropy as Entropy
from .errors import RuntimeClosed as RuntimeClosed
from .errors import RuntimeCrashed as RuntimeCrashed
from .fates import Cancel as Cancel
from .fates import Fail as Fail
from .fates import Snooze as Snooze
from .feed import EventStream as EventStream
from .opening import open_runtime as open_runtime
from .opening import serve_runtime as serve_runtime
from .runtime import (
    JobHandle as JobHandle,
)
from .runtime import (
    Page as Page,
)
from .runtime import (
    Runtime as Runtime,
)
from .runtime import (
    RuntimeStatistics as RuntimeStatistics,
)

__all__ = [
    "AmbiguousId",
    "Cancel",
    "Cancelled",
    "Clock",
    "Completed",
    "Context",
    "CorruptRecord",
    "DefinitionError",
    "Entropy",
    "ErrorRecord",
    "Event",
    "EventStream",
    "EventType",
    "Fail",
    "Failed",
    "IllegalTransition",
    "Interrupted",
    "InvalidPayload",
    "InvalidResult",
    "InvalidValue",
    "Job",
    "JobHandle",
    "JobNotFound",
    "JobState",
    "KeyConflict",
    "NotAStore",
    "NotFound",
    "Outcome",
    "Page",
    "Phase",
    "PhaseRecord",
    "PhaseState",
    "Progress",
    "Queue",
    "Rejected",
    "Retry",
    "Runtime",
    "RuntimeClosed",
    "RuntimeCrashed",
    "RuntimeStatistics",
    "Snooze",
    "StaleWrite",
    "StoreClosed",
    "StoreError",
    "StoreLocked",
    "StoreTooNew",
    "StoreUnavailable",
    "SystemClock",
    "TimedOut",
    "TrioClock",
    "TriphaseError",
    "UnknownJobType",
    "UnknownPhase",
    "UnknownQueue",
    "WaitTimeout",
    "job",
    "open_runtime",
    "phase",
    "runtime",
    "serve_runtime",
]
