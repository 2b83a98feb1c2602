"""What is said between a runtime and its workers: JSON, one message to a line.

A worker says `Began` when the handler is about to start, `Reported` now and then, and `Ended`
once. Until it has said `Began` nothing of the handler has happened, so a call may be given to
another worker.
"""

from __future__ import annotations

from typing import Final, TypeAlias, get_args

import attrs

from triphase.endings import HandlerOutcome
from triphase_protocol import (
    VALUE_BYTES_MAX,
    InvalidValue,
    Progress,
    decode,
    structure,
    unstructure_as,
)
from triphase_protocol.codec import tagged_union
from triphase_protocol.values import encode

from .call import Call

LINE_BYTES_MAX: Final = VALUE_BYTES_MAX + 2**20
"""The most bytes of one message from a worker; more than any that a worker sends."""


@attrs.frozen(kw_only=True)
class Settings:
    """What a worker is told when it is started."""

    path: list[str]
    """Where modules are imported from."""

    argv: list[str]
    """The command line of the process that started it."""

    parent: int
    """The id of that process."""

    interval: float
    """Seconds between two reports of progress, at least."""


@attrs.frozen(kw_only=True)
class Request:
    """Run a handler."""

    number: int
    """Which call of this worker it is; it comes back with every message about it."""

    path: list[str]
    """Where modules are imported from now."""

    call: Call


@attrs.frozen(kw_only=True)
class Began:
    """The handler is about to start."""

    number: int


@attrs.frozen(kw_only=True)
class Reported:
    """The handler said how far it is."""

    number: int
    progress: Progress


@attrs.frozen(kw_only=True)
class Ended:
    """The handler has ended."""

    number: int
    outcome: HandlerOutcome

    progress: Progress | None
    """The last progress, if it has not been sent yet."""

    reusable: bool
    """The worker is as good as new: it was not signalled, and no thread was left running."""


FromWorker: TypeAlias = Began | Reported | Ended
"""What a worker says."""

tagged_union(FromWorker, get_args(FromWorker))


def line_of(message: object, shape: object) -> bytes:
    """Return a message as a line.

    Raises:
      InvalidValue: if it cannot be written.
    """
    return encode(unstructure_as(message, shape)) + b"\n"


def message_in(line: bytes) -> FromWorker:
    """Return the message of a line from a worker.

    Raises:
      InvalidValue: if it is none.
    """
    message: FromWorker = structure(decode(line), FromWorker)
    return message


class Lines:
    """Bytes that arrive in pieces, as lines of a bounded length.

    Args:
      most: how many bytes a line may have.
    """

    def __init__(self, most: int = LINE_BYTES_MAX) -> None:
        self._most = most
        self._rest: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Add what has arrived, and return the lines that are complete now, without their ends.

        Raises:
          InvalidValue: if a line is too long.
        """
        *complete, rest = data.split(b"\n")
        if complete:
            complete[0] = b"".join([*self._rest, complete[0]])
            self._rest, self._size = [], 0
        self._rest.append(rest)
        self._size += len(rest)
        if max(self._size, *map(len, complete), 0) > self._most:
            raise InvalidValue(f"a line of more than {self._most:,} bytes")
        return complete
