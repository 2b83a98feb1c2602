"""A scenario: jobs, what is done to them and when, and what may go wrong meanwhile. It is data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from triphase_protocol import Json, structure, unstructure

from .cast import TypeSpec
from .receivers import ReceiverPlan
from .webhooks import SendingPlan as SendingPlan, WebhookPlan as WebhookPlan


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

    via: str | None = None
    """The client program that submits it; None is somebody in the runtime's own process."""

    webhooks: tuple[WebhookPlan, ...] = ()
    """Where its events go, beside where those of its type and of the runtime do."""


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

    via: str | None = None
    """The client program that does it, or to which it is done; None is the runtime's process."""


TO_CLIENTS: Final = ("crash", "deaf")
"""What is done to a client program; everything else it does itself."""


@attrs.frozen(kw_only=True)
class ClientPlan:
    """A program that follows events over a network, from the first on; see `clients`."""

    name: str
    """What its process is called."""

    job: str | None = None
    """The name of the job whose events it follows; None follows more than one."""

    types: tuple[str, ...] = ()
    """The job types that it follows; empty is any."""

    events: tuple[str, ...] = ()
    """The types of the events that it wants; empty is any."""

    begins: float = 0.0
    """When it is started."""

    reads: bool = False
    """It reads the record of the job after each event."""

    pause: float = 0.0
    """Seconds that it takes for each event."""


@attrs.frozen(kw_only=True)
class PicturePlan:
    """A program that keeps a picture of all jobs over a network; see `pictures`."""

    name: str
    """What its process is called."""

    begins: float = 0.0
    """When it is started."""


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

    clients: tuple[ClientPlan, ...] = ()
    """With some, the runtime is served by a gateway."""

    pictures: tuple[PicturePlan, ...] = ()
    """The same."""

    ring: int | None = None
    """How many events the runtime keeps in memory, about; None is as many as usual."""

    capacity: int = 65536
    """Bytes that a connection holds in each direction, before a sender has to wait."""

    receivers: tuple[ReceiverPlan, ...] = ()
    """The other machines that webhooks go to."""

    webhooks: tuple[WebhookPlan, ...] = ()
    """Where the events of all jobs go."""

    sending: SendingPlan | None = None
    """How webhooks are sent; None is as a `SendingPlan` is by default."""

    followed: bool = True
    """Somebody in the runtime's process follows all events, and reads the job of each."""

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
