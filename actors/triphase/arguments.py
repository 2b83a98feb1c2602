"""What a user passes to the runtime's verbs, checked."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, TypeVar, cast

from triphase_protocol import DefinitionError, EventType, HookState, InvalidValue, JobState

from .checks import check_seconds
from .handle import JobHandle
from .store.backend import PAGE_MOST

S = TypeVar("S", bound=StrEnum)

SEQ_MOST: Final = 2**63 - 1
"""The highest number of an event that a store can hold."""


def job_state(state: JobState | str) -> JobState:
    """Return the state of this name.

    Raises:
      InvalidValue: if it is not one.
    """
    return _one_of(JobState, "a job state", state)


def hook_state(state: HookState | str) -> HookState:
    """Return the state of this name.

    Raises:
      InvalidValue: if it is not one.
    """
    return _one_of(HookState, "a delivery's state", state)


def _one_of(kind: type[S], what: str, value: str) -> S:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(each.value for each in kind)
        raise InvalidValue(f"{value!r} is not {what}; there are: {known}") from None


def checked_place(place: object) -> tuple[int, str] | None:
    """Return the place of a delivery that a user gave.

    Raises:
      InvalidValue: if it is not one.
    """
    match place:
        case None:
            return None
        case (int(seq), str(id)) if not isinstance(seq, bool) and 0 <= seq <= SEQ_MOST:
            return seq, id_of(id)
        case _:
            raise InvalidValue(f"after={place!r:.100}: must be the place of a delivery")


def event_type(event_type: EventType | str) -> EventType:
    """Return the event type of this name.

    Raises:
      InvalidValue: if it is not one.
    """
    try:
        return EventType(event_type)
    except ValueError:
        raise InvalidValue(f"{event_type!r} is not an event type") from None


def id_of(job: object) -> str:
    """Return the id that a user gave, or that of the handle.

    Raises:
      InvalidValue: if it is not one.
    """
    if isinstance(job, JobHandle):
        return job.id
    if isinstance(job, str):
        if any("\ud800" <= character <= "\udfff" for character in job):
            raise InvalidValue(f"{job!r} is no id: a lone surrogate is not valid UTF-8")
        return job
    raise InvalidValue(f"{job!r} is neither a job's id nor a handle")


def names(given: str | Iterable[str]) -> tuple[str, ...]:
    """Return one name or several as a tuple: a str is one name, not its letters."""
    return (given,) if isinstance(given, str) else tuple(given)


def checked_after(after: object) -> Any:
    """Return a `seq` that a user gave.

    Raises:
      InvalidValue: if it is not one.
    """
    if after is not None and (not isinstance(after, int) or isinstance(after, bool)):
        raise InvalidValue(f"after={after!r}: must be a whole number")
    return after


def checked_words(what: str, words: object) -> str | None:
    """Return a user's words as text that a store can hold.

    Raises:
      InvalidValue: if it is not one.
    """
    if words is None:
        return None
    if not isinstance(words, str):
        raise InvalidValue(f"{what}={words!r}: must be a str")
    return words.encode("utf-8", "backslashreplace").decode("utf-8")


def checked_run(what: str, run: object) -> int | None:
    """Return the number of a run that a user gave.

    Raises:
      InvalidValue: if it is not one.
    """
    if run is None:
        return None
    if not isinstance(run, int) or isinstance(run, bool) or run < 0:
        raise InvalidValue(f"{what}={run!r}: must be a whole number from 0")
    return run


def checked_timeout(timeout: object) -> float | None:
    """Return the seconds that a user gave for a wait; None is as long as it takes.

    Raises:
      InvalidValue: if it is not a finite number from 0.
    """
    if timeout is None:
        return None
    try:
        check_seconds("timeout", timeout, least=0)
    except DefinitionError as exc:
        raise InvalidValue(str(exc)) from exc
    return cast("float", timeout)


def checked_limit(limit: object) -> int:
    """Return a page's limit that a user gave.

    Raises:
      InvalidValue: if it is not one.
    """
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= PAGE_MOST:
        raise InvalidValue(f"limit={limit!r}: must be from 1 to {PAGE_MOST}")
    return limit
