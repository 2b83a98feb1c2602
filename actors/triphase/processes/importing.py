"""Where a job class is found by another process: a module, and a name in it.

`check_importable` says no before a process is started; `Place` travels; `load` finds the class
again in the worker.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import sys
import types
from collections.abc import Iterable
from importlib.machinery import ModuleSpec

import attrs

from triphase_protocol import DefinitionError

MAIN_ALIAS = "__triphase_main__"
"""What the worker calls the script that is `__main__` in the process that started it."""

_importing_main = False


@attrs.frozen(kw_only=True)
class Place:
    """Where a class is."""

    module: str
    """The name of its module; `MAIN_ALIAS` for a script."""

    qualname: str
    """Its name in there, with dots if it is inside of other classes."""

    file: str | None = None
    """The script, if it is one."""


class NotFound(DefinitionError):
    """The worker does not find a job class where it should be."""


def check_importable(cls: type) -> None:
    """Check that a worker process will find a job class.

    Raises:
      DefinitionError: if it cannot, with what to do about it.
    """
    place_of(cls)


def place_of(cls: type) -> Place:
    """Return where a job class is to be found by another process.

    Raises:
      DefinitionError: like `check_importable`.
    """
    if "<locals>" in cls.__qualname__:
        raise _refused(cls, "it is defined inside of a function; move it to the module's level")
    module = sys.modules.get(cls.__module__)
    if module is None or _lookup(module, cls.__qualname__) is not cls:
        raise _refused(cls, f"{cls.__module__}.{cls.__qualname__} is not this class")
    if cls.__module__ == "__main__":
        return _place_in_main(cls, module)
    problem = _module_problem(cls.__module__, getattr(module, "__file__", None))
    if problem is not None:
        raise _refused(cls, problem)
    return Place(module=cls.__module__, qualname=cls.__qualname__)


def load(place: Place) -> type:
    """Import the module and return the class.

    Raises:
      NotFound: if there is no such class in it.
      Exception: what the import raises.
    """
    module = _script(place.file) if place.file else importlib.import_module(place.module)
    found = _lookup(module, place.qualname)
    if not isinstance(found, type):
        raise NotFound(f"{place.module} has no class {place.qualname} any more")
    return found


def check_not_importing_main() -> None:
    """Refuse to go on inside of a script that a worker imports.

    Raises:
      DefinitionError: if that is where we are.
    """
    if _importing_main:
        raise DefinitionError(
            "this script starts a runtime when it is imported, and a worker process has to "
            'import it: put what starts it under `if __name__ == "__main__":`'
        )


def _lookup(module: types.ModuleType, qualname: str) -> object:
    found: object = module
    for name in qualname.split("."):
        found = getattr(found, name, None)
    return found


def _refused(cls: type, why: str) -> DefinitionError:
    return DefinitionError(
        f"{cls.__name__!r} has a phase with isolation='process', "
        f"but a worker process cannot import it: {why}"
    )


def _place_in_main(cls: type, module: types.ModuleType) -> Place:
    spec: ModuleSpec | None = getattr(module, "__spec__", None)
    if spec is not None:
        # Started by `python -m`: it has a name of its own, except for a package's or a
        # folder's `__main__.py`, which is there to be run and not to be imported.
        if spec.name.rpartition(".")[2] == "__main__":
            raise _refused(cls, "it is defined in a `__main__.py`; move it to another module")
        return Place(module=spec.name, qualname=cls.__qualname__)
    file: str | None = getattr(module, "__file__", None)
    if file is None or not os.path.isfile(file):
        raise _refused(cls, "it was defined at a prompt or by `python -c`; put it in a file")
    return Place(module=MAIN_ALIAS, qualname=cls.__qualname__, file=os.path.abspath(file))


@functools.lru_cache(maxsize=256)
def _module_problem(name: str, file: str | None) -> str | None:
    """Say what is wrong with a module that is not found by its name.

    It was made by hand, or loaded by its path.
    """
    spec = _spec_by_name(name)
    if spec is None:
        return f"there is no module {name!r} on sys.path"
    if file and spec.origin and os.path.realpath(file) != os.path.realpath(spec.origin):
        return f"{name!r} on sys.path is {spec.origin}, not {file}"
    return None


def _spec_by_name(name: str) -> ModuleSpec | None:
    """Find a module as a fresh interpreter would, without importing anything."""
    spec: ModuleSpec | None = None
    path: Iterable[str] | None = None
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        spec = _find(".".join(parts[:count]), path)
        if spec is None:
            return None
        path = spec.submodule_search_locations
        if path is None and count < len(parts):
            return None
    return spec


def _find(name: str, path: Iterable[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        spec = finder.find_spec(name, None if path is None else list(path), None)
        if spec is not None:
            return spec
    return None


def _script(file: str) -> types.ModuleType:
    """Import a script under another name than `__main__`, once."""
    global _importing_main
    if MAIN_ALIAS in sys.modules:
        return sys.modules[MAIN_ALIAS]
    spec = importlib.util.spec_from_file_location(MAIN_ALIAS, file)
    if spec is None or spec.loader is None:
        raise NotFound(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[MAIN_ALIAS] = module
    _importing_main = True
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[MAIN_ALIAS]
        raise
    finally:
        _importing_main = False
    return module
