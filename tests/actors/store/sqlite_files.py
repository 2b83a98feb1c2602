"""SQLite files as others see them: for the tests that tamper with one, or look into it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from triphase.store.sqlite.connection import Connection
from triphase.store.sqlite.rows import Row


def run_sql(path: Path, *statements: str) -> None:
    """Run statements on a file, as another program would."""
    with closing(Connection(str(path), writable=True, create=True)) as connection:
        for statement in statements:
            connection.execute(statement).fetchall()


def read_sql(path: Path, statement: str, parameters: Any = None) -> list[Row]:
    """Return what a statement reads."""
    with closing(Connection(str(path), writable=False)) as connection:
        return connection.execute(statement, parameters).fetchall()


def content(path: Path) -> bytes:
    """Return what a file holds."""
    return path.read_bytes()


def put(path: Path, content: bytes = b"") -> None:
    """Make a file that holds this."""
    path.write_bytes(content)


def beside(path: Path) -> set[str]:
    """Return the names of the files in a path's folder."""
    return {entry.name for entry in path.parent.iterdir()}


@contextmanager
def other_process(program: str, *arguments: str | Path) -> Generator[subprocess.Popen[bytes]]:
    """Run a Python program in another process for the block, and kill it then.

    It has printed a line when the block begins.
    """
    command = [sys.executable, "-c", program, *map(str, arguments)]
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() != b""
            yield process
        finally:
            process.kill()


@contextmanager
def public_folder(mode: int) -> Generator[Path]:
    """Make a folder of this mode that every user can reach, for the block."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(mode)
        try:
            yield folder
        finally:
            folder.chmod(0o755)


@contextmanager
def unprivileged() -> Generator[None]:
    """Be a user for whom permissions hold, for the block."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
