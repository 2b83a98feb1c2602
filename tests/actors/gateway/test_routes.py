"""The paths: what each does, who may use it, and what its errors are."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import triphase
from triphase.gateway import endpoints
from triphase.gateway.host import Manners
from triphase_protocol import unstructure
from triphase_protocol.wire import Limits

from .front import Answer, Front, open_front, request
from .rig import Clip, Note


@triphase.job(approval=True)
class Asked:
    """Waits for somebody's word."""

    @triphase.phase()
    async def go(self, ctx: triphase.Context) -> int:
        return 7


@triphase.job()
class Broken:
    """Fails."""

    @triphase.phase()
    async def go(self, ctx: triphase.Context) -> None:
        raise ValueError("no")


async def submitted(front: Front, job: str, **fields: Any) -> str:
    """Submit a job; return its id."""
    answer = await front.ask("POST", "/api/jobs", {"job": job, **fields})
    assert answer.status == 201, answer
    id: str = answer.json["job"]
    return id


async def ended(front: Front, job: str, **fields: Any) -> str:
    """Submit a job, and let it end; return its id."""
    id = await submitted(front, job, **fields)
    await front.ask("GET", f"/api/jobs/{id}/wait?timeout=300")
    return id


# Jobs


async def test_a_job_is_submitted_and_looked_at(autojump_clock: MockClock) -> None:
    async with open_front(Clip) as front:
        answer = await front.ask(
            "POST",
            "/api/jobs",
            {"job": "Clip", "payload": {"name": "a"}, "labels": {"for": "acme"}, "key": "k"},
        )
        id = answer.json["job"]
        assert answer.status == 201
        assert answer.headers["location"] == f"/api/jobs/{id}"
        assert answer.json == {"job": id, "done": f"job:done:{id}", "created": True}
        again = await front.ask(
            "POST", "/api/jobs", {"job": "Clip", "payload": {"name": "a"}, "key": "k"}
        )
        assert (again.status, again.json) == (200, {**answer.json, "created": False})
        assert again.headers["location"] == f"/api/jobs/{id}"
        job = (await front.ask("GET", f"/api/jobs/{id}")).json["job"]
        assert (job["id"], job["payload"], job["labels"]) == (
            id,
            {"seconds": 0.0, "name": "a"},
            {"for": "acme"},
        )


async def test_jobs_are_found_by_the_query(autojump_clock: MockClock) -> None:
    async with open_front(Clip, Note, Broken) as front:
        clips = [
            await ended(front, "Clip", labels={"n": str(n), "of": "=a&b"}, key=f"k/{n}")
            for n in range(3)
        ]
        note, broken = await ended(front, "Note"), await ended(front, "Broken")

        async def found(query: str) -> list[str]:
            answer = await front.ask("GET", f"/api/jobs{query}")
            assert answer.status == 200, answer
            return [job["id"] for job in answer.json["jobs"]]

        assert await found("") == [broken, note, *reversed(clips)]
        assert await found("?state=failed") == [broken]
        assert await found("?state=failed&state=queued&type=Note") == []
        assert await found("?type=Note&type=Broken") == [broken, note]
        assert await found("?queue=media&label=n=1") == [clips[1]]
        assert await found("?label=of%3D%3Da%26b&label=n=1") == [clips[1]]
        assert await found("?key=k%2F2") == [clips[2]]
        assert await found(f"?prefix={note[:12]}") == [note]
        first = (await front.ask("GET", "/api/jobs?type=Clip&limit=2")).json
        assert [job["id"] for job in first["jobs"]] == clips[:0:-1]
        assert await found(f"?type=Clip&limit=2&after={first['next']}") == [clips[0]]


@pytest.mark.parametrize(
    "query",
    [
        *("state=odd", "limit=0", "limit=1001", "limit=x", "limit=-1", "limit=1&limit=2"),
        *("label=x", "label==x", "label=a=b&label=a=c", "states=failed", "id=1", "key=a&key=b"),
        "limit=%D9%A1",
    ],
)
async def test_a_condition_that_is_none_is_refused(query: str, autojump_clock: MockClock) -> None:
    async with open_front(Note) as front:
        answer = await front.ask("GET", f"/api/jobs?{query}")
        assert (answer.status, answer.code) == (400, "invalid_value")


async def test_a_jobs_events_are_listed_by_pages(autojump_clock: MockClock) -> None:
    async with open_front(Clip) as front:
        await ended(front, "Clip")
        id = await ended(front, "Clip")
        whole = (await front.ask("GET", f"/api/jobs/{id}/events")).json
        assert whole["next"] is None
        assert [event["version"] for event in whole["events"]] == list(range(1, 8))
        assert {event["job"] for event in whole["events"]} == {id}
        found, after = [], 0
        while after is not None:
            page = (await front.ask("GET", f"/api/jobs/{id}/events?limit=3&after={after}")).json
            found += page["events"]
            after = page["next"]
        assert found == whole["events"]
        for query in ("limit=0", "limit=1001", "after=x", "aftr=1"):
            assert (await front.ask("GET", f"/api/jobs/{id}/events?{query}")).status == 400


async def test_a_wait_tells_how_it_ended_or_that_it_has_not(autojump_clock: MockClock) -> None:
    async with open_front(Clip) as front:
        id = await submitted(front, "Clip", payload={"seconds": 40, "name": "x"})
        begun = trio.current_time()
        answer = await front.ask("GET", f"/api/jobs/{id}/wait")
        assert answer.json == {"outcome": {"type": "timed_out", "job": id}}
        assert trio.current_time() - begun == endpoints.WAIT
        outcome = (await front.ask("GET", f"/api/jobs/{id}/wait?timeout=100")).json["outcome"]
        assert (outcome["type"], outcome["result"]) == ("completed", "x")
        assert trio.current_time() - begun == 40
        for timeout in ("-1", "nan", "inf", "x", "", "301", "1e9"):
            answer = await front.ask("GET", f"/api/jobs/{id}/wait?timeout={timeout}")
            assert (answer.status, answer.code) == (400, "invalid_value")


async def test_a_job_is_cancelled_and_retried(autojump_clock: MockClock) -> None:
    async with open_front(Clip, tokens=True) as front:

        async def ask(path: str, value: Any = None) -> Answer:
            return await front.ask("POST", path, value, token="controller")

        made = await front.ask("POST", "/api/jobs", {"job": "Clip"}, token="submitter")
        id = made.json["job"]
        await front.rig.runtime.wait(id)
        answer = await ask(f"/api/jobs/{id}/cancel")
        assert (answer.status, answer.code) == (409, "illegal_transition")
        assert (await ask(f"/api/jobs/{id}/retry", {"from_phase": "nix"})).code == "unknown_phase"
        await ask("/api/queues/media/pause")
        assert (await ask(f"/api/jobs/{id}/retry", {"from_phase": "cut"})).json["state"] == "queued"
        explained = await front.ask("GET", f"/api/jobs/{id}/explain", token="reader")
        assert [each["type"] for each in explained.json] == ["queue_paused"]
        answer = await ask(f"/api/jobs/{id}/cancel", {"reason": "too dear"})
        assert (answer.status, answer.json["state"]) == (200, "cancelled")
        assert answer.json["reason"] == "too dear"
        events = await front.ask("GET", f"/api/jobs/{id}/events", token="reader")
        assert events.json["events"][-1]["data"]["by"] == "controller"


async def test_a_job_is_approved_or_rejected(autojump_clock: MockClock) -> None:
    async with open_front(Asked) as front:
        first, second = await submitted(front, "Asked"), await submitted(front, "Asked")
        gate = (await front.ask("POST", f"/api/jobs/{first}/approve", {"reason": "fine"})).json
        assert (gate["approved"], gate["reason"]) == (True, "fine")
        gate = (await front.ask("POST", f"/api/jobs/{second}/reject")).json
        assert gate["approved"] is False
        ends = [(await front.ask("GET", f"/api/jobs/{id}/wait")).json for id in (first, second)]
        assert [end["outcome"]["type"] for end in ends] == ["completed", "rejected"]


async def test_what_is_not_there_is_not_found_and_what_was_is_gone(
    autojump_clock: MockClock,
) -> None:
    retention = triphase.Retention(delete_after=10)
    async with open_front(Note, retention=retention) as front:
        id = await ended(front, "Note")
        await trio.sleep(1000)
        for path in ("", "/events", "/wait", "/explain"):
            answer = await front.ask("GET", f"/api/jobs/nobody{path}")
            assert (answer.status, answer.code) == (404, "not_found"), path
            answer = await front.ask("GET", f"/api/jobs/{id}{path}")
            assert (answer.status, answer.code) == (410, "gone"), path
        for path in ("cancel", "retry", "approve", "reject"):
            assert (await front.ask("POST", f"/api/jobs/nobody/{path}")).status == 404
        assert (await front.ask("GET", "/api/events?job=nobody")).status == 404


# Queues, and the whole


async def test_queues_are_shown_and_set(autojump_clock: MockClock) -> None:
    async with open_front(Clip) as front:
        for verb, paused in (("pause", True), ("resume", False)):
            answer = await front.ask("POST", f"/api/queues/media/{verb}")
            assert (answer.status, answer.body) == (204, b"")
            assert (await front.ask("GET", "/api/queues")).json["media"]["paused"] is paused
        before = (await front.ask("GET", "/api/queues")).json["media"]["limit"]
        for limit, shown in ((3, 3), (None, before)):
            assert (
                await front.ask("POST", "/api/queues/media/limit", {"limit": limit})
            ).status == 204
            assert (await front.ask("GET", "/api/queues")).json["media"]["limit"] == shown
        await front.ask("POST", "/api/queues/media/pause")
        await submitted(front, "Clip")
        found = (await front.ask("GET", "/api/queues")).json["media"]
        assert found == {"limit": before, "paused": True, "queued": 1, "running": 0}
        for value in ({}, {"limit": 0}, {"limit": "3"}, {"limit": 1, "queue": "x"}, {"limits": 1}):
            answer = await front.ask("POST", "/api/queues/media/limit", value)
            assert (answer.status, answer.code) == (400, "invalid_value"), value
        for verb in ("pause", "resume"):
            answer = await front.ask("POST", f"/api/queues/nix/{verb}")
            assert (answer.status, answer.code) == (404, "unknown_queue")


async def test_it_tells_what_it_does_now(autojump_clock: MockClock) -> None:
    async with open_front(Note) as front:
        await ended(front, "Note")
        found = (await front.ask("GET", "/api/statistics")).json
        assert found["owner"] == front.rig.runtime.statistics().owner
        assert found["scheduler"]["started"] == 1
        assert found["gateway"] == unstructure(front.rig.gateway.statistics())


async def test_it_is_ready_until_it_drains(autojump_clock: MockClock) -> None:
    async with open_front(Note) as front:
        answer = await front.ask("GET", "/readyz")
        assert (answer.status, answer.json) == (200, {"ready": True, "reasons": []})
        await front.rig.runtime.drain()
        answer = await front.ask("GET", "/readyz")
        assert answer.status == 503
        assert answer.json == {"ready": False, "reasons": ["the runtime starts no more jobs"]}
        assert (await front.ask("GET", "/healthz")).status == 200


async def test_a_closed_runtime_takes_nothing(autojump_clock: MockClock) -> None:
    async with open_front(Note) as front:
        pass
    async with trio.open_nursery() as front.nursery:
        answer = await front.ask("GET", "/readyz")
        assert (answer.status, answer.json["ready"]) == (503, False)
        assert "the runtime is closed" in answer.json["reasons"]
        for method, path in (("GET", "/api/jobs"), ("GET", "/api/jobs/x/wait")):
            answer = await front.ask(method, path)
            assert (answer.status, answer.code) == (503, "closed")
        assert (await front.ask("GET", "/healthz")).status == 200


async def test_the_page_says_what_is_where(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        answer = await front.ask("GET", "/")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        for path in (
            "/api/jobs",
            "/api/queues",
            "/api/hooks",
            "/api/events",
            "/metrics",
            "/healthz",
        ):
            assert f'href="{path}"'.encode() in answer.body
            client = front.connect()
            await client.send(request("GET", path))
            assert (await client.head())[0] == 200
            await client.stream.aclose()


# What is refused


@pytest.mark.parametrize(
    ("status", "value", "problem"),
    [
        (400, b"", "not JSON"),
        (400, b"{", "not JSON"),
        (400, b"\xff", "not JSON"),
        (400, b"[]", "not a JSON object"),
        (400, b"null", "not a JSON object"),
        (400, b"[" * 200_000, "JSON"),
        (400, b"{}", "$.job"),
        (400, b'{"job": 3}', "$.job"),
        (400, b'{"job": "Nix"}', "Nix"),
        (400, b'{"job": "Note", "id": "1"}', "$.id: unknown field"),
        (400, b'{"job": "Note", "odd": 1}', "odd"),
        (400, b'{"job": "Note", "priority": "high"}', "$.priority"),
        (400, b'{"job": "Note", "delay": -1}', "delay"),
        (400, b'{"job": "Note", "payload": {"x": 1}}', "x"),
        (400, b'{"job": "Clip", "payload": {"seconds": "1"}}', "$.seconds"),
        (404, b'{"job": "Note", "queue": "nix"}', "nix"),
    ],
)
async def test_a_submit_that_is_not_valid_is_refused_and_changes_nothing(
    status: int, value: bytes, problem: str, autojump_clock: MockClock
) -> None:
    async with open_front(Note, Clip) as front:
        client = front.connect()
        length = {"Content-Length": str(len(value))}
        await client.send(request("POST", "/api/jobs", headers=length) + value)
        answer = await client.answer()
        assert answer.status == status
        assert answer.headers["content-type"] == "application/json"
        error = answer.json["error"]
        assert error.keys() == {"code", "message", "problems"}
        assert problem in error["message"] + " ".join(error["problems"])
        assert (await client.ask("GET", "/api/jobs")).json["jobs"] == []


async def test_a_key_of_another_job_is_a_conflict(autojump_clock: MockClock) -> None:
    async with open_front(Clip) as front:
        await submitted(front, "Clip", key="k")
        answer = await front.ask(
            "POST", "/api/jobs", {"job": "Clip", "payload": {"name": "b"}, "key": "k"}
        )
        assert (answer.status, answer.code) == (409, "key_conflict")


@pytest.mark.parametrize(
    "path",
    [
        *("/api", "/api/", "/api/jobs/", "/api/jobs/a/b", "/api/jobs/a/cancel/", "//", "/API/jobs"),
        *("/api/jobs%2Fa", "/healthz/", "/../healthz", "/api/queues/x", "/ws/", "/favicon.ico"),
    ],
)
async def test_other_paths_are_not_found(path: str, autojump_clock: MockClock) -> None:
    async with open_front() as front:
        for method in ("GET", "POST", "DELETE"):
            answer = await front.ask(method, path)
            assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/healthz", "GET, HEAD, OPTIONS"),
        ("DELETE", "/api/jobs", "GET, HEAD, OPTIONS, POST"),
        ("PUT", "/api/jobs/x", "GET, HEAD, OPTIONS"),
        ("GET", "/api/jobs/x/cancel", "OPTIONS, POST"),
        ("HEAD", "/api/jobs/x/cancel", "OPTIONS, POST"),
        ("get", "/healthz", "GET, HEAD, OPTIONS"),
        ("POST", "/api/events", "GET, HEAD, OPTIONS"),
    ],
)
async def test_other_methods_are_not_allowed(
    method: str, path: str, allow: str, autojump_clock: MockClock
) -> None:
    async with open_front() as front:
        answer = await front.ask(method, path)
        assert (answer.status, answer.headers["allow"]) == (405, allow)
        assert (await front.ask("OPTIONS", path)).headers["allow"] == allow


async def test_an_id_may_be_any_text(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        for id in ("a%2Fb", "%00", "%F0%9F%92%A9", "..", "%25", "'%3B--", "a" * 5000):
            answer = await front.ask("GET", f"/api/jobs/{id}")
            assert (answer.status, answer.code) == (404, "not_found"), id


async def test_a_mistake_of_the_server_is_in_its_log_only(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_front() as front:

        async def fail(*_: object) -> None:
            raise KeyError("a secret")

        monkeypatch.setattr(endpoints, "carry_out", fail)
        client = front.connect()
        answer = await client.ask("GET", "/api/jobs")
        assert (answer.status, answer.code) == (500, "internal")
        assert b"secret" not in answer.body
        assert "a secret" in caplog.text
        assert front.door.counts.failures == 1
        assert (await client.ask("GET", "/healthz")).status == 200


# Who may


READ = [
    *("/api/jobs", "/api/queues", "/api/statistics", "/api/events", "/metrics", "/api/jobs/x"),
    *(f"/api/jobs/x/{path}" for path in ("events", "wait", "explain")),
    *("/api/hooks", "/api/hooks/x"),
]
CONTROL = [
    *(f"/api/jobs/x/{path}" for path in ("cancel", "retry", "approve", "reject")),
    *(f"/api/queues/x/{path}" for path in ("pause", "resume", "limit")),
    "/api/hooks/x/redeliver",
]


@pytest.mark.parametrize(
    ("method", "path", "token"),
    [
        *(("GET", path, "reader") for path in READ),
        *(("POST", path, "controller") for path in CONTROL),
        ("POST", "/api/jobs", "submitter"),
    ],
)
async def test_each_path_needs_its_scope(
    method: str, path: str, token: str, autojump_clock: MockClock
) -> None:
    value: dict[str, Any] | None = {} if method == "POST" else None
    async with open_front(Note, tokens=True) as front:
        for other in ("reader", "submitter", "controller"):
            client = front.connect()
            await client.send(request(method, path, value, token=other))
            status, _ = await client.head()
            assert (status == 403) == (other != token), other
            assert status != 401
            await client.stream.aclose()
        for headers in ({}, {"Authorization": "Bearer nobody has this one"}):
            answer = await front.ask(method, path, value, headers=headers)
            assert (answer.status, answer.code) == (401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_health_and_the_page_need_no_token(autojump_clock: MockClock) -> None:
    async with open_front(tokens=True) as front:
        for path in ("/healthz", "/readyz", "/"):
            assert (await front.ask("GET", path)).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/jobs"), ("GET", "/api/events"), ("GET", "/api/jobs"), ("OPTIONS", "/api/jobs")],
)
async def test_a_foreign_page_may_do_nothing(
    method: str, path: str, autojump_clock: MockClock
) -> None:
    value = {"job": "Note"} if method == "POST" else None
    async with open_front(Note, origins=("https://friend.example",)) as front:
        for origin in ("https://evil.example", "null", "http://localhost:1", "http://["):
            answer = await front.ask(method, path, value, headers={"Origin": origin})
            assert (answer.status, answer.code) == (403, "forbidden")
            assert "access-control-allow-origin" not in answer.headers
        assert (await front.ask("GET", "/api/jobs")).json["jobs"] == []


async def test_a_page_of_a_friend_may_and_can_read_the_answer(autojump_clock: MockClock) -> None:
    async with open_front(Note, origins=("https://friend.example",)) as front:
        origin = {"Origin": "https://friend.example"}
        for answer in (
            await front.ask("OPTIONS", "/api/jobs", headers=origin),
            await front.ask("POST", "/api/jobs", {"job": "Note"}, headers=origin),
            await front.ask("GET", "/api/jobs", headers=origin),
            await front.ask("GET", "/api/jobs/nobody", headers=origin),
        ):
            assert answer.headers["access-control-allow-origin"] == "https://friend.example"
            assert answer.headers["vary"] == "Origin"
        preflight = await front.ask("OPTIONS", "/api/jobs", headers=origin)
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        own = {"Origin": "http://localhost"}
        answer = await front.ask("GET", "/api/jobs", headers=own)
        assert answer.status == 200
        assert "access-control-allow-origin" not in answer.headers


async def test_a_payload_of_the_largest_size_fits(autojump_clock: MockClock) -> None:
    async with open_front(Clip) as front:
        name = "n" * (4 * 2**20 - 100)
        id = await submitted(front, "Clip", payload={"name": name})
        assert len((await front.ask("GET", f"/api/jobs/{id}")).body) > len(name)
        too_large = json.dumps({"job": "Clip", "payload": {"name": "n" * (4 * 2**20)}}).encode()
        client = front.connect()
        length = {"Content-Length": str(len(too_large))}
        await client.send(request("POST", "/api/jobs", headers=length) + too_large)
        answer = await client.answer()
        assert (answer.status, answer.code) == (400, "invalid_payload")
    async with open_front(Clip, manners=Manners(limits=Limits(message_bytes=100))) as front:
        assert (await front.ask("POST", "/api/jobs", {"job": "n" * 100})).status == 413
