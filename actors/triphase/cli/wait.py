"""`triphase wait`: return when jobs have ended."""

from __future__ import annotations

import attrs
import trio
from rich.text import Text

from triphase.store.sqlite import Reader, open_reader
from triphase_protocol import Job, JobState, Json, outcome_of, unstructure

from .describing import STATE_STYLES, job_seconds, why
from .exits import Exit, UsageError
from .humane import duration, one_line
from .options import DEFAULT_STORE, AsJson, JobId, StorePath, seconds_from, store_at
from .reading import Changes, current, hint, job_of
from .screen import Screen


async def wait(
    *ids: JobId,
    timeout: float | None = None,
    store: StorePath = DEFAULT_STORE,
    json: AsJson = False,
) -> int:
    """Wait until all of these jobs have ended, and print how.

    In a pipe each line has: id, outcome, type, seconds and why. The exit code is 0 if all
    completed, 1 if one did not, and 124 if the timeout passed.

    Args:
      ids: The jobs' ids, or the beginnings of them.
      timeout: Seconds to wait at the most.
      store: The store file.
      json: Write JSON.
    """
    if not ids:
        raise UsageError("wait: for which job? give an id")
    seconds, screen, path = (
        seconds_from("--timeout", timeout),
        Screen(json=json),
        store_at(store).path,
    )
    async with open_reader(path) as reader:
        # All at first: an id that does not exist would never end.
        jobs = {job.id: job for job in [await job_of(reader, id) for id in ids]}
        if text := hint(jobs.values(), path):
            screen.note(text)
        waiting = Waiting(screen, reader, jobs)
        return await waiting.run(trio.current_time() + seconds)


@attrs.define
class Waiting:
    """Several jobs that are waited for."""

    screen: Screen
    reader: Reader
    pending: dict[str, Job]
    """The jobs that have not ended, by id."""

    failed: bool = False
    """One of them ended in another way than completed."""

    async def run(self, deadline: float) -> Exit:
        """Print each job as it ends; return when all have, or the time has passed."""
        changes = Changes(self.reader)
        await changes.wait()
        while True:
            await self._look()
            if not self.pending:
                return Exit.FAILED if self.failed else Exit.OK
            # Around the wait alone, so that even a wait of 0 seconds looks once.
            with trio.move_on_at(deadline) as scope:
                await changes.wait()
            if scope.cancelled_caught:
                for job in self.pending.values():
                    self._print(job, "timed_out")
                return Exit.TIMED_OUT

    async def _look(self) -> None:
        for id in list(self.pending):
            job = self.pending[id] = await current(self.reader, id)
            if job.terminal:
                del self.pending[id]
                self.failed |= job.state is not JobState.COMPLETED
                self._print(job, job.state.value)

    def _print(self, job: Job, outcome: str) -> None:
        took = job_seconds(job, job.finished_at or job.submitted_at) if job.terminal else None
        if self.screen.json:
            self.screen.object(_answer(job, outcome))
        elif self.screen.drawn:
            style = STATE_STYLES[job.state] if job.terminal else "yellow"
            self.screen.draw_line(
                Text.assemble(
                    (job.id, "bold"),
                    "  ",
                    (f"{outcome:<11}", style),
                    f"  {one_line(job.type)}",
                    ("" if took is None else f"  {duration(took)}", "bright_black"),
                    f"  {one_line(why(job))}",
                )
            )
        else:
            seconds = "-" if took is None else f"{took:.3f}"
            self.screen.line([job.id, outcome, job.type, seconds, why(job) or "-"])


def _answer(job: Job, outcome: str) -> Json:
    ended = outcome_of(job)
    if ended is None:
        return {"job": job.id, "outcome": outcome, "state": job.state.value}
    return {**unstructure(ended), "outcome": outcome}
