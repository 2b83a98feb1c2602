"""Job types by name: `MODULE:JOBS`, as a user writes it on the command line."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from triphase.definition import definition_of
from triphase_protocol import DefinitionError

from .exits import UsageError


def job_types(spec: str) -> list[type]:
    """Return the job types that *spec* names.

    The current folder is importable, as it is with `python -m`.

    Args:
      spec: `MODULE:JOBS`, where JOBS is a job type or a list of them; or `MODULE` for all
        that the module has.

    Raises:
      UsageError: if there are none, or the module cannot be imported.
      DefinitionError: if something in JOBS is no job type.
    """
    name, _, attribute = spec.partition(":")
    module = _imported(name)
    if not attribute:
        found = [value for value in vars(module).values() if _is_job_type(value)]
        if not found:
            raise UsageError(f"the module {name!r} has no job types")
        return list(dict.fromkeys(found))
    if not hasattr(module, attribute):
        raise UsageError(f"the module {name!r} has no {attribute!r}")
    value = getattr(module, attribute)
    if isinstance(value, type):
        value = [value]
    if not isinstance(value, Iterable) or isinstance(value, str):
        raise UsageError(f"{spec} is {value!r}: neither a job type nor a list of them")
    types = list(cast("Iterable[Any]", value))
    if not types:
        raise UsageError(f"{spec} is empty")
    for each in types:
        definition_of(each)
    return types


def _imported(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")) or name.endswith(".py"):
        raise UsageError(f"{name!r} is not a module's name: write package.module, not a path")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is not None and f"{name}.".startswith(f"{exc.name}."):
            raise UsageError(f"there is no module {exc.name!r} here or on Python's path") from exc
        raise UsageError(f"the module {name!r} cannot be imported: {exc}") from exc
    # A module's own code may do anything, even end the program.
    except (Exception, SystemExit) as exc:
        raise UsageError(
            f"the module {name!r} cannot be imported: {type(exc).__name__}: {exc}"
        ) from exc


def _is_job_type(value: object) -> bool:
    try:
        definition_of(cast("type", value))
    except DefinitionError:
        return False
    return True
