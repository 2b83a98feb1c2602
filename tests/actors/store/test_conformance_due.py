"""What every store must do, whatever it is made of: which deliveries may be tried, and when."""

from __future__ import annotations

import attrs
import pytest

from triphase.store import NewHook, Redeliver, Store
from triphase.store.sqlite import outbox
from triphase_protocol import Hook

from . import building
from .building import AT, hooked, tried
from .homes import Home
from .outbox import DEAD, DELIVERED, PENDING, first, ids, row, submitted, to


@pytest.fixture(params=[0, 1000], autouse=True, ids=["by time", "by job and URL"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How a store in a file finds what is due."""
    monkeypatch.setattr(outbox, "LINES_MOST", request.param)


HERE, THERE = "https://here.example/", "https://there.example/"

LATER = AT + 999
"""When everything is due that does not stand behind another."""


def here(id: str, event: int = -1) -> NewHook:
    """A delivery to one URL."""
    return to(id, event, url=HERE)


def there(id: str, event: int = -1) -> NewHook:
    """A delivery to another URL."""
    return to(id, event, url=THERE)


async def due(store: Store, now: float = LATER, limit: int = 100) -> list[str]:
    """Return the ids of what may be tried."""
    return ids(await store.due_hooks(now, limit))


async def waits(store: Store, id: str, at: float) -> Hook:
    """Let a try of a delivery fail; the next one may begin at a time."""
    await store.write([tried(await row(store, id), PENDING, at=at - 10)])
    return await row(store, id)


async def test_of_one_job_and_url_only_the_first_may_be_tried(store: Store) -> None:
    await submitted(store, "a", here("a1", 0), here("a2", 1), there("a3", 1))
    await submitted(store, "b", here("b1", 0), here("b2", 1))
    assert await due(store) == ["a1", "b1", "a3"], "in the order of their times"
    await store.write([tried(await row(store, "a1"), DELIVERED)])
    assert await due(store) == ["b1", "a2", "a3"]
    await store.write([tried(await row(store, "b1"), DEAD)])
    assert await due(store) == ["a2", "a3", "b2"], "one that is given up holds up nothing"


async def test_of_one_event_the_ids_say_which_is_first(store: Store) -> None:
    await submitted(store, "a", here("y"), here("x"), here("z"))
    assert await due(store) == ["x"]


async def test_what_stands_behind_one_in_backoff_waits_for_it(store: Store) -> None:
    job, _ = await submitted(store, "a", here("a1"))
    job = await first(store, hooked(building.claim(job), here("a2")))
    await waits(store, "a1", AT + 50)
    assert await due(store, AT + 49) == []
    assert await store.next_hook() == AT + 50, "though the other would be due"
    assert await due(store, AT + 50) == ["a1"]
    await store.write([tried(await row(store, "a1"), DELIVERED)])
    assert await due(store, AT + 49) == ["a2"]


async def test_an_earlier_one_that_is_asked_for_again_comes_before_the_others(
    store: Store,
) -> None:
    _, one = await submitted(store, "a", here("a1", 0), here("a2", 1))
    await store.write([tried(one, DEAD)])
    await waits(store, "a2", AT + 50)
    assert await due(store) == ["a2"]
    await store.write([Redeliver(hook="a1", due_at=AT + 70)])
    assert await due(store) == ["a1"]
    assert await store.next_hook() == AT + 70
    await store.write([Redeliver(hook="a2", due_at=AT + 60)])
    assert await due(store) == ["a1"], "the order is kept"
    await store.write([tried(await row(store, "a1"), DELIVERED)])
    assert await due(store) == ["a2"]


async def test_the_order_is_kept_though_the_job_is_deleted(store: Store) -> None:
    job, _ = await submitted(store, "a", here("a1", 0), here("a2", 1))
    job = await first(store, building.cancel(job))
    await first(store, hooked(building.delete(job), here("gone")))
    await submitted(store, "a", here("new"))
    for expected in ("a1", "a2", "gone", "new"):
        assert await due(store) == [expected]
        await store.write([tried(await row(store, expected), DELIVERED)])
    assert await due(store) == []


async def test_what_is_taken_is_left_out_and_holds_up_what_stands_behind_it(
    store: Store,
) -> None:
    await submitted(store, "a", here("a1", 0), here("a2", 1), there("a3", 1))
    await submitted(store, "b", here("b1"))
    assert ids(await store.due_hooks(LATER, 9, taken={"a1"})) == ["a3", "b1"]
    assert ids(await store.due_hooks(LATER, 1, taken={"a1"})) == ["a3"], "the page is filled up"
    assert ids(await store.due_hooks(LATER, 9, taken=["a2", "nobody"])) == ["a1", "a3", "b1"]
    assert await store.due_hooks(LATER, 9, taken=("a1", "a3", "b1")) == []
    assert await store.next_hook() == AT
    assert await store.next_hook(taken=["a1"]) == AT + 2
    assert await store.next_hook(taken=["a1", "a3", "b1"]) is None


async def test_what_goes_to_a_url_that_rests_is_left_out(store: Store) -> None:
    await submitted(store, "a", here("a1", 0), here("a2", 1), there("a3", 1))
    await submitted(store, "b", here("b1"))
    assert ids(await store.due_hooks(LATER, 9, resting={HERE})) == ["a3"]
    assert ids(await store.due_hooks(LATER, 1, resting=[HERE, "https://nobody/"])) == ["a3"]
    assert ids(await store.due_hooks(LATER, 9, resting=[THERE], taken=["b1"])) == ["a1"]
    assert await store.due_hooks(LATER, 9, resting=(HERE, THERE)) == []
    assert await store.next_hook(resting=[HERE]) == AT + 2
    assert await store.next_hook(resting=[THERE], taken=["a1"]) == AT + 2
    assert await store.next_hook(resting=[HERE, THERE]) is None


async def test_what_waits_for_no_time_holds_up_what_stands_behind_it(store: Store) -> None:
    _, hook = await submitted(store, "a", here("a1", 0), here("a2", 1))
    step = tried(hook, PENDING)
    await store.write([attrs.evolve(step, hook=attrs.evolve(step.hook, due_at=None))])
    assert await due(store) == []
    assert await store.next_hook() is None
    await store.write([Redeliver(hook="a1", due_at=AT)])
    assert await due(store) == ["a1"]


async def test_a_backlog_holds_up_nothing_of_others(store: Store) -> None:
    jobs = [hooked(building.submit(f"{n}"), here(f"rests {n}")) for n in range(300)]
    many = [here(f"behind {n}") for n in range(1000, 1300)]
    await store.write([*jobs, hooked(building.submit("behind"), *many)])
    await submitted(store, "b", there("b1"))
    await waits(store, "behind 1000", AT + 5000)
    assert ids(await store.due_hooks(LATER, 5, resting=[HERE])) == ["b1"]
    assert await store.next_hook(resting=[HERE]) == AT + 2
    taken = [f"rests {n}" for n in range(300)]
    assert ids(await store.due_hooks(LATER, 5, taken=taken)) == ["b1"]
    await store.write([tried(await row(store, "b1"), DELIVERED)])
    assert await store.due_hooks(LATER, 5, taken=taken) == []
    assert await store.next_hook(taken=taken) == AT + 5000


async def test_the_order_is_kept_over_a_reopen(home: Home) -> None:
    async with home.open() as store:
        _, one = await submitted(store, "a", here("a1", 0), here("a2", 1))
        await waits(store, one.id, AT + 50)
    async with home.open() as store:
        assert await due(store, AT + 49) == []
        assert await due(store, AT + 50) == ["a1"]
