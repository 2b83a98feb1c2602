"""The small values that records and events are made of."""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

Json: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, list of them, or dict of str to them."""


@attrs.frozen(kw_only=True)
class Progress:
    """How far a phase has come, as its handler last said."""

    done: float
    """How much is done, in the handler's own unit."""

    total: float | None = None
    """How much there is to do in the same unit, or None if nobody knows."""

    message: str | None = None
    """What is going on, for a person."""


@attrs.frozen(kw_only=True)
class ErrorRecord:
    """An error as data: what failed a phase or a job."""

    type: str
    """The class name of the exception, or a stable word of triphase's own."""

    message: str
    """The exception's text."""

    traceback: str | None = None
    """Where it was raised, cut to a bounded length; None when there was no exception."""
