"""What every store must do, whatever it is made of: which URLs are gone, and until when."""

from __future__ import annotations

import attrs
import pytest

from triphase.store import Done, Prune, Redeliver, Store, Why
from triphase_protocol import StoreUnavailable

from . import building
from .building import AT, rejected, tried
from .homes import Home
from .outbox import DEAD, DELIVERED, PENDING, first, row, submitted, to
from .walks import snapshot


async def test_a_try_may_say_that_its_url_is_gone_until_it_is_asked_again(store: Store) -> None:
    _, hook = await submitted(store, "a", to("one"), to("two", url="https://example.org/one"))
    urls = [hook.url, "https://example.org/other"]
    assert await store.disabled(urls) == {}
    await store.write([tried(hook, DEAD, disabled=True, at=AT + 30)])
    assert await store.disabled(urls) == {hook.url: AT + 30}
    assert await store.disabled(urls[1:]) == {}
    assert await store.disabled([]) == {}
    two = await row(store, "two")
    await store.write([tried(two, PENDING)])
    assert await store.disabled(urls) == {hook.url: AT + 30}, "nothing was said of it"
    two = await row(store, "two")
    await store.write([tried(two, DEAD, disabled=True, at=AT + 60)])
    assert await store.disabled(urls) == {hook.url: AT + 60}
    await store.write([Redeliver(hook="two", due_at=AT + 70)])
    assert await store.disabled(urls) == {}
    await store.write([tried(await row(store, "two"), DELIVERED)])
    await store.write([Redeliver(hook="two", due_at=AT + 70)])
    assert await store.disabled(urls) == {}


async def test_a_late_answer_says_nothing_of_its_url(store: Store) -> None:
    _, hook = await submitted(store)
    await store.write([tried(hook, PENDING)])
    nobody = attrs.evolve(hook, id="nobody")
    late = [tried(hook, DEAD, disabled=True), tried(nobody, DEAD, disabled=True)]
    assert [rejected(each).why for each in await store.write(late)] == [Why.STALE, Why.GONE]
    assert await store.disabled([hook.url]) == {}


async def test_the_url_that_is_gone_is_the_one_of_the_row(store: Store) -> None:
    job, hook = await submitted(store)
    await first(store, building.delete(await first(store, building.cancel(job))))
    step = tried(hook, DEAD, disabled=True)
    elsewhere = attrs.evolve(step, hook=attrs.evolve(step.hook, url="https://elsewhere/"))
    [result] = await store.write([elsewhere])
    assert isinstance(result, Done), "its job is deleted"
    assert await store.disabled(["https://elsewhere/", hook.url]) == {hook.url: AT + 30}


async def test_it_is_said_since_when_a_url_is_gone(store: Store) -> None:
    _, hook = await submitted(store)
    before = await snapshot(store)
    with pytest.raises(StoreUnavailable):
        await store.write([tried(hook, PENDING, disabled=True)])
    assert await snapshot(store) == before


async def test_it_is_forgotten_which_urls_were_gone_long_ago(home: Home) -> None:
    async with home.open() as store:
        _, early = await submitted(store, "a")
        _, late = await submitted(store, "b")
        urls = [early.url, late.url]
        await store.write([tried(early, DEAD, disabled=True, at=AT + 30)])
        await store.write([tried(late, DEAD, disabled=True, at=AT + 50)])
        await store.write([Prune(before=AT + 30)])
        assert await store.disabled(urls) == {early.url: AT + 30, late.url: AT + 50}
        await store.write([Prune(before=AT + 40)])
        assert await store.disabled(urls) == {late.url: AT + 50}
    async with home.open() as store:
        assert await store.disabled(urls) == {late.url: AT + 50}
