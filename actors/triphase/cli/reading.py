"""Looking into a store file that another process may be writing at this moment.

Nothing tells a reader of a file that it was written: whoever commits is another process. So
what waits here looks again every `LOOK_EVERY` seconds, at one number that the database keeps
for this (`data_version`), and reads only when it has changed.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import trio

from triphase.store.backend import Query
from triphase.store.sqlite import Reader, owner_of
from triphase_protocol import AmbiguousId, Job, JobNotFound

LOOK_EVERY = 0.1
"""Seconds between two looks at a file that somebody else writes."""

CANDIDATES = 5
"""How many ids an error names when a prefix fits several."""


async def job_of(reader: Reader, prefix: str) -> Job:
    """Return the one job whose id is, or begins with, *prefix*.

    Raises:
      JobNotFound: if there is none.
      AmbiguousId: if there are several.
    """
    # An id in full is found even if it is also the beginning of another.
    exact = await reader.get(prefix)
    if exact is not None:
        return exact
    # An empty prefix would be no condition, and fit every job.
    jobs = await reader.find(Query(prefix=prefix, limit=CANDIDATES + 1)) if prefix else []
    if not jobs:
        raise JobNotFound(f"there is no job {prefix!r}")
    if len(jobs) > 1:
        shown = ", ".join(job.id for job in jobs[:CANDIDATES])
        more = ", …" if len(jobs) > CANDIDATES else ""
        raise AmbiguousId(f"{prefix!r} is the beginning of several ids: {shown}{more}")
    return jobs[0]


async def current(reader: Reader, id: str) -> Job:
    """Return a job's record as it is now.

    Raises:
      JobNotFound: if it has been deleted.
    """
    job = await reader.get(id)
    if job is None:
        raise JobNotFound(f"job {id} is no longer in the store")
    return job


@attrs.define
class Changes:
    """Tells when the file has been written since the last time."""

    reader: Reader
    _seen: int | None = attrs.field(default=None, init=False)

    def any(self) -> bool:
        """Return whether there is something new; true the first time. Never waits."""
        # The number is taken before what is read next, so nothing can slip between.
        version = self.reader.data_version()
        changed, self._seen = version != self._seen, version
        return changed

    async def wait(self) -> None:
        """Return when there is something new; at once the first time. A checkpoint."""
        await trio.lowlevel.checkpoint()
        while not self.any():  # noqa: ASYNC110 - another process commits: no event of ours tells
            await trio.sleep(LOOK_EVERY)


def hint(jobs: Iterable[Job], path: str) -> str | None:
    """Return what to tell who waits for jobs that nobody runs, or None if somebody may."""
    waiting = [job for job in jobs if not job.terminal]
    if not waiting or owner_of(path) is not None:
        return None
    which = f"{len(waiting)} of the jobs have not ended"
    if len(waiting) == 1:
        which = f"job {waiting[0].id} is {waiting[0].state.value}"
    return f"{which}, and no process runs the jobs of this store now"
