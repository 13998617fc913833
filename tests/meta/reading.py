"""What the tests about the house want to know of a file: each is parsed and gone through once.

The tree itself is not kept: all of them together would take half a GiB, and the time of whoever
looks through it for garbage.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec

from tests.meta.effects import Effect, effects_of
from tests.meta.sources import dotted, nodes_of


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A class, or a function or method."""

    name: str
    line: int
    lines: int
    parameters: tuple[str, ...] | None
    """All but ``*args`` and ``**kw``; None for a class."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One file."""

    silent: bool
    """It has code and no docstring."""
    definitions: tuple[Definition, ...]
    """Nested ones too."""
    imports: frozenset[str]
    """Modules, and the names that are taken out of them."""
    attributes: tuple[tuple[int, str], ...]
    """Lines, and the dotted names that are used there."""
    effects: dict[Effect, int]
    """With the first line of each."""

    @property
    def functions(self) -> list[Definition]:
        """And methods."""
        return [one for one in self.definitions if one.parameters is not None]


@cache
def read(path: Path) -> Reading:
    """The file."""
    tree = ast.parse(path.read_text(), filename=str(path))
    nodes = nodes_of(tree)
    return Reading(
        silent=bool(tree.body) and not ast.get_docstring(tree),
        definitions=tuple(
            _definition(node)
            for node in nodes
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        ),
        imports=frozenset(_imports(nodes)),
        attributes=tuple(
            (node.lineno, name)
            for node in nodes
            if isinstance(node, ast.Attribute) and (name := dotted(node))
        ),
        effects=effects_of(nodes),
    )


def _definition(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> Definition:
    parameters = None
    if not isinstance(node, ast.ClassDef):
        given = node.args
        parameters = tuple(one.arg for one in given.posonlyargs + given.args + given.kwonlyargs)
    return Definition(
        name=node.name,
        line=node.lineno,
        lines=(node.end_lineno or node.lineno) - node.lineno + 1,
        parameters=parameters,
    )


def _imports(nodes: Sequence[ast.AST]) -> set[str]:
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{one.name}" for one in node.names}
    return found
