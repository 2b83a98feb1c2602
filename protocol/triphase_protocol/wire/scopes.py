"""What a token allows."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from .requests import (
    Abandon,
    Approve,
    Cancel,
    Explain,
    Find,
    FindHooks,
    Get,
    GetHook,
    ListQueues,
    Pause,
    Ping,
    Redeliver,
    Reject,
    Request,
    Resume,
    Retry,
    SetLimit,
    Statistics,
    Submit,
    Subscribe,
    Unsubscribe,
    Wait,
    WaitAll,
)


class Scope(enum.StrEnum):
    """One of the things that a token may allow."""

    READ = "read"
    """Look at jobs, wait for them, follow them."""

    SUBMIT = "submit"
    """Submit jobs."""

    CONTROL = "control"
    """Change what becomes of jobs and of deliveries, and set queues."""

    WORK = "work"
    """Run jobs."""


SCOPES: Final[Mapping[type[Request], Scope | None]] = {
    Submit: Scope.SUBMIT,
    Get: Scope.READ,
    Find: Scope.READ,
    Wait: Scope.READ,
    WaitAll: Scope.READ,
    Explain: Scope.READ,
    ListQueues: Scope.READ,
    FindHooks: Scope.READ,
    GetHook: Scope.READ,
    Statistics: Scope.READ,
    Subscribe: Scope.READ,
    Unsubscribe: Scope.READ,
    Cancel: Scope.CONTROL,
    Retry: Scope.CONTROL,
    Approve: Scope.CONTROL,
    Reject: Scope.CONTROL,
    Pause: Scope.CONTROL,
    Resume: Scope.CONTROL,
    SetLimit: Scope.CONTROL,
    Redeliver: Scope.CONTROL,
    Abandon: None,
    Ping: None,
}
"""The scope that each request needs; None is any token."""
