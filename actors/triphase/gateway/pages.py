"""Pages of records that are not too large for one message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from triphase_protocol import Job, encode

PAGE_BYTES: Final = 16 * 2**20
"""The most bytes of the records of one page, if its first has not more: clients take so many."""


def fitting(jobs: Sequence[Job]) -> Sequence[Job]:
    """Return the first of some records, as many as one message may have: at least one."""
    size = 0
    for number, job in enumerate(jobs):
        size += len(encode(job))
        if size > PAGE_BYTES and number:
            return jobs[:number]
    return jobs
