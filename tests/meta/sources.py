"""The sources as the tests about the house read them."""

from __future__ import annotations

import ast
from pathlib import Path

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


def nodes_of(tree: ast.Module) -> list[ast.AST]:
    """What ``ast.walk`` gives, but for loads and stores, in a third of its time."""
    found: list[ast.AST] = [tree]
    for node in found:
        for value in vars(node).values():
            if isinstance(value, list):
                found += [one for one in value if isinstance(one, ast.AST)]
            elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
                found.append(value)
    return found


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of an expression that is only names and attributes, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (head := dotted(node.value)):
        return f"{head}.{node.attr}"
    return ""


def _below(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (CHECKOUT / folder).rglob("*.py"))
