"""What every group of the runtime's verbs stands on: its parts, and one job's record."""

from __future__ import annotations

from triphase.arguments import id_of
from triphase.errors import RuntimeClosed
from triphase.handle import JobHandle
from triphase.missing import missing
from triphase.parts import Parts
from triphase_protocol import Job


class Base:
    """See the module's text."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @property
    def parts(self) -> Parts:
        """What it is made of, for what serves it to others."""
        return self._parts

    def handle(self, id: str) -> JobHandle:
        """Return a handle for a job id, without a look whether there is such a job."""
        return self._handle(id)

    async def get(self, id: str | JobHandle) -> Job:
        """Return a job's record. A checkpoint.

        Args:
          id: the whole id, or a handle.

        Raises:
          JobNotFound: if there is no job of that id; `JobGone` if there was one.
          CorruptRecord: if its row cannot be read back.
          RuntimeClosed: if the runtime's block has been left.
        """
        job = await self._open().store.get(id_of(id))
        if job is None:
            raise await missing(self._open().store, id_of(id))
        return job

    def _open(self) -> Parts:
        if self._parts.feed.closed:
            raise RuntimeClosed("the runtime's block has been left")
        return self._parts

    def _handle(self, id: str) -> JobHandle:
        raise NotImplementedError
