"""Commands that will not stop delay the deadlines of no other job: they are stopped beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from tests.actors.processes.conftest import PATIENCE, Ear

import triphase

from .jobs import Three

pytestmark = pytest.mark.slow


@triphase.job(queue="commands")
class Deaf:
    path: str

    @triphase.command(survives=True, stop_grace=5)
    def only(self, ctx: triphase.Context) -> list[str]:
        says = f"trap 'echo asked > {self.path}' TERM; echo up > {self.path}"
        return ["sh", "-c", f"{says}; while :; do sleep 0.1; done"]


async def test_a_command_that_will_not_stop_delays_no_other_jobs_deadline(tmp_path: Path) -> None:
    store, ear = str(tmp_path / "jobs.db"), Ear(tmp_path / "ear")
    async with triphase.open_runtime([Deaf, Three], store=store, drain_timeout=0) as runtime:
        deaf = [await runtime.submit(Deaf(ear.path), queue_timeout=4) for _ in range(3)]
        for _ in deaf:
            assert await ear.line() == "up"
    queues = {name: triphase.Queue(paused=True) for name in ("commands", "default")}
    async with triphase.open_runtime([Deaf, Three], store=store, queues=queues) as runtime:
        with trio.fail_after(PATIENCE):
            assert await ear.line() == "asked"
            job = await runtime.submit(Three(), queue_timeout=0.5)
            assert isinstance(await job.wait(), triphase.Failed)
            # Nobody had to wait until a single one of them was killed.
            assert not any([(await runtime.get(each.id)).terminal for each in deaf])
            outcomes = await runtime.wait_all(deaf)
    ear.close()
    assert {type(outcome) for outcome in outcomes.values()} == {triphase.Failed}
