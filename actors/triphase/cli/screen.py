"""Where a command writes: data to stdout, everything else to stderr.

On a terminal data is drawn by rich. In a pipe it is plain lines whose cells are parted by
tabs, with no colour, no wrapping and nothing left out; with `--json` each line is an object.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TextIO

import attrs
from rich import box
from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from triphase_protocol import Json, encode

from .humane import one_line


@attrs.frozen(eq=False)
class Screen:
    """The two streams of one command."""

    json: bool
    """Write objects instead of text."""

    @property
    def drawn(self) -> bool:
        """True if data goes to a person's terminal, as tables and colours."""
        return not self.json and _is_terminal(sys.stdout)

    @property
    def lively(self) -> bool:
        """True if progress goes to a terminal that can redraw lines."""
        return _is_terminal(sys.stderr) and os.environ.get("TERM", "dumb") != "dumb"

    def draw(self, *what: RenderableType) -> None:
        """Write something drawn to stdout; only if `drawn`."""
        console = _console(sys.stdout)
        for each in what:
            console.print(each)

    def draw_line(self, text: Text) -> None:
        """Write one drawn line to stdout; what does not fit is cut off. Only if `drawn`."""
        _console(sys.stdout).print(text, no_wrap=True, overflow="ellipsis")

    def line(self, cells: Iterable[str]) -> None:
        """Write one plain line of data, and let a reader have it at once."""
        self._write("\t".join(one_line(cell) for cell in cells))

    def object(self, value: Json) -> None:
        """Write one JSON value as a line."""
        self._write(encode(value).decode("utf-8"))

    def note(self, text: str) -> None:
        """Tell a person something, on stderr."""
        print(one_line(text), file=sys.stderr, flush=True)

    def console(self) -> Console:
        """Return the console for live progress on stderr; only if `lively`."""
        return _console(sys.stderr)

    def _write(self, text: str) -> None:
        # At once: a stream's next line may be an hour away.
        print(text, flush=True)


def grid() -> Table:
    """Return an empty table, as wide as there is room."""
    return Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
        expand=True,
    )


def live(console: Console, *, transient: bool = False) -> Live:
    """Return a picture on a console that is redrawn when its owner says so."""
    return Live(console=console, auto_refresh=False, transient=transient)


def redraw(picture: Live, what: RenderableType) -> None:
    """Draw a picture anew."""
    # Not to the edge: the ^C that a terminal echoes would begin a line of its own, and what
    # wipes the picture would miss one.
    room = max(picture.console.width - len("^C^C"), 1)
    picture.update(Constrain(what, room), refresh=True)


def bar(fraction: float, width: int | None = 24) -> ProgressBar:
    """Return a progress bar; *width* None takes the room there is."""
    return ProgressBar(
        total=1.0,
        completed=min(max(fraction, 0.0), 1.0),
        width=width,
        style="grey23",
        complete_style="cyan",
        finished_style="green",
    )


class _OneLine(logging.Handler):
    """Writes the library's own warnings as one line each, without a traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        text = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            text = f"{text}: {type(error).__name__}: {error}"
        # Whoever warns must not fail because nobody reads it.
        with suppress(OSError):
            print(f"triphase: {one_line(text)}", file=sys.stderr, flush=True)


def prepare_streams() -> None:
    """Make sure that no character stops the output, and that warnings are one line each."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    log = logging.getLogger("triphase")
    if not log.handlers:
        log.addHandler(_OneLine(logging.WARNING))


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty()


def _console(stream: TextIO) -> Console:
    # No markup: what is drawn comes from jobs, and means nothing but itself.
    return Console(file=stream, markup=False, highlight=False, emoji=False)
