"""What every test runs under."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator

import pytest


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Generator[None]:
    """Let the programs that tests start be compiled once, also where no `.pyc` is to be written.

    Hundreds of them are started, and each would compile the whole package: a fifth of the time
    that all tests take.
    """
    if not os.environ.get("PYTHONDONTWRITEBYTECODE"):
        yield
        return
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.delenv("PYTHONDONTWRITEBYTECODE")
        patch.setenv("PYTHONPYCACHEPREFIX", folder)
        yield
