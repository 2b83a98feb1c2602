"""Who may import whom. Imports only point down, and heavy things stay where they are needed."""

from __future__ import annotations

import subprocess
import sys

import attrs
import pytest

from .source import covers, imports, module_of

CLOCKS_AND_IO = frozenset(
    {
        "asyncio",
        "concurrent",
        "datetime",
        "multiprocessing",
        "os",
        "pathlib",
        "random",
        "secrets",
        "select",
        "selectors",
        "signal",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "tempfile",
        "threading",
        "time",
        "uuid",
    }
)
"""Modules of the standard library that have a clock, randomness, threads or I/O."""

PROTOCOL_NEEDS = {"attr", "attrs", "cattr", "cattrs", "msgspec", "typing_extensions"}
"""All that the protocol may import from outside the standard library."""

HEAVY = {"cyclopts", "h11", "httpcore", "httpx", "hypothesis", "rich", "trio_websocket", "wsproto"}
"""What `import triphase` must not load: an application pays for it at every start."""


@attrs.frozen(kw_only=True)
class Rule:
    """A ban on imports; a name stands for itself and all that is below it."""

    banned: tuple[str, ...]
    """What may not be imported."""

    but: tuple[str, ...] = ()
    """What of it may be, all the same."""

    within: tuple[str, ...] = ("triphase", "triphase_protocol", "triphase_simulations")
    """The modules that the rule is for."""

    outside: tuple[str, ...] = ()
    """The modules among those that it is not for."""

    apart: tuple[str, ...] = ()
    """The same, and it is for what is below them."""

    why: str

    def forbids(self, module: str, name: str) -> bool:
        """May this module not import this name?"""
        apart = module in self.apart or covers(self.outside, module)
        held = covers(self.within, module) and not apart
        return held and covers(self.banned, name) and not covers(self.but, name)


RULES = (
    Rule(
        within=("triphase_protocol",),
        banned=(*CLOCKS_AND_IO, "triphase", "triphase_simulations"),
        why="the protocol is pure, and knows nobody above it",
    ),
    Rule(
        within=("triphase",),
        banned=("triphase_simulations", "hypothesis"),
        why="nothing imports the simulations",
    ),
    Rule(
        within=("triphase.lifecycle", "triphase.admission"),
        banned=("trio", "triphase"),
        but=("triphase.lifecycle", "triphase.admission"),
        why="what decides is pure: it knows the protocol and no task, store or actor",
    ),
    Rule(
        within=("triphase",),
        outside=("triphase.cli", "triphase.gateway", "triphase.__main__", "triphase.bench"),
        apart=("triphase",),
        banned=("triphase.cli", "triphase.gateway"),
        why="the fronts stand on the runtime, and nothing stands on them",
    ),
    Rule(
        banned=("cyclopts", "rich"),
        outside=("triphase.cli",),
        why="only the command line needs it",
    ),
    Rule(
        banned=("apsw",),
        outside=("triphase.store.sqlite",),
        why="everything above the SQLite store speaks to a store, not to a database",
    ),
    Rule(
        banned=("trio_websocket",),
        outside=("triphase.websocket",),
        why="one adapter speaks to the WebSocket library",
    ),
    Rule(
        banned=("httpcore", "httpx"),
        # The settings only name a client's type, which a type checker reads.
        outside=("triphase.hooks.sending", "triphase.hooks.transport", "triphase.hooks.settings"),
        why="what sends webhooks speaks to the HTTP library, and nobody else",
    ),
)


def offences(path: str, text: str) -> list[str]:
    """Return the imports that a rule forbids, with the rule's reason."""
    module = module_of(path)
    found = [
        f"{path}:{line}: {module} imports {name}: {rule.why}"
        for line, name in imports(path, text)
        for rule in RULES
        if rule.forbids(module, name)
    ]
    if covers(["triphase_protocol"], module):
        found += [
            f"{path}:{line}: {module} imports {name}: the protocol needs no other package"
            for line, name in imports(path, text)
            if not covers({*sys.stdlib_module_names, *PROTOCOL_NEEDS, "triphase_protocol"}, name)
        ]
    return found


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after the statement."""
    command = [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, check=True, text=True).stdout.split())


# The rules


def test_imports_point_down(sources: dict[str, str]) -> None:
    found = [offence for path, text in sources.items() for offence in offences(path, text)]
    assert not found, "\n".join(found)


def test_importing_triphase_is_light() -> None:
    found = HEAVY & loaded_by("import triphase")
    assert not found, f"`import triphase` loads {sorted(found)}"


@pytest.mark.parametrize("name", ["Client", "client", "connect", "gateway", "serve_gateway"])
def test_what_speaks_over_a_network_is_loaded_when_it_is_asked_for(name: str) -> None:
    assert {"trio_websocket", "wsproto"} <= loaded_by(f"from triphase import {name}")
    assert {"trio_websocket", "wsproto"} <= loaded_by(f"import triphase\ntriphase.{name}")


def test_a_name_that_triphase_does_not_have_is_none() -> None:
    assert "triphase.client" not in loaded_by("import triphase\nassert not hasattr(triphase, 'x')")


# Each rule can fail

PLANTED = [
    ("protocol/triphase_protocol/states.py", "import time"),
    ("protocol/triphase_protocol/states.py", "from os import path"),
    ("protocol/triphase_protocol/states.py", "import trio.abc"),
    ("protocol/triphase_protocol/states.py", "from triphase import Runtime"),
    ("actors/triphase/runtime.py", "def f():\n    import triphase_simulations"),
    ("actors/triphase/runtime.py", "from hypothesis import given"),
    ("actors/triphase/runtime.py", "from .cli import main"),
    ("actors/triphase/store/__init__.py", "from .. import gateway"),
    ("actors/triphase/store/__init__.py", "import apsw"),
    ("actors/triphase/lifecycle.py", "import trio"),
    ("actors/triphase/lifecycle/decide.py", "from ..definition import Queue"),
    ("actors/triphase/admission.py", "from .store import Store"),
    ("actors/triphase/__init__.py", "import rich.console as console"),
    ("actors/triphase/runtime/runtime.py", "from triphase.gateway import serve_gateway"),
    ("actors/triphase/hooks.py", "from trio_websocket import open_websocket"),
    ("actors/triphase/hooks/deliverer.py", "import httpx"),
    ("actors/triphase/gateway/http.py", "from httpcore import Request"),
    ("simulations/triphase_simulations/world.py", "import cyclopts"),
]

ALLOWED = [
    ("protocol/triphase_protocol/codec.py", "import math, attrs\nfrom .errors import E"),
    ("protocol/triphase_protocol/codec.py", "from . import errors\nfrom cattrs import Converter"),
    ("actors/triphase/runtime.py", "import trio, triphase_protocol\nfrom .store import Store"),
    ("actors/triphase/lifecycle/decide.py", "from .table import ROWS\nimport triphase_protocol"),
    ("actors/triphase/cli/main.py", "import rich, cyclopts\nfrom ..gateway import serve"),
    ("actors/triphase/__init__.py", "from .gateway import serve_gateway"),
    ("actors/triphase/store/sqlite/backend.py", "import apsw"),
    ("actors/triphase/hooks/transport.py", "import httpcore, httpx"),
    ("simulations/triphase_simulations/world.py", "import hypothesis, triphase.runtime"),
]


@pytest.mark.parametrize(("path", "text"), PLANTED)
def test_a_forbidden_import_is_found(path: str, text: str) -> None:
    assert offences(path, text)


@pytest.mark.parametrize(("path", "text"), ALLOWED)
def test_an_allowed_import_is_let_through(path: str, text: str) -> None:
    assert not offences(path, text)


def test_a_heavy_import_is_found() -> None:
    assert HEAVY & loaded_by("import rich") == {"rich"}
