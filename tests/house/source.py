"""How the house rules read a Python file: by its syntax tree, without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

import attrs

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = ast.ClassDef | Function


def module_of(path: str) -> str:
    """Return the module that a path is: `actors/triphase/store/__init__.py` is `triphase.store`."""
    parts = PurePosixPath(path).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def covers(prefixes: Iterable[str], name: str) -> bool:
    """Is the dotted name one of these, or below one of these?"""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def imports(path: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the absolute name of all that a file imports, wherever it does.

    `from .store import open_store` in `actors/triphase/runtime.py` is
    `triphase.store.open_store`.
    """
    for binding in _bindings(path, ast.parse(text, path)):
        yield binding.line, binding.imported


def names_used(path: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield what `imports` does, and each attribute of an imported name.

    After `from datetime import datetime as dt`, `dt.now()` uses `datetime.datetime.now`.
    """
    module = ast.parse(text, path)
    bound: dict[str, str] = {}
    for binding in _bindings(path, module):
        bound[binding.name] = binding.means
        yield binding.line, binding.imported
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            if first in bound:
                yield node.lineno, f"{bound[first]}.{rest}"


def scoped(node: ast.AST, scope: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Yield every node below this one, with the dotted name of the definition it stands in."""
    for child in ast.iter_child_nodes(node):
        yield scope, child
        inner = f"{scope}.{child.name}".lstrip(".") if isinstance(child, Definition) else scope
        yield from scoped(child, inner)


@attrs.frozen
class _Binding:
    """What one name of an import statement does: `import a.b` binds `a`, which means `a`."""

    line: int
    imported: str
    name: str
    means: str


def _bindings(path: str, module: ast.Module) -> Iterator[_Binding]:
    folder = PurePosixPath(path).parent.parts[1:]
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                name, means = (alias.asname, alias.name) if alias.asname else (first, first)
                yield _Binding(node.lineno, alias.name, name, means)
        elif isinstance(node, ast.ImportFrom):
            above = folder[: len(folder) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                imported = f"{base}.{alias.name}"
                yield _Binding(node.lineno, imported, alias.asname or alias.name, imported)
