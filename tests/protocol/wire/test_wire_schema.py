"""The published documents of the wire protocol: valid themselves, and true of what travels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import jsonschema
import pytest

from triphase_protocol import (
    EventType,
    Gate,
    Hook,
    Job,
    JobState,
    NotFound,
    QueuePaused,
    QueueState,
    TimedOut,
    TypeUnknown,
    decode,
    encode,
    unstructure_as,
)
from triphase_protocol.wire import (
    REPLIES,
    REQUESTS,
    Abandoned,
    Found,
    FoundHooks,
    Got,
    Message,
    Submitted,
    Subscribed,
    Waited,
    WaitedAll,
    asyncapi,
    wire_schema,
    write,
)
from triphase_protocol.wire.schema import RESULTS

from .test_messages import HEARD, SAID

SCHEMA = wire_schema()
JOB = Job(id="j", type="T", state=JobState.QUEUED)
HOOK = Hook(id="h", job="j", run=1, seq=7, event=EventType.JOB_FAILED, url="https://x.example/")


def validator(schema: dict[str, Any]) -> Any:
    """Return a validator of a schema that may name the definitions."""
    return cast("Any", jsonschema.Draft202012Validator)({"$defs": SCHEMA["$defs"], **schema})


def test_the_schema_is_valid_in_its_dialect_and_the_same_every_time() -> None:
    cast("Any", jsonschema.Draft202012Validator).check_schema(SCHEMA)
    assert decode(encode(SCHEMA)) == SCHEMA == wire_schema()


@pytest.mark.parametrize("message", [*SAID, *HEARD], ids=lambda message: type(message).__name__)
def test_what_travels_is_valid(message: Message) -> None:
    sent = json.loads(write(message))
    validator(SCHEMA).validate(sent)
    assert not validator(SCHEMA).is_valid({**sent, "type": "invented"})
    without = {name: value for name, value in sent.items() if name != "type"}
    assert not validator(SCHEMA).is_valid(without)


def test_every_message_is_there_with_words() -> None:
    for kind in (*REQUESTS, *REPLIES):
        assert SCHEMA["$defs"][kind.__name__]["description"]
        assert {"$ref": f"#/$defs/{kind.__name__}"} in SCHEMA["oneOf"]


MADE: dict[str, Any] = {
    "submit": Submitted(job="j", done="job:done:j", created=True),
    "get": Got(job=JOB, done="job:done:j"),
    "find": Found(jobs=(JOB,), next=None),
    "wait": Waited(outcome=TimedOut(job="j")),
    "wait_all": WaitedAll(outcomes={"j": NotFound(job="j")}),
    "cancel": JOB,
    "retry": JOB,
    "approve": Gate(timeout=1.0),
    "reject": Gate(),
    "explain": (QueuePaused("q"), TypeUnknown("T")),
    "list_queues": {"q": QueueState(limit=3, paused=False, queued=0, running=1)},
    "find_hooks": FoundHooks(hooks=(HOOK,), next="7:h"),
    "get_hook": HOOK,
    "redeliver": HOOK,
    "subscribe": Subscribed(topic="jobs", epoch="e", after=0, head=3),
    "abandon": Abandoned(found=True),
}


@pytest.mark.parametrize("tag", MADE)
def test_what_comes_of_a_request_is_valid(tag: str) -> None:
    [shape] = [shape for kind, shape in RESULTS.items() if tag == _tag(kind)]
    sent = json.loads(encode(unstructure_as(MADE[tag], shape)))
    validator(SCHEMA["x-results"][tag]).validate(sent)
    assert not validator(SCHEMA["x-results"][tag]).is_valid("x")


def test_every_result_is_among_them() -> None:
    assert set(SCHEMA["x-results"]) == set(MADE)


def _tag(kind: type) -> str:
    words = "".join(f"_{c.lower()}" if c.isupper() else c for c in kind.__name__)
    return words.lstrip("_")


def test_the_asyncapi_document_holds_together() -> None:
    document = asyncapi("1")
    assert document["asyncapi"] == "3.0.0"
    references = list(_references(document))
    assert references
    for reference in references:
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    said, heard = (document["operations"][name] for name in ("said", "heard"))
    assert (said["action"], heard["action"]) == ("receive", "send")
    assert len(said["messages"]) == len(REQUESTS) + 1
    assert len(heard["messages"]) == len(REPLIES)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in cast("dict[str, Any]", value).items():
            if name == "$ref":
                yield inner
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _references(inner)
