"""Deliveries of webhooks, asked for over a WebSocket and over HTTP."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from trio.testing import MockClock

from triphase.gateway.access import Token
from triphase_protocol import unstructure
from triphase_protocol.wire import Scope

from .front import open_front
from .posts import Posts, ended
from .rig import Clip, Note, Rig, open_rig

URL = "https://one.example/in?key=1"
SECRETS = {Scope.READ: "the secret of reader", Scope.CONTROL: "the secret of controller"}
TOKENS = tuple(
    Token.of(secret, name=str(scope), scopes=(scope,)) for scope, secret in SECRETS.items()
)


async def told(rig: Rig, *jobs: object) -> list[str]:
    """Run jobs whose ends are delivered to `URL`; return their ids, once that has ended."""
    submitted = [await rig.runtime.submit(job, webhook=URL) for job in jobs]
    await ended(rig.runtime, len(jobs))
    return [job.id for job in submitted]


# Over a WebSocket


async def test_deliveries_are_found_in_pages_in_the_order_of_their_events(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Note, **Posts().options()) as rig, rig.peer() as peer:
        jobs = await told(rig, Note(), Note(), Note())
        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {"next": None}
        for count in (2, 1):
            page = await peer.ask("find_hooks", limit=2, after=page["next"])
            assert len(page["hooks"]) == count
            found += page["hooks"]
        assert page["next"] is None
        assert [hook["seq"] for hook in found] == sorted(hook["seq"] for hook in found)
        assert {hook["job"] for hook in found} == set(jobs)
        assert {hook["body"] for hook in found} == {None}
        assert found == unstructure(await rig.runtime.hooks())


async def test_deliveries_are_found_by_job_and_state(autojump_clock: MockClock) -> None:
    posts = Posts()
    async with open_rig(Note, **posts.options()) as rig, rig.peer() as peer:
        [first] = await told(rig, Note())
        posts.status = 500
        second = await rig.runtime.submit(Note(), webhook=URL)
        await ended(rig.runtime, 2)

        async def found(**conditions: Any) -> list[tuple[str, str]]:
            hooks = (await peer.ask("find_hooks", **conditions))["hooks"]
            return [(hook["job"], hook["state"]) for hook in hooks]

        delivered, dead = (first, "delivered"), (second.id, "dead")
        assert await found() == [delivered, dead]
        assert await found(job=second.id) == [dead]
        assert await found(states=["delivered"]) == [delivered]
        assert await found(states=["pending"]) == []
        assert await found(job=first, states=["dead", "pending"]) == []


async def test_one_is_shown_with_what_is_sent_and_is_delivered_again(
    autojump_clock: MockClock,
) -> None:
    posts = Posts(status=500)
    async with open_rig(Note, **posts.options()) as rig, rig.peer() as peer:
        [job] = await told(rig, Note())
        [listed] = (await peer.ask("find_hooks"))["hooks"]
        hook = await peer.ask("get_hook", hook=listed["id"])
        assert {**hook, "body": None} == listed
        assert json.loads(hook["body"])["data"]["job"]["id"] == job
        assert (hook["state"], hook["status"], hook["attempts"]) == ("dead", 500, 1)
        posts.status = 200
        again = await peer.ask("redeliver", hook=hook["id"])
        assert (again["state"], again["spent"], again["ended_at"]) == ("pending", 1, None)
        await ended(rig.runtime, 2)
        assert posts.ids == [hook["id"]] * 2
        assert posts.bodies == [hook["body"].encode()] * 2
        assert (await peer.ask("get_hook", hook=hook["id"]))["state"] == "delivered"


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("get_hook", {"hook": "nope"}, "hook_not_found", "there is no delivery 'nope'"),
    ("redeliver", {"hook": "nope"}, "hook_not_found", "there is no delivery 'nope'"),
    ("get_hook", {"hook": 3}, "bad_message", "$.hook"),
    ("redeliver", {}, "bad_message", "$.hook: required"),
    ("find_hooks", {"states": ["odd"]}, "bad_message", "$.states[0]"),
    ("find_hooks", {"after": "nope"}, "invalid_value", "'nope' is not the `next` of a page"),
    ("find_hooks", {"after": 7}, "bad_message", "$.after"),
    ("find_hooks", {"limit": 0}, "invalid_value", "limit=0"),
    ("find_hooks", {"limit": 1001}, "invalid_value", "limit=1001"),
    ("find_hooks", {"hook": "x"}, "bad_message", "$: unknown field 'hook'"),
]


@pytest.mark.parametrize(("type", "fields", "code", "words"), REFUSED)
async def test_what_cannot_be_is_refused(
    type: str, fields: dict[str, Any], code: str, words: str, autojump_clock: MockClock
) -> None:
    async with open_rig(Note) as rig, rig.peer() as peer:
        reply = await peer.ask(type, **fields)
        assert reply["code"] == code
        assert words in " ".join([reply["message"], *reply["problems"]])
        assert await peer.ask("ping") is None


async def test_a_reader_may_look_and_whoever_controls_may_deliver_again(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Note, tokens=TOKENS, **Posts().options()) as rig:
        await told(rig, Note())
        [hook] = await rig.runtime.hooks()
        allowed = {
            Scope.READ: {"find_hooks": True, "get_hook": True, "redeliver": False},
            Scope.CONTROL: {"find_hooks": False, "get_hook": False, "redeliver": True},
        }
        for scope, requests in allowed.items():
            async with rig.peer(greeted=False) as peer:
                await peer.greet(token=SECRETS[scope])
                for request, may in requests.items():
                    fields = {} if request == "find_hooks" else {"hook": hook.id}
                    reply = await peer.ask(request, **fields)
                    assert (reply.get("code") != "forbidden") is may, (scope, request)


# Over HTTP


async def test_over_http_they_are_found_by_the_query(autojump_clock: MockClock) -> None:
    posts = Posts()
    async with open_front(Note, Clip, **posts.options()) as front:
        [first] = await told(front.rig, Note())
        posts.status = 500
        for _ in range(2):
            await front.rig.runtime.submit(Note(), webhook=URL)
        await ended(front.rig.runtime, 3)
        whole = (await front.ask("GET", "/api/hooks")).json
        assert whole == {"hooks": unstructure(await front.rig.runtime.hooks()), "next": None}
        ids = [hook["id"] for hook in whole["hooks"]]

        async def found(query: str) -> list[str]:
            answer = await front.ask("GET", f"/api/hooks?{query}")
            assert answer.status == 200, answer
            return [hook["id"] for hook in answer.json["hooks"]]

        assert await found(f"job={first}") == ids[:1]
        assert await found("state=dead") == ids[1:]
        assert await found("state=dead&state=delivered&limit=2") == ids[:2]
        page = (await front.ask("GET", "/api/hooks?limit=2")).json
        assert await found(f"after={quote(page['next'], safe='')}") == ids[2:]


async def test_over_http_one_is_shown_and_delivered_again(autojump_clock: MockClock) -> None:
    posts = Posts(status=500)
    async with open_front(Note, tokens=True, **posts.options()) as front:
        await told(front.rig, Note())
        [hook] = await front.rig.runtime.hooks()
        path = f"/api/hooks/{hook.id}"
        answer = await front.ask("GET", path, token="reader")
        assert answer.json == unstructure(await front.rig.runtime.hook(hook.id))
        assert (await front.ask("POST", f"{path}/redeliver", token="reader")).status == 403
        posts.status = 200
        answer = await front.ask("POST", f"{path}/redeliver", token="controller")
        assert (answer.status, answer.json["state"]) == (200, "pending")
        await ended(front.rig.runtime, 2)
        assert (await front.ask("GET", path, token="reader")).json["state"] == "delivered"
        for method, path in (("GET", ""), ("POST", "/redeliver")):
            token = "reader" if method == "GET" else "controller"
            answer = await front.ask(method, f"/api/hooks/nope{path}", token=token)
            assert (answer.status, answer.code) == (404, "hook_not_found")


@pytest.mark.parametrize(
    "query",
    [
        *("state=odd", "limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "after=x", "after="),
        *("job=a&job=b", "states=dead", "hook=x"),
    ],
)
async def test_over_http_a_condition_that_is_none_is_refused(
    query: str, autojump_clock: MockClock
) -> None:
    async with open_front(Note) as front:
        answer = await front.ask("GET", f"/api/hooks?{query}")
        assert (answer.status, answer.code) == (400, "invalid_value")
