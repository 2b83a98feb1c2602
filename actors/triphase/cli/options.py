"""The options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Final

from cyclopts import Parameter, Token

from triphase.store import SqliteStore, store_from

from .exits import UsageError

DEFAULT_STORE: Final = "jobs.db"
"""The store file that commands use unless they are told another."""


def _whole(_: type, tokens: Sequence[Token]) -> int:
    # cyclopts itself would round 1.5.
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"{tokens[0].value!r} is not a whole number") from None


WholeNumber = Annotated[int, Parameter(converter=_whole)]
StorePath = Annotated[
    str, Parameter(name="--store", env_var="TRIPHASE_STORE", help="The store file.")
]
AsJson = Annotated[
    bool,
    Parameter(name="--json", negative="", help="Write JSON: one object a line."),
]
Labels = Annotated[
    list[str] | None,
    Parameter(name="--label", negative="", help="A label, as NAME=VALUE; may be repeated."),
]
JobId = Annotated[str, Parameter(help="A job's id, or the beginning of it.")]


def store_at(location: str) -> SqliteStore:
    """Return the store that `--store` names; it is not opened yet.

    Raises:
      UsageError: if it is not in a file.
      StoreError: if it is no location of a store.
    """
    store = store_from(location)
    if not isinstance(store, SqliteStore):
        raise UsageError(f"--store {location!r}: the command line needs a file")
    return store


def labels_from(pairs: Sequence[str] | None) -> dict[str, str]:
    """Return labels as a dict.

    Raises:
      UsageError: if one has no `=`, or a name comes twice.
    """
    labels: dict[str, str] = {}
    for pair in pairs or ():
        name, found, value = pair.partition("=")
        if not (found and name):
            raise UsageError(f"--label {pair}: must be NAME=VALUE")
        if name in labels:
            raise UsageError(f"--label {pair}: {name} has a value already")
        labels[name] = value
    return labels


def seconds_from(option: str, seconds: float | None) -> float:
    """Return a number of seconds, infinite for None.

    Raises:
      UsageError: if it is negative or not a number.
    """
    if seconds is None:
        return math.inf
    if math.isnan(seconds) or seconds < 0:
        raise UsageError(f"{option} {seconds}: must be 0 or more seconds")
    return seconds
