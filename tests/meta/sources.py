"""The sources as the tests about the house read them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = ("cli", "clusterd", "hypervisors", "jobqueue", "rapi", "storage")


def product_files() -> list[Path]:
    """Every Python file of the six packages."""
    return _below(*PACKAGES)


def all_files() -> list[Path]:
    """Every Python file of the project."""
    return [*_below(*PACKAGES, "tests"), CHECKOUT / "setup.py"]


def name_of(path: Path) -> str:
    """How messages and lists call a file."""
    return str(path.relative_to(CHECKOUT))


def module_of(path: Path) -> str:
    """The name under which a file is imported."""
    parts = path.relative_to(CHECKOUT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree_of(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text(), filename=str(path))


Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def definitions(path: Path) -> tuple[ast.ClassDef | Function, ...]:
    """Every class, function and method of a file, nested ones too."""
    kinds = (ast.ClassDef, *get_args(Function))
    return tuple(node for node in ast.walk(tree_of(path)) if isinstance(node, kinds))


def functions(path: Path) -> Iterator[Function]:
    """Every function and method of a file, nested ones too."""
    return (node for node in definitions(path) if isinstance(node, Function))


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of an expression that is only names and attributes, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (head := dotted(node.value)):
        return f"{head}.{node.attr}"
    return ""


def _below(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (CHECKOUT / folder).rglob("*.py"))
