"""A translation that makes no sense fails its job, and no other."""

from __future__ import annotations

from typing import Any

import pytest

import triphase
from triphase.store import Disk, SimulatedStore

from .jobs import Three


def version(number: int, results: Any = None) -> type[Any]:
    @triphase.job(name="Versioned", translate=lambda job: results)
    class Versioned:
        @triphase.phase(version=number)
        async def only(self, ctx: triphase.Context) -> int:
            return number

    return Versioned


@pytest.mark.parametrize("results", [5, True, ["only"], {"x": 1, 2: 3}], ids=repr)
async def test_a_translation_that_makes_no_sense_fails_its_job_and_no_other(results: Any) -> None:
    disk, first = Disk(), version(1)
    queues = {"default": triphase.Queue(paused=True)}
    async with triphase.open_runtime([first], store=SimulatedStore(disk), queues=queues) as runtime:
        job = await runtime.submit(first())
    types = [version(2, results), Three]
    async with triphase.open_runtime(types, store=SimulatedStore(disk)) as runtime:
        outcome = await runtime.wait(job.id)
        assert isinstance(outcome, triphase.Failed)
        assert outcome.error.type == "DefinitionChanged"
        assert isinstance(await (await runtime.submit(Three())).wait(), triphase.Completed)
