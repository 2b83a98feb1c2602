"""What a server says. A client ignores fields and types that it does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, get_args

import attrs

from triphase_protocol.events import Event
from triphase_protocol.jobs import Job
from triphase_protocol.outcomes import NotFound, Outcome, TimedOut
from triphase_protocol.parts import Json
from triphase_protocol.webhooks import Hook

from .scopes import Scope


@attrs.frozen(kw_only=True)
class Limits:
    """What one connection may take."""

    message_bytes: int = 5 * 2**20
    """The most bytes of one message to the server: a payload of the largest size fits."""

    subscriptions: int = 64
    """The most topics that it follows at once."""

    waits: int = 1000
    """The most jobs that it waits for at once."""

    requests: int = 32
    """Requests, other than waits, that are carried out at once; more wait in the connection."""


@attrs.frozen(kw_only=True)
class Welcome:
    """The answer to `hello`."""

    server: str
    """The server's name and version."""

    epoch: str
    """The id of the log. Another one means another log, and that its numbers begin anew."""

    head: int
    """The `seq` of the last event."""

    heartbeat: float
    """Seconds within which the server says something; `pulse` if there is nothing else to say.
    After two and a half times as long without a message, the connection is dead."""

    scopes: tuple[Scope, ...]
    """What the token allows."""

    limits: Limits
    """What this connection may take."""


@attrs.frozen(kw_only=True)
class Answer:
    """A request was carried out."""

    id: str
    """The request's."""

    result: Json = None
    """What came of it; its shape depends on the request."""


@attrs.frozen(kw_only=True)
class Error:
    """A request was not carried out; or, without an id, why the connection ends."""

    id: str | None
    """The request's; null if it could not be read, or it is about the connection."""

    code: str
    """A stable word."""

    message: str
    """What is wrong, for people."""

    problems: tuple[str, ...] = ()
    """A line for each bad field, with the path to it."""


@attrs.frozen(kw_only=True)
class Snapshot:
    """Records of a topic's jobs, before the events that follow."""

    topic: str
    jobs: tuple[Job, ...]
    """Each at least as new as the event at which the subscription begins. An event whose `version`
    is not above its job's record is in it already."""

    last: bool
    """No more of them come."""


@attrs.frozen(kw_only=True)
class Events:
    """The events of a topic above `from` and up to `to`; none is a sign of life."""

    topic: str
    from_: int
    """The `seq` where the batch before ended: if it is another one, something was missed."""

    to: int
    """Every event of the topic up to here was sent."""

    events: tuple[Event, ...] = ()


@attrs.frozen(kw_only=True)
class Lagging:
    """The client is too slow for the live stream: what follows is read from the log.

    Nothing is lost, but progress reports may be left out for newer ones of the same phase.
    """

    topic: str
    from_: int
    """The `seq` up to which it has everything."""

    head: int
    """The `seq` of the last event."""


@attrs.frozen(kw_only=True)
class Done:
    """The one message of a topic `job:done:ID`; nothing more of it comes."""

    topic: str
    job: str
    """The job's id."""

    outcome: Outcome | NotFound
    """How it ended; `not_found` if it was deleted."""


@attrs.frozen(kw_only=True)
class Pulse:
    """A sign of life, when there was nothing else to say."""

    head: int
    """The `seq` of the last event."""


@attrs.frozen(kw_only=True)
class Bye:
    """The server is about to close the connection, as it was asked to end."""

    reason: str
    retry_after: float
    """Seconds before a new connection makes sense."""


Reply: TypeAlias = Welcome | Answer | Error | Snapshot | Events | Lagging | Done | Pulse | Bye
"""What a server says."""

REPLIES: tuple[type[Reply], ...] = get_args(Reply)
"""Every kind of reply."""


# What comes of requests: the shapes of `result`.


@attrs.frozen(kw_only=True)
class Submitted:
    """The result of `submit`."""

    job: str
    """The job's id."""

    done: str
    """The topic that tells how it ends: `job:done:ID`."""

    created: bool
    """This request made the job; false if its key had one already."""


@attrs.frozen(kw_only=True)
class Got:
    """The result of `get`."""

    job: Job
    """The record."""

    done: str
    """The topic that tells how it ends: `job:done:ID`."""


@attrs.frozen(kw_only=True)
class Found:
    """The result of `find`."""

    jobs: tuple[Job, ...]
    """The jobs, in the order that was asked for."""

    next: str | None
    """Pass this as `after` for the next page; null if this is the last."""


@attrs.frozen(kw_only=True)
class Waited:
    """The result of `wait`."""

    outcome: Outcome | TimedOut
    """How the job ended; or that it has not, in the time."""


@attrs.frozen(kw_only=True)
class WaitedAll:
    """The result of `wait_all`."""

    outcomes: Mapping[str, Outcome | TimedOut | NotFound]
    """How each ended, by id."""


@attrs.frozen(kw_only=True)
class FoundHooks:
    """The result of `find_hooks`."""

    hooks: tuple[Hook, ...]
    """The deliveries, in the order of their events, each with a `body` of null."""

    next: str | None
    """Pass this as `after` for the next page; null if this is the last."""


@attrs.frozen(kw_only=True)
class Abandoned:
    """The result of `abandon`."""

    found: bool
    """It was given up; false if it has an answer already, or is no wait of this connection."""


@attrs.frozen(kw_only=True)
class Reset:
    """Why a subscription cannot go on where the client was, and what is lost."""

    reason: str
    """`epoch`: the log is another one; `pruned`: events after it are no longer kept; `ahead`: the
    log has not come so far."""

    after: int
    """Where the client was."""


@attrs.frozen(kw_only=True)
class Subscribed:
    """The result of `subscribe`."""

    topic: str
    """The topic's name in the messages that follow: the same for the same topic, however it was
    written."""

    epoch: str
    """The id of the log."""

    after: int
    """The `seq` at which the subscription begins: the first batch's `from`."""

    head: int
    """The `seq` of the last event."""

    reset: Reset | None = None
    """Null if it goes on where the client was."""
