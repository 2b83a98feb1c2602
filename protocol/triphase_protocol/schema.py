"""JSON Schema of the records and events, made from the classes themselves."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .events import Event
from .jobs import (
    Cancelled,
    Completed,
    ErrorRecord,
    Failed,
    Interrupted,
    Job,
    NotFound,
    PhaseRecord,
    Progress,
    Rejected,
    TimedOut,
)
from .policies import Retry

PUBLISHED: Final[tuple[type, ...]] = (
    Job,
    PhaseRecord,
    Progress,
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
)
"""The classes that travel, and so have a published schema."""

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
"""The JSON Schema dialect of `json_schema`'s answer."""


def json_schema() -> dict[str, Any]:
    """Return one JSON Schema document with a definition for each published class.

    The field docstrings of the classes are the definitions' descriptions; the document is
    plain JSON values and the same for the same version of triphase.
    """
    _, definitions = msgspec.json.schema_components(PUBLISHED, ref_template="#/$defs/{name}")
    return {"$schema": DIALECT, "$defs": dict(sorted(definitions.items()))}


def payload_schema(job_type: type) -> dict[str, Any]:
    """Return the JSON Schema of a job type's payload.

    Raises:
      TypeError: if a field's type has no JSON Schema.
    """
    return {"$schema": DIALECT, **msgspec.json.schema(job_type)}
