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

import importlib
from typing import TYPE_CHECKING, Any, Final

from triphase_protocol import (
    AmbiguousId,
    Approval,
    Cancelled,
    Completed,
    CorruptRecord,
    Deadline,
    DefinitionChanged,
    DefinitionError,
    Delivery,
    Draining,
    ErrorRecord,
    Event,
    EventType,
    Failed,
    Gate,
    Hook,
    HookNotFound,
    HookState,
    IllegalTransition,
    Interrupted,
    InvalidPayload,
    InvalidResult,
    InvalidValue,
    Job,
    JobGone,
    JobNotFound,
    JobState,
    KeyConflict,
    NotApproved,
    NotAStore,
    NotDue,
    NotFound,
    NotWaiting,
    OnRestart,
    Outcome,
    PhaseRecord,
    PhaseState,
    Progress,
    Queue,
    QueueFull,
    QueuePaused,
    QueueState,
    QueueUnknown,
    Rejected,
    Retention,
    Retry,
    StaleWrite,
    Stop,
    StopCause,
    StopHow,
    StopStep,
    StoreClosed,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreTooNew,
    StoreUnavailable,
    TimedOut,
    Timeouts,
    TriphaseError,
    TypeUnknown,
    UnknownJobType,
    UnknownPhase,
    UnknownQueue,
    WaitTimeout,
    Webhook,
)

from . import actor as actor, store as store
from .clock import Clock, SystemClock, TrioClock
from .context import Context
from .definition import job
from .entropy import Entropy
from .errors import RuntimeClosed, RuntimeCrashed
from .external import Command, CommandResult
from .fates import Cancel, Fail, Snooze
from .feed import EventStream, FeedStatistics
from .handle import JobHandle
from .handlers import HandlersStatistics
from .hooks import (
    HooksStatistics,
    InvalidWebhook,
    ReceivedWebhook,
    Sending,
    WebhookProblem,
    verify_webhook,
)
from .opening import open_runtime, serve_runtime
from .phases import Phase, PhaseKind, command, phase
from .processes import ProcessesStatistics, StopRequested
from .reconciler import ReconcilerStatistics
from .runtime import (
    Page,
    Runtime,
    RuntimeStatistics,
)
from .scheduler import SchedulerStatistics
from .store.committer import CommitterStatistics

if TYPE_CHECKING:
    from . import client as client, gateway as gateway
    from .client import Client, connect
    from .gateway import serve_gateway
else:
    # What speaks over a network is imported when it is asked for: few programs that run jobs do.
    # Hidden from type checkers, which would take any name for one of this module.

    _LATER: Final = {
        "Client": "triphase.client",
        "connect": "triphase.client",
        "serve_gateway": "triphase.gateway",
    }

    def __getattr__(name: str) -> Any:
        if name in ("client", "gateway"):
            return importlib.import_module(f"triphase.{name}")
        if name not in _LATER:
            raise AttributeError(f"module 'triphase' has no attribute {name!r}")
        return getattr(importlib.import_module(_LATER[name]), name)


__all__ = [
    "AmbiguousId",
    "Approval",
    "Cancel",
    "Cancelled",
    "Client",
    "Clock",
    "Command",
    "CommandResult",
    "CommitterStatistics",
    "Completed",
    "Context",
    "CorruptRecord",
    "Deadline",
    "DefinitionChanged",
    "DefinitionError",
    "Delivery",
    "Draining",
    "Entropy",
    "ErrorRecord",
    "Event",
    "EventStream",
    "EventType",
    "Fail",
    "Failed",
    "FeedStatistics",
    "Gate",
    "HandlersStatistics",
    "Hook",
    "HookNotFound",
    "HookState",
    "HooksStatistics",
    "IllegalTransition",
    "Interrupted",
    "InvalidPayload",
    "InvalidResult",
    "InvalidValue",
    "InvalidWebhook",
    "Job",
    "JobGone",
    "JobHandle",
    "JobNotFound",
    "JobState",
    "KeyConflict",
    "NotAStore",
    "NotApproved",
    "NotDue",
    "NotFound",
    "NotWaiting",
    "OnRestart",
    "Outcome",
    "Page",
    "Phase",
    "PhaseKind",
    "PhaseRecord",
    "PhaseState",
    "ProcessesStatistics",
    "Progress",
    "Queue",
    "QueueFull",
    "QueuePaused",
    "QueueState",
    "QueueUnknown",
    "ReceivedWebhook",
    "ReconcilerStatistics",
    "Rejected",
    "Retention",
    "Retry",
    "Runtime",
    "RuntimeClosed",
    "RuntimeCrashed",
    "RuntimeStatistics",
    "SchedulerStatistics",
    "Sending",
    "Snooze",
    "StaleWrite",
    "Stop",
    "StopCause",
    "StopHow",
    "StopRequested",
    "StopStep",
    "StoreClosed",
    "StoreError",
    "StoreFull",
    "StoreLocked",
    "StoreTooNew",
    "StoreUnavailable",
    "SystemClock",
    "TimedOut",
    "Timeouts",
    "TrioClock",
    "TriphaseError",
    "TypeUnknown",
    "UnknownJobType",
    "UnknownPhase",
    "UnknownQueue",
    "WaitTimeout",
    "Webhook",
    "WebhookProblem",
    "command",
    "connect",
    "job",
    "open_runtime",
    "phase",
    "serve_gateway",
    "serve_runtime",
    "verify_webhook",
]
