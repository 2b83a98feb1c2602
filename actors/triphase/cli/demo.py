"""`triphase demo`: real jobs on real files of this machine."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import attrs
import trio
from cyclopts import Parameter

import triphase
from triphase.runtime import Runtime
from triphase.store import SqliteStore
from triphase_protocol import Job

from .demo_jobs import JOBS, Package, package_jobs, package_names, replace_file, standard_library
from .demo_page import index_page
from .demo_progress import REDRAW_EVERY, Board, display_for
from .demo_rows import Row, Totals
from .demo_summary import Summary, Work, show_summary
from .exits import Exit, Unreachable, UsageError
from .options import AsJson, store_at
from .screen import Screen

AT_A_TIME = 4
"""How many of the demo's jobs run at once."""


async def demo(
    *,
    store: str | None = None,
    out: Path = Path("triphase-demo"),
    package: Annotated[list[str] | None, Parameter(negative="")] = None,
    json: AsJson = False,
) -> int:
    """Run real jobs: measure every package of Python's standard library.

    Each package is one job of four phases: collect its files, parse them, compress them, and
    write a page about it. Stop it at any moment, even by kill -9, and run it again: it goes on
    where it was, and does nothing twice.

    Args:
      store: The store file; OUT/jobs.db unless it is given.
      out: The folder for the pages; it is created if it is missing.
      package: Only this package; may be repeated.
      json: Write JSON.
    """
    began, screen = trio.current_time(), Screen(json=json)
    location = str(out / "jobs.db") if store is None else store
    place = store_at(location)
    library, pages = standard_library(), _made(out)
    jobs = package_jobs(library, pages, _chosen(package, package_names(library)))
    with warnings.catch_warnings():
        # What the parser has to say about the files is not for this report.
        warnings.simplefilter("ignore")
        done = await _run(screen, place, jobs, began)
    rows = [Row.of(job) for job in done.jobs]
    summary = Summary(
        python=platform.python_version(),
        rows=rows,
        totals=Totals.of(rows),
        work=done.work(trio.current_time() - began),
        index=pages / "index.html",
        store=location,
    )
    _write(summary.index, index_page(rows, summary.totals, summary.python))
    show_summary(screen, summary)
    return Exit.OK if summary.completed else Exit.FAILED


@attrs.frozen
class Done:
    """What has become of the demo's jobs."""

    jobs: list[Job]
    before: Mapping[str, bool]
    """The jobs that were there before, by id: had they ended?"""

    board: Board

    def work(self, elapsed: float) -> Work:
        """Return who did what."""
        completed = sum(
            phase.state is triphase.PhaseState.COMPLETED
            for job in self.jobs
            for phase in job.phases
        )
        return Work(
            submitted=len(self.jobs) - len(self.before),
            recognised=len(self.before),
            finished_before=sum(self.before.values()),
            phases_executed=self.board.phases_started,
            phases_kept=completed - self.board.phases_completed,
            elapsed=elapsed,
        )


async def _run(
    screen: Screen, store: SqliteStore, jobs: Mapping[str, Package], began: float
) -> Done:
    try:
        async with triphase.open_runtime(
            JOBS,
            store=store,
            queues={"demo": triphase.Queue(limit=AT_A_TIME)},
            progress_interval=REDRAW_EVERY,
        ) as runtime:
            names, before = await _submit_all(runtime, jobs)
            pending = {id for id in names if not before.get(id, False)}
            board = Board(names, runtime.statistics().owner, pending, began)
            await _follow(screen, runtime, board)
            return Done([await runtime.get(id) for id in names], before, board)
    except trio.Cancelled:
        screen.note("interrupted; the same command goes on from here")
        raise


async def _submit_all(
    runtime: Runtime, jobs: Mapping[str, Package]
) -> tuple[dict[str, str], dict[str, bool]]:
    """Submit the jobs; return their packages by id, and which were there before, and ended."""
    names: dict[str, str] = {}
    before: dict[str, bool] = {}
    for key, job in jobs.items():
        found = (await runtime.find(key=key, limit=1)).jobs
        before |= {each.id: each.terminal for each in found}
        # Also if it was found: a submit tells whether it is the same job.
        handle = await runtime.submit(job, key=key)
        names[handle.id] = job.name
    return names, before


async def _follow(screen: Screen, runtime: Runtime, board: Board) -> None:
    """Show what the jobs do until all have ended."""
    # From the first event on, for what was done before this process began.
    events = runtime.events(after=0)
    with display_for(screen, board) as display:
        while board.pending:
            event = None
            with trio.move_on_after(REDRAW_EVERY):
                event = await anext(events)
            if event is not None and (text := board.apply(event)):
                display.tell(event, text)
            display.draw()


def _chosen(wanted: list[str] | None, known: list[str]) -> list[str]:
    for name in wanted or ():
        if name not in known:
            raise UsageError(f"--package {name}: there are {', '.join(known)}")
    chosen = known if wanted is None else list(dict.fromkeys(wanted))
    if not chosen:
        raise Unreachable("this Python has no standard library in source form")
    return chosen


def _made(folder: Path) -> Path:
    """Return a folder's absolute path, and make it if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise Unreachable(f"the folder {folder} cannot be made: {exc}") from exc
    return folder.resolve()


def _write(path: Path, text: str) -> None:
    try:
        replace_file(path, text)
    except OSError as exc:
        raise Unreachable(f"{path} cannot be written: {exc}") from exc
