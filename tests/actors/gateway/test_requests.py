"""Requests over a connection: each is answered once, by its id, and changes what it says."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

import triphase
from triphase.gateway.access import Token
from triphase.gateway.host import Manners
from triphase_protocol import Job
from triphase_protocol.wire import Limits, Scope

from .posts import Posts
from .rig import Clip, Note, open_rig


async def test_a_job_is_submitted_waited_for_and_looked_at(autojump_clock: MockClock) -> None:
    async with open_rig(Clip) as rig, rig.peer() as peer:
        made = await peer.ask(
            "submit", job="Clip", payload={"seconds": 5, "name": "a"}, labels={"x": "y"}, key="k"
        )
        id = made["job"]
        assert made == {"job": id, "done": f"job:done:{id}", "created": True}
        assert (await peer.ask("submit", job="Clip", payload={"seconds": 5, "name": "a"}, key="k"))[
            "job"
        ] == id
        waited = await peer.ask("wait", job=id)
        assert waited == {"outcome": {"type": "completed", "job": id, "run": 1, "result": "a"}}
        got = await peer.ask("get", job=id)
        assert (got["job"]["state"], got["job"]["labels"]) == ("completed", {"x": "y"})
        assert got["done"] == f"job:done:{id}"
        assert await peer.ask("wait", job=id) == waited, "at once"
        assert (await peer.ask("wait_all", jobs=[id, "x"]))["outcomes"] == {
            id: waited["outcome"],
            "x": {"type": "not_found", "job": "x"},
        }


async def test_a_wait_that_is_over_before_the_job_is_a_value(autojump_clock: MockClock) -> None:
    async with open_rig(Clip) as rig, rig.peer() as peer:
        id = (await peer.ask("submit", job="Clip", payload={"seconds": 50}))["job"]
        began = trio.current_time()
        timed_out = {"type": "timed_out", "job": id}
        assert await peer.ask("wait", job=id, timeout=3) == {"outcome": timed_out}
        assert (await peer.ask("wait_all", jobs=[id], timeout=3)) == {"outcomes": {id: timed_out}}
        assert trio.current_time() - began == pytest.approx(6, abs=0.1)


async def test_jobs_are_found_in_pages(autojump_clock: MockClock) -> None:
    async with open_rig(Clip, Note) as rig, rig.peer() as peer:
        ids = [(await peer.ask("submit", job="Note"))["job"] for _ in range(5)]
        await peer.ask("submit", job="Clip", payload={"seconds": 9})
        page = await peer.ask("find", types=["Note"], limit=3, newest_first=False)
        assert [job["id"] for job in page["jobs"]] == ids[:3]
        page = await peer.ask(
            "find", types=["Note"], limit=3, newest_first=False, after=page["next"]
        )
        assert [job["id"] for job in page["jobs"]] == ids[3:]
        assert page["next"] is None
        found = await peer.ask("find", prefix=ids[2][:10])
        assert [job["id"] for job in found["jobs"]] == [ids[2]]


async def test_a_job_is_cancelled_and_retried_and_the_event_says_by_whom(
    autojump_clock: MockClock,
) -> None:
    token = Token.of("a secret of sixteen", name="ann")
    async with open_rig(Clip, tokens=(token,)) as rig, rig.peer(greeted=False) as peer:
        await peer.greet(token="a secret of sixteen")
        id = (await peer.ask("submit", job="Clip", payload={"seconds": 50}))["job"]
        await trio.sleep(1)
        assert (await peer.ask("cancel", job=id, reason="enough"))["state"] == "stopping"
        outcome = (await peer.ask("wait", job=id))["outcome"]
        assert (outcome["type"], outcome["reason"]) == ("cancelled", "enough")
        assert (await peer.ask("retry", job=id))["state"] == "queued"
        events = await rig.runtime.parts.store.events(job=id)
        asked = {event.type.value: event.data.get("by") for event in events}
        assert (asked["job.stopping"], asked["job.retried"]) == ("ann", "ann")


async def test_a_gate_is_decided_once(autojump_clock: MockClock) -> None:
    async with open_rig(Note) as rig, rig.peer() as peer:
        id = (await peer.ask("submit", job="Note", approval=True, approval_timeout=60))["job"]
        [blocker] = await peer.ask("explain", job=id)
        assert (blocker["type"], blocker["phase"]) == ("not_approved", "write")
        gate = await peer.ask("approve", job=id, reason="fine")
        assert (gate["approved"], gate["by"], gate["reason"]) == (True, "anonymous", "fine")
        assert await peer.ask("reject", job=id) == gate, "who comes later is given the decision"
        assert (await peer.ask("wait", job=id))["outcome"]["type"] == "completed"


async def test_a_job_is_told_of_where_its_submit_says(autojump_clock: MockClock) -> None:
    async with open_rig(Clip, **Posts().options()) as rig, rig.peer() as peer:
        webhooks: list[dict[str, Any]] = [
            {"url": "https://one.example/"},
            {
                "url": "https://two.example/",
                "events": ["job.started"],
                "delivery": "at_most_once",
                "secret": "main",
            },
        ]
        id = (await peer.ask("submit", job="Clip", webhooks=webhooks))["job"]
        assert (await peer.ask("wait", job=id))["outcome"]["type"] == "completed"
        bare: dict[str, Any] = {"events": [], "delivery": "at_least_once", "secret": None}
        found = (await peer.ask("get", job=id))["job"]["webhooks"]
        assert found == [{**bare, **webhook} for webhook in webhooks]


async def test_queues_are_paused_and_limited(autojump_clock: MockClock) -> None:
    async with open_rig(Clip) as rig, rig.peer() as peer:
        assert await peer.ask("pause", queue="media") is None
        assert await peer.ask("set_limit", queue="media", limit=3) is None
        assert (await peer.ask("list_queues"))["media"] == {
            "limit": 3,
            "paused": True,
            "queued": 0,
            "running": 0,
        }
        id = (await peer.ask("submit", job="Clip"))["job"]
        assert await peer.ask("explain", job=id) == [{"type": "queue_paused", "queue": "media"}]
        assert await peer.ask("resume", queue="media") is None
        assert (await peer.ask("wait", job=id))["outcome"]["type"] == "completed"
        assert (await peer.ask("statistics"))["feed"]["last_seq"] > 0
        assert await peer.ask("ping") is None


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("get", {"job": "nope"}, "not_found", "there is no job 'nope'"),
    ("submit", {"job": "Film"}, "unknown_job_type", "'Film' is not among"),
    ("submit", {"job": "Clip", "payload": {"seconds": "x"}}, "invalid_payload", "$.seconds"),
    ("submit", {"job": "Clip", "payload": [1]}, "invalid_payload", "expected an object"),
    ("submit", {"job": "Clip", "queue": "q"}, "unknown_queue", "there is no queue 'q'"),
    ("submit", {"job": "Clip", "delay": -1}, "invalid_value", "delay=-1"),
    ("submit", {"job": "Clip", "delay": 10**400}, "bad_message", "$.delay"),
    ("submit", {"job": "Clip", "delay": True}, "bad_message", "$.delay: expected float, got True"),
    ("submit", {"job": "Clip", "at": "now"}, "bad_message", "$.at: expected float, got 'now'"),
    ("submit", {"job": "Clip", "priority": 2**63}, "invalid_value", f"priority={2**63}"),
    ("submit", {"job": "Clip", "priority": 1.5}, "bad_message", "$.priority: expected int"),
    ("submit", {"job": "Clip", "queue_timeout": 0}, "invalid_value", "queue_timeout=0"),
    ("wait", {"job": "x", "timeout": -1}, "invalid_value", "timeout=-1"),
    ("wait", {"job": "x", "timeout": -1e308}, "invalid_value", "timeout=-1e+308"),
    ("wait", {"job": "x", "timeout": "1"}, "bad_message", "$.timeout: expected float, got '1'"),
    ("wait", {"job": "x", "timeout": False}, "bad_message", "$.timeout: expected float"),
    ("wait_all", {"jobs": ["x"], "timeout": -0.1}, "invalid_value", "timeout=-0.1"),
    ("wait_all", {"jobs": [], "timeout": -(2**63)}, "invalid_value", "timeout=-9.22"),
    ("wait_all", {"jobs": "x"}, "bad_message", "$.jobs: expected a list, got 'x'"),
    ("approve", {"job": "x", "asked_in": -1}, "invalid_value", "asked_in=-1"),
    ("find", {"limit": 2**63}, "invalid_value", f"limit={2**63}"),
    ("find", {"limit": -1}, "invalid_value", "limit=-1"),
    ("find", {"limit": True}, "bad_message", "$.limit: expected int, got True"),
    ("find", {"after": 5}, "bad_message", "$.after"),
    ("set_limit", {"queue": "media", "limit": -(2**63)}, "invalid_value", "limit=-9"),
    ("set_limit", {"queue": "media", "limit": 1.0}, "bad_message", "$.limit"),
    ("subscribe", {"topic": "jobs", "after": 1.0}, "bad_message", "$.after"),
    ("subscribe", {"topic": "jobs", "snapshot": 1}, "bad_message", "$.snapshot: expected bool"),
    ("submit", {"job": "Clip", "approval_timeout": 1}, "invalid_value", "needs approval"),
    (
        "submit",
        {"job": "Clip", "approval": True, "approval_timeout": -1},
        "invalid_value",
        "approval_timeout: Approval(timeout=-1",
    ),
    (
        "submit",
        {"job": "Clip", "webhooks": [{"url": "ftp://x/"}]},
        "bad_message",
        "$.webhooks[0]: Webhook(url='ftp://x/'): must begin with http",
    ),
    (
        "submit",
        {"job": "Clip", "webhooks": [{"url": "https://x/"}] * 21},
        "invalid_value",
        "webhook: 21 webhooks; at most 20",
    ),
    (
        "submit",
        {"job": "Clip", "webhooks": [{"url": "https://x/", "secret": "main"}]},
        "invalid_value",
        "webhook: no secret is called 'main'",
    ),
    ("submit", {"job": "Clip", "webhooks": ["https://x/"]}, "bad_message", "$.webhooks[0]"),
    ("submit", {"job": "Clip", "delay": "soon"}, "bad_message", "$.delay"),
    ("find", {"limit": 0}, "invalid_value", "limit"),
    ("cancel", {"job": "nope"}, "not_found", "nope"),
    ("pause", {"queue": "q"}, "unknown_queue", "q"),
    ("set_limit", {"queue": "media", "limit": 0}, "invalid_value", "limit"),
    ("subscribe", {"topic": "nope"}, "invalid_value", "topic 'nope'"),
    ("subscribe", {"topic": "job:nope"}, "not_found", "nope"),
    ("subscribe", {"topic": "jobs", "after": -1}, "invalid_value", "after=-1"),
    ("unsubscribe", {"topic": "jobs"}, "not_subscribed", "'jobs'"),
    ("invented", {}, "bad_message", "expected one of"),
    ("get", {"job": "x", "colour": 1}, "bad_message", "unknown field 'colour'"),
]


@pytest.mark.parametrize(("type", "fields", "code", "words"), REFUSED)
async def test_what_cannot_be_done_is_refused_with_its_id_and_the_connection_lives(
    autojump_clock: MockClock, type: str, fields: dict[str, Any], code: str, words: str
) -> None:
    async with open_rig(Clip) as rig, rig.peer() as peer:
        error = await peer.ask(type, id="mine", **fields)
        assert (error["type"], error["id"], error["code"]) == ("error", "mine", code)
        assert words in error["message"] + "".join(error["problems"])
        assert await peer.ask("ping") is None
        assert (await rig.runtime.find()).jobs == ()


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        ((Scope.READ,), {"find", "subscribe", "ping"}),
        ((Scope.SUBMIT,), {"submit", "ping"}),
        ((Scope.CONTROL,), {"pause", "ping"}),
        ((Scope.WORK,), {"ping"}),
        ((), {"ping"}),
    ],
)
async def test_a_token_allows_what_its_scopes_say(
    autojump_clock: MockClock, scopes: tuple[Scope, ...], allowed: set[str]
) -> None:
    tokens = (Token.of("a secret of sixteen", name="ann", scopes=scopes),)
    requests: dict[str, dict[str, Any]] = {
        "find": {},
        "subscribe": {"topic": "jobs"},
        "submit": {"job": "Note"},
        "pause": {"queue": "default"},
        "ping": {},
    }
    async with open_rig(Note, tokens=tokens) as rig, rig.peer(greeted=False) as peer:
        welcome = await peer.greet(token="a secret of sixteen")
        assert welcome["scopes"] == sorted(scope.value for scope in scopes)
        for type, fields in requests.items():
            answer: Any = await peer.ask(type, **fields)
            refused = "forbidden" in str(answer)
            assert refused is (type not in allowed), type
        assert len((await rig.runtime.find()).jobs) == (1 if "submit" in allowed else 0)


async def test_more_waits_than_allowed_are_refused(autojump_clock: MockClock) -> None:
    manners = Manners(limits=Limits(waits=2))
    async with open_rig(Clip, manners=manners) as rig, rig.peer() as peer:
        id = (await peer.ask("submit", job="Clip", payload={"seconds": 5}))["job"]
        await peer.say("wait", id="a", job=id)
        await peer.ask("subscribe", topic=f"job:done:{id}")
        assert (await peer.ask("wait", job=id))["code"] == "limit"
        assert (await peer.ask("wait_all", jobs=[id, id]))["code"] == "limit"
        assert (await peer.ask("subscribe", topic=f"job:done:{id}#2"))["code"] == "limit"
        assert rig.gateway.statistics().waits == 2
        await peer.hear("done")
        assert (await peer.hear("answer"))["id"] == "a"
        assert "outcome" in await peer.ask("wait", job=id), "there is room again"


@pytest.mark.parametrize("topic", ["jobs", "job:ID", "job:nope", "job:done:ID", "job:done:nope"])
async def test_a_topic_may_be_left_before_it_is_answered(
    autojump_clock: MockClock, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = triphase.Runtime.get

    async def get_slowly(self: triphase.Runtime, id: str) -> Job:
        await trio.sleep(1)
        return await get(self, id)

    monkeypatch.setattr(triphase.Runtime, "get", get_slowly)
    async with open_rig(Clip) as rig, rig.peer() as peer:
        job = await rig.runtime.submit(Clip(1e6))
        name = topic.replace("ID", job.id)
        for number in range(3):
            # At once, as one who says it in the same breath.
            for type in ("subscribe", "unsubscribe"):
                await peer.say(type, id=f"{type} {number}", topic=name)
            answers = [await peer.hear("answer", "error") for _ in range(2)]
            assert {each["id"] for each in answers} == {
                f"subscribe {number}",
                f"unsubscribe {number}",
            }
            assert rig.gateway.statistics().subscriptions == 0
            assert rig.gateway.statistics().waits == 0
        assert (await peer.ask("unsubscribe", topic=name))["code"] == "not_subscribed"


async def test_many_requests_at_once_are_all_answered(autojump_clock: MockClock) -> None:
    manners = Manners(limits=Limits(requests=3))
    async with open_rig(Note, manners=manners) as rig, rig.peer() as peer:
        for number in range(50):
            await peer.say("submit", id=str(number), job="Note")
        answers = [await peer.hear("answer") for _ in range(50)]
        assert sorted(int(each["id"]) for each in answers) == list(range(50))
        assert len({each["result"]["job"] for each in answers}) == 50


async def test_a_mistake_of_the_server_is_answered_and_told_to_the_log_alone(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def explode(self: object, **_: object) -> None:
        raise ZeroDivisionError("a secret of the server")

    monkeypatch.setattr(triphase.Runtime, "find", explode)
    async with open_rig(Note) as rig, rig.peer() as peer:
        error = await peer.ask("find")
        assert error["code"] == "internal"
        assert "secret" not in str(error)
        assert "a secret of the server" in caplog.text
        assert await peer.ask("ping") is None
