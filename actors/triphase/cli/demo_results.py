"""What the demo's phases find out: their results, as they are stored."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class SourceFile:
    """One file of a package."""

    path: str
    """Its path within the package."""

    bytes: int
    sha256: str


@attrs.frozen(kw_only=True)
class Collected:
    """The result of `collect`."""

    files: list[SourceFile]
    bytes: int


@attrs.frozen(kw_only=True)
class Longest:
    """The longest function of a package."""

    name: str
    file: str
    """The file's path within the package."""

    line: int
    """Where it begins."""

    lines: int


@attrs.frozen(kw_only=True)
class Parsed:
    """The result of `parse`."""

    modules: int
    lines: int
    classes: int
    functions: int
    """Functions and methods, the async ones included."""

    async_functions: int
    longest: Longest | None
    unparsable: list[str]
    """Files that are no Python of this version; some are there to be so."""


@attrs.frozen(kw_only=True)
class Compressed:
    """The result of `compress`."""

    source_bytes: int
    packed_bytes: int

    @property
    def ratio(self) -> float:
        """What is left of the size; 1 for nothing."""
        return self.packed_bytes / self.source_bytes if self.source_bytes else 1.0


@attrs.frozen(kw_only=True)
class Reported:
    """The result of `report`."""

    page: str
    """The page's absolute path."""
