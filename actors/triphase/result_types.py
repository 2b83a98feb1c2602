"""The declared types of phases' results, with their names resolved."""

from __future__ import annotations

import functools
import sys
import types
import typing
from collections.abc import Callable
from typing import Any

from .fates import Cancel, Fail, Snooze


def result_type(handler: Callable[..., Any], names: dict[str, Any]) -> Any:
    """Return a handler's declared result without the fates, with its names resolved."""
    declared = _return_annotation(handler)
    holder = types.SimpleNamespace(__annotations__={"return": declared})
    hints = typing.get_type_hints(holder, globalns=handler.__globals__, localns=names)
    resolved = hints["return"]
    if typing.get_origin(resolved) in (typing.Union, types.UnionType):
        arms: tuple[Any, ...] = typing.get_args(resolved)
        kept = [arm for arm in arms if arm not in (Snooze, Cancel, Fail)]
        return functools.reduce(_or, kept) if kept else None
    return None if resolved in (Snooze, Cancel, Fail) else resolved


def _or(one: Any, other: Any) -> Any:
    return one | other


def _return_annotation(handler: Callable[..., Any]) -> Any:
    if sys.version_info >= (3, 14):
        import annotationlib

        found = annotationlib.get_annotations(handler, format=annotationlib.Format.FORWARDREF)
    else:
        found = handler.__annotations__
    return found.get("return", Any)
