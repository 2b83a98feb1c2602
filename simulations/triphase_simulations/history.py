"""What happened in a run, as everybody outside of the processes saw it: what oracles judge."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import attrs

from triphase_protocol import ErrorRecord, Event, Hook, Job, encode


@attrs.frozen(kw_only=True)
class Entry:
    """One thing that happened."""

    time: float
    """Virtual seconds since the beginning."""

    lane: str
    """Who it happened to: a process, a client, a handler."""

    what: str
    """A word for it."""

    data: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    """More about it, as JSON values."""


@attrs.frozen(kw_only=True)
class Ran:
    """One handler that was started, and how it ended; a process's death leaves it open."""

    process: str
    job: str
    run: int
    phase: str
    attempt: int
    began: float
    ended: float | None = None
    how: str | None = None
    """`returned`, `raised`, `cancelled`; None if its process died first, or it still runs."""


@attrs.frozen(kw_only=True)
class Post:
    """One try of a webhook, as its receiver saw it; see `receivers`."""

    time: float
    """When it was posted."""

    process: str
    """The lane of the process that posted it."""

    url: str
    id: str
    """The header `webhook-id`: the id of the delivery."""

    body: str
    headers: Mapping[str, str]
    received: bool
    """The receiver has it, and has acted upon it."""

    answer: str
    """What the receiver did: one of the words of a `ReceiverPlan`."""

    status: int | None = None
    """What the sender was told; None is nothing."""

    durable: int
    """The `seq` of the last event that was durable by then."""

    ended: float | None = None
    """When the sender heard of it, or gave up; None if it died first, or was cancelled."""


@attrs.define
class History:
    """What happened in a run, and what was on the disk when it ended."""

    entries: list[Entry] = attrs.field(factory=list[Entry])
    ran: list[Ran] = attrs.field(factory=list[Ran])
    log: tuple[Event, ...] = ()
    """Every event that was ever committed, deleted ones included, in the order of `seq`."""

    groups: tuple[int, ...] = ()
    """The `seq` of the last event of each transaction."""

    jobs: tuple[Job, ...] = ()
    """The rows as they are at the end."""

    limits: Mapping[str, int] = attrs.field(factory=dict[str, int])
    """The limit of each queue; "" is the limit of the store. Those that change are left out."""

    posts: list[Post] = attrs.field(factory=list[Post])
    """Every try of a webhook, in the order in which they began."""

    hooks: tuple[Hook, ...] = ()
    """The deliveries as they are at the end, with what is sent."""

    dropped_hooks: list[Hook] = attrs.field(factory=list[Hook])
    """The deliveries that were deleted, as they were last seen."""

    disabled: Mapping[str, float] = attrs.field(factory=dict[str, float])
    """The URLs that are gone, and since when by the wall clock."""

    redelivered: list[tuple[float, str]] = attrs.field(factory=list[tuple[float, str]])
    """When it was committed that a delivery is to be tried again, and its id."""

    used: Mapping[tuple[str, str, int], float] = attrs.field(
        factory=dict[tuple[str, str, int], float]
    )
    """What has disturbed it, by kind, site and how often the site had been passed."""

    settled: bool = False
    """The faults had stopped, and the run came to its end by itself."""

    seconds: float = 0.0
    """How long it took, in virtual time."""

    def note(self, time: float, lane: str, what: str, **data: Any) -> None:
        """Add an entry."""
        self.entries.append(Entry(time=round(time, 6), lane=lane, what=what, data=data))

    def all(self, *what: str) -> Iterator[Entry]:
        """Return the entries of these words, in order."""
        return (entry for entry in self.entries if entry.what in what)

    def events_of(self, job: str) -> list[Event]:
        """Return the log of one job."""
        return [event for event in self.log if event.job == job]

    def by_job(self) -> dict[str, list[Event]]:
        """Return the log of each job."""
        found: dict[str, list[Event]] = {}
        for event in self.log:
            found.setdefault(event.job, []).append(event)
        return found

    def hash(self) -> str:
        """Return a hash of all of it: equal for two runs exactly if they were the same.

        Tracebacks are left out: they name the lines and the directory of the code, and each
        Python words them in its own way.
        """
        digest = hashlib.sha256()
        for part in (self.entries, self.ran, self.log, map(_without_tracebacks, self.jobs)):
            for each in part:
                digest.update(encode(each))
                digest.update(b"\n")
        # Where there is nothing of these, a hash is what it was before there were webhooks.
        more: tuple[Iterable[object], ...] = (
            map(_unsigned, self.posts),
            map(_hook_untraced, self.hooks),
            map(_hook_untraced, self.dropped_hooks),
            self.disabled.items(),
            self.redelivered,
        )
        for place, items in enumerate(more):
            for item in items:
                digest.update(encode([place, item]))
        return digest.hexdigest()[:16]


def _without_tracebacks(job: Job) -> Job:
    phases = tuple(attrs.evolve(phase, error=_worded(phase.error)) for phase in job.phases)
    return attrs.evolve(job, error=_worded(job.error), phases=phases)


def _worded(error: ErrorRecord | None) -> ErrorRecord | None:
    return None if error is None else attrs.evolve(error, traceback=None)


_TRACEBACK: Final = re.compile(r'"traceback":"(?:[^"\\]|\\.)*"')


def _untraced(body: str) -> str:
    return _TRACEBACK.sub('"traceback":null', body)


def _unsigned(post: Post) -> Post:
    # A signature is of the body, and so of what stands in the tracebacks.
    headers = {name: value for name, value in post.headers.items() if "signature" not in name}
    return attrs.evolve(post, body=_untraced(post.body), headers=headers)


def _hook_untraced(hook: Hook) -> Hook:
    return hook if hook.body is None else attrs.evolve(hook, body=_untraced(hook.body))
