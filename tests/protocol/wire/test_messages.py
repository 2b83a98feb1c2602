"""Messages travel, and what is none of them is refused with the place."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from triphase_protocol import (
    Cancelled,
    Completed,
    ErrorRecord,
    Event,
    EventType,
    Failed,
    HookState,
    Interrupted,
    Job,
    JobState,
    NotFound,
    Rejected,
    TimedOut,
    structure,
    unstructure_as,
)
from triphase_protocol.wire import (
    ID_MOST,
    REPLIES,
    REQUESTS,
    SCOPES,
    Abandon,
    Answer,
    BadMessage,
    Bye,
    Cancel,
    Close,
    Done,
    Error,
    Events,
    Find,
    FindHooks,
    GetHook,
    Hello,
    Lagging,
    Limits,
    Message,
    Ping,
    Pulse,
    Redeliver,
    Scope,
    SetLimit,
    Snapshot,
    Submit,
    Subscribe,
    WaitAll,
    Waited,
    WaitedAll,
    Welcome,
    read_reply,
    read_said,
    tries_again,
    write,
)

EVENT = Event(
    seq=2, version=1, at=1.5, job="j", run=0, phase=None, type=EventType.JOB_QUEUED, data={"a": [1]}
)
JOB = Job(id="j", type="T", state=JobState.QUEUED, payload={"url": "x"}, labels={"a": "b"})

SAID: list[Message] = [
    Hello(token="secret", client="me/1"),
    Submit(id="1", job="T", payload={"n": [1, None]}, labels={"a": "b"}, key="k", delay=1.5),
    Find(id="2", states=(JobState.QUEUED, JobState.RUNNING), types=("T",), limit=3),
    WaitAll(id="3", jobs=("a", "b"), timeout=2.0),
    Cancel(id="4", job="j", reason="no"),
    SetLimit(id="5", queue="q", limit=None),
    Subscribe(id="6", topic="jobs", after=0, epoch="e", snapshot=True),
    Abandon(id="7", request="3"),
    Ping(id="8"),
    FindHooks(id="9", job="j", states=(HookState.PENDING, HookState.DEAD), after="3:h", limit=2),
    GetHook(id="10", hook="h"),
    Redeliver(id="11", hook="h"),
]
HEARD: list[Message] = [
    Welcome(
        server="s", epoch="e", head=3, heartbeat=15.0, scopes=(Scope.READ,), limits=Limits(waits=7)
    ),
    Answer(id="1", result={"a": 1}),
    Error(id=None, code="bad_message", message="no", problems=("$.a: b",)),
    Snapshot(topic="jobs", jobs=(JOB,), last=True),
    Events(topic="jobs", from_=1, to=4, events=(EVENT,)),
    Lagging(topic="jobs", from_=1, head=9000),
    Done(topic="job:done:j", job="j", outcome=Completed(job="j", run=1, result=[1])),
    Done(topic="job:done:j", job="j", outcome=NotFound(job="j")),
    Pulse(head=9),
    Bye(reason="over", retry_after=1.5),
]


@pytest.mark.parametrize("message", SAID, ids=lambda message: type(message).__name__)
def test_what_a_client_says_arrives(message: Message) -> None:
    assert read_said(write(message)) == message


@pytest.mark.parametrize("message", HEARD, ids=lambda message: type(message).__name__)
def test_what_a_server_says_arrives(message: Message) -> None:
    assert read_reply(write(message)) == message


def test_every_kind_of_reply_is_among_them() -> None:
    assert {type(message) for message in HEARD} == set(REPLIES)


def test_the_range_of_a_batch_is_called_from_and_to() -> None:
    sent = json.loads(write(Events(topic="jobs", from_=1, to=4)))
    assert sent == {"type": "events", "topic": "jobs", "from": 1, "to": 4, "events": []}


def test_a_client_leaves_out_what_it_does_not_know() -> None:
    assert read_reply(b'{"type":"pulse","head":1,"later":{"a":1}}') == Pulse(head=1)
    newer = json.loads(write(HEARD[3]))
    newer["jobs"][0]["invented"] = 1
    assert read_reply(json.dumps(newer)) == HEARD[3]
    assert read_reply(b'{"type":"invented_later"}') is None


@pytest.mark.parametrize("data", [b"{", b"[]", b"\xff", b"{}", b'{"type":7}', b'{"type":"pulse"}'])
def test_what_is_no_reply_is_told(data: bytes) -> None:
    with pytest.raises(BadMessage):
        read_reply(data)


REFUSED: list[tuple[str | bytes, str | None, str]] = [
    ("{", None, "not JSON"),
    (b"\xff\xfe", None, "not JSON"),
    ("[1]", None, "a message is a JSON object"),
    ('{"type": "invented", "id": "1"}', "1", "$.type: expected one of 'hello', 'submit'"),
    ('{"id": "1"}', "1", "$.type: expected one of"),
    ('{"type": "get", "id": "1"}', "1", "$.job: required, but missing"),
    ('{"type": "get", "id": "1", "job": 5}', "1", "$.job: expected str, got 5 (int)"),
    ('{"type": "get", "id": 5, "job": "j"}', None, "$.id: expected str, got 5 (int)"),
    ('{"type": "wait", "id": "1", "job": "j", "timeuot": 1}', "1", "unknown field 'timeuot'"),
    ('{"type": "find", "id": "1", "states": "queued"}', "1", "$.states: expected a list"),
    ('{"type": "find", "id": "1", "states": ["no"]}', "1", "$.states[0]: expected one of"),
    ('{"type": "set_limit", "id": "1", "queue": "q", "limit": true}', "1", "$.limit"),
    (f'{{"type": "ping", "id": "{"x" * (ID_MOST + 1)}"}}', None, f"at most {ID_MOST} characters"),
    ('{"type": "abandon", "id": "1"}', "1", "$.request: required, but missing"),
    ('{"type": "abandon", "id": "1", "request": 2}', "1", "$.request: expected str, got 2 (int)"),
    ('{"type": "pulse", "head": 1}', None, "$.type"),
]


@pytest.mark.parametrize(
    ("data", "id", "words"), REFUSED, ids=[str(each[0])[:50] for each in REFUSED]
)
def test_what_is_no_request_is_refused_with_the_place(
    data: str | bytes, id: str | None, words: str
) -> None:
    with pytest.raises(BadMessage) as caught:
        read_said(data)
    assert caught.value.id == id
    assert words in str(caught.value)
    assert caught.value.code == "bad_message"


def test_every_request_has_an_id_and_a_scope() -> None:
    assert set(SCOPES) == set(REQUESTS)
    assert all("id" in attrs.fields_dict(kind) for kind in REQUESTS)
    # What changes something needs more than leave to read.
    reads = {kind.__name__ for kind, scope in SCOPES.items() if scope is Scope.READ}
    assert reads == {
        "Get", "Find", "Wait", "WaitAll", "Explain", "ListQueues", "Statistics", "Subscribe",
        "Unsubscribe", "FindHooks", "GetHook",
    }  # fmt: skip


OUTCOMES: list[Any] = [
    Completed(job="j", run=1, result={"a": 1}),
    Failed(job="j", run=1, error=ErrorRecord(type="E", message="m")),
    Cancelled(job="j", run=1, reason="r"),
    Rejected(job="j", run=1),
    Interrupted(job="j", run=1),
    TimedOut(job="j"),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
def test_how_a_job_ended_arrives_as_what_it_is(outcome: Any) -> None:
    for result in (Waited(outcome=outcome), WaitedAll(outcomes={"j": outcome})):
        sent = unstructure_as(result, type(result))
        assert structure(sent, type(result), lenient=True) == result


@pytest.mark.parametrize(
    ("code", "again"),
    [
        (Close.NORMAL, False),
        (Close.GOING_AWAY, True),
        (1006, True),
        (Close.TOO_LARGE, False),
        (Close.INTERNAL, True),
        (Close.RESTART, True),
        (Close.TRY_LATER, True),
        (Close.BAD_MESSAGE, False),
        (Close.UNAUTHORIZED, False),
        (Close.FORBIDDEN, False),
        (4499, False),
        (Close.SILENT, True),
        (Close.NO_HELLO, True),
        (4599, True),
    ],
)
def test_a_close_code_says_whether_to_come_back(code: int, again: bool) -> None:
    assert tries_again(code) is again
