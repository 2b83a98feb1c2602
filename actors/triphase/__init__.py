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
    AmbiguousId,
    Cancelled,
    Completed,
    CorruptRecord,
    DefinitionChanged,
    DefinitionError,
    ErrorRecord,
    Event,
    EventType,
    Failed,
    IllegalTransition,
    Interrupted,
    InvalidPayload,
    InvalidResult,
    InvalidValue,
    Job,
    JobNotFound,
    JobState,
    KeyConflict,
    NotAStore,
    NotFound,
    OnRestart,
    Outcome,
    PhaseRecord,
    PhaseState,
    Progress,
    Queue,
    Rejected,
    Retry,
    StaleWrite,
    Stop,
    StopCause,
    StoreClosed,
    StoreError,
    StoreLocked,
    StoreTooNew,
    StoreUnavailable,
    TimedOut,
    TriphaseError,
    UnknownJobType,
    UnknownPhase,
    UnknownQueue,
    WaitTimeout,
)

from . import actor as actor, store as store
from .admission import (
    Draining,
    NotDue,
    NotWaiting,
    QueueFull,
    QueuePaused,
    QueueUnknown,
    StoreFull,
    TypeUnknown,
)
from .clock import Clock, SystemClock, TrioClock
from .context import Context
from .definition import Phase, job, phase
from .entropy import Entropy
from .errors import RuntimeClosed, RuntimeCrashed
from .fates import Cancel, Fail, Snooze
from .feed import EventStream, FeedStatistics
from .handle import JobHandle
from .handlers import HandlersStatistics
from .opening import open_runtime, serve_runtime
from .reconciler import ReconcilerStatistics
from .runtime import (
    Page,
    Runtime,
    RuntimeStatistics,
)
from .scheduler import SchedulerStatistics
from .store.committer import CommitterStatistics

__all__ = [
    "AmbiguousId",
    "Cancel",
    "Cancelled",
    "Clock",
    "CommitterStatistics",
    "Completed",
    "Context",
    "CorruptRecord",
    "DefinitionChanged",
    "DefinitionError",
    "Draining",
    "Entropy",
    "ErrorRecord",
    "Event",
    "EventStream",
    "EventType",
    "Fail",
    "Failed",
    "FeedStatistics",
    "HandlersStatistics",
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
    "NotDue",
    "NotFound",
    "NotWaiting",
    "OnRestart",
    "Outcome",
    "Page",
    "Phase",
    "PhaseRecord",
    "PhaseState",
    "Progress",
    "Queue",
    "QueueFull",
    "QueuePaused",
    "QueueUnknown",
    "ReconcilerStatistics",
    "Rejected",
    "Retry",
    "Runtime",
    "RuntimeClosed",
    "RuntimeCrashed",
    "RuntimeStatistics",
    "SchedulerStatistics",
    "Snooze",
    "StaleWrite",
    "Stop",
    "StopCause",
    "StoreClosed",
    "StoreError",
    "StoreFull",
    "StoreLocked",
    "StoreTooNew",
    "StoreUnavailable",
    "SystemClock",
    "TimedOut",
    "TrioClock",
    "TriphaseError",
    "TypeUnknown",
    "UnknownJobType",
    "UnknownPhase",
    "UnknownQueue",
    "WaitTimeout",
    "job",
    "open_runtime",
    "phase",
    "serve_runtime",
]
