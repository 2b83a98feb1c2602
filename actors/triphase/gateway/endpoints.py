"""What stands at each path: HTTP's words, made into requests of the wire protocol."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import quote

import attrs

from triphase_protocol import InvalidValue, Json, structure, unstructure
from triphase_protocol.wire import Find, FindHooks, Request as WireRequest, Submit, Submitted, Wait

from .access import Identity
from .commands import carry_out
from .counts import Counts
from .exchanges import Refusal, Request, Response, json_response
from .http import Conversation
from .metrics import Metrics
from .page import page
from .rules import Rules
from .sse import event_stream

if TYPE_CHECKING:
    from .gateway import Gateway

ID: Final = "http"
"""The id of the wire's requests, which nobody sees here."""

WAIT: Final = 30.0
"""Seconds that a wait takes at most, if the request does not say."""

WAIT_MOST: Final = 300.0
"""The most seconds that one request may wait: what stands between it and its client cuts others."""

EVENTS: Final = 100
EVENTS_MOST: Final = 1000
"""How many events of a job a page has, and may have."""


@attrs.frozen(eq=False)
class Site:
    """What the endpoints have in common."""

    gateway: Gateway
    counts: Counts
    rules: Rules
    metrics: Metrics


@attrs.frozen(kw_only=True)
class Call:
    """A request that may be carried out."""

    site: Site
    request: Request
    conversation: Conversation
    identity: Identity | None
    """Who asks; None where everybody may."""

    names: tuple[str, ...] = ()
    """What stands in the path, where its pattern has a star."""

    fields: Mapping[str, Json] = attrs.field(factory=dict[str, Json])
    """The JSON object that came with it."""


Endpoint = Callable[[Call], Awaitable[Response]]


def asks(kind: type[WireRequest], *places: str) -> Endpoint:
    """Return the endpoint that carries a request of the wire out.

    Args:
      kind: which.
      places: its fields that stand in the path; the others are in the body.
    """

    async def endpoint(call: Call) -> Response:
        return _answer(await _carry_out(call, kind, dict(zip(places, call.names, strict=True))))

    return endpoint


async def submit(call: Call) -> Response:
    """Submit a job; 200 if its key had one already."""
    result = await _carry_out(call, Submit, {})
    submitted = structure(result, Submitted)
    place = f"/api/jobs/{quote(submitted.job, safe='')}"
    return json_response(201 if submitted.created else 200, result, (("location", place),))


async def find(call: Call) -> Response:
    """Find jobs by the query."""
    lists = {"state": "states", "type": "types", "queue": "queues"}
    given: dict[str, Json] = {}
    labels: dict[str, str] = {}
    for name, value in call.request.query:
        if name in lists:
            cast("list[Json]", given.setdefault(lists[name], [])).append(value)
        elif name == "label":
            label, found, content = value.partition("=")
            if not (label and found) or labels.get(label, content) != content:
                raise InvalidValue(
                    f"label: {value!r:.80} is not NAME=VALUE, or contradicts another"
                )
            labels[label] = content
        elif name in ("key", "prefix", "after"):
            given[name] = call.request.asked(name)
        elif name == "limit":
            given[name] = _whole(call.request, name)
        else:
            raise InvalidValue(f"{name!r:.80} is no condition")
    if labels:
        given["labels"] = {**labels}
    return _answer(await _carry_out(call, Find, given))


async def find_hooks(call: Call) -> Response:
    """Find deliveries of webhooks by the query."""
    states = [value for name, value in call.request.query if name == "state"]
    given: dict[str, Json] = {"states": [*states]} if states else {}
    for name in ("job", "after"):
        value = call.request.asked(name)
        if value is not None:
            given[name] = value
    limit = _whole(call.request, "limit")
    if limit is not None:
        given["limit"] = limit
    return _answer(await _carry_out(call, FindHooks, given))


async def wait(call: Call) -> Response:
    """Wait until a job has ended, as long as the client does."""
    text = call.request.asked("timeout")
    try:
        timeout = WAIT if text is None else float(text)
    except ValueError:
        timeout = math.nan
    if not 0 <= timeout <= WAIT_MOST:
        raise InvalidValue(f"timeout: {text!r:.80} is not a number from 0 to {WAIT_MOST:g}")
    given: dict[str, Json] = {"job": call.names[0], "timeout": timeout}
    return _answer(await call.conversation.while_there(lambda: _carry_out(call, Wait, given)))


async def events_of_job(call: Call) -> Response:
    """List a job's events, a page at a time."""
    runtime = call.site.gateway.host.runtime
    limit, after = _whole(call.request, "limit"), _whole(call.request, "after")
    limit = EVENTS if limit is None else limit
    if not 1 <= limit <= EVENTS_MOST:
        raise InvalidValue(f"limit={limit}: must be from 1 to {EVENTS_MOST}")
    job = await runtime.get(call.names[0])
    events = await runtime.parts.store.events(after=after or 0, job=job.id, limit=limit)
    further = events[-1].seq if len(events) == limit else None
    return json_response(200, {"events": unstructure(events), "next": further})


async def events(call: Call) -> Response:
    """Stream events."""
    rules = call.site.rules
    if call.site.counts.streams >= rules.streams:
        raise Refusal.full("streams", rules.retry_after)
    return await event_stream(call.site.gateway.host.runtime, call.request, call.site.counts)


async def health(call: Call) -> Response:
    """Tell that the loop runs: else nobody could."""
    return json_response(200, {"status": "ok"})


async def readiness(call: Call) -> Response:
    """Tell whether jobs are taken, and run."""
    parts = call.site.gateway.host.runtime.parts
    reasons = ["the runtime is closed"] if parts.feed.closed else []
    if parts.signals.draining:
        reasons.append("the runtime starts no more jobs")
    return json_response(503 if reasons else 200, {"ready": not reasons, "reasons": [*reasons]})


async def metrics(call: Call) -> Response:
    """Tell Prometheus."""
    return call.site.metrics.response(", ".join(call.request.all("accept")))


async def front_page(call: Call) -> Response:
    """Show a person what is here."""
    return page()


async def _carry_out(call: Call, kind: type[WireRequest], given: Mapping[str, Json]) -> Json:
    twice = [f"$.{name}: unknown field" for name in ("id", *given) if name in call.fields]
    if twice:
        raise InvalidValue(f"not a valid {kind.__name__}", twice)
    request = structure({**call.fields, **given, "id": ID}, kind)
    by = None if call.identity is None else call.identity.name
    return await carry_out(call.site.gateway.host, request, by)


def _answer(result: Json) -> Response:
    return Response(status=204) if result is None else json_response(200, result)


def _whole(request: Request, name: str) -> int | None:
    text = request.asked(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidValue(f"{name}: {text!r:.80} is not a whole number")
    return int(text)
