"""Messages as bytes, and back."""

from __future__ import annotations

from typing import Any, Final, TypeAlias, cast, get_args

from triphase_protocol.blockers import Blocker
from triphase_protocol.codec import structure, tagged_union, tags_of, unstructure_as
from triphase_protocol.errors import InvalidValue
from triphase_protocol.outcomes import NotFound, Outcome, TimedOut
from triphase_protocol.parts import Json
from triphase_protocol.values import decode, encode

from .errors import BadMessage
from .replies import REPLIES, Reply
from .requests import ID_MOST, REQUESTS, Hello, Request

SUBPROTOCOL: Final = "triphase.v1"
"""The WebSocket subprotocol that stands for this version of the protocol."""

Message: TypeAlias = Hello | Request | Reply
"""Whatever travels."""

Said: TypeAlias = Hello | Request
"""What a client says."""

_KNOWN: Final = frozenset(tags_of(REPLIES).values())

tagged_union(Said, (Hello, *REQUESTS))
tagged_union(Reply, REPLIES)
tagged_union(Message, (Hello, *REQUESTS, *REPLIES))
tagged_union(Blocker, get_args(Blocker))
for union in (Outcome | TimedOut, Outcome | NotFound, Outcome | TimedOut | NotFound):
    tagged_union(union, get_args(union))


def write(message: Message) -> bytes:
    """Return a message as it travels: the UTF-8 of a JSON object."""
    return encode(unstructure_as(message, Message))


def read_said(data: str | bytes) -> Said:
    """Return what a client has said.

    Raises:
      BadMessage: if it is none of its messages; with the request's id, if that can be read.
    """
    value = _object(data)
    id = value.get("id")
    known_id = id if isinstance(id, str) and len(id) <= ID_MOST else None
    try:
        said = cast("Said", structure(value, Said))
    except InvalidValue as exc:
        raise BadMessage("not a valid message", exc.problems, known_id) from exc
    if not isinstance(said, Hello) and known_id is None:
        raise BadMessage(f"an id has at most {ID_MOST} characters", (f"$.id: {id!r:.80}",))
    return said


def read_reply(data: str | bytes) -> Reply | None:
    """Return what a server has said; None for a type that a newer one may have.

    Raises:
      BadMessage: if it is no message at all, or lacks what its type needs.
    """
    value = _object(data)
    if isinstance(value.get("type"), str) and value["type"] not in _KNOWN:
        return None
    try:
        return cast("Reply", structure(value, Reply, lenient=True))
    except InvalidValue as exc:
        raise BadMessage("not a valid message", exc.problems) from exc


def _object(data: str | bytes) -> dict[str, Any]:
    try:
        value: Json = decode(data)
    except InvalidValue as exc:
        raise BadMessage(str(exc)) from exc
    if not isinstance(value, dict):
        raise BadMessage("a message is a JSON object")
    return cast("dict[str, Any]", value)
