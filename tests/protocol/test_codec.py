"""Classes as JSON and back: nothing is lost, and nothing is taken for something else."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import Any, Literal, cast, get_args

import attrs
import pytest
from hypothesis import given

from triphase_protocol import (
    Cancelled,
    Completed,
    ErrorRecord,
    Failed,
    InvalidPayload,
    InvalidValue,
    Job,
    JobState,
    Outcome,
    PhaseRecord,
    PhaseState,
    Retry,
    decode,
    encode,
    storable,
    structure,
    unstructure,
    unstructure_as,
)
from triphase_protocol.codec import tagged_union

from .strategies import outcomes, published


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Preset(enum.StrEnum):
    FAST = "fast"


@attrs.frozen
class Frame:
    width: int
    height: int = 1


@dataclasses.dataclass
class Point:
    x: int


@attrs.frozen(kw_only=True)
class Everything:
    """One field of each kind that a payload may have."""

    name: str = "x"
    flag: bool = True
    count: int = 1
    share: float = 0.5
    colour: Colour = Colour.RED
    preset: Preset = Preset.FAST
    kind: Literal["a", "b"] = "a"
    maybe: int | None = None
    either: int | str = 3
    frames: list[Frame] = attrs.field(factory=lambda: [Frame(1)])
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[int, str] = (1, "a")
    by_name: dict[str, Frame] = attrs.field(factory=lambda: {"a": Frame(2)})
    labels: Mapping[str, str] = attrs.field(factory=lambda: {"a": "b"})
    at: datetime.datetime = datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)
    day: datetime.date = datetime.date(2020, 1, 2)
    data: bytes = b"\x00\xff"
    point: Point = attrs.field(factory=lambda: Point(1))
    rest: Any = attrs.field(factory=lambda: {"a": [1, None]})


@attrs.frozen
class Node:
    """A class that holds itself."""

    name: str
    children: list[Node] = attrs.field(factory=list["Node"])


def problems(value: Any, shape: Any) -> list[str]:
    """Return what is wrong with a value."""
    with pytest.raises(InvalidValue) as refused:
        structure(value, shape)
    return list(refused.value.problems)


# Round trips


@given(published)
def test_every_record_comes_back_as_it_was(record: Any) -> None:
    cls = cast("type[Any]", type(record))
    assert structure(decode(encode(record)), cls) == record
    assert structure(unstructure(record), cls) == record


@given(published)
def test_both_ways_out_say_the_same(record: Any) -> None:
    assert unstructure(record) == decode(encode(record))


def test_states_come_back_as_enums_and_not_as_strings() -> None:
    job = Job(id="j", type="t", state=JobState.QUEUED, phases=(PhaseRecord(name="p"),))
    read = structure(decode(encode(job)), Job)
    assert type(read.state) is JobState
    assert type(read.phases[0].state) is PhaseState


def test_a_payload_of_every_kind_of_field_comes_back_as_it_was() -> None:
    payload = Everything()
    stored = storable(unstructure(payload), what="payload")
    read = structure(decode(stored), Everything)
    assert read == payload
    assert type(read.preset) is Preset


def test_a_class_that_holds_itself_comes_back_as_it_was() -> None:
    tree = Node("a", [Node("b"), Node("c", [Node("d")])])
    assert structure(decode(storable(unstructure(tree), what="tree")), Node) == tree


def test_an_integer_field_takes_any_size() -> None:
    frame = Frame(2**100, -(2**100))
    assert structure(decode(encode(frame)), Frame) == frame


def test_a_whole_number_is_accepted_for_a_float_and_is_one_then() -> None:
    read = structure({"backoff": 2}, Retry)
    assert type(read.backoff) is float


# Strictness


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("name", 1, "expected str, got 1 (int)"),
        ("name", None, "expected str, got None (NoneType)"),
        ("flag", 1, "expected bool, got 1 (int)"),
        ("flag", "true", "expected bool, got 'true' (str)"),
        ("count", "1", "expected int, got '1' (str)"),
        ("count", 1.0, "expected int, got 1.0 (float)"),
        ("count", True, "expected int, got True (bool)"),
        ("share", "0.5", "expected float, got '0.5' (str)"),
        ("share", False, "expected float, got False (bool)"),
        ("colour", 3, "expected one of 1, 2, got 3 (int)"),
        ("preset", "slow", "expected one of 'fast', got 'slow' (str)"),
        ("preset", 1, "expected str, got 1 (int)"),
        ("maybe", "1", "expected int, got '1' (str)"),
        ("frames", {"width": 1}, "expected a list, got {'width': 1} (dict)"),
        ("frames", "abc", "expected a list, got 'abc' (str)"),
        ("sizes", "12", "expected a list, got '12' (str)"),
        ("pair", "1a", "expected a list, got '1a' (str)"),
        ("by_name", [], "expected an object, got [] (list)"),
        ("labels", [["a", "b"]], "expected an object, got [['a', 'b']] (list)"),
        ("at", 3, "Expected `datetime`, got `int`, got 3 (int)"),
        ("data", 3, "expected base64, got 3 (int)"),
        ("data", "AP8", "Incorrect padding, got 'AP8' (str)"),
        ("point", 3, "expected an object, got 3 (int)"),
    ],
)
def test_a_bad_field_is_refused_with_its_path(field: str, value: Any, problem: str) -> None:
    assert problems({field: value}, Everything) == [f"$.{field}: {problem}"]


@pytest.mark.parametrize("value", ["abc", "=AP8", "A P8=", "\u2713"])
def test_bytes_are_taken_from_exact_base64_alone(value: str) -> None:
    assert problems({"data": value}, Everything)[0].startswith("$.data: ")


def test_problems_are_found_at_every_depth_and_all_at_once() -> None:
    value = {
        "id": 1,
        "state": "lost",
        "phases": [
            {"name": "a", "spent": {"error": "x"}},
            {"state": "pending", "error": {"type": "E", "message": None}, "colour": 1},
            3,
        ],
        "labels": {"a b": 1},
        "where": "",
    }
    assert problems(value, Job) == [
        "$.id: expected str, got 1 (int)",
        "$.type: required, but missing",
        f"$.state: expected one of {', '.join(repr(s.value) for s in JobState)}, got 'lost' (str)",
        "$.phases[0].spent.error: expected int, got 'x' (str)",
        "$.phases[1].name: required, but missing",
        "$.phases[1].error.message: expected str, got None (NoneType)",
        "$.phases[1]: unknown field 'colour'",
        "$.phases[2]: expected an object, got 3 (int)",
        "$.labels['a b']: expected str, got 1 (int)",
        "$: unknown field 'where'",
    ]


@pytest.mark.parametrize("value", [None, 3, "x", [], True])
def test_what_is_no_object_is_refused_as_such(value: Any) -> None:
    (problem,) = problems(value, Job)
    assert problem.startswith("$: expected an object, got ")


def test_unknown_fields_are_named_all_of_them() -> None:
    value = {"width": 1, "depth": 2, "colour": 3}
    assert problems(value, Frame) == ["$: unknown field 'colour', 'depth'"]


def test_a_long_list_of_problems_is_cut() -> None:
    found = problems([{}] * 1000, list[Frame])
    assert len(found) == 21
    assert found[-1] == "and more"


def test_a_large_bad_value_is_shown_in_short() -> None:
    for value in ("x" * 100_000, list(range(100_000)), [10**5000], {"a" * 100_000: 1}):
        (problem,) = problems(value, int)
        assert len(problem) < 200, problem


def test_a_large_key_is_shown_in_short() -> None:
    (problem,) = problems({"k" * 100_000: "x"}, dict[str, int])
    assert len(problem) < 200


def test_the_error_names_the_shape_and_is_the_one_that_was_asked_for() -> None:
    with pytest.raises(InvalidPayload, match=r"^not a valid Frame: \$\.width: required"):
        structure({}, Frame, error=InvalidPayload)
    with pytest.raises(InvalidValue, match=r"^not a valid int \| str: "):
        structure(None, int | str)


def at_least_two(_: object, __: object, value: int) -> None:
    if value < 2:
        raise ValueError("must be at least 2")


@attrs.frozen
class Checked:
    n: int = attrs.field(validator=at_least_two)
    kind: str = attrs.field(default="a", validator=attrs.validators.in_(["a", "b"]))

    def __attrs_post_init__(self) -> None:
        if self.n > 9:
            raise KeyError("n is the key to nothing")


def test_a_validator_of_the_class_says_in_its_words_what_is_wrong() -> None:
    assert problems({"n": 1}, Checked) == ["$: must be at least 2"]
    (problem,) = problems({"n": 2, "kind": "c"}, Checked)
    assert problem.startswith("$: 'kind' must be in ['a', 'b']")


def test_a_key_error_of_the_class_is_not_taken_for_a_missing_field() -> None:
    assert problems({"n": 10}, Checked) == ["$: n is the key to nothing"]


def test_a_payload_is_not_changed_by_reading_it() -> None:
    value: dict[str, Any] = {"type": "completed", "job": "j", "run": 1, "result": [1]}
    structure(value, Outcome)
    assert value == {"type": "completed", "job": "j", "run": 1, "result": [1]}


# What a user's code returns


@attrs.frozen
class Result:
    frames: list[Frame]
    extra: Any = None


def test_attrs_classes_become_json_wherever_they_are() -> None:
    value = {"a": (Frame(1), [Result([Frame(2)], Frame(3))]), "b": Point(4)}
    assert unstructure(value) == {
        "a": [
            {"width": 1, "height": 1},
            [{"frames": [{"width": 2, "height": 1}], "extra": {"width": 3, "height": 1}}],
        ],
        "b": {"x": 4},
    }


@pytest.mark.parametrize("odd", [{1, 2}, b"x", Colour.RED, datetime.date(2020, 1, 1), object()])
def test_what_is_not_json_is_left_for_storable_to_refuse(odd: object) -> None:
    assert unstructure({"a": [odd]}) == {"a": [odd]}
    assert unstructure(Result([], odd)) == {"frames": [], "extra": odd}
    with pytest.raises(InvalidValue, match=r"\$\.a\[0\]: .* is not JSON"):
        storable(unstructure({"a": [odd]}), what="result")


def test_a_value_that_holds_itself_is_left_as_it_is() -> None:
    value: list[Any] = []
    value.append([value, value])
    assert unstructure(value) is value


def test_attrs_instances_nested_beyond_the_stack_are_refused() -> None:
    node = Node("x")
    for _ in range(3000):
        node = Node("x", [node])
    with pytest.raises(InvalidValue, match="nested too deeply"):
        unstructure(node)


# The union of outcomes


@given(outcomes)
def test_an_outcome_comes_back_as_the_member_that_it_was(outcome: Outcome) -> None:
    tagged = unstructure_as(outcome, Outcome)
    read = structure(decode(encode(tagged)), Outcome)
    assert read == outcome
    assert type(read) is type(outcome)


def test_the_tag_is_the_name_of_the_state() -> None:
    assert unstructure_as(Cancelled(job="j", run=2, reason="why"), Outcome) == {
        "type": "cancelled",
        "job": "j",
        "run": 2,
        "reason": "why",
    }
    tags = [structure({"type": tag, **rest}, Outcome) for tag, rest in EACH.items()]
    assert [type(outcome) for outcome in tags] == list(get_args(Outcome))


EACH: dict[str, dict[str, Any]] = {
    "completed": {"job": "j", "run": 1},
    "failed": {"job": "j", "run": 1, "error": {"type": "E", "message": "m"}},
    "cancelled": {"job": "j", "run": 1},
    "rejected": {"job": "j", "run": 1},
    "interrupted": {"job": "j", "run": 1},
}


def test_an_error_inside_keeps_a_type_of_its_own() -> None:
    failed = Failed(job="j", run=1, error=ErrorRecord(type="ValueError", message="boom"))
    tagged = unstructure_as(failed, Outcome)
    assert (tagged["type"], tagged["error"]["type"]) == ("failed", "ValueError")
    assert structure(tagged, Outcome) == failed


@attrs.frozen
class Reply:
    outcome: Outcome


def test_an_outcome_inside_a_record_is_tagged_too() -> None:
    reply = Reply(Completed(job="j", run=1, result=3))
    assert unstructure(reply)["outcome"]["type"] == "completed"
    assert structure(unstructure(reply), Reply) == reply


MEMBERS = "'completed', 'failed', 'cancelled', 'rejected', 'interrupted'"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"job": "j", "run": 1}, f"$.type: expected one of {MEMBERS}, is missing"),
        ({"type": "lost"}, f"$.type: expected one of {MEMBERS}, got 'lost' (str)"),
        ({"type": []}, f"$.type: expected one of {MEMBERS}, got [] (list)"),
        ({"type": None}, f"$.type: expected one of {MEMBERS}, got None (NoneType)"),
        ([], "$: expected an object, got [] (list)"),
        ({"type": "completed", "job": 1, "run": 1}, "$.job: expected str, got 1 (int)"),
        ({"type": "completed", "job": "j", "run": 1, "x": 1}, "$: unknown field 'x'"),
    ],
)
def test_an_outcome_that_is_none_is_refused_with_the_path(value: Any, problem: str) -> None:
    assert problems(value, Outcome) == [problem]


def test_a_bad_outcome_inside_a_record_has_the_whole_path() -> None:
    assert problems({"outcome": {"type": "lost"}}, Reply) == [
        f"$.outcome.type: expected one of {MEMBERS}, got 'lost' (str)"
    ]


@attrs.frozen
class TakeFrame:
    frame: Frame


@attrs.frozen
class Stop:
    pass


def test_a_tag_is_the_name_of_the_class_in_snake_case() -> None:
    union: Any = TakeFrame | Stop
    tagged_union(union, get_args(union))
    assert unstructure_as(TakeFrame(Frame(1)), union)["type"] == "take_frame"
    assert structure({"type": "stop"}, union) == Stop()
