"""Nothing behind a simulation's back: no clock, no randomness and no thread but by a seam.

A simulation replays a run from its seed. It can do so only when every time, every draw
and every thread of the runtime comes from something that the simulation put there.
"""

from __future__ import annotations

from .source import covers, names_used

HIDDEN = (
    "concurrent.futures",
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "multiprocessing",
    "os.getrandom",
    "os.urandom",
    "random",
    "secrets",
    "socket",
    "threading",
    "time",
    "trio.from_thread",
    "trio.to_thread",
    "uuid",
)

SEAMS = {
    "clock.py": "the system clock, for which a simulation puts its own",
    "entropy.py": "the system's randomness, for which a simulation puts its seed",
    "threads.py": "the seam that starts threads",
    "hooks/resolver.py": "the machine's resolver, for which a simulation puts its own",
    "store/sqlite/": "the store's seam: a thread when the disk is slow, and the file's lock",
    "processes/": "the seam that starts processes, and what runs in them",
    "bench/": "a benchmark measures the machine's own time",
    "cli/": "the command line stands outside of simulations",
}
"""Files and folders of `actors/triphase/` that may use what is hidden, each with the reason."""


def hidden_uses(path: str, text: str) -> list[str]:
    """Return each use of a clock, of randomness or of threads."""
    uses = {
        (line, hidden)
        for line, name in names_used(path, text)
        for hidden in HIDDEN
        if covers([hidden], name)
    }
    return [f"{path}:{line}: {hidden}" for line, hidden in sorted(uses)]


def is_seam(path: str) -> bool:
    """Is this file, or a folder it is in, one of the seams?"""
    place = path.removeprefix("actors/triphase/")
    return any(place.startswith(seam) if seam[-1] == "/" else place == seam for seam in SEAMS)


# The rule


def test_nothing_is_behind_a_simulations_back(sources: dict[str, str]) -> None:
    found = [
        use
        for path, text in sources.items()
        if path.startswith("actors/") and not is_seam(path)
        for use in hidden_uses(path, text)
    ]
    assert not found, "take these from a seam that is given to you:\n" + "\n".join(found)


# The rule can fail


def test_a_hidden_clock_is_found() -> None:
    assert hidden_uses("a.py", "import time\nx = time.monotonic()") == [
        "a.py:1: time",
        "a.py:2: time",
    ]
    assert hidden_uses("a.py", "import os\nos.urandom(4)") == ["a.py:2: os.urandom"]
    assert hidden_uses("a.py", "from datetime import datetime as dt, UTC\ndt.now(UTC)") == [
        "a.py:2: datetime.datetime.now"
    ]


def test_a_hidden_thread_is_found() -> None:
    inside = "import trio as t\nasync def f():\n    await t.to_thread.run_sync(g)"
    assert hidden_uses("a.py", inside) == ["a.py:3: trio.to_thread"]
    assert hidden_uses("a.py", "from trio import from_thread") == ["a.py:1: trio.from_thread"]


def test_what_only_looks_alike_is_let_through() -> None:
    assert not hidden_uses("a.py", "import os, trio\nself.time = trio.current_time()\nos.getpid()")
    assert not hidden_uses("actors/triphase/a.py", "from .random import draw")
    assert not hidden_uses("a.py", "from datetime import datetime\ndatetime.fromtimestamp(0)")


def test_only_the_named_places_are_seams() -> None:
    assert is_seam("actors/triphase/clock.py")
    assert is_seam("actors/triphase/store/sqlite/backend.py")
    assert not is_seam("actors/triphase/job_actor/clock.py")
    assert not is_seam("actors/triphase/store/sqlite.py")
