"""The jobs of `triphase demo`: one for each package of Python's standard library.

They read real files, compute real things and write real pages, and show what a job can be:
four phases with typed results that the next ones use, one of them async and three in
threads, progress from both, and a phase that fails once and is retried.
"""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import sysconfig
import threading
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import trio

import triphase

from .demo_page import package_page
from .demo_results import Collected, Compressed, Longest, Parsed, Reported, SourceFile

FAILS_ONCE = "json"
"""The package whose `compress` fails on its first try, to show a retry."""

NOT_PACKAGES = frozenset({"test", "site-packages", "__pycache__"})

ONE_PARSER = threading.Lock()
"""CPython's parser counts its depth for all threads together, until 3.13 (gh-106905).

Two threads that parse at once may get a SystemError for a fine file. It holds the
interpreter's lock anyway, so that to wait for one another costs nothing.
"""

PIECE = 64 * 1024
"""Bytes that are compressed between two reports of progress."""


class PlannedFailure(Exception):
    """The failure that the demo has planned."""


@triphase.job(queue="demo")
class Package:
    """Measure one package of Python source files, and write a page about it."""

    name: str
    folder: str
    """The package's folder."""

    pages: str
    """The folder where its page goes."""

    @triphase.phase()
    async def collect(self, ctx: triphase.Context) -> Collected:
        """List the package's source files."""
        root = Path(self.folder)
        paths = await trio.to_thread.run_sync(_source_files, root)
        files: list[SourceFile] = []
        for path in paths:
            name = path.relative_to(root).as_posix()
            await ctx.progress(len(files), total=len(paths), message=name)
            data = await trio.Path(path).read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            files.append(SourceFile(path=name, bytes=len(data), sha256=digest))
        await ctx.progress(len(files), total=len(files))
        return Collected(files=files, bytes=sum(file.bytes for file in files))

    @triphase.phase()
    def parse(self, ctx: triphase.Context) -> Parsed:
        """Count what the files define."""
        files = ctx.result_of(Package.collect).files
        tally = Tally()
        for done, file in enumerate(files):
            ctx.progress_nowait(done, total=len(files), message=file.path)
            tally.add(file.path, Path(self.folder, file.path).read_bytes())
        ctx.progress_nowait(len(files), total=len(files))
        return tally.parsed()

    @triphase.phase(retry=triphase.Retry(attempts=3, backoff=0.2))
    def compress(self, ctx: triphase.Context) -> Compressed:
        """Compress the files, all into one stream."""
        collected = ctx.result_of(Package.collect)
        if self.name == FAILS_ONCE and ctx.attempt == 1:
            raise PlannedFailure("this is the demo's planned failure, to show a retry")
        packer, packed, done = _packer(), 0, 0
        for file in collected.files:
            data = Path(self.folder, file.path).read_bytes()
            for begin in range(0, len(data), PIECE):
                ctx.progress_nowait(done, total=collected.bytes, message=file.path)
                piece = data[begin : begin + PIECE]
                packed += len(packer.compress(piece))
                done += len(piece)
        packed += len(packer.flush())
        ctx.progress_nowait(done, total=collected.bytes)
        return Compressed(source_bytes=done, packed_bytes=packed)

    @triphase.phase()
    def report(self, ctx: triphase.Context) -> Reported:
        """Write the package's page."""
        page = Path(self.pages, f"{self.name}.html")
        text = package_page(
            self.name,
            self.folder,
            ctx.result_of(Package.collect),
            ctx.result_of(Package.parse),
            ctx.result_of(Package.compress),
        )
        replace_file(page, text)
        return Reported(page=str(page))


JOBS = [Package]
"""The demo's job types, for `--jobs triphase.cli.demo_jobs:JOBS`."""


class Tally:
    """Counts what source files define."""

    def __init__(self) -> None:
        self._modules = self._lines = self._classes = self._functions = self._async = 0
        self._longest: Longest | None = None
        self._unparsable: list[str] = []

    def add(self, path: str, source: bytes) -> None:
        """Count a file."""
        self._modules += 1
        self._lines += source.count(b"\n")
        try:
            with ONE_PARSER:
                tree = ast.parse(source, path)
        except (SyntaxError, ValueError, RecursionError):
            # lib2to3 and its like come with files that are meant to be wrong.
            self._unparsable.append(path)
            return
        for node in _definitions(tree):
            if isinstance(node, ast.ClassDef):
                self._classes += 1
                continue
            self._functions += 1
            self._async += isinstance(node, ast.AsyncFunctionDef)
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if self._longest is None or lines > self._longest.lines:
                self._longest = Longest(name=node.name, file=path, line=node.lineno, lines=lines)

    def parsed(self) -> Parsed:
        """Return the counts."""
        return Parsed(
            modules=self._modules,
            lines=self._lines,
            classes=self._classes,
            functions=self._functions,
            async_functions=self._async,
            longest=self._longest,
            unparsable=self._unparsable,
        )


def _definitions(
    tree: ast.Module,
) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


class _Packer(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def _packer() -> _Packer:
    try:
        import lzma
    except ImportError:
        # Some Pythons are built without it; none is without zlib.
        return zlib.compressobj(9)
    return lzma.LZMACompressor()


def _source_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if path.is_file())


def standard_library() -> Path:
    """Return the folder of Python's standard library."""
    return Path(sysconfig.get_paths()["stdlib"]).resolve()


def package_names(library: Path) -> list[str]:
    """Return the names of the packages in a folder, sorted."""
    return sorted(
        entry.name
        for entry in library.iterdir()
        if entry.name not in NOT_PACKAGES and (entry / "__init__.py").is_file()
    )


def package_jobs(library: Path, pages: Path, names: Iterable[str]) -> dict[str, Package]:
    """Return the demo's jobs, by their idempotency keys.

    The key says which Python's package it is and where its page goes, so that a second demo
    finds the job of the first.

    Args:
      library: the folder of the packages, absolute.
      pages: the folder of the pages, absolute.
      names: the packages.
    """
    python = platform.python_version()
    return {
        f"demo:{python}:{library / name}:{pages}": Package(
            name=name, folder=str(library / name), pages=str(pages)
        )
        for name in names
    }


def replace_file(path: Path, text: str) -> None:
    """Write a file so that whoever reads it sees the old one or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Always the same name: what a killed process leaves is overwritten by the next.
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
