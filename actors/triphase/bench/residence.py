"""How much memory this process has."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Final

STATM: Final = Path("/proc/self/statm")
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
MB: Final = 1e6


def resident_mb() -> float:
    """Return the megabytes of this process that are in memory; where only that is told, the most.

    Never waits.
    """
    if STATM.exists():
        return int(STATM.read_text("ascii").split()[1]) * PAGE / MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MB
