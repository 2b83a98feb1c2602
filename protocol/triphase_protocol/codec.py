"""Classes as JSON and back, by cattrs; see `values` for the JSON itself.

`structure` is strict: a string is never taken for a number or for a list, an unknown field
is refused, and the error has one line for each bad field with the path to it.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import functools
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Final, TypeVar, cast, get_args, get_origin, overload

import attrs
import msgspec
from cattrs import ClassValidationError, IterableValidationError, cols
from cattrs.errors import ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.preconf.msgspec import MsgspecJsonConverter, make_converter

from .errors import InvalidValue
from .outcomes import Outcome
from .parts import Json
from .values import below, listed, outsize, shown

T = TypeVar("T")


def unstructure(value: object) -> Json:
    """Return an attrs instance, list or dict as plain JSON values.

    What is not JSON is left as it is, for `storable` to refuse; an enum, a date, or bytes
    become JSON only where a field of an attrs class declares them.

    Raises:
      InvalidValue: if attrs instances are nested too deeply to be written at all.
    """
    try:
        return _plain(value) if outsize(value) is None else value
    except RecursionError as exc:
        raise InvalidValue("nested too deeply to be written as JSON") from exc


def unstructure_as(value: object, shape: Any) -> Json:
    """Like `unstructure`, by a declared type instead of the value's own: tags unions."""
    return _CONVERTER.unstructure(value, unstructure_as=shape)


@overload
def structure(
    value: Json, shape: type[T], *, error: type[InvalidValue] = ..., lenient: bool = ...
) -> T: ...


@overload
def structure(
    value: Json, shape: Any, *, error: type[InvalidValue] = ..., lenient: bool = ...
) -> Any: ...


def structure(
    value: Json, shape: Any, *, error: type[InvalidValue] = InvalidValue, lenient: bool = False
) -> Any:
    """Return JSON values as an instance of *shape*, strictly.

    Args:
      value: what `decode` returned.
      shape: an attrs class, or any type that is made of such and of JSON values.
      error: which error to raise.
      lenient: leave out unknown fields, as a reader does of what a newer writer has sent.

    Raises:
      InvalidValue: *error*, with one problem for each bad field.
    """
    try:
        return (_LENIENT if lenient else _CONVERTER).structure(value, shape)
    # A user's own validator or converter may raise anything.
    except Exception as exc:
        raise error(f"not a valid {_name(shape)}", listed(_problems(exc, "$", value))) from exc


def tagged_union(union: Any, members: Sequence[type]) -> None:
    """Make *union* travel with a `type` field that names the member, in snake case."""
    tags = tags_of(members)
    assert not any("type" in _names_of(member) for member in members), "it would hide the tag"
    by_tag: dict[str, type[Any]] = {tag: member for member, tag in tags.items()}
    expected = f"expected one of {', '.join(map(repr, by_tag))}"

    def unstructured(value: Any) -> Json:
        return {"type": tags[type(value)], **_CONVERTER.unstructure(value)}

    def structured(converter: MsgspecJsonConverter, value: Json, _: Any) -> Any:
        fields: dict[str, Any] = {**_expect(dict, "an object", value)}
        tag = fields.pop("type", _MISSING)
        member = by_tag.get(tag) if isinstance(tag, str) else None
        if member is None:
            got = "is missing" if tag is _MISSING else f"got {shown(tag)}"
            raise _BadTag(f"{expected}, {got}")
        return converter.structure(fields, member)

    _CONVERTER.register_unstructure_hook(union, unstructured)
    for converter in (_CONVERTER, _LENIENT):
        converter.register_structure_hook(union, functools.partial(structured, converter))


def tags_of(members: Sequence[type]) -> dict[type, str]:
    """Return what the `type` field of a tagged union says for each member."""
    return {member: _snake(member.__name__) for member in members}


def is_attrs(shape: object) -> bool:
    """True if *shape* is an attrs class."""
    return isinstance(shape, type) and attrs.has(shape)


_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


def _plain(value: Any) -> Json:
    if value.__class__ in _SCALARS:
        return value
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        return {
            key: item if item.__class__ in _SCALARS else _plain(item)
            for key, item in entries.items()
        }
    if isinstance(value, list | tuple):
        items = cast("Sequence[Any]", value)
        return [item if item.__class__ in _SCALARS else _plain(item) for item in items]
    kind: Any = value.__class__
    if hasattr(kind, "__attrs_attrs__") or hasattr(kind, "__dataclass_fields__"):
        return _plain(_CONVERTER.unstructure(value))
    return value


# In: JSON values, and what is wrong with them.

_MISSING: Final = object()


class _BadTag(InvalidValue):
    """The `type` field of a tagged union is missing, or names no member."""


def _problems(exc: BaseException, path: str, value: Any) -> Iterator[str]:
    """Yield a line for each bad field below *exc*, in the order of the fields."""
    if isinstance(exc, ClassValidationError):
        fields, rest = exc.group_exceptions()
        bad: list[tuple[Exception, Any]] = [(inner, note.name) for inner, note in fields]
    elif isinstance(exc, IterableValidationError):
        items, rest = exc.group_exceptions()
        bad = [(inner, note.index) for inner, note in items]
    else:
        place = below(path, "type") if isinstance(exc, _BadTag) else path
        yield f"{place}: {_one_problem(exc, value)}"
        return
    for inner, key in bad:
        yield from _problems(inner, below(path, key), _child(value, key))
    for inner in rest:
        yield from _problems(inner, path, value)


def _one_problem(exc: BaseException, value: object) -> str:
    if isinstance(exc, InvalidValue):
        return str(exc)
    if isinstance(exc, ForbiddenExtraKeysError):
        return f"unknown field {', '.join(sorted(map(repr, exc.extra_fields)))}"
    if isinstance(exc, KeyError) and value is _MISSING:
        return "required, but missing"
    # A validator of attrs puts much more into its error than the sentence.
    words = next((arg for arg in exc.args if isinstance(arg, str)), type(exc).__name__)[:200]
    if value is _MISSING or type(value) is dict:
        return words
    return f"{words}, got {shown(value)}"


def _child(value: Any, key: Any) -> Any:
    if isinstance(value, dict):
        return cast("dict[Any, Any]", value).get(key, _MISSING)
    if isinstance(value, list | tuple) and isinstance(key, int):
        items = cast("Sequence[Any]", value)
        return items[key] if key < len(items) else _MISSING
    return _MISSING


def _name(shape: Any) -> str:
    if isinstance(shape, type):
        return shape.__name__
    members = get_args(shape)
    return " | ".join(map(_name, members)) if members else str(shape)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


# The converter.


def _expect(kind: type[T], words: str, value: Any) -> T:
    if not isinstance(value, kind):
        raise InvalidValue(f"expected {words}, got {shown(value)}")
    return value


def _is_enum(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, enum.Enum)


def _is_date(shape: Any) -> bool:
    # By its name: this package knows no clock, and the module that has the class is one.
    return isinstance(shape, type) and f"{shape.__module__}.{shape.__name__}" in {
        "datetime.date",
        "datetime.datetime",
    }


def _strict(kind: type, value: Any, shape: Any) -> Any:
    if value.__class__ is shape:
        return value
    # bool is an int and int is a float in Python, but only the second is so in JSON.
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (kind is not bool and isinstance(value, bool)):
        raise InvalidValue(f"expected {kind.__name__}, got {shown(value)}")
    # cattrs asks here for a subclass too.
    return _member(value, shape) if _is_enum(shape) else shape(value)


def _bytes(value: Any, _: Any) -> bytes:
    return base64.b64decode(_expect(str, "base64", value), validate=True)


def _member(value: Any, shape: type[enum.Enum]) -> enum.Enum:
    try:
        return shape(value)
    except ValueError:
        members = ", ".join(repr(member.value) for member in shape)
        raise InvalidValue(f"expected one of {members}, got {shown(value)}") from None


def _container(shape: Any) -> tuple[tuple[type, ...], str] | None:
    """Return which JSON values a type is written as, and the words for it."""
    origin = get_origin(shape) or shape
    if not isinstance(origin, type):
        return None
    if attrs.has(origin) or dataclasses.is_dataclass(origin) or issubclass(origin, Mapping):
        return (dict,), "an object"
    if issubclass(origin, Collection) and not issubclass(origin, str | bytes | bytearray):
        return (list, tuple), "a list"
    return None


def _guard(converter: MsgspecJsonConverter) -> None:
    """Make containers strict: cattrs takes any iterable for a list, so also a string."""
    making: list[Any] = []

    def is_container(shape: Any) -> bool:
        return shape not in making and _container(shape) is not None

    def hook(shape: Any) -> Callable[[Any, Any], Any]:
        kinds, words = _container(shape) or ((), "")
        inner: Callable[[Any, Any], Any]
        if (get_origin(shape) or shape) in (dict, Mapping, MutableMapping):
            inner = cast("Any", cols).mapping_structure_factory(shape, converter)
        else:
            making.append(shape)
            try:
                # The converter's own hook: while it is looked up, `is_container` says no.
                inner = converter.get_structure_hook(shape, cache_result=False)
            finally:
                making.remove(shape)

        def structured(value: Any, _: Any) -> Any:
            if not isinstance(value, kinds):
                raise InvalidValue(f"expected {words}, got {shown(value)}")
            return inner(value, shape)

        return structured

    converter.register_structure_hook_factory(is_container, hook)


def _has_keywords(shape: Any) -> bool:
    """True for a class with fields such as `from_`, which JSON can call by their proper names."""
    return attrs.has(shape) and any(name.endswith("_") for name in _names_of(shape))


def _names_of(shape: Any) -> list[str]:
    return [field.name for field in attrs.fields(get_origin(shape) or shape)]


def _renames(shape: Any) -> dict[str, Any]:
    names = (name for name in _names_of(shape) if name.endswith("_"))
    return {name: override(rename=name.removesuffix("_")) for name in names}


def _make_converter(*, lenient: bool) -> MsgspecJsonConverter:
    converter = make_converter(forbid_extra_keys=not lenient)
    for kind in (bool, int, float, str):
        converter.register_structure_hook(kind, functools.partial(_strict, kind))
    converter.register_structure_hook(bytes, _bytes)
    converter.register_structure_hook(enum.Enum, _member)

    def from_fields(shape: Any) -> Callable[[Any, Any], Any]:
        return make_dict_structure_fn(shape, converter, **_renames(shape))

    converter.register_structure_hook_factory(_has_keywords, from_fields)
    _guard(converter)

    def by_fields(shape: Any) -> Callable[[Any], Any]:
        if _has_keywords(shape):
            return make_dict_unstructure_fn(shape, converter, **_renames(shape))
        return converter.gen_unstructure_attrs_fromdict(shape)

    # The converter's own factory, before cattrs 26.2, does not end for a class that holds itself.
    converter.register_unstructure_hook_factory(attrs.has, by_fields)
    # msgspec knows how these are written.
    converter.register_unstructure_hook(enum.Enum, msgspec.to_builtins)
    converter.register_unstructure_hook_func(_is_date, msgspec.to_builtins)
    converter.register_unstructure_hook_func(lambda shape: shape is Any, _plain)
    return converter


_CONVERTER: Final = _make_converter(lenient=False)
_LENIENT: Final = _make_converter(lenient=True)

tagged_union(Outcome, get_args(Outcome))
