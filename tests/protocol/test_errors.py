"""The errors: one base, and one word for each that stays the same."""

from __future__ import annotations

import re

from triphase.actor import ActorCrashed, ActorError, ActorStopped, SupervisorFailed
from triphase_protocol import InvalidPayload, InvalidValue, TriphaseError, WaitTimeout, errors

ACTOR_ERRORS = [ActorError, ActorCrashed, ActorStopped, SupervisorFailed]


def declared() -> list[type[TriphaseError]]:
    """Return every error class of the protocol, and those of the actors."""
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    ours = [cls for cls in classes if cls.__module__ == errors.__name__]
    assert all(issubclass(cls, TriphaseError) for cls in ours)
    return [*(cls for cls in ours if issubclass(cls, TriphaseError)), *ACTOR_ERRORS]


def test_every_error_has_the_one_base() -> None:
    assert len(declared()) > 20
    assert all(issubclass(cls, TriphaseError) for cls in declared())


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [cls.__dict__.get("code") for cls in declared()]
    assert None not in codes
    assert len(set(codes)) == len(codes)


def test_codes_are_snake_case() -> None:
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", cls.code) for cls in declared())


def test_problems_stand_in_the_message_and_for_themselves() -> None:
    error = InvalidPayload("not a valid Transcode", ["$.url: required", "$.n: too large"])
    assert str(error) == "not a valid Transcode: $.url: required; $.n: too large"
    assert error.problems == ("$.url: required", "$.n: too large")
    assert InvalidValue("no problems").problems == ()


def test_a_wait_that_took_too_long_is_a_timeout_to_everybody() -> None:
    assert issubclass(WaitTimeout, TimeoutError)
