"""What a client says: first `hello`, then requests, each of which is answered once, by its `id`.

On the wire a message is a JSON object whose `type` is the class's name in snake case. An unknown
field of a request is refused: an option that is silently ignored would be worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, get_args

import attrs

from triphase_protocol.parts import Json
from triphase_protocol.states import JobState
from triphase_protocol.webhooks import HookState, Webhook

ID_MOST = 64
"""The most characters of a request's id."""


def _no_labels() -> Mapping[str, str]:
    return {}


@attrs.frozen(kw_only=True)
class Hello:
    """The first message of a connection; answered by `welcome`."""

    token: str | None = None
    """Who asks; not needed if it came as `Authorization: Bearer` with the upgrade."""

    client: str = ""
    """The client's name and version, for the log."""


@attrs.frozen(kw_only=True)
class Submit:
    """Submit a job; answered once it is durable. Scope `submit`."""

    id: str
    job: str
    """The name of the job type."""

    payload: Json = attrs.field(factory=dict[str, Json])
    """The job's fields."""

    key: str | None = None
    """An idempotency key: submitted again with it, the job that is there is the answer."""

    delay: float | None = None
    """Seconds before it may start."""

    at: float | None = None
    """A time before which it may not start: seconds since the epoch. One of `delay` and `at`."""

    priority: int = 0
    """Higher starts earlier within a queue."""

    queue: str | None = None
    """Another queue than the job type's."""

    labels: Mapping[str, str] = attrs.field(factory=_no_labels)
    """Names and values to find the job by."""

    queue_timeout: float | None = None
    """Seconds that it may wait in its queue; one that waits longer fails."""

    approval: bool = False
    """It waits until somebody approves it, also where its type asks for none."""

    approval_timeout: float | None = None
    """Seconds until it is rejected if nobody has decided; needs `approval`."""

    webhooks: tuple[Webhook, ...] = ()
    """Where its events are POSTed, beside where its type's are."""


@attrs.frozen(kw_only=True)
class Get:
    """Ask for a job's record. Scope `read`."""

    id: str
    job: str
    """The job's id."""


@attrs.frozen(kw_only=True)
class Find:
    """Ask for a page of the jobs for which every given condition holds. Scope `read`."""

    id: str
    states: tuple[JobState, ...] = ()
    """In one of these states; empty is any, here and below."""

    types: tuple[str, ...] = ()
    """Of one of these types."""

    queues: tuple[str, ...] = ()
    """In one of these queues."""

    labels: Mapping[str, str] = attrs.field(factory=_no_labels)
    """With at least these labels."""

    key: str | None = None
    """With this idempotency key."""

    prefix: str = ""
    """With an id that begins so."""

    newest_first: bool = True
    """Last submitted first; else first submitted first."""

    after: str | None = None
    """The `next` of the page before."""

    limit: int = 50
    """The most jobs on the page, from 1 to 1000; large records make it fewer, and `next` tells."""


@attrs.frozen(kw_only=True)
class Wait:
    """Wait until a job has ended; answered at once if it has. Scope `read`."""

    id: str
    job: str
    """The job's id."""

    timeout: float | None = None
    """Seconds; when they have passed, the answer is `timed_out`. None waits as long as it takes."""


@attrs.frozen(kw_only=True)
class WaitAll:
    """Wait until all of several jobs have ended. Scope `read`."""

    id: str
    jobs: tuple[str, ...]
    """Their ids."""

    timeout: float | None = None
    """Seconds for all of them together; None waits as long as it takes."""


@attrs.frozen(kw_only=True)
class Cancel:
    """Cancel a job; answered once that is durable. Scope `control`."""

    id: str
    job: str
    """The job's id."""

    reason: str | None = None
    """Why, for people."""


@attrs.frozen(kw_only=True)
class Retry:
    """Start a job that has ended over. Scope `control`."""

    id: str
    job: str
    """The job's id."""

    from_phase: str | None = None
    """The phase to start from; None is the first that has not completed."""


@attrs.frozen(kw_only=True)
class Approve:
    """Approve a job that waits for it; who comes later is given the first decision. `control`."""

    id: str
    job: str
    """The job's id."""

    phase: str | None = None
    """The phase whose gate is meant; None is the one that the job waits at."""

    asked_in: int | None = None
    """The run in which it was asked for: a decision about an earlier asking is refused."""

    reason: str | None = None
    """Why, for people."""


@attrs.frozen(kw_only=True)
class Reject:
    """Reject a job that waits for approval: it ends as `rejected`. Scope `control`."""

    id: str
    job: str
    """The job's id."""

    phase: str | None = None
    """See `approve`."""

    asked_in: int | None = None
    """See `approve`."""

    reason: str | None = None
    """Why, for people."""


@attrs.frozen(kw_only=True)
class Explain:
    """Ask what stands in the way of a job's start. Scope `read`."""

    id: str
    job: str
    """The job's id."""


@attrs.frozen(kw_only=True)
class ListQueues:
    """Ask for the queues as they are now, and how many jobs they have. Scope `read`."""

    id: str


@attrs.frozen(kw_only=True)
class Pause:
    """Start none of a queue's jobs, until `resume`. Scope `control`."""

    id: str
    queue: str
    """The queue's name."""


@attrs.frozen(kw_only=True)
class Resume:
    """Start a queue's jobs again. Scope `control`."""

    id: str
    queue: str
    """The queue's name."""


@attrs.frozen(kw_only=True)
class SetLimit:
    """Set how many of a queue's jobs may hold a slot at once. Scope `control`."""

    id: str
    queue: str
    """The queue's name."""

    limit: int | None
    """How many, at least 1; null is what was declared."""


@attrs.frozen(kw_only=True)
class FindHooks:
    """Ask for a page of the deliveries of webhooks, in the order of their events. Scope `read`."""

    id: str
    job: str | None = None
    """Of this job, which may have been deleted; null is of any."""

    states: tuple[HookState, ...] = ()
    """In one of these states; empty is any."""

    after: str | None = None
    """The `next` of the page before."""

    limit: int = 50
    """The most deliveries on the page, from 1 to 1000."""


@attrs.frozen(kw_only=True)
class GetHook:
    """Ask for a delivery, with what is sent. Scope `read`."""

    id: str
    hook: str
    """The delivery's id."""


@attrs.frozen(kw_only=True)
class Redeliver:
    """Have a delivery tried now, whatever has become of it; answered once that is durable.

    Scope `control`.
    """

    id: str
    hook: str
    """The delivery's id."""


@attrs.frozen(kw_only=True)
class Statistics:
    """Ask what the runtime and the gateway do now. Scope `read`."""

    id: str


@attrs.frozen(kw_only=True)
class Subscribe:
    """Follow a topic; answered by `subscribed`, and followed by its messages. Scope `read`."""

    id: str
    topic: str
    """Which; see the page about topics."""

    after: int | None = None
    """The `seq` of the last event that the client has; 0 is from the beginning of the log, null
    from now on."""

    epoch: str | None = None
    """The log's own id, as the client knows it: numbers of another log mean nothing here."""

    snapshot: bool = False
    """Send the records of the topic's jobs first, as far as `after` does not make that needless."""


@attrs.frozen(kw_only=True)
class Unsubscribe:
    """Stop following a topic; after the answer nothing more of it comes. Scope `read`."""

    id: str
    topic: str
    """As `subscribed` named it."""


@attrs.frozen(kw_only=True)
class Abandon:
    """Give up a `wait` or `wait_all`, which is then answered with the error `abandoned`.

    It counts no more against the limit of waits. Any token may.
    """

    id: str
    request: str
    """The id of the `wait` or `wait_all`, on this connection."""


@attrs.frozen(kw_only=True)
class Ping:
    """Ask for a sign of life; any token may."""

    id: str


Request: TypeAlias = (
    Submit
    | Get
    | Find
    | Wait
    | WaitAll
    | Cancel
    | Retry
    | Approve
    | Reject
    | Explain
    | ListQueues
    | Pause
    | Resume
    | SetLimit
    | FindHooks
    | GetHook
    | Redeliver
    | Statistics
    | Subscribe
    | Unsubscribe
    | Abandon
    | Ping
)
"""What is answered once, by its `id`."""

REQUESTS: tuple[type[Request], ...] = get_args(Request)
"""Every kind of request."""
