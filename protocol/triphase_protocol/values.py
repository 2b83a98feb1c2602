"""JSON values as bytes, and what of a user's values JSON can hold.

`storable` refuses what JSON would change or lose (NaN, sets, bytes, keys that are not
strings) instead of storing something else, and what is too large or nested too deeply.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import reprlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final, cast

import msgspec

from .errors import InvalidValue
from .parts import Json

VALUE_BYTES_MAX: Final = 4 * 2**20
"""The most bytes of JSON that one payload or one result may take."""

DEPTH_MAX: Final = 100
"""How deep lists and dicts may be nested in a payload or result."""

INT_BITS_MAX: Final = 14_000
"""An integer in a payload or result may be so large; Python refuses to write 4300 digits."""

PROBLEMS_MAX: Final = 20
"""The most problems that one error lists."""


def encode(value: object) -> bytes:
    """Return the JSON of a record, event, message or JSON value, as UTF-8.

    For what is known to be JSON, by its class or by `storable`: msgspec writes a float that
    is not finite as null, and a set as a list.

    Raises:
      InvalidValue: if the value holds something that cannot be written at all.
    """
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise InvalidValue(f"cannot be written as JSON: {exc}") from exc


def decode(data: bytes | str) -> Json:
    """Return the JSON value in *data*.

    Raises:
      InvalidValue: if it is not JSON, or not UTF-8.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        raise InvalidValue(f"not JSON: {exc}") from exc


def storable(value: Json, *, what: str, error: type[InvalidValue] = InvalidValue) -> bytes:
    """Return the JSON bytes of a user's value, after a check that nothing of it is lost.

    Args:
      value: JSON values, as `unstructure` returns them.
      what: how to name the value in the error.
      error: which error to raise.

    Raises:
      InvalidValue: *error*, if something in the value is not JSON, is nested deeper than
        `DEPTH_MAX`, or takes more than `VALUE_BYTES_MAX` bytes.
    """
    excess = outsize(value)
    if excess is not None:
        raise error(f"{what} cannot be stored", (excess,))
    try:
        data = encode(value)
    except InvalidValue as exc:
        problems = listed(_unstorable(value, "$")) or (str(exc),)
        raise error(f"{what} cannot be stored", problems) from exc
    if len(data) > VALUE_BYTES_MAX:
        excess = f"{len(data):,} bytes of JSON, more than the {VALUE_BYTES_MAX:,} allowed"
        raise error(f"{what} cannot be stored", (excess,))
    # Reading it back is quicker by far than to look at each part, and nearly always enough.
    if msgspec.json.decode(data) != value:
        problems = listed(_unstorable(value, "$"))
        if problems:
            raise error(f"{what} cannot be stored", problems)
    return data


def digest_of(*values: Json) -> str:
    """Return a hash of JSON values that does not depend on the order of dict keys."""
    data = msgspec.json.encode(values, order="deterministic")
    return hashlib.sha256(data).hexdigest()


_BOXES: Final = (list, tuple, dict)


def _parts(box: Any) -> Collection[Any]:
    return cast("dict[Any, Any]", box).values() if isinstance(box, dict) else box


def outsize(value: object) -> str | None:
    """Say what is wrong if there is too much of *value* to look at each part of it.

    Level by level, so that a list that holds itself ends too, and one that holds itself
    twice ends soon.
    """
    count = 0
    level: list[Any] = [value]
    for _ in range(DEPTH_MAX + 1):
        boxes: list[Any] = [item for item in level if isinstance(item, _BOXES)]
        count += sum(map(len, map(_parts, boxes)))
        # Each part takes a comma and at least one digit.
        if 2 * count > VALUE_BYTES_MAX:
            return f"more than the {VALUE_BYTES_MAX:,} bytes of JSON allowed"
        level = list(itertools.chain.from_iterable(map(_parts, boxes)))
        if not level:
            return None
    return f"nested deeper than {DEPTH_MAX}"


def _unstorable(value: Json, path: str) -> Iterator[str]:
    """Yield a line for each part of *value* that JSON would lose or change."""
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        for key, item in entries.items():
            if isinstance(key, str) and _is_unicode(key):
                yield from _unstorable(item, below(path, key))
            else:
                yield f"{path}: key {shown(key)} is not a string that JSON can hold"
    elif isinstance(value, list | tuple):
        items = cast("Sequence[Any]", value)
        for index, item in enumerate(items):
            yield from _unstorable(item, f"{path}[{index}]")
    else:
        problem = _unstorable_scalar(value)
        if problem:
            yield f"{path}: {problem}"


def _unstorable_scalar(value: object) -> str | None:
    match value:
        case None | bool():
            return None
        case int():
            large = value.bit_length() > INT_BITS_MAX
            return f"an integer of more than {INT_BITS_MAX} bits" if large else None
        case float():
            return None if math.isfinite(value) else f"{value!r} is not a JSON number"
        case str():
            return None if _is_unicode(value) else f"{shown(value)} has a lone surrogate"
        case _:
            return f"{shown(value)} is not JSON"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# What errors say of values.


def listed(problems: Iterable[str]) -> tuple[str, ...]:
    """Return the first `PROBLEMS_MAX` problems, and say so if there are more."""
    first = tuple(itertools.islice(problems, PROBLEMS_MAX + 1))
    return (*first[:-1], "and more") if len(first) > PROBLEMS_MAX else first


def below(path: str, key: object) -> str:
    """Return the path of what *key* leads to: `$.frames`, `$['a name']`, `$[3]`."""
    if isinstance(key, str) and key.isidentifier() and len(key) <= 60:
        return f"{path}.{key}"
    return f"{path}[{_REPR.repr(key)}]"


def shown(value: object) -> str:
    """Return a short text that shows any value and its type."""
    return f"{_REPR.repr(value)} ({type(value).__name__})"


class _Repr(reprlib.Repr):
    """A `repr` that is short and never raises, whatever it is of."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother, self.maxlong = 2, 60, 60, 60

    def repr_int(self, x: int, level: int) -> str:
        """Say how large an integer is that Python refuses to write out."""
        if x.bit_length() > INT_BITS_MAX:
            return f"an integer of {x.bit_length()} bits"
        return super().repr_int(x, level)


_REPR: Final = _Repr()
