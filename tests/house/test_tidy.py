"""Every file is small, has a purpose that its name tells, and says what it holds."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from .conftest import PACKAGES
from .source import Definition, Function, scoped

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70

EMPTY_WORDS = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
"""A file named by one of these could hold anything, and in time it does."""

UNDOCUMENTED = {"deleter", "overload", "override", "setter"}
"""Decorators of a method whose words stand elsewhere: on its base, its getter, its body."""

ROLES = {
    "actors": "triphase",
    "protocol": "triphase_protocol",
    "simulations": "triphase_simulations",
}
"""What each role folder holds, and nothing else: the folder is on the path in development."""


def long_files(path: str, text: str) -> list[str]:
    """Return the path if the file is too long."""
    count = len(text.splitlines())
    return [f"{path}: {count} lines"] if count > FILE_LINES_MAX else []


def long_functions(path: str, text: str) -> list[str]:
    """Return the functions that are too long, their docstrings not counted."""
    found: list[str] = []
    for scope, node in scoped(ast.parse(text, path)):
        if isinstance(node, Function):
            count = _lines(node) - (_lines(node.body[0]) if ast.get_docstring(node) else 0)
            if count > FUNCTION_LINES_MAX:
                name = f"{scope}.{node.name}".lstrip(".")
                found.append(f"{path}:{node.lineno}: {name}: {count} lines")
    return found


def empty_names(paths: Iterable[str]) -> list[str]:
    """Return the paths with a folder or a file whose name says nothing."""
    return [
        path
        for path in paths
        if any(
            EMPTY_WORDS & set(part.lower().split("_"))
            for part in PurePosixPath(path).with_suffix("").parts
        )
    ]


def undocumented(path: str, text: str) -> list[str]:
    """Return the module, and its public definitions, that have no docstring."""
    module = ast.parse(text, path)
    found = [] if ast.get_docstring(module) else [f"{path}: the module"]
    found += [
        f"{path}:{node.lineno}: {name}"
        for name, node in _public(module.body)
        if not ast.get_docstring(node) and not _excused(node)
    ]
    return found


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _public(body: Iterable[ast.stmt], scope: str = "") -> Iterator[tuple[str, Definition]]:
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
            yield from _public(inner, scope)
        elif isinstance(node, Definition) and not node.name.startswith("_"):
            name = f"{scope}.{node.name}".lstrip(".")
            yield name, node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body, name)


def _excused(node: Definition) -> bool:
    names = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}
    return bool(UNDOCUMENTED & names)


# The rules


def test_no_file_is_over_500_lines(tree: dict[str, str]) -> None:
    found = [offence for path, text in tree.items() for offence in long_files(path, text)]
    assert not found, "split these by what decides and what acts:\n" + "\n".join(found)


def test_no_function_is_over_70_lines(tree: dict[str, str]) -> None:
    found = [offence for path, text in tree.items() for offence in long_functions(path, text)]
    assert not found, "\n".join(found)


def test_no_file_has_an_empty_name(tree: dict[str, str]) -> None:
    found = empty_names(tree)
    assert not found, "name these for what they hold:\n" + "\n".join(found)


def test_all_that_is_public_has_a_docstring(sources: dict[str, str]) -> None:
    found = [offence for path, text in sources.items() for offence in undocumented(path, text)]
    assert not found, "these have no docstring:\n" + "\n".join(found)


@pytest.mark.parametrize("role", PACKAGES)
def test_a_role_folder_holds_its_one_package(root: Path, role: str) -> None:
    entries = {entry.name for entry in (root / role).iterdir()} - {"__pycache__"}
    assert entries == {ROLES[role]}


# Each rule can fail


def test_a_long_file_is_found() -> None:
    assert long_files("a.py", "x = 1\n" * 501) == ["a.py: 501 lines"]
    assert not long_files("a.py", "x = 1\n" * 500)


def test_a_long_function_is_found_and_its_docstring_is_free() -> None:
    docstring = '        """Long.\n\n' + "        words\n" * 90 + '        """\n'
    method = "class A:\n    async def b(self) -> None:\n" + docstring
    assert long_functions("a.py", method + "        x = 1\n" * 70) == ["a.py:2: A.b: 71 lines"]
    assert not long_functions("a.py", method + "        x = 1\n" * 69)


def test_an_empty_name_is_found() -> None:
    paths = ["actors/triphase/job_utils.py", "actors/common/x.py", "actors/triphase/commons.py"]
    assert empty_names(paths) == paths[:2]


def test_a_missing_docstring_is_found() -> None:
    text = """
class A:
    def b(self) -> None: ...
    def _c(self) -> None: ...
    def __len__(self) -> int: ...
    @override
    def d(self) -> None: ...
    @typing.overload
    def e(self) -> None: ...
class _F:
    def g(self) -> None: ...
if True:
    async def h() -> None:
        def inner() -> None: ...
"""
    assert undocumented("a.py", text) == [
        "a.py: the module",
        "a.py:2: A",
        "a.py:3: A.b",
        "a.py:13: h",
    ]
    assert not undocumented("a.py", '"""Words."""\ndef f() -> None:\n    """More."""\n')
