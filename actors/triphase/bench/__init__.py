"""Benchmarks: they measure and print, and assert nothing.

Figures of one machine and one moment say little; what is compared is measured in one run.

`fanout`, `stall`, `idle` and `latency` measure a gateway, and `hooks` webhooks. They are not
imported here, as they need packages of their own.
"""

from __future__ import annotations

from .jobs import JobsFigure as JobsFigure, measure_jobs as measure_jobs
from .messages import MessagesFigure as MessagesFigure, measure_messages as measure_messages

__all__ = ["JobsFigure", "MessagesFigure", "measure_jobs", "measure_messages"]
