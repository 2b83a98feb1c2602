"""A runtime at one moment."""

from __future__ import annotations

import attrs

from triphase.feed import FeedStatistics
from triphase.handlers import HandlersStatistics
from triphase.hooks import HooksStatistics
from triphase.processes import ProcessesStatistics
from triphase.reconciler import ReconcilerStatistics
from triphase.scheduler import SchedulerStatistics
from triphase.store.committer import CommitterStatistics


@attrs.frozen(kw_only=True)
class RuntimeStatistics:
    """A runtime at one moment; cheap to take."""

    owner: str
    """The runtime's own id: the `owner` of the jobs that it runs."""

    active: int
    """Jobs that it runs now."""

    waiting: int
    """Tasks that wait for a job to end."""

    handlers: HandlersStatistics
    processes: ProcessesStatistics
    committer: CommitterStatistics
    scheduler: SchedulerStatistics
    reconciler: ReconcilerStatistics
    hooks: HooksStatistics
    feed: FeedStatistics
