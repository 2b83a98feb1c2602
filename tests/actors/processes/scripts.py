"""Programs that the tests run as processes of their own, to be killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import triphase
import triphase_protocol

from .jobs import FOLDER

PATHS = [
    str(FOLDER),
    *(str(Path(package.__file__ or "").parents[1]) for package in (triphase, triphase_protocol)),
]
"""Where a program finds triphase and the job types of these tests."""


def environment() -> dict[str, str]:
    """Return the environment of such a program."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(PATHS)}


@contextmanager
def script(path: Path, text: str, *args: str) -> Generator[subprocess.Popen[bytes], None, None]:
    """Run a program in the background; kill it in the end."""
    path.write_text(text)
    with subprocess.Popen(
        [sys.executable, str(path), *args], env=environment(), stdout=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()
