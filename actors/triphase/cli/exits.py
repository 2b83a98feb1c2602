"""How a command ends: the exit codes, and which error leads to which."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from triphase_protocol import Completed, Outcome, TriphaseError


class Exit(enum.IntEnum):
    """An exit code of `triphase`; scripts rely on them."""

    OK = 0
    """Done; a job that was waited for completed."""

    FAILED = 1
    """A job ended in another way than completed."""

    USAGE = 2
    """The command line asks for something that cannot be."""

    NOT_FOUND = 3
    """There is no such job, or no such delivery."""

    CONFLICT = 4
    """Somebody else has the key, the store or the job; or it is not allowed."""

    UNREACHABLE = 5
    """The store cannot be opened, read or written, or the gateway cannot be asked."""

    TIMED_OUT = 124
    """The time to wait has passed; the code of `timeout(1)`."""

    INTERRUPTED = 130
    """Ctrl-C; the code that shells give it."""

    PIPE_CLOSED = 141
    """Nobody reads the output any more; the code that shells give it."""

    TERMINATED = 143
    """SIGTERM; the code that shells give it."""


class UsageError(TriphaseError):
    """An argument is wrong in a way that only the command line knows of."""

    code = "usage"


class Unreachable(TriphaseError):
    """A store or a folder that the command needs is not there, or refuses."""

    code = "unreachable"


EXITS: Final[Mapping[str, Exit]] = {
    "usage": Exit.USAGE,
    "definition": Exit.USAGE,
    "definition_changed": Exit.CONFLICT,
    "invalid_value": Exit.USAGE,
    "invalid_payload": Exit.USAGE,
    "invalid_result": Exit.USAGE,
    "invalid_webhook": Exit.USAGE,
    "unknown_job_type": Exit.USAGE,
    "unknown_queue": Exit.USAGE,
    "unknown_phase": Exit.USAGE,
    "ambiguous_id": Exit.USAGE,
    "not_found": Exit.NOT_FOUND,
    "gone": Exit.NOT_FOUND,
    "hook_not_found": Exit.NOT_FOUND,
    "key_conflict": Exit.CONFLICT,
    "illegal_transition": Exit.CONFLICT,
    "stale": Exit.CONFLICT,
    "store_locked": Exit.CONFLICT,
    "unauthorized": Exit.CONFLICT,
    "forbidden": Exit.CONFLICT,
    "already_subscribed": Exit.CONFLICT,
    "not_subscribed": Exit.CONFLICT,
    "unreachable": Exit.UNREACHABLE,
    "connection_lost": Exit.UNREACHABLE,
    "client_closed": Exit.UNREACHABLE,
    "bad_message": Exit.UNREACHABLE,
    "limit": Exit.UNREACHABLE,
    "abandoned": Exit.UNREACHABLE,
    "internal": Exit.UNREACHABLE,
    "send_failed": Exit.UNREACHABLE,
    "store": Exit.UNREACHABLE,
    "store_unavailable": Exit.UNREACHABLE,
    "store_too_new": Exit.UNREACHABLE,
    "not_a_store": Exit.UNREACHABLE,
    "store_closed": Exit.UNREACHABLE,
    "corrupt_record": Exit.UNREACHABLE,
    "closed": Exit.UNREACHABLE,
    "crashed": Exit.UNREACHABLE,
    "actor": Exit.UNREACHABLE,
    "actor_crashed": Exit.UNREACHABLE,
    "actor_stopped": Exit.UNREACHABLE,
    "supervisor_failed": Exit.UNREACHABLE,
    "timed_out": Exit.TIMED_OUT,
    "error": Exit.FAILED,
}
"""The exit code of each error, by its `code`; a test holds that every error is here."""


def exit_for(error: TriphaseError) -> Exit:
    """Return the exit code of an error."""
    return EXITS.get(error.code, Exit.FAILED)


def exit_of(outcome: Outcome) -> Exit:
    """Return the exit code of a job's outcome."""
    return Exit.OK if isinstance(outcome, Completed) else Exit.FAILED
