"""The runtime as a user holds it: submit jobs, look at them, wait for them, follow them."""

from __future__ import annotations

from .runtime import Runtime
from .statistics import RuntimeStatistics
from .submitting import Page

__all__ = ["Page", "Runtime", "RuntimeStatistics"]
