"""JSON Schema of the records and events, made from the classes themselves."""

from __future__ import annotations

import inspect
from typing import Any, Final, get_args

import msgspec

from .codec import tags_of
from .deadlines import Stop, Timeouts
from .events import Event
from .gates import Gate
from .jobs import Job, PhaseRecord
from .outcomes import (
    Cancelled,
    Completed,
    Failed,
    Interrupted,
    NotFound,
    Outcome,
    Rejected,
    TimedOut,
)
from .parts import ErrorRecord, Progress
from .policies import Retry
from .values import decode, encode
from .webhooks import Hook, Webhook

PUBLISHED: Final[tuple[type, ...]] = (
    Job,
    PhaseRecord,
    Progress,
    Stop,
    Gate,
    Timeouts,
    ErrorRecord,
    Event,
    Completed,
    Failed,
    Cancelled,
    Rejected,
    Interrupted,
    TimedOut,
    NotFound,
    Retry,
    Webhook,
    Hook,
)
"""The classes that travel, and so have a published schema."""

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
"""The JSON Schema dialect of `json_schema`'s answer."""


def json_schema() -> dict[str, Any]:
    """Return one JSON Schema document with a definition for each published class.

    The docstrings of the classes are the definitions' descriptions; the document is plain
    JSON values and the same for the same version of triphase.
    """
    _, definitions = msgspec.json.schema_components(PUBLISHED, ref_template="#/$defs/{name}")
    definitions["Outcome"] = {
        "title": "Outcome",
        "description": "How a job ended; `type` says which it is.",
        "oneOf": [_tagged(tag, member) for member, tag in tags_of(get_args(Outcome)).items()],
    }
    for definition in definitions.values():
        definition["description"] = inspect.cleandoc(definition["description"])
    return _plain({"$schema": DIALECT, "$defs": dict(sorted(definitions.items()))})


def _tagged(tag: str, member: type) -> dict[str, Any]:
    return {
        "$ref": f"#/$defs/{member.__name__}",
        "properties": {"type": {"const": tag}},
        "required": ["type"],
    }


def payload_schema(job_type: type) -> dict[str, Any]:
    """Return the JSON Schema of a job type's payload.

    Raises:
      TypeError: if a field's type has no JSON Schema.
    """
    return _plain({"$schema": DIALECT, **msgspec.json.schema(job_type)})


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    # A default may be a tuple or an enum: through JSON and back, it is what a reader gets.
    plain: dict[str, Any] = decode(encode(schema))
    return plain
