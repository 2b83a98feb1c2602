"""What the tests of the actors share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def journal() -> list[str]:
    """What happened, in order."""
    return []


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Crashes are what these tests are about: their tracebacks are not worth the time."""
    logger = logging.getLogger("triphase.actor")
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(logging.NOTSET)
