"""The wire protocol as documents that programs read: JSON Schema, and AsyncAPI 3.0.

Both are made from the classes that travel, so they say what the code does.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import attrs
import msgspec

from triphase_protocol.blockers import Blocker
from triphase_protocol.codec import tags_of
from triphase_protocol.gates import Gate
from triphase_protocol.jobs import Job
from triphase_protocol.outcomes import NotFound, Outcome, TimedOut
from triphase_protocol.policies import QueueState
from triphase_protocol.schema import DIALECT
from triphase_protocol.values import decode, encode
from triphase_protocol.webhooks import Hook

from .messages import SUBPROTOCOL
from .replies import (
    REPLIES,
    Abandoned,
    Found,
    FoundHooks,
    Got,
    Submitted,
    Subscribed,
    Waited,
    WaitedAll,
)
from .requests import (
    REQUESTS,
    Abandon,
    Approve,
    Cancel,
    Explain,
    Find,
    FindHooks,
    Get,
    GetHook,
    Hello,
    ListQueues,
    Redeliver,
    Reject,
    Request,
    Retry,
    Submit,
    Subscribe,
    Wait,
    WaitAll,
)
from .scopes import SCOPES

RESULTS: Final[Mapping[type[Request], Any]] = {
    Submit: Submitted,
    Get: Got,
    Find: Found,
    Wait: Waited,
    WaitAll: WaitedAll,
    Cancel: Job,
    Retry: Job,
    Approve: Gate,
    Reject: Gate,
    Explain: tuple[Blocker, ...],
    ListQueues: dict[str, QueueState],
    FindHooks: FoundHooks,
    GetHook: Hook,
    Redeliver: Hook,
    Subscribe: Subscribed,
    Abandon: Abandoned,
}
"""The shape of what comes of a request; the result of any other is null, or its own affair."""

_ENDS: Final = (*get_args(Outcome), TimedOut, NotFound)
_MESSAGES: Final = (Hello, *REQUESTS, *REPLIES)
_NAMED: Final = (*_MESSAGES, *_ENDS, *get_args(Blocker), Job, Gate, QueueState, Hook)
_RESULTS: Final = (Submitted, Got, Found, Waited, WaitedAll, FoundHooks, Subscribed, Abandoned)


def wire_schema() -> dict[str, Any]:
    """Return one JSON Schema document with a definition for each message and each result.

    The document itself is the schema of any message. `x-results` says which definition the
    `result` of a request's answer has, and `x-scopes` which scope a request needs.
    """
    definitions = _definitions("#/$defs/{name}")
    tags = tags_of(_MESSAGES)
    document = {
        "$schema": DIALECT,
        "title": SUBPROTOCOL,
        "oneOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in _MESSAGES],
        "x-results": {tags[kind]: _result("#/$defs/{name}", kind) for kind in RESULTS},
        "x-scopes": {tags[kind]: scope for kind, scope in SCOPES.items()},
        "$defs": definitions,
    }
    return _plain(document)


def asyncapi(version: str) -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document of a gateway.

    Args:
      version: of triphase.
    """
    tags = tags_of(_MESSAGES)
    messages = {
        tags[kind]: {
            "name": tags[kind],
            "title": kind.__name__,
            "summary": inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0],
            "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
        }
        for kind in _MESSAGES
    }
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "triphase gateway",
            "version": version,
            "description": f"WebSocket subprotocol `{SUBPROTOCOL}`: text messages, JSON objects.",
        },
        "defaultContentType": "application/json",
        "servers": {"local": {"host": "127.0.0.1:7117", "pathname": "/ws", "protocol": "ws"}},
        "channels": {
            "gateway": {
                "address": "/ws",
                "messages": {
                    tag: {"$ref": f"#/components/messages/{tag}"} for tag in tags.values()
                },
                "bindings": {"ws": {"method": "GET"}},
            }
        },
        # As the gateway sees it: it receives what a client says.
        "operations": {
            "said": _operation("receive", map(tags.__getitem__, (Hello, *REQUESTS))),
            "heard": _operation("send", map(tags.__getitem__, REPLIES)),
        },
        "components": {
            "messages": messages,
            "schemas": _definitions("#/components/schemas/{name}"),
        },
    }
    return _plain(document)


def _operation(action: str, tags: Iterable[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/gateway"},
        "messages": [{"$ref": f"#/channels/gateway/messages/{tag}"} for tag in tags],
    }


def _definitions(template: str) -> dict[str, Any]:
    """Return the definition of each class, by its name."""
    shown = [_shown(kind, template) for kind in (*_NAMED, *_RESULTS)]
    _, found = msgspec.json.schema_components(shown, ref_template=template)
    tags: Mapping[type, str] = {
        **tags_of(_MESSAGES),
        **tags_of(_ENDS),
        **tags_of(get_args(Blocker)),
    }
    for kind, tag in tags.items():
        definition = found[kind.__name__]
        definition["properties"] = {"type": {"const": tag}, **definition["properties"]}
        definition["required"] = ["type", *definition.get("required", ())]
    for definition in found.values():
        _rename_keywords(definition)
        words = definition.get("description")
        if words is not None:
            definition["description"] = inspect.cleandoc(words)
    return dict(sorted(found.items()))


def _rename_keywords(definition: dict[str, Any]) -> None:
    """Call fields such as `from_` what they are called on the wire."""
    if "properties" in definition:
        properties = definition["properties"]
        definition["properties"] = {name.removesuffix("_"): properties[name] for name in properties}
        definition["required"] = [name.removesuffix("_") for name in definition["required"]]


def _result(template: str, kind: type[Request]) -> Any:
    shape = RESULTS[kind]
    if attrs.has(shape):
        return {"$ref": template.format(name=shape.__name__)}
    [result], _ = msgspec.json.schema_components(
        [_without_unions(shape, template)], ref_template=template
    )
    return result


def _shown(kind: type, template: str) -> type:
    """Return a class, or one like it that msgspec can describe: it knows no union of classes."""
    hints = get_type_hints(kind, include_extras=True)
    shapes = {
        field.name: _without_unions(hints[field.name], template) for field in attrs.fields(kind)
    }
    if all(shapes[name] is hints[name] for name in shapes):
        return kind
    fields = {
        field.name: attrs.field(type=shapes[field.name], default=field.default)
        for field in attrs.fields(kind)
    }
    made = attrs.make_class(kind.__name__, fields, kw_only=True, frozen=True)
    made.__doc__ = kind.__doc__
    return made


def _without_unions(shape: Any, template: str) -> Any:
    """Return a type in which each union of classes is the schema of their tagged union."""
    members = get_args(shape)
    classes = [member for member in members if attrs.has(member)]
    if len(classes) > 1:
        refs = [{"$ref": template.format(name=member.__name__)} for member in classes]
        return Annotated[Any, msgspec.Meta(extra_json_schema={"oneOf": refs})]
    inner = tuple(_without_unions(member, template) for member in members)
    if all(one is other for one, other in zip(inner, members, strict=True)):
        return shape
    # A tuple of any length is a list in JSON; what else has arguments is a dict.
    generic: Any = list if get_origin(shape) is tuple else dict
    return generic[inner[0] if generic is list else inner]


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    # A default may be a tuple or an enum: through JSON and back, it is what a reader gets.
    plain: dict[str, Any] = decode(encode(document))
    return plain
