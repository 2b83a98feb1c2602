"""Deliveries of webhooks, asked for by a client."""

from __future__ import annotations

import inspect

import pytest
from tests.actors.gateway.posts import Posts, ended
from tests.actors.gateway.rig import Note, open_rig
from trio.testing import MockClock

import triphase
from triphase.client import Client, ConnectionLost
from triphase.websocket import Socket
from triphase_protocol import HookState

from .test_client import joined

URL = "https://one.example/"


async def test_deliveries_are_what_they_are_for_a_runtime(autojump_clock: MockClock) -> None:
    posts = Posts(status=500)
    options = posts.options()
    async with open_rig(Note, webhooks=URL, **options) as rig, joined(rig) as (client, _):
        jobs = [await client.submit(Note()) for _ in range(3)]
        await ended(rig.runtime, 3)
        found = await client.hooks()
        assert found == await rig.runtime.hooks()
        assert [hook.body for hook in found] == [None] * 3
        assert await client.hooks(limit=1, after=found[0].place) == found[1:2]
        assert await client.hooks(after=(0, "")) == found
        [of_job] = await client.hooks(job=jobs[2], states="dead")
        assert of_job.job == jobs[2].id
        assert await client.hooks(states=[HookState.PENDING, "delivered"]) == []
        hook = await client.hook(of_job.id)
        assert hook == await rig.runtime.hook(of_job.id)
        assert hook.body is not None
        posts.status = 200
        again = await client.redeliver(hook.id)
        assert (again.state, again.spent) == (HookState.PENDING, 1)
        await ended(rig.runtime, 4)
        assert (await client.hook(hook.id)).state is HookState.DELIVERED


@pytest.mark.parametrize("verb", ["hook", "hooks", "redeliver"])
def test_who_asks_for_deliveries_can_be_given_either(verb: str) -> None:
    its, theirs = (inspect.signature(getattr(one, verb)) for one in (Client, triphase.Runtime))
    assert its == theirs


async def test_deliveries_are_looked_at_again_and_are_not_asked_for_twice(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = Posts()
    options = posts.options()
    async with open_rig(Note, webhooks=URL, **options) as rig, joined(rig) as (client, cutter):
        await client.submit(Note())
        await ended(rig.runtime, 1)
        [hook] = await client.hooks()
        send, cuts = Socket.send, 0

        async def send_and_cut_once(self: Socket, text: bytes) -> None:
            nonlocal cuts
            if text.startswith(b'{"type":"answer"') and not cuts:
                cuts += 1
                cutter.cut()
            await send(self, text)

        monkeypatch.setattr(Socket, "send", send_and_cut_once)
        assert await client.hooks() == [hook]
        cuts = 0
        assert (await client.hook(hook.id)).id == hook.id
        cuts = 0
        with pytest.raises(ConnectionLost, match="during a redeliver"):
            await client.redeliver(hook.id)
        await ended(rig.runtime, 2)
        assert posts.ids == [hook.id] * 2
