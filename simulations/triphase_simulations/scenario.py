"""A scenario: jobs, what is done to them and when, and what may go wrong meanwhile. It is data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from triphase_protocol import Json, structure, unstructure

from .cast import TypeSpec


@attrs.frozen(kw_only=True)
class JobPlan:
    """One job that somebody submits."""

    name: str
    """Its idempotency key, and its name in the scenario."""

    type: str
    """Which of the scenario's types."""

    script: Mapping[str, list[list[list[Any]]]] = attrs.field(factory=dict[str, Any])
    """What its handlers do, by phase and try; see `cast.perform`."""

    at: float = 0.0
    """When it is submitted."""

    delay: float | None = None
    priority: int = 0
    queue_timeout: float | None = None
    approval: float | None = None
    """Seconds to approve; 0 is for ever; None asks for nothing beside the type."""


@attrs.frozen(kw_only=True)
class Anchor:
    """A moment: a time, or so long after an event of a job was committed."""

    at: float | None = None
    """Seconds after the beginning."""

    event: str | None = None
    """The type of an event: the moment is its commit, before anybody has heard of it."""

    job: str | None = None
    """Whose event; None is any job's."""

    phase: str | None = None
    """Of which phase; None is any."""

    nth: int = 1
    """The how many-th such event."""

    offset: float = 0.0
    """Seconds after it."""


@attrs.frozen(kw_only=True)
class Op:
    """Something that somebody does."""

    what: str
    """A verb: see `running`. `crash`, `restart` and `step` come from outside of the process."""

    when: Anchor
    job: str | None = None
    """To which job."""

    about: Json = None
    """What it is about: the phase of a retry, the queue of a pause, the seconds of a step, …"""


@attrs.frozen(kw_only=True)
class Scenario:
    """See the module's text."""

    suite: str
    types: tuple[TypeSpec, ...]
    jobs: tuple[JobPlan, ...]
    ops: tuple[Op, ...] = ()
    limits: Mapping[str, int] = attrs.field(factory=dict[str, int])
    """The limit of each queue."""

    limit: int = 100
    drain_timeout: float = 0.0
    retention: float | None = None
    """Seconds after which what has ended is deleted."""

    kinds: tuple[str, ...] = ("hold", "stall")
    """Which kinds of perturbation may happen."""

    def to_json(self) -> Json:
        """Return it as JSON values."""
        return unstructure(self)

    @classmethod
    def from_json(cls, value: Json) -> Scenario:
        """Return the scenario that `to_json` made a value of.

        Raises:
          InvalidValue: if it is not one, with a line for each bad field.
        """
        return structure(value, cls)
