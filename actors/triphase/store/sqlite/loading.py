"""Reading within one transaction: rows fetched, joined to their phases, and made records.

A row that cannot be read never hides another: it is passed over, and one more is fetched
in its place, so that a page is full unless there is nothing more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, TypeVar

from triphase_protocol import CorruptRecord, Job

from .connection import Connection
from .rows import JOB_COLUMNS, PHASE_COLUMNS, Row, job_of, json_text
from .statements import sql

T = TypeVar("T")

log: Final = logging.getLogger("triphase.store")

_JOB_BY_ID: Final = sql("job_by_id", job_columns=JOB_COLUMNS)
_JOB_BY_KEY: Final = sql("job_by_key", job_columns=JOB_COLUMNS)
_PHASES: Final = sql("phases", phase_columns=PHASE_COLUMNS)


class Corrupt:
    """The rows of one store that could not be read back, each of them logged once."""

    def __init__(self) -> None:
        self._rows: set[tuple[str, int]] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, row: tuple[str, int]) -> bool:
        return row in self._rows

    def of(self, table: str) -> list[int]:
        """Return those of one table."""
        return [rowid for name, rowid in self._rows if name == table]

    def note(self, table: str, rowid: int, error: CorruptRecord) -> None:
        """Remember a row that was passed over."""
        if (table, rowid) not in self._rows:
            self._rows.add((table, rowid))
            log.warning("passed over: %s", error)


class Loader:
    """Reads records through one connection."""

    def __init__(self, connection: Connection, corrupt: Corrupt) -> None:
        self._execute = connection.execute
        self.corrupt = corrupt
        """What could not be read back so far."""

    def rows(self, statement: str, parameters: Any = None) -> list[Row]:
        """Return all rows of a statement."""
        return self._execute(statement, parameters).fetchall()

    def job(self, id_: str) -> Job | None:
        """Return the job of an id, or None.

        Raises:
          CorruptRecord: if its row cannot be read back.
        """
        rows = self.rows_of(id_)
        return job_of(rows[0], self._phases(rows)[0]) if rows else None

    def rows_of(self, id_: str, key: str | None = None) -> list[Row]:
        """Return the row of the job that has this id, or else of the one that has this key."""
        rows = self.rows(_JOB_BY_ID, (id_,))
        return rows if rows or key is None else self.rows(_JOB_BY_KEY, (key,))

    def jobs(self, rows: Sequence[Row]) -> list[Job]:
        """Return the jobs of these rows, without those that are corrupt."""
        jobs: list[Job] = []
        for row, phases in zip(rows, self._phases(rows), strict=True):
            try:
                jobs.append(job_of(row, phases))
            except CorruptRecord as exc:
                self.corrupt.note("jobs", row[0], exc)
        return jobs

    def sound(
        self,
        fetch: Callable[[int], list[Row]],
        limit: int,
        read: Callable[[Sequence[Row]], list[T]],
    ) -> list[T]:
        """Return the first *limit* records that can be read.

        Args:
          fetch: returns the first rows, as many as it is given.
          limit: how many records to return at most.
          read: makes records of rows, and passes over those that are corrupt.
        """
        most = limit
        while True:
            rows = fetch(most)
            records = read(rows)
            if len(records) >= limit or len(rows) < most:
                return records[:limit]
            most = limit + len(rows) - len(records)

    def _phases(self, rows: Sequence[Row]) -> list[list[Row]]:
        """Return the rows of the phases of each of these jobs."""
        wanted = [row[0] for row in rows]
        if not wanted:
            return []
        found = {
            n: list(group)
            for n, group in groupby(self.rows(_PHASES, (json_text(wanted),)), itemgetter(0))
        }
        return [found.get(n, []) for n in wanted]
