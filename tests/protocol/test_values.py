"""JSON values as bytes: what can be stored, and what is refused and why."""

from __future__ import annotations

import decimal
import enum
import hashlib
import json
import math
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given, strategies as st

from triphase_protocol import (
    DEPTH_MAX,
    VALUE_BYTES_MAX,
    InvalidResult,
    InvalidValue,
    decode,
    digest_of,
    encode,
    storable,
)
from triphase_protocol.values import INT_BITS_MAX, PROBLEMS_MAX

from .strategies import json_values


def nested(depth: int) -> Any:
    """Return a list with so many levels."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def refused(value: Any) -> list[str]:
    """Return why a value cannot be stored."""
    with pytest.raises(InvalidValue) as exc:
        storable(value, what="result")
    assert str(exc.value).startswith("result cannot be stored: ")
    return list(exc.value.problems)


# What can be stored


@given(json_values)
def test_every_json_value_is_stored_and_comes_back_as_it_was(value: Any) -> None:
    data = storable(value, what="result")
    read = decode(data)
    assert read == value
    # 1, 1.0 and True are equal; their texts are not.
    assert repr(read) == repr(value)


@given(json_values)
def test_what_is_stored_is_json_to_others_too(value: Any) -> None:
    assert json.loads(storable(value, what="result")) == value


@pytest.mark.parametrize("exponent", [53, 63, 64, 65, 1000, INT_BITS_MAX - 1])
def test_large_integers_are_exact(exponent: int) -> None:
    for value in (2**exponent - 1, 2**exponent, -(2**exponent)):
        assert decode(storable({"n": value}, what="result")) == {"n": value}


def test_floats_are_exact() -> None:
    values = [0.1, 1e308, 5e-324, -0.0, 1.0, 2.0**60]
    assert repr(decode(storable(values, what="result"))) == repr(values)


def test_tuples_are_stored_as_lists_and_subclasses_as_what_they_are() -> None:
    class Preset(enum.StrEnum):
        FAST = "fast"

    value = OrderedDict[str, Any](a=(1, (2,)), b=Preset.FAST)
    assert storable(value, what="result") == b'{"a":[1,[2]],"b":"fast"}'


def test_the_deepest_and_the_largest_value_that_is_allowed_is_stored() -> None:
    assert decode(storable(nested(DEPTH_MAX), what="result")) == nested(DEPTH_MAX)
    text = "x" * (VALUE_BYTES_MAX - 2)
    assert len(storable(text, what="result")) == VALUE_BYTES_MAX
    ones = [1] * (VALUE_BYTES_MAX // 2 - 1)
    assert len(storable(ones, what="result")) == VALUE_BYTES_MAX - 1


# What is refused


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (math.nan, "$: nan is not a JSON number"),
        ([1.0, math.inf], "$[1]: inf is not a JSON number"),
        ({"a": {"b": -math.inf}}, "$.a.b: -inf is not a JSON number"),
        ({"a": {1, 2}}, "$.a: {1, 2} (set) is not JSON"),
        ([b"x"], "$[0]: b'x' (bytes) is not JSON"),
        ([decimal.Decimal(1)], "$[0]: Decimal('1') (Decimal) is not JSON"),
        ({"a": {1: 2}}, "$.a: key 1 (int) is not a string that JSON can hold"),
        ({None: 2}, "$: key None (NoneType) is not a string that JSON can hold"),
        ({"a b": math.nan}, "$['a b']: nan is not a JSON number"),
        ("\ud800", "$: '\\ud800' (str) has a lone surrogate"),
        ({"\udfff": 1}, "$: key '\\udfff' (str) is not a string that JSON can hold"),
        ([2 ** (INT_BITS_MAX + 500)], f"$[0]: an integer of more than {INT_BITS_MAX} bits"),
        ([10**5000], f"$[0]: an integer of more than {INT_BITS_MAX} bits"),
        (nested(DEPTH_MAX + 1), f"nested deeper than {DEPTH_MAX}"),
        (nested(100_000), f"nested deeper than {DEPTH_MAX}"),
    ],
)
def test_what_json_would_lose_is_refused_with_its_path(value: Any, problem: str) -> None:
    assert refused(value) == [problem]


def test_every_problem_is_listed_up_to_a_bound() -> None:
    assert refused([math.nan, {"a": {1}}]) == [
        "$[0]: nan is not a JSON number",
        "$[1].a: {1} (set) is not JSON",
    ]
    found = refused([math.nan] * 10_000)
    assert len(found) == PROBLEMS_MAX + 1
    assert found[-1] == "and more"


def test_an_object_with_a_broken_repr_is_refused_all_the_same() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no words")

    (problem,) = refused([Broken()])
    assert problem.endswith("(Broken) is not JSON")


def test_a_value_that_is_too_large_is_refused_with_its_size() -> None:
    assert refused("x" * (VALUE_BYTES_MAX - 1)) == [
        f"{VALUE_BYTES_MAX + 1:,} bytes of JSON, more than the {VALUE_BYTES_MAX:,} allowed"
    ]
    assert refused([1] * (VALUE_BYTES_MAX // 2 + 1)) == [
        f"more than the {VALUE_BYTES_MAX:,} bytes of JSON allowed"
    ]


def test_a_value_that_holds_itself_is_refused_however_often_it_does() -> None:
    once: list[Any] = []
    once.append(once)
    assert refused(once) == [f"nested deeper than {DEPTH_MAX}"]
    twice: dict[str, Any] = {}
    twice["a"] = twice["b"] = twice
    assert refused(twice) == [f"more than the {VALUE_BYTES_MAX:,} bytes of JSON allowed"]
    shared: list[Any] = []
    for _ in range(DEPTH_MAX - 1):
        shared = [shared, shared]
    assert refused(shared) == [f"more than the {VALUE_BYTES_MAX:,} bytes of JSON allowed"]


def test_the_error_is_the_one_that_was_asked_for() -> None:
    with pytest.raises(InvalidResult, match=r"^result of phase 'a' cannot be stored: "):
        storable(math.nan, what="result of phase 'a'", error=InvalidResult)


# Bytes


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"{'a': 1}", b"NaN", b"1e999", b"\xff", b'"\xed\xa0\x80"', '"\\ud800"', b"1 2"],
)
def test_what_is_not_json_is_not_read(data: bytes | str) -> None:
    with pytest.raises(InvalidValue, match=r"^not JSON: "):
        decode(data)


@pytest.mark.parametrize(
    "data", ["[" * 100_000, "[" * 100_000 + "]" * 100_000, "1" * 5000], ids=["open", "deep", "long"]
)
def test_json_beyond_bounds_is_not_read(data: str) -> None:
    with pytest.raises(InvalidValue, match=r"^not JSON: "):
        decode(data)


@pytest.mark.parametrize("value", [object(), "\ud800", [10**5000], nested(100_000)])
def test_what_cannot_be_written_is_an_error_of_ours(value: Any) -> None:
    with pytest.raises(InvalidValue, match=r"^cannot be written as JSON: "):
        encode(value)


@given(st.binary(max_size=30) | st.text(max_size=30))
def test_reading_never_fails_in_another_way(data: bytes | str) -> None:
    try:
        decode(data)
    except InvalidValue:
        return


# Digests


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), json_values))
def test_a_digest_does_not_depend_on_the_order_of_keys(value: dict[str, Any]) -> None:
    backwards = {"x": dict(reversed(value.items()))}
    assert digest_of("T", {"x": value}) == digest_of("T", backwards)


def test_different_values_have_different_digests() -> None:
    values: list[tuple[Any, ...]] = [
        (1,),
        (1.0,),
        (True,),
        ("1",),
        (None,),
        ([1],),
        (1, 1),
        ([1, 1],),
        ({"a": 1},),
        ({"a": [1]},),
        (),
    ]
    assert len({digest_of(*value) for value in values}) == len(values)


def test_a_digest_stays_the_same_from_release_to_release() -> None:
    expected = hashlib.sha256(b'["Transcode",{"n":1.5,"url":"x"}]').hexdigest()
    assert digest_of("Transcode", {"url": "x", "n": 1.5}) == expected
