"""Every public name has words of its own, and a place in the reference."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

PACKAGES = (
    "triphase",
    "triphase.actor",
    "triphase.client",
    "triphase.gateway",
    "triphase.store",
    "triphase_protocol",
    "triphase_protocol.wire",
    "triphase_simulations",
)

ALIASES = {
    "Blocker",
    "Command",
    "Message",
    "Operation",
    "Outcome",
    "Reply",
    "Request",
    "Result",
    "Said",
}
CONSTANTS = {
    "DEPTH_MAX",
    "ID_MOST",
    "JOB_EVENTS",
    "NO_RETRY",
    "PHASE_TRANSITIONS",
    "REPLIES",
    "REQUESTS",
    "SCOPES",
    "STATES",
    "SUBPROTOCOL",
    "TERMINAL_EVENTS",
    "TRANSITIONS",
    "VALUE_BYTES_MAX",
}
WITHOUT_DOC = ALIASES | CONSTANTS
"""Public names that cannot carry a docstring at run time; theirs stands below them in the file."""


def undocumented(package: ModuleType) -> list[str]:
    """Return the names that have no docstring of their own.

    By `__doc__`: `inspect.getdoc` would find the base's words, and an instance shows its
    class's.
    """
    found: list[str] = []
    for name in package.__all__:
        value = getattr(package, name)
        doc = value.__doc__
        if not doc or (not isinstance(value, type) and doc == type(value).__doc__):
            found.append(name)
    return found


def unmentioned(package: ModuleType, reference: str) -> list[str]:
    """Return the names that the reference does not have, in backticks or in a directive."""
    return [
        name
        for name in package.__all__
        if not re.search(
            rf"`(?:[\w.]+\.)?{name}(?:\([^`]*\))?`|(?:::|\}}) +(?:[\w.]+\.)?{name}\b", reference
        )
    ]


@pytest.fixture(scope="module")
def reference() -> str:
    """The text of every page of the reference."""
    folder = Path(__file__).parents[2] / "docs" / "reference"
    return "\n".join(page.read_text("utf-8") for page in sorted(folder.rglob("*.md")))


# The rules


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_a_docstring(package: str) -> None:
    found = [
        name for name in undocumented(importlib.import_module(package)) if name not in WITHOUT_DOC
    ]
    assert not found, f"these names of {package} have no docstring:\n" + "\n".join(found)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_reference(package: str, reference: str) -> None:
    found = unmentioned(importlib.import_module(package), reference)
    assert not found, f"docs/reference/ lacks these names of {package}:\n" + "\n".join(found)


# Each rule can fail


class Documented:
    """Words."""


class Inherits(Documented):
    pass


@pytest.fixture
def package() -> ModuleType:
    """A package with a good name, an inheriting one, a constant, and an alias."""
    package = ModuleType("package")
    members = {"Documented": Documented, "Inherits": Inherits, "LIMIT": 3, "Alias": int | str}
    vars(package).update(members, __all__=list(members))
    return package


def test_a_missing_docstring_is_found(package: ModuleType) -> None:
    assert undocumented(package) == ["Inherits", "LIMIT", "Alias"]


def test_a_name_outside_the_reference_is_found(package: ModuleType) -> None:
    assert unmentioned(package, "Documented LIMIT `Aliases` `x.Inherit`") == package.__all__


def test_a_name_in_the_reference_is_let_through(package: ModuleType) -> None:
    reference = """
```{eval-rst}
.. autoclass:: triphase.Documented
   :members:
```
`triphase.Inherits(x, y=1)` and `LIMIT`
```{autodata} Alias
```
"""
    assert not unmentioned(package, reference)
