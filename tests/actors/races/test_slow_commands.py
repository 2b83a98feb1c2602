"""Stopping commands takes a while, and nobody else's deadline waits for it.

Row 18 of `docs/explanation/shipped-bugs.md`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio
from tests.actors.processes.conftest import PATIENCE, Ear

import triphase
from triphase_protocol import JobState

from .jobs import Three

pytestmark = pytest.mark.slow


@triphase.job(queue="commands")
class Deaf:
    """A command that goes on without the runtime, and does not stop until it hears a word."""

    path: str

    @triphase.command(survives=True, stop_grace=PATIENCE)
    def only(self, ctx: triphase.Context) -> list[str]:
        says = f"trap 'echo asked > {self.path}' TERM; echo up > {self.path}"
        return ["sh", "-c", f"{says}; until read word < {self.path}.gate; do :; done 2> /dev/null"]


async def test_a_command_that_will_not_stop_delays_no_other_jobs_deadline(
    tmp_path: Path, clock: triphase.TrioClock
) -> None:
    store, ear = str(tmp_path / "jobs.db"), Ear(tmp_path / "ear")
    os.mkfifo(f"{ear.path}.gate")
    async with triphase.open_runtime(
        [Deaf, Three], store=store, clock=clock, drain_timeout=0
    ) as runtime:
        deaf = [await runtime.submit(Deaf(ear.path), queue_timeout=500) for _ in range(2)]
        for _ in deaf:
            assert await ear.line() == "up"
    # They wait in their queue again, and too long; their commands run.
    clock.step(1000)
    queues = {name: triphase.Queue(paused=True) for name in ("commands", "default")}
    with trio.fail_after(PATIENCE):
        async with triphase.open_runtime(
            [Deaf, Three], store=store, clock=clock, queues=queues
        ) as runtime:
            for _ in deaf:
                assert await ear.line() == "asked"
            # Neither has stopped.
            other = await runtime.submit(Three(), queue_timeout=0.01)
            assert isinstance(await runtime.wait(other), triphase.Failed)
            assert {(await runtime.get(job)).state for job in deaf} == {JobState.QUEUED}
            descriptor = os.open(f"{ear.path}.gate", os.O_RDWR | os.O_NONBLOCK)
            os.write(descriptor, b"enough\nenough\n")
            outcomes = (await runtime.wait_all(deaf)).values()
            os.close(descriptor)
            assert {type(outcome) for outcome in outcomes} == {triphase.Failed}
    ear.close()
