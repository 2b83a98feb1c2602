"""The published schema: valid itself, and true of what travels."""

from __future__ import annotations

import enum
from typing import Any, cast, get_args

import attrs
import jsonschema
import pytest
from hypothesis import given

from triphase_protocol import (
    Outcome,
    decode,
    encode,
    json_schema,
    payload_schema,
    unstructure,
    unstructure_as,
)
from triphase_protocol.schema import DIALECT, PUBLISHED

from .strategies import outcomes, published

SCHEMA = json_schema()


def validator_of(name: str) -> Any:
    """Return a validator of one definition of the schema."""
    found = cast("Any", jsonschema.Draft202012Validator)
    return found({**SCHEMA, "$ref": f"#/$defs/{name}"})


VALIDATORS = {name: validator_of(name) for name in SCHEMA["$defs"]}


def test_the_schema_is_valid_in_its_dialect() -> None:
    assert SCHEMA["$schema"] == DIALECT
    cast("Any", jsonschema.Draft202012Validator).check_schema(SCHEMA)


def test_every_published_class_has_a_definition_with_words() -> None:
    for cls in PUBLISHED:
        definition = SCHEMA["$defs"][cls.__name__]
        assert definition["title"] == cls.__name__
        assert "\n   " not in definition["description"]
        assert set(definition["properties"]) == {field.name for field in attrs.fields(cls)}


def test_the_schema_is_json_and_the_same_every_time() -> None:
    assert decode(encode(SCHEMA)) == SCHEMA
    assert encode(json_schema()) == encode(SCHEMA)


@given(published)
def test_what_travels_is_valid_by_its_schema(record: Any) -> None:
    validator = VALIDATORS[type(record).__name__]
    validator.validate(decode(encode(record)))
    validator.validate(unstructure(record))


@given(outcomes)
def test_a_tagged_outcome_is_valid_by_its_schema(outcome: Outcome) -> None:
    VALIDATORS["Outcome"].validate(unstructure_as(outcome, Outcome))


def test_the_schema_tells_the_outcomes_apart() -> None:
    assert len(SCHEMA["$defs"]["Outcome"]["oneOf"]) == len(get_args(Outcome))
    validator = VALIDATORS["Outcome"]
    assert validator.is_valid({"type": "cancelled", "job": "j", "run": 1})
    assert not validator.is_valid({"type": "failed", "job": "j", "run": 1})
    assert not validator.is_valid({"type": "timed_out", "job": "j", "run": 1})
    assert not validator.is_valid({"job": "j", "run": 1})


@pytest.mark.parametrize("name", SCHEMA["$defs"])
def test_a_schema_refuses_what_is_no_record(name: str) -> None:
    assert not VALIDATORS[name].is_valid([])
    assert not VALIDATORS[name].is_valid(3)


class Preset(enum.StrEnum):
    FAST = "fast"
    GOOD = "good"


@attrs.frozen
class Transcode:
    """Fetch a video, and encode it."""

    url: str
    preset: Preset = Preset.FAST
    sizes: tuple[int, ...] = ()


def test_a_payload_is_valid_by_the_schema_of_its_class() -> None:
    schema = payload_schema(Transcode)
    assert schema["$schema"] == DIALECT
    validator = cast("Any", jsonschema.Draft202012Validator)(schema)
    validator.validate(unstructure(Transcode("https://…", Preset.GOOD, (1, 2))))
    assert not validator.is_valid({"preset": "fast"})
    assert not validator.is_valid({"url": "https://…", "preset": "best"})


def test_a_type_without_a_schema_is_refused() -> None:
    @attrs.frozen
    class Odd:
        what: type[int]

    with pytest.raises(TypeError):
        payload_schema(Odd)
