"""Numbers, times and texts as people read them; scripts get the exact ones."""

from __future__ import annotations

import datetime
import math

KILO = 1000


def duration(seconds: float) -> str:
    """Return a span of time by its two largest units: `340 ms`, `7.2 s`, `3 m 20 s`, `2 d 5 h`."""
    seconds = max(seconds, 0.0)
    if not math.isfinite(seconds):
        return "?"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller_size, smaller in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def age(seconds: float) -> str:
    """Return how long ago something was, by one unit: `now`, `12 s`, `5 m`, `3 h`, `9 d`."""
    if not seconds >= 1:
        return "now"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return "now"


def size(count: float) -> str:
    """Return a number of bytes: `812 B`, `48.3 kB`, `9.7 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < KILO:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= KILO
    return f"{count:.1f} TB"


def counted(count: int, noun: str, several: str | None = None) -> str:
    """Return `1 job`, `2 jobs`, `1,204 jobs`; *several* is what the noun is then, if not that."""
    return f"{count:,} {noun if count == 1 else several or f'{noun}s'}"


def moment(at: float | None) -> str:
    """Return a time as ISO 8601 in UTC, to the millisecond; `-` for none."""
    if at is None:
        return "-"
    time = _datetime(at)
    if time is None:
        return f"{at:.3f}"
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local(at: float) -> str:
    """Return a time for a person at this machine: `2026-03-01 14:05:09`."""
    time = _datetime(at)
    return f"{at:.3f}" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def clock(at: float) -> str:
    """Return a time of day for a person at this machine: `14:05:09.123`."""
    time = _datetime(at)
    return f"{at:.3f}" if time is None else f"{time.astimezone():%H:%M:%S.%f}"[:-3]


def _datetime(at: float) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromtimestamp(at, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        # Further away than calendars reach.
        return None


def one_line(text: str) -> str:
    """Return text that can neither break a line nor steer a terminal: the rest is escaped."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def lines(text: str) -> str:
    """Return text that keeps its lines and tabs, and cannot steer a terminal."""
    return "\n".join(one_line(line.expandtabs()) for line in text.splitlines())
