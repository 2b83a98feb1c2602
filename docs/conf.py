"""How Sphinx builds this documentation."""

from __future__ import annotations

import builtins
import functools
import importlib
import importlib.metadata
import inspect

from docutils.nodes import Element, Text, TextElement, document
from sphinx.addnodes import desc, desc_returns, pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

project = "triphase"
author = "the triphase maintainers"
project_copyright = f"2026, {author}"
try:
    release = importlib.metadata.version("triphase")
except importlib.metadata.PackageNotFoundError:  # a tree that is not installed
    release = "0"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinxcontrib_trio"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"triphase {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
# `name` in a docstring is code, and a link where it is the name of something documented.
default_role = "py:obj"
python_use_unqualified_type_names = True

# Every reference to a name of ours must lead somewhere. Other projects' names are left as text,
# since the build needs no network, and so are type variables.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!triphase\w*\.[\w.]+$).*"),
    ("py:.*", r".*\.[A-Z](?:_co|_contra)?"),
]


@functools.cache
def exported_names() -> dict[str, str]:
    """Return the public name of what is defined in a module below: `triphase.Queue` by its path."""
    names: dict[str, str] = {}
    packages = (
        "triphase_simulations",
        "triphase_protocol.wire",
        "triphase_protocol",
        "triphase.client",
        "triphase.gateway",
        "triphase.store",
        "triphase.actor",
        "triphase",
    )
    for package in packages:
        module = importlib.import_module(package)
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                names[f"{value.__module__}.{value.__qualname__}"] = f"{package}.{name}"
    return names


def link_to_the_exported_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: TextElement
) -> Element | None:
    """Resolve the type in a signature, which says where it is defined, not what it is called."""
    target = exported_names().get(node.get("reftarget", ""))
    if not target or node.get("refdomain") != "py":
        return None
    page = node["refdoc"]
    return env.domains["py"].resolve_xref(env, page, app.builder, "obj", target, node, shown)


def mend_signatures(app: Sphinx, tree: document) -> None:
    """Mend what Sphinx makes of two things in signatures.

    A builtin such as `type` would be a link to an attribute of ours, such as `Job.type`. And
    what a decorator returns is a class of its own that nobody needs to know.
    """
    for node in list(tree.findall(desc)):
        if node["objtype"] == "decorator":
            for returns in list(node.findall(desc_returns)):
                returns.parent.remove(returns)
    for node in list(tree.findall(pending_xref)):
        if node.get("refdomain") == "py" and hasattr(builtins, node.get("reftarget", "")):
            node.replace_self(Text(node["reftarget"]))


def keep_the_colon(
    app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]
) -> None:
    """Stop napoleon, by an empty comment, from reading `Ended: it failed.` as type and words."""
    if what in {"attribute", "data", "property"}:
        lines[:0] = ["..", ""]


def setup(app: Sphinx) -> None:
    """Register what this file adds to Sphinx."""
    app.connect("doctree-read", mend_signatures)
    app.connect("missing-reference", link_to_the_exported_name)
    app.connect("autodoc-process-docstring", keep_the_colon, priority=400)
