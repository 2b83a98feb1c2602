"""The webhooks of a history as oracles read them: what is wanted, what there is, what was sent."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator
from functools import cached_property

import attrs

from triphase_protocol import (
    TERMINAL_EVENTS,
    Event,
    EventType,
    Hook,
    InvalidValue,
    Json,
    decode,
)
from triphase_simulations.history import Entry, Post
from triphase_simulations.scenario import SendingPlan, WebhookPlan

from .reading import Reading, part

ENDS = (EventType.HOOK_DELIVERED, EventType.HOOK_DEAD)
"""What a delivery ends with."""

GONE = 410
"""The status by which a receiver says that it wants no more."""


@attrs.frozen
class Wanted:
    """An event that is to be delivered to a URL."""

    event: Event
    plan: WebhookPlan

    @property
    def place(self) -> tuple[int, str]:
        """Which event goes where."""
        return self.event.seq, self.plan.url


@attrs.frozen
class Told:
    """What the log says became of a try, and how the delivery had ended before, if it had."""

    event: Event
    before: Event | None

    @property
    def hook(self) -> str:
        """The id of the delivery."""
        return str(self.event.data["hook"])

    @property
    def status(self) -> int | None:
        """What the receiver answered; None if it did not."""
        return whole(self.event.data["status"])

    @property
    def attempts(self) -> int:
        """How many tries there were since the delivery had ended before."""
        spent = 0 if self.before is None else whole(self.before.data["attempt"]) or 0
        return (whole(self.event.data["attempt"]) or 0) - spent


@attrs.frozen
class Farewell:
    """A receiver has said that it is gone, and that was written down."""

    url: str
    seq: int
    """That of the `hook.dead` that says so."""

    began: float
    """When it was posted what it said so to."""

    known: float
    """From when on it is known that it was durable."""


class Deliveries:
    """See the module's text.

    Args:
      reading: the history.
    """

    def __init__(self, reading: Reading) -> None:
        history, scenario = reading.history, reading.scenario
        self.reading = reading
        self.sending: SendingPlan = scenario.sending or SendingPlan()
        self.rows: dict[str, Hook] = {hook.id: hook for hook in history.hooks}
        self.known: dict[str, Hook] = {
            **{hook.id: hook for hook in history.dropped_hooks},
            **self.rows,
        }
        """With those that were deleted, as far as they were seen."""

        self.posts: list[Post] = list(self._posts())
        self.posts_of: dict[str, list[Post]] = {}
        """By the id of the delivery, as those that follow."""

        for post in self.posts:
            self.posts_of.setdefault(post.id, []).append(post)
        self.told_of: dict[str, list[Told]] = {}
        self._read_log()
        self.redelivered: dict[str, list[float]] = {}
        for time, id in history.redelivered:
            self.redelivered.setdefault(id, []).append(time)

    def _posts(self) -> Iterator[Post]:
        """Return what was posted, without what the dead do as the run is taken down."""
        gone = {life.lane: life.gone for life in self.reading.lives}
        for post in self.reading.history.posts:
            death = gone.get(post.process)
            if death is None or post.time <= death:
                yield post

    def _read_log(self) -> None:
        ended: dict[str, Event] = {}
        for event in self.reading.log:
            if event.type.value.startswith("hook."):
                told = Told(event, ended.get(str(event.data["hook"])))
                self.told_of.setdefault(told.hook, []).append(told)
                if event.type in ENDS:
                    ended[told.hook] = event

    # What is wanted

    @cached_property
    def wanted(self) -> dict[tuple[int, str], Wanted]:
        """What is to be delivered, as far as the webhooks of its job are known."""
        scenario = self.reading.scenario
        own = [job.webhooks for job in scenario.jobs] + [spec.webhooks for spec in scenario.types]
        if not any((scenario.webhooks, *own)):
            return {}
        webhooks: dict[str, tuple[WebhookPlan, ...]] = {}
        found: dict[tuple[int, str], Wanted] = {}
        for event in self.reading.log:
            if event.job not in webhooks:
                webhooks[event.job] = self._webhooks_of(event.job)
            for plan in webhooks[event.job]:
                if _wants(plan, event):
                    found.setdefault((event.seq, plan.url), Wanted(event, plan))
        return found

    def _webhooks_of(self, job: str) -> tuple[WebhookPlan, ...]:
        if not self.is_known(job):
            return ()
        scenario, spec = self.reading.scenario, self.reading.spec_of(job)
        own = (plan.webhooks for plan in scenario.jobs if plan.name == self._names.get(job))
        return (*next(own, ()), *(spec.webhooks if spec else ()), *scenario.webhooks)

    @cached_property
    def _names(self) -> dict[str, str]:
        return {id: name for name, id in self.reading.ids.items()}

    def is_known(self, job: str) -> bool:
        """True if it is known what webhooks a job has: not if nobody knows which one it is."""
        if job in self._names:
            return True
        return not any(plan.webhooks for plan in self.reading.scenario.jobs)

    # What a delivery is about

    def place_of(self, id: str) -> tuple[int, str] | None:
        """Return which event a delivery brings where; None if nobody has seen that."""
        if id in self.known:
            return self.known[id].seq, self.known[id].url
        for post in self.posts_of.get(id, ()):
            seq = whole(part(part(content(post.body), "event"), "seq"))
            if seq is not None:
                return seq, post.url
        return None

    @cached_property
    def places(self) -> dict[str, tuple[int, str]]:
        """Which event each delivery brings where, as far as somebody has seen that."""
        found = {id: self.place_of(id) for id in (*self.known, *self.posts_of)}
        return {id: place for id, place in found.items() if place is not None}

    @cached_property
    def at_place(self) -> dict[tuple[int, str], list[str]]:
        """The ids of the deliveries that bring an event to a URL."""
        found: dict[tuple[int, str], list[str]] = {}
        for id, place in self.places.items():
            found.setdefault(place, []).append(id)
        return found

    def is_once(self, id: str) -> bool:
        """True if it is known that a delivery is to be made at most once."""
        wanted = self.wanted.get(self.places.get(id, (0, "")))
        return wanted is not None and wanted.plan.at_most_once

    def tries_of(self, told: Told) -> list[Post]:
        """Return the tries before an event, since the delivery had ended before."""
        since = 0 if told.before is None else told.before.seq
        posts = self.posts_of.get(told.hook, ())
        return [post for post in posts if since <= post.durable < told.event.seq]

    @cached_property
    def farewells(self) -> list[Farewell]:
        """The receivers that are gone."""
        found: list[Farewell] = []
        for told in itertools.chain.from_iterable(self.told_of.values()):
            said = [post for post in self.tries_of(told) if post.status == GONE]
            if told.event.type is EventType.HOOK_DEAD and told.status == GONE and said:
                seq, post = told.event.seq, said[-1]
                known = self.first_seen(seq)
                if self._is_written_at_once and post.ended is not None:
                    known = min(known, post.ended)
                found.append(Farewell(post.url, seq, post.time, known))
        return found

    # When

    @cached_property
    def interruptions(self) -> int:
        """How often what was not written down yet may have been lost: at deaths and refusals."""
        refusals = sum(1 for _ in self.reading.history.all("refused"))
        return len(self.reading.lives) - 1 + refusals

    @cached_property
    def _is_written_at_once(self) -> bool:
        kinds = {kind for kind, _, _ in self.reading.history.used}
        return not kinds & {"stall", "refuse"}

    def last_of_group(self, event: Event) -> int:
        """Return the `seq` of the last event of the same transaction."""
        groups = self.reading.history.groups
        return groups[bisect.bisect_left(groups, event.seq)]

    def was_enabled(self, farewell: Farewell, until: float = math.inf) -> bool:
        """True if a receiver that was gone may have been asked again by then."""
        ids = [id for id, (_, url) in self.places.items() if url == farewell.url]
        return self.was_redelivered(ids, farewell.began, until)

    def was_redelivered(self, ids: Iterable[str], since: float, until: float) -> bool:
        """True if one of these was asked for again, within this time, ends included."""
        times = (time for id in ids for time in self.redelivered.get(id, ()))
        return any(since <= time <= until for time in times)

    def first_seen(self, seq: int) -> float:
        """Return the earliest time at which it is known that an event was durable; or infinity."""
        times = [post.time for post in self.posts if post.durable >= seq]
        times += [entry.time for entry in self._heard if entry.data["seq"] >= seq]
        return min(times, default=math.inf)

    @cached_property
    def _heard(self) -> list[Entry]:
        return [entry for _, entry in self.reading.entries if entry.what == "heard"]


def _wants(plan: WebhookPlan, event: Event) -> bool:
    if not plan.events:
        return event.type in TERMINAL_EVENTS
    return event.type.value in plan.events


def content(body: str) -> Json:
    """Return what a body says of an event and of its job; None if it cannot be read."""
    try:
        return part(decode(body.encode()), "data")
    except InvalidValue:
        return None


def whole(value: Json) -> int | None:
    """Return a value if it is a whole number."""
    return value if isinstance(value, int) else None


def number(value: Json) -> float | None:
    """Return a value if it is a number."""
    return float(value) if isinstance(value, int | float) else None
