"""One exchange of HTTP, as values: a request's head, a response, and a refusal."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from typing import Final, Self
from urllib.parse import parse_qsl, unquote

import attrs

from triphase_protocol import Json, TriphaseError, encode

QUERY_MOST: Final = 100
"""The most names in one query."""

JSON_HEADERS: Final = (("content-type", "application/json"), ("cache-control", "no-store"))

_PLACE: Final = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")

STATUSES: Final = {
    "not_found": 404,
    "unknown_queue": 404,
    "hook_not_found": 404,
    "gone": 410,
    "key_conflict": 409,
    "illegal_transition": 409,
    "definition_changed": 409,
    "stale": 409,
    "unauthorized": 401,
    "forbidden": 403,
    "limit": 503,
    "store_unavailable": 503,
    "store_closed": 503,
    "store_locked": 503,
    "closed": 503,
    "bad_message": 400,
    "invalid_value": 400,
    "invalid_payload": 400,
    "unknown_job_type": 400,
    "unknown_phase": 400,
    "ambiguous_id": 400,
}
"""HTTP's word for each code of an error; of the others it is 500."""

Headers = tuple[tuple[str, str], ...]


class Refusal(Exception):
    """A request is not carried out, and this is the answer.

    Args:
      status: HTTP's word for it.
      code: a stable word, as errors of the wire protocol have it.
      message: what is wrong, for people.
      problems: a line for each bad field.
      headers: more headers of the answer.
      body: the answer's whole JSON, instead of one with *code* and *message*.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        problems: Sequence[str] = (),
        headers: Headers = (),
        body: Json = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.problems = tuple(problems)
        self.headers = headers
        self.body = body

    @classmethod
    def of(cls, exc: TriphaseError) -> Self:
        """Return the refusal that tells of an error."""
        headers = (("www-authenticate", "Bearer"),) if exc.code == "unauthorized" else ()
        problems: Sequence[str] = getattr(exc, "problems", ())
        text: str = getattr(exc, "text", str(exc))
        return cls(STATUSES.get(exc.code, 500), exc.code, text, problems=problems, headers=headers)

    @classmethod
    def full(cls, what: str, retry_after: int) -> Self:
        """Return the refusal that says that there is no room.

        Args:
          what: for more of what.
          retry_after: seconds after which there may be.
        """
        headers = (("retry-after", str(retry_after)),)
        message = f"there is no room for more {what}; try again later"
        return cls(503, "limit", message, headers=headers)

    @property
    def response(self) -> Response:
        """The answer."""
        if self.body is not None:
            return json_response(self.status, self.body, self.headers)
        value: Json = {
            "error": {"code": self.code, "message": str(self), "problems": list(self.problems)}
        }
        return json_response(self.status, value, self.headers)


@attrs.frozen(kw_only=True)
class Request:
    """The head of a request, as far as it is well formed."""

    method: str
    version: str
    """`1.1` or `1.0`."""

    path: tuple[str, ...]
    """What stands between the slashes, decoded: `/api/jobs/a%2Fb` is `api`, `jobs`, `a/b`."""

    query: Headers = ()
    """Names and values, decoded, in their order."""

    headers: Headers = ()
    """Names, in lower case, and values, in their order."""

    length: int | None = 0
    """Bytes of the body; None if the body itself tells, in chunks."""

    followed: bool = False
    """Something came right behind the head."""

    def all(self, name: str) -> list[str]:
        """Return the values of a header, one for each time it is there."""
        return [value for known, value in self.headers if known == name]

    def one(self, name: str) -> str | None:
        """Return the value of a header that may be there once.

        Raises:
          Refusal: if it is there more often.
        """
        values = self.all(name)
        if len(values) > 1:
            raise Refusal(400, "bad_request", f"the header {name} is there {len(values)} times")
        return values[0] if values else None

    def asked(self, name: str) -> str | None:
        """Return the value of a name of the query that may be there once.

        Raises:
          Refusal: if it is there more often.
        """
        values = [value for known, value in self.query if known == name]
        if len(values) > 1:
            raise Refusal(400, "invalid_value", f"{name}: is there {len(values)} times")
        return values[0] if values else None

    def words(self, name: str) -> list[str]:
        """Return the items of a header that is a list with commas, all of them together."""
        items = (item.strip() for value in self.all(name) for item in value.split(","))
        return [item for item in items if item]


@attrs.frozen(kw_only=True)
class Response:
    """What is answered."""

    status: int
    headers: Headers = ()
    body: bytes | AsyncGenerator[bytes] = b""
    """All of it; or pieces, as they come: then the connection ends with the last one."""


def json_response(status: int, value: Json, headers: Headers = ()) -> Response:
    """Return a response with a JSON value."""
    return Response(status=status, headers=(*JSON_HEADERS, *headers), body=encode(value) + b"\n")


def parse_target(target: str) -> tuple[tuple[str, ...], Headers]:
    """Return the path and the query of a request's target (RFC 9112, section 3.2).

    Raises:
      Refusal: if it is none of this server's.
    """
    place = _PLACE.match(target)
    if place is not None:
        rest = target[place.end() :]
        target = rest if rest.startswith("/") else "/" + rest
    if not target.startswith("/"):
        raise Refusal(400, "bad_request", "the request's target is not a path")
    if "#" in target or _BROKEN_ESCAPE.search(target):
        raise Refusal(400, "bad_request", "the request's target is not well formed")
    path, _, query = target.partition("?")
    try:
        segments = tuple(unquote(segment, errors="strict") for segment in path[1:].split("/"))
        pairs = parse_qsl(
            query,
            keep_blank_values=True,
            strict_parsing=bool(query),
            errors="strict",
            max_num_fields=QUERY_MOST,
        )
    except ValueError as exc:
        raise Refusal(400, "bad_request", f"the request's target: {exc}") from exc
    return segments, tuple(pairs)
