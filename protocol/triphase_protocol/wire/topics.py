"""Topics: what a client can follow, as a text that is the same for everybody who follows the same.

    jobs                                  everything
    jobs?type=Transcode&queue=media       of one of these job types, in one of these queues
    jobs?label=customer%3Dacme            with this label
    jobs?event=job.failed                 only events of these types
    job:ID                                one job
    job:done:ID                           one message, when that job has ended

The names of the query may be repeated: of types, queues and events one has to fit, of labels all.
A fragment, as in `jobs#2`, changes nothing but the name, so that a connection can follow the same
thing twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Self
from urllib.parse import parse_qsl, quote, unquote

import attrs

from triphase_protocol.errors import InvalidValue
from triphase_protocol.events import Event
from triphase_protocol.jobs import Job
from triphase_protocol.states import EventType

DONE: Final = "job:done:"
ONE: Final = "job:"
ALL: Final = "jobs"

TOPIC_MOST: Final = 2000
"""The most characters of a topic."""


@attrs.frozen(kw_only=True)
class Topic:
    """What a subscription is about."""

    job: str | None = None
    """Only this job."""

    done: bool = False
    """Only its end."""

    types: frozenset[str] = frozenset()
    """Only jobs of these types; empty is any, here and below."""

    queues: frozenset[str] = frozenset()
    """Only jobs of these queues."""

    labels: frozenset[tuple[str, str]] = frozenset()
    """Only jobs with all of these."""

    events: frozenset[EventType] = frozenset()
    """Only events of these types."""

    fragment: str = ""
    """Tells it from another of the same meaning."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the topic that a text names.

        Raises:
          InvalidValue: if it names none.
        """
        if len(text) > TOPIC_MOST:
            raise InvalidValue(f"topic {text[:40]!r}…: more than {TOPIC_MOST} characters")
        rest, _, fragment = text.partition("#")
        if rest.startswith(DONE):
            return cls(job=_id(rest, DONE), done=True, fragment=unquote(fragment))
        place, _, query = rest.partition("?")
        conditions = _conditions(text, query)
        if place.startswith(ONE):
            allowed, job = {"event"}, _id(place, ONE)
        elif place == ALL:
            allowed, job = {"type", "queue", "label", "event"}, None
        else:
            raise InvalidValue(f"topic {text!r}: begins with none of jobs, job:, job:done:")
        for name in conditions:
            if name not in allowed:
                raise InvalidValue(
                    f"topic {text!r}: {name!r} is none of {', '.join(sorted(allowed))}"
                )
        return cls(
            job=job,
            types=frozenset(conditions.get("type", ())),
            queues=frozenset(conditions.get("queue", ())),
            labels=frozenset(_label(text, pair) for pair in conditions.get("label", ())),
            events=frozenset(_event_type(text, word) for word in conditions.get("event", ())),
            fragment=unquote(fragment),
        )

    def __str__(self) -> str:
        """Return the text that stands for this topic, whatever text it was parsed from."""
        if self.job is not None:
            place = (DONE if self.done else ONE) + quote(self.job, safe="")
        else:
            place = ALL
        pairs = [
            *(("type", name) for name in sorted(self.types)),
            *(("queue", name) for name in sorted(self.queues)),
            *(("label", f"{name}={value}") for name, value in sorted(self.labels)),
            *(("event", each.value) for each in sorted(self.events)),
        ]
        query = "&".join(f"{name}={quote(value, safe='.')}" for name, value in pairs)
        fragment = quote(self.fragment, safe="")
        return f"{place}{'?' if query else ''}{query}{'#' if fragment else ''}{fragment}"

    @property
    def about_jobs(self) -> bool:
        """True if an event alone does not say whether it belongs to it."""
        return bool(self.types or self.queues or self.labels)

    def wants(self, event: Event) -> bool:
        """Return whether an event may belong to it, as far as that can be told without its job."""
        return (self.job is None or event.job == self.job) and (
            not self.events or event.type in self.events
        )

    def wants_of(self, event: Event, type: str, queue: str, labels: Mapping[str, str]) -> bool:
        """Return whether an event belongs to it, by what its job is.

        That a job was deleted belongs to every topic: nothing says any more what it was.
        """
        return event.type is EventType.JOB_DELETED or self._fits(type, queue, labels)

    def wants_job(self, job: Job) -> bool:
        """Return whether a job belongs to it."""
        return (self.job is None or job.id == self.job) and self._fits(
            job.type, job.queue, job.labels
        )

    def _fits(self, type: str, queue: str, labels: Mapping[str, str]) -> bool:
        return (
            (not self.types or type in self.types)
            and (not self.queues or queue in self.queues)
            and all(labels.get(name) == value for name, value in self.labels)
        )


def done_topic(job: str) -> str:
    """Return the topic that tells how a job ends."""
    return str(Topic(job=job, done=True))


def _id(text: str, before: str) -> str:
    id = unquote(text.removeprefix(before))
    if not id:
        raise InvalidValue(f"topic {text!r}: the job's id is missing")
    return id


def _conditions(text: str, query: str) -> Mapping[str, Sequence[str]]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as exc:
        raise InvalidValue(f"topic {text!r}: {exc}") from exc
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _label(text: str, pair: str) -> tuple[str, str]:
    name, found, value = pair.partition("=")
    if not (name and found):
        raise InvalidValue(f"topic {text!r}: label {pair!r} is not NAME=VALUE")
    return name, value


def _event_type(text: str, word: str) -> EventType:
    try:
        return EventType(word)
    except ValueError:
        raise InvalidValue(f"topic {text!r}: {word!r} is no type of event") from None
