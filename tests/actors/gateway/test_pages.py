"""Records that are large come in pages that a client takes."""

from __future__ import annotations

from itertools import chain

import pytest
from trio.testing import MockClock

import triphase
from triphase.gateway import pages

from .rig import open_rig

SIZE = 1000


@triphase.job()
class Letter:
    """Is as large as its text."""

    text: str

    @triphase.phase()
    async def read(self, ctx: triphase.Context) -> None:
        """Nothing."""


@pytest.fixture(autouse=True)
def few_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    # As much as two records of this test, and not as three.
    monkeypatch.setattr(pages, "PAGE_BYTES", 5 * SIZE)


async def submitted(runtime: triphase.Runtime, *sizes: int) -> list[str]:
    return [(await runtime.submit(Letter("x" * size), delay=9)).id for size in sizes]


async def test_a_page_is_no_larger_than_a_client_takes(autojump_clock: MockClock) -> None:
    async with open_rig(Letter) as rig, rig.peer() as peer:
        ids = await submitted(rig.runtime, SIZE, SIZE, SIZE, 9 * SIZE, SIZE)
        found: list[list[str]] = []
        after = None
        while not found or after is not None:
            page = await peer.ask("find", newest_first=False, after=after)
            found.append([job["id"] for job in page["jobs"]])
            after = page["next"]
        assert list(chain(*found)) == ids
        assert max(map(len, found)) == 2
        assert [ids[3]] in found, "what is too large for any page comes alone"


async def test_a_snapshot_comes_in_messages_of_such_pages(autojump_clock: MockClock) -> None:
    async with open_rig(Letter) as rig, rig.peer() as peer:
        ids = await submitted(rig.runtime, SIZE, SIZE, SIZE, 9 * SIZE)
        topic = (await peer.ask("subscribe", topic="jobs", snapshot=True))["topic"]
        found: list[list[str]] = []
        last = False
        while not last:
            snapshot = await peer.hear("snapshot", topic=topic)
            found.append([job["id"] for job in snapshot["jobs"]])
            last = snapshot["last"]
        assert list(chain(*found)) == ids
        assert [ids[3]] in found
        assert len(found) >= 3
