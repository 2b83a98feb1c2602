"""The page of the wire protocol's messages, made from the classes that travel."""

from __future__ import annotations

import ast
import inspect
import itertools
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from triphase_protocol import QueueState, encode
from triphase_protocol.codec import tags_of
from triphase_protocol.wire import (
    REPLIES,
    REQUESTS,
    Abandoned,
    Close,
    Found,
    FoundHooks,
    Got,
    Hello,
    Limits,
    Reset,
    Submitted,
    Subscribed,
    Waited,
    WaitedAll,
)

COMMON = {"id": "Chosen by the client; comes back in the answer.", "topic": "Which."}
"""What is said of fields that say nothing of themselves."""

RESULTS = (
    Submitted,
    Got,
    Found,
    Waited,
    WaitedAll,
    QueueState,
    FoundHooks,
    Subscribed,
    Abandoned,
    Reset,
    Limits,
)


def messages_page() -> Iterator[str]:
    """Yield the page, paragraph by paragraph."""
    yield """# Messages

What clients and gateways say to each other over a WebSocket with the subprotocol `triphase.v1`. How
they talk stands in [The wire protocol](wire.md). This page is made from the classes that travel; so
are [the JSON Schema](wire.schema.json) and [the AsyncAPI document](asyncapi.json).

A message is a JSON object in a text frame. `type` says which of these it is. A field that has a
default may be left out. A gateway refuses fields that it does not know; a client passes over fields
and types that it does not know.

## What a client says
"""
    yield from _message(Hello)
    for request in REQUESTS:
        yield from _message(request)
    yield "## What a gateway says\n"
    for reply in REPLIES:
        yield from _message(reply)
    yield """## Results

The `result` of an `answer`, and what is in it. `cancel` and `retry` are answered with the job's
record, `approve` and `reject` with the gate, `explain` with a list of blockers, `list_queues` with
the queues by name, `get_hook` and `redeliver` with the delivery, `statistics` with the runtime's
statistics and the `gateway`'s, and every other request with null.
Records, gates, deliveries and outcomes are those of [JSON Schema](schema.md).
"""
    for kind in RESULTS:
        yield from _shape(kind.__name__, kind)
    yield "## Close codes\n"
    yield _row("code", "name", "means", "come back")
    yield _row(*["---"] * 4)
    words = _words_below(Close)
    for code in Close:
        again = "yes" if code.again else ""
        means = " ".join(words[code.name].split())
        yield _row(str(int(code)), f"`{code.name.lower()}`", means, again)
    yield """
Of a code that is not here: from 4400 to 4499 a client does not come back by itself, else it does.
"""


def _message(kind: type) -> Iterator[str]:
    [tag] = tags_of((kind,)).values()
    yield from _shape(f"`{tag}`", kind)


def _shape(title: str, kind: type) -> Iterator[str]:
    yield f"### {title}\n"
    yield inspect.cleandoc(kind.__doc__ or "") + "\n"
    words = _words_below(kind)
    hints = typing.get_type_hints(kind)
    fields = attrs.fields(kind)
    if not fields:
        return
    yield _row("field", "is", "default", "")
    yield _row(*["---"] * 4)
    for field in fields:
        words_of = " ".join(words.get(field.name, COMMON.get(field.name, "")).split())
        name = field.name.removesuffix("_")
        yield _row(f"`{name}`", _shape_of(hints[field.name]), _default(field), words_of)
    yield ""


def _default(field: Any) -> str:
    if field.default is attrs.NOTHING:
        return ""
    makes = isinstance(field.default, attrs.Factory)  # type: ignore[arg-type]
    return f"`{encode(field.default.factory() if makes else field.default).decode()}`"


def _shape_of(hint: Any) -> str:
    origin, members = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return "JSON"
    if hint is type(None):
        return "null"
    if origin is tuple:
        return f"list of {_shape_of(members[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"object of {_shape_of(members[1])}"
    if members:
        return " or ".join(dict.fromkeys(_shape_of(member) for member in members))
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    return names.get(hint, f"`{hint.__name__}`")


def _words_below(kind: type) -> Mapping[str, str]:
    """Return the docstring below each member of a class, which only the source has."""
    [body] = [node.body for node in ast.parse(inspect.getsource(kind)).body]  # type: ignore[attr-defined]
    words: dict[str, str] = {}
    for member, text in itertools.pairwise(body):
        if not (isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)):
            continue
        if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
            words[member.target.id] = str(text.value.value)
        elif isinstance(member, ast.Assign) and isinstance(member.targets[0], ast.Name):
            words[member.targets[0].id] = str(text.value.value)
    return words


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
