"""Processes that can be killed: handlers in workers, and external commands."""

from __future__ import annotations

from .call import Call
from .command import Command, CommandResult
from .commands import run_command
from .importing import check_importable, check_not_importing_main
from .outcomes import (
    CancelledItself,
    Died,
    FailedItself,
    Halt,
    HandlerOutcome,
    How,
    ProcessEnding,
    ProcessOutcome,
    Raised,
    Refused,
    Returned,
    Snoozed,
    Unfinished,
)
from .pool import Processes, ProcessesStatistics, open_processes
from .stop_signal import StopRequested
from .stopping import KILL_WAIT
from .surviving import discard, run_surviving

__all__ = [
    "KILL_WAIT",
    "Call",
    "CancelledItself",
    "Command",
    "CommandResult",
    "Died",
    "FailedItself",
    "Halt",
    "HandlerOutcome",
    "How",
    "ProcessEnding",
    "ProcessOutcome",
    "Processes",
    "ProcessesStatistics",
    "Raised",
    "Refused",
    "Returned",
    "Snoozed",
    "StopRequested",
    "Unfinished",
    "check_importable",
    "check_not_importing_main",
    "discard",
    "open_processes",
    "run_command",
    "run_surviving",
]
