"""Runs the groups of figures: a table on the terminal and build/bench.json for programs."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
import time
from pathlib import Path
from types import ModuleType

import msgspec
from rich.console import Console
from rich.table import Table

from tests.bench import groups
from tests.bench.figures import Figure

RESULT = Path(__file__).resolve().parents[2] / "build" / "bench.json"


def group_names() -> list[str]:
    """The groups, in order."""
    found = pkgutil.iter_modules(groups.__path__)
    return sorted(module.name.replace("_", "-") for module in found)


def measure(names: list[str], console: Console) -> list[Figure]:
    """Run the groups one after the other: a figure must not be disturbed by another."""
    figures: list[Figure] = []
    for name in names:
        path = f"{groups.__name__}.{name.replace('-', '_')}"
        module: ModuleType = importlib.import_module(path)
        began = time.monotonic()
        console.print(f"{name}: {(module.__doc__ or '').strip().splitlines()[0]}")
        for one in module.measure():
            console.print(f"  {one.name}: {number(one.value)} {one.unit}")
            figures.append(msgspec.structs.replace(one, group=name))
        console.print(f"{name}: {time.monotonic() - began:.1f} s")
    return figures


def table(figures: list[Figure]) -> Table:
    """The figures as people read them."""
    shown = Table("group", "name", "value", "unit", "p50", "p95", "n")
    for column in (2, 4, 5, 6):
        shown.columns[column].justify = "right"
    for figure in figures:
        what = (figure.group, figure.name, number(figure.value), figure.unit)
        shown.add_row(*what, number(figure.p50), number(figure.p95), str(figure.n))
    return shown


def number(value: float | None) -> str:
    """Four significant digits, or a dash."""
    return "-" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def main() -> int:
    """Run the command line; answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", help="one group of: " + ", ".join(group_names()))
    only = parser.parse_args().only
    console = Console()
    if only and only not in group_names():
        known = ", ".join(group_names()) or "none yet"
        console.print(f"bench: no group {only!r}; known are: {known}")
        return 2
    figures = measure([only] if only else group_names(), console)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
    console.print(table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
