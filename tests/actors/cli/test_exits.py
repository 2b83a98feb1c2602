"""Every error has an exit code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import triphase
from triphase.actor import ActorStopped
from triphase.cli.exits import EXITS, Exit, UsageError, exit_for, exit_of
from triphase.client import ConnectionLost, Unreachable
from triphase_protocol import (
    Completed,
    ErrorRecord,
    Failed,
    HookNotFound,
    Interrupted,
    TriphaseError,
)
from triphase_protocol.wire import Forbidden, LimitReached, Unauthorized


def every_error(cls: type[TriphaseError] = TriphaseError) -> Iterator[type[TriphaseError]]:
    yield cls
    for below in cls.__subclasses__():
        if below.__module__.partition(".")[0] in ("triphase", "triphase_protocol"):
            yield from every_error(below)


def test_every_error_is_in_the_table() -> None:
    found = {cls.code for cls in every_error()}
    modules = {cls.__module__ for cls in every_error()}
    assert modules >= {"triphase_protocol.wire.errors", "triphase.client.errors"}
    assert not found - set(EXITS), "these codes have no exit code"
    assert not set(EXITS) - found, "no error has these codes"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError(""), 2),
        (triphase.InvalidPayload(""), 2),
        (triphase.AmbiguousId(""), 2),
        (triphase.JobNotFound(""), 3),
        (HookNotFound(""), 3),
        (triphase.KeyConflict(""), 4),
        (triphase.StoreLocked(""), 4),
        (triphase.StoreTooNew(""), 5),
        (triphase.NotAStore(""), 5),
        (ActorStopped(""), 5),
        (Unauthorized(""), 4),
        (Forbidden(""), 4),
        (Unreachable(""), 5),
        (ConnectionLost(""), 5),
        (LimitReached(""), 5),
        (triphase.WaitTimeout(""), 124),
    ],
)
def test_errors_end_with_the_documented_codes(error: TriphaseError, code: int) -> None:
    assert exit_for(error) == code


def test_only_a_completed_job_is_a_success() -> None:
    failed = Failed(job="a", run=1, error=ErrorRecord(type="ValueError", message=""))
    assert exit_of(Completed(job="a", run=1)) == Exit.OK
    assert exit_of(failed) == exit_of(Interrupted(job="a", run=1)) == Exit.FAILED
