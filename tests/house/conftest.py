"""What the house rules are held against: the files of this repository."""

from __future__ import annotations

from pathlib import Path

import pytest

PACKAGES = ("actors", "protocol", "simulations")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    root = Path(__file__).parents[2]
    if not all((root / package).is_dir() for package in PACKAGES):
        pytest.skip("no source tree here: the tests run against an installed wheel")
    return root


@pytest.fixture(scope="session")
def sources(root: Path) -> dict[str, str]:
    """The text of every Python file of the three packages, by its path from the root."""
    return _read(root, *PACKAGES)


@pytest.fixture(scope="session")
def tree(root: Path) -> dict[str, str]:
    """The same for every Python file there is: the packages, the tests, the documentation."""
    return _read(root, *PACKAGES, "tests", "docs")


def _read(root: Path, *folders: str) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): path.read_text("utf-8")
        for folder in folders
        for path in sorted((root / folder).rglob("*.py"))
    }
