"""Processes that can be killed: handlers in workers, and external commands."""

from __future__ import annotations

from .call import Call
from .commands import run_command
from .importing import check_importable, check_not_importing_main
from .kept import KeptCommand, KeptCommands
from .pool import Processes, ProcessesStatistics, open_processes
from .stop_signal import StopRequested
from .stopping import KILL_WAIT

__all__ = [
    "KILL_WAIT",
    "Call",
    "KeptCommand",
    "KeptCommands",
    "Processes",
    "ProcessesStatistics",
    "StopRequested",
    "check_importable",
    "check_not_importing_main",
    "open_processes",
    "run_command",
]
