"""The errors of a client's connection, and those that a gateway has sent, as what they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import triphase.errors
from triphase_protocol import InvalidValue, TriphaseError, errors
from triphase_protocol.wire import BadMessage, Error, ServerFailed, errors as wire_errors


class Unreachable(TriphaseError):
    """There is no gateway at that address, or it refuses the connection."""

    code = "unreachable"


class ConnectionLost(TriphaseError):
    """The connection was lost before the answer came: what was asked for was done, or was not.

    Reads and waits are asked again by the client itself, and so is a submit with a key.
    """

    code = "connection_lost"


class ClientClosed(TriphaseError):
    """The client's block has been left."""

    code = "client_closed"


def error_from(said: Error) -> TriphaseError:
    """Return the exception that an error message stands for."""
    kind = _BY_CODE.get(said.code)
    if kind is None:
        return ServerFailed(f"{said.code}: {said.message}")
    if kind is BadMessage:
        return BadMessage(said.message, said.problems, said.id)
    made = kind(said.message)
    if isinstance(made, InvalidValue):
        made.problems = said.problems
    return made


def _kinds() -> Iterator[type[TriphaseError]]:
    for module in (errors, triphase.errors, wire_errors):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, TriphaseError):
                yield value


_BY_CODE: Final[Mapping[str, type[TriphaseError]]] = {kind.code: kind for kind in _kinds()}
