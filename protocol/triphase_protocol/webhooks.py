"""Webhooks: where the events of jobs are POSTed, and each delivery of one."""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Iterable
from typing import Final, cast
from urllib.parse import urlsplit

import attrs

from .errors import DefinitionError
from .states import TERMINAL_EVENTS, EventType

URL_MOST: Final = 2000
"""The most characters of a webhook's URL."""

SECRET_MOST: Final = 200
"""The most characters of a secret's name."""


class Delivery(enum.StrEnum):
    """What is promised of a delivery whose answer never came."""

    AT_LEAST_ONCE = "at_least_once"
    """It is tried again, with the same id: the receiver may see it twice."""

    AT_MOST_ONCE = "at_most_once"
    """It is not tried again: the receiver may never see it."""


class HookState(enum.StrEnum):
    """Where a delivery is in its life."""

    PENDING = "pending"
    """To be tried, for the first time or again."""

    DELIVERED = "delivered"
    """The receiver has accepted it."""

    DEAD = "dead"
    """It is not tried any more, unless somebody asks for it."""


def _event_types(events: object) -> tuple[EventType, ...]:
    given: object = (events,) if isinstance(events, str) else events
    if not isinstance(given, Iterable):
        raise DefinitionError(f"Webhook(events={events!r}): must be event types")
    types: list[EventType] = []
    for event in cast("Iterable[object]", given):
        try:
            types.append(EventType(str(event)))
        except ValueError:
            raise DefinitionError(f"Webhook(events=…): {event!r} is no event type") from None
        if types[-1].value.startswith("hook."):
            raise DefinitionError(
                f"Webhook(events=…): {types[-1].value!r} is about a webhook: "
                "it would lead to another without end"
            )
    return tuple(dict.fromkeys(types))


@attrs.frozen(kw_only=True)
class Webhook:
    """Where events of a job are POSTed, once they are committed.

    Raises:
      DefinitionError: if the URL, or another field, is not what is said below.
    """

    url: str
    """The address: http or https, in ASCII, with a host, without a fragment.

    Without a user and a password too: it stands in the store, and in records.
    """

    events: tuple[EventType, ...] = attrs.field(default=(), converter=_event_types)
    """Which events; empty is those that end a run. None that is about a webhook itself."""

    delivery: Delivery = attrs.field(default=Delivery.AT_LEAST_ONCE)
    """What is promised of a delivery whose answer never came."""

    secret: str | None = None
    """The name of the secret that it is signed with; None is not signed.

    The secrets themselves are given to the runtime, and are in no record.
    """

    def __attrs_post_init__(self) -> None:
        fault = _fault(self.url)
        if fault is not None:
            raise DefinitionError(f"Webhook(url={_shown(self.url)}): {fault}")
        try:
            # Its own word for it will do.
            object.__setattr__(self, "delivery", Delivery(self.delivery))
        except ValueError:
            known = ", ".join(repr(each.value) for each in Delivery)
            raise DefinitionError(
                f"Webhook(delivery={self.delivery!r}): there are: {known}"
            ) from None
        if self.secret is not None and not _is_name(self.secret):
            raise DefinitionError(
                f"Webhook(url={_shown(self.url)}): the name of its secret must be a str "
                f"of 1 to {SECRET_MOST} characters"
            )

    def wants(self, type: EventType) -> bool:
        """True if events of this type are POSTed there."""
        return type in (self.events or TERMINAL_EVENTS)


@attrs.frozen(kw_only=True)
class Hook:
    """One delivery of one event to one URL: a row of the outbox."""

    id: str
    """Its id, the same in every try of it: the header `webhook-id`."""

    job: str
    """The id of the event's job, which may have been deleted since."""

    run: int
    """The run in which the event happened."""

    seq: int
    """The event's place in the log."""

    event: EventType
    """What happened."""

    url: str
    """Where it goes."""

    delivery: Delivery = Delivery.AT_LEAST_ONCE
    """What is promised of a try whose answer never came."""

    secret: str | None = None
    """The name of the secret that it is signed with; None is not signed."""

    state: HookState = HookState.PENDING
    """Where it is in its life."""

    attempts: int = 0
    """How many tries were made, as far as is known. It only grows."""

    spent: int = 0
    """How many of them were made before it was last asked for again: they count no more."""

    due_at: float | None = None
    """When the next try may begin; None if there is none."""

    created_at: float = 0.0
    """When the event happened."""

    ended_at: float | None = None
    """When it was delivered, or given up; None if it is pending."""

    status: int | None = None
    """The HTTP status of the last answer; None if there was none."""

    error: str | None = None
    """What went wrong with the last try; None if nothing did."""

    body: str | None = None
    """What is sent, the same in every try: JSON with `type`, `timestamp` and `data`.

    `data` has the `event` and the record of its `job`, both as they were committed. None in a
    list of deliveries: it is read one by one.
    """

    @property
    def place(self) -> tuple[int, str]:
        """Its place in the outbox, which is in the order of the events: `seq` and `id`."""
        return self.seq, self.id


_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?")


def _fault(url: object) -> str | None:
    """Return what is wrong with a URL, or None."""
    if not isinstance(url, str):
        return "must be a str"
    if len(url) > URL_MOST:
        return f"must have at most {URL_MOST} characters"
    # The parser drops some of these, and receivers disagree about the rest.
    if any(not "!" <= character <= "~" or character in '\\"<>' for character in url):
        return "must be ASCII, with everything else percent-encoded, and its host in punycode"
    if "#" in url:
        return "must not have a fragment: it is never sent"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https"):
        return "must begin with http:// or https://"
    if "@" in parts.netloc:
        return "must not have a user or a password: they would stand in the store"
    if not host:
        return "has no host"
    if port == 0 or not _is_host(host, bracketed="[" in parts.netloc):
        return "has a host or a port that cannot be"
    return None


def _is_host(host: str, *, bracketed: bool) -> bool:
    if not bracketed:
        return _NAME.fullmatch(host) is not None
    try:
        return ipaddress.IPv6Address(host).scope_id is None
    except ValueError:
        return False


def _shown(url: object) -> str:
    """Return a URL for an error, without what may be a password."""
    if not isinstance(url, str):
        return repr(url)
    before, at, rest = url.rpartition("@")
    scheme = "".join(before.partition("//")[:2]) if "//" in before else ""
    return repr(f"{scheme}…@{rest}"[:200] if at else url[:200])


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= SECRET_MOST
