"""The commands that simulations add to `triphase`, which finds them by an entry point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from .bench import bench
from .mutants import mutants
from .replay import replay
from .simulate import simulate

__all__ = ["COMMANDS"]

COMMANDS: Final[Mapping[str, Callable[..., Any]]] = {
    "": simulate,
    "replay": replay,
    "mutants": mutants,
    "bench": bench,
}
"""What `triphase simulate` does by itself, and its own commands."""
