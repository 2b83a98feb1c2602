"""The paths: which there are, who may use them, and what comes of a request to one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

import attrs

from triphase_protocol import InvalidValue, Json, TriphaseError, decode
from triphase_protocol.wire import (
    SCOPES,
    Approve,
    Cancel,
    Explain,
    Forbidden,
    Get,
    GetHook,
    ListQueues,
    Pause,
    Redeliver,
    Reject,
    Request as WireRequest,
    Resume,
    Retry,
    Scope,
    SetLimit,
    Statistics,
    Unauthorized,
)

from . import endpoints
from .access import Identity
from .counts import Counts
from .endpoints import Call, Endpoint, Site, asks
from .exchanges import Refusal, Request, Response
from .host import MISTAKE
from .http import ClientGone, Conversation
from .metrics import Metrics
from .rules import Rules
from .visitors import check_page, identity_of, page_headers, preflight_headers

if TYPE_CHECKING:
    from .gateway import Gateway

log: Final = logging.getLogger("triphase.gateway")


@attrs.frozen
class Action:
    """What a method does at a path."""

    endpoint: Endpoint
    scope: Scope | None
    """What a token has to allow; None is for everybody."""

    needs_body: bool = False
    """A JSON object has to come with it."""

    query: tuple[str, ...] | None = ()
    """The names that its query may have; None if the endpoint looks at them itself."""


def _asked(kind: type[WireRequest], *places: str, needs_body: bool = False) -> Action:
    return Action(asks(kind, *places), SCOPES[kind], needs_body)


JOB: Final = "/api/jobs/*"
QUEUE: Final = "/api/queues/*"
HOOK: Final = "/api/hooks/*"
HOOKS_QUERY: Final = ("job", "state", "after", "limit")

PATHS: Final[Mapping[str, Mapping[str, Action]]] = {
    "/": {"GET": Action(endpoints.front_page, None, query=None)},
    "/healthz": {"GET": Action(endpoints.health, None, query=None)},
    "/readyz": {"GET": Action(endpoints.readiness, None, query=None)},
    "/metrics": {"GET": Action(endpoints.metrics, Scope.READ, query=None)},
    "/api/jobs": {
        "GET": Action(endpoints.find, Scope.READ, query=None),
        "POST": Action(endpoints.submit, Scope.SUBMIT, needs_body=True),
    },
    JOB: {"GET": _asked(Get, "job")},
    f"{JOB}/events": {"GET": Action(endpoints.events_of_job, Scope.READ, query=("after", "limit"))},
    f"{JOB}/wait": {"GET": Action(endpoints.wait, Scope.READ, query=("timeout",))},
    f"{JOB}/explain": {"GET": _asked(Explain, "job")},
    f"{JOB}/cancel": {"POST": _asked(Cancel, "job")},
    f"{JOB}/retry": {"POST": _asked(Retry, "job")},
    f"{JOB}/approve": {"POST": _asked(Approve, "job")},
    f"{JOB}/reject": {"POST": _asked(Reject, "job")},
    "/api/queues": {"GET": _asked(ListQueues)},
    f"{QUEUE}/pause": {"POST": _asked(Pause, "queue")},
    f"{QUEUE}/resume": {"POST": _asked(Resume, "queue")},
    f"{QUEUE}/limit": {"POST": _asked(SetLimit, "queue", needs_body=True)},
    "/api/hooks": {"GET": Action(endpoints.find_hooks, Scope.READ, query=HOOKS_QUERY)},
    HOOK: {"GET": _asked(GetHook, "hook")},
    f"{HOOK}/redeliver": {"POST": _asked(Redeliver, "hook")},
    "/api/statistics": {"GET": _asked(Statistics)},
    "/api/events": {"GET": Action(endpoints.events, Scope.READ, query=None)},
}
"""What each method does at each path; a star stands for one name."""

_PATTERNS: Final = tuple((tuple(path[1:].split("/")), actions) for path, actions in PATHS.items())


class Routes:
    """See the module's text.

    Args:
      gateway: whose.
      counts: what the front door counts.
      rules: what it takes.
    """

    def __init__(self, gateway: Gateway, counts: Counts, rules: Rules) -> None:
        self._site = Site(gateway, counts, rules, Metrics(gateway, counts))

    async def answer(self, request: Request, conversation: Conversation) -> Response:
        """Return the response to a request. A checkpoint.

        Raises:
          ClientGone: if the client leaves while it is waited for something.
        """
        try:
            response = await self._carry_out(request, conversation)
        except Refusal as exc:
            response = exc.response
        except TriphaseError as exc:
            response = Refusal.of(exc).response
        except ClientGone:
            raise
        except Exception:
            self._site.counts.failures += 1
            log.exception("a request failed: %s /%s", request.method, "/".join(request.path))
            response = Refusal(500, "internal", MISTAKE).response
        headers = page_headers(request, self._site.gateway.host.access)
        return attrs.evolve(response, headers=(*response.headers, *headers))

    async def _carry_out(self, request: Request, conversation: Conversation) -> Response:
        actions, names = find(request.path)
        check_page(request, self._site.gateway.host.access)
        if request.method == "OPTIONS":
            return Response(status=204, headers=(_allow(actions), *preflight_headers()))
        action = actions.get("GET" if request.method == "HEAD" else request.method)
        if action is None:
            raise Refusal(
                405,
                "method_not_allowed",
                f"{request.method} is none of the methods of this path",
                headers=(_allow(actions),),
            )
        strange = [name for name, _ in request.query if name not in (action.query or ())]
        if strange and action.query is not None:
            raise InvalidValue(f"{strange[0]!r:.80} is no name of this path's query")
        identity = self._checked_identity(request, action.scope)
        fields = await self._fields(request, conversation, action)
        call = Call(
            site=self._site,
            request=request,
            conversation=conversation,
            identity=identity,
            names=names,
            fields=fields,
        )
        return await action.endpoint(call)

    def _checked_identity(self, request: Request, scope: Scope | None) -> Identity | None:
        if scope is None:
            return None
        identity = identity_of(request, self._site.gateway.host.access)
        if identity is None:
            raise Unauthorized("a token is needed: Authorization: Bearer …")
        if not identity.may(scope):
            raise Forbidden(f"this needs a token with the scope {scope}")
        return identity

    async def _fields(
        self, request: Request, conversation: Conversation, action: Action
    ) -> Mapping[str, Json]:
        """Return the JSON object that came with a request."""
        framed = bool(request.all("content-length") or request.all("transfer-encoding"))
        if action.needs_body and not framed:
            raise Refusal(411, "length_required", "a JSON object has to come with it")
        limits = self._site.gateway.host.manners.limits
        data = await conversation.body(limits.message_bytes)
        if request.method != "POST" or not (data or action.needs_body):
            return {}
        value = decode(data)
        if not isinstance(value, dict):
            raise InvalidValue("the body is not a JSON object")
        return cast("Mapping[str, Json]", value)


def find(path: tuple[str, ...]) -> tuple[Mapping[str, Action], tuple[str, ...]]:
    """Return what there is at a path, and the names that stand in it.

    Raises:
      Refusal: if there is nothing.
    """
    for pattern, actions in _PATTERNS:
        if len(pattern) == len(path) and all(
            name if part == "*" else name == part for part, name in zip(pattern, path, strict=True)
        ):
            stars = (name for part, name in zip(pattern, path, strict=True) if part == "*")
            return actions, tuple(stars)
    raise Refusal(404, "not_found", "there is nothing at this path")


def _allow(actions: Mapping[str, Action]) -> tuple[str, str]:
    methods = [*actions, *(("HEAD",) if "GET" in actions else ()), "OPTIONS"]
    return "allow", ", ".join(sorted(methods))
