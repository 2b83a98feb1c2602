"""Nobody swallows a cancellation: trio must see every `Cancelled` that it raised."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from .source import Definition, scoped

CATCHES_CANCELLED = {
    "BaseException",
    "BaseExceptionGroup",
    "Cancelled",
    "trio.Cancelled",
}

ALLOWED = {
    "actors/triphase/actor/supervisor.py::open_supervisor": (
        "kept, and raised when the children have ended: the nursery would wrap it"
    ),
}
"""Where a handler may end without raising, as `path::function`, each with the reason."""


def swallowed(path: str, text: str) -> list[str]:
    """Return the handlers that catch `Cancelled`, and do not raise on every path."""
    return [
        f"{path}:{line}: {scope or 'the module'}: {what}"
        for scope, line, what in _handlers(ast.parse(text, path))
        if f"{path}::{scope}" not in ALLOWED
    ]


def _handlers(module: ast.Module) -> Iterator[tuple[str, int, str]]:
    for scope, node in scoped(module):
        if isinstance(node, ast.ExceptHandler):
            names = _names([node.type] if node.type else [])
            if (not node.type or names & CATCHES_CANCELLED) and not _raises(node.body):
                yield scope, node.lineno, f"except {' | '.join(sorted(names))} may not raise"
            if "Exception" in names and _does_nothing(node.body):
                yield scope, node.lineno, "except Exception that does nothing"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            names = _names(node.args) & {*CATCHES_CANCELLED, "Exception"}
            if names:
                yield scope, node.lineno, f"suppress({', '.join(sorted(names))})"


def _names(types: Sequence[ast.expr]) -> set[str]:
    """Return the names of the exceptions, those in tuples included."""
    return {
        ast.unparse(part)
        for item in types
        for part in (item.elts if isinstance(item, ast.Tuple) else [item])
    }


def _raises(body: Sequence[ast.stmt]) -> bool:
    """Does every path through the handler end in `raise`, or in `raise … from …`?"""
    match body[-1]:
        case ast.Raise(exc=error, cause=cause):
            ends = error is None or cause is not None
        case ast.If(body=then, orelse=[_, *_] as otherwise):
            ends = _raises(then) and _raises(otherwise)
        case ast.With(body=inner) | ast.AsyncWith(body=inner):
            ends = _raises(inner)
        case _:
            ends = False
    return ends and not any(_leaves(node) for node in body)


def _leaves(node: ast.AST, *, in_loop: bool = False) -> bool:
    """Can this statement leave the handler by `return`, `break` or `continue`?"""
    if isinstance(node, ast.Return):
        return True
    if isinstance(node, ast.Break | ast.Continue):
        return not in_loop
    if isinstance(node, Definition | ast.Lambda):
        return False
    in_loop = in_loop or isinstance(node, ast.For | ast.AsyncFor | ast.While)
    return any(_leaves(child, in_loop=in_loop) for child in ast.iter_child_nodes(node))


def _does_nothing(body: Sequence[ast.stmt]) -> bool:
    return all(
        isinstance(node, ast.Pass | ast.Continue)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in body
    )


# The rule


def test_no_cancellation_is_swallowed(sources: dict[str, str]) -> None:
    found = [offence for path, text in sources.items() for offence in swallowed(path, text)]
    assert not found, "\n".join(found)


# The rule can fail


def handler(head: str, *body: str) -> str:
    """Return a program with this handler in `A.b`."""
    lines = "".join(f"                {line}\n" for line in body)
    return (
        "class A:\n    async def b(self):\n        for x in y:\n            try:\n"
        f"                await c()\n            {head}\n{lines}"
    )


def test_a_swallowed_cancelled_is_found() -> None:
    text = handler("except trio.Cancelled:", "log()")
    assert swallowed("a.py", text) == ["a.py:6: A.b: except trio.Cancelled may not raise"]
    assert swallowed("a.py", handler("except:", "log()"))
    assert swallowed("a.py", handler("except BaseException as error:", "keep(error)"))
    assert swallowed("a.py", handler("except (ValueError, Cancelled):", "pass"))
    assert swallowed("a.py", handler("except* trio.Cancelled:", "pass"))
    assert swallowed("a.py", "with contextlib.suppress(trio.Cancelled):\n    f()")


def test_a_path_that_does_not_raise_is_found() -> None:
    head = "except BaseException:"
    assert swallowed("a.py", handler(head, "if x:", "    return", "raise"))
    assert swallowed("a.py", handler(head, "if x:", "    raise"))
    assert swallowed("a.py", handler(head, "if x:", "    raise", "else:", "    log()"))
    assert swallowed("a.py", handler(head, "if x:", "    continue", "raise"))
    assert swallowed("a.py", handler(head, "raise ValueError"))


def test_a_handler_that_raises_is_let_through() -> None:
    head = "except BaseException as error:"
    assert not swallowed("a.py", handler(head, "log()", "raise"))
    assert not swallowed("a.py", handler(head, "raise Crashed from error"))
    assert not swallowed("a.py", handler(head, "if x:", "    raise", "raise Crashed from error"))
    assert not swallowed("a.py", handler(head, "for z in y:", "    break", "raise"))
    assert not swallowed("a.py", handler(head, "def key():", "    return 1", "raise"))
    assert not swallowed("a.py", handler(head, "with shield():", "    raise"))


def test_an_exception_that_is_passed_over_is_found() -> None:
    assert swallowed("a.py", handler("except Exception:", "pass"))
    assert swallowed("a.py", handler("except Exception:", "..."))
    assert swallowed("a.py", "with suppress(Exception):\n    f()")
    assert not swallowed("a.py", handler("except Exception as error:", "log(error)"))
    assert not swallowed("a.py", handler("except ValueError:", "pass"))
