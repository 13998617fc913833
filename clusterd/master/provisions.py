"""What a master has loaded before it is one.

A takeover must not depend on the disk that the programs are on: that may be slow, or an upgrade may
be changing it. So a candidate loads every opcode, step and query before it stands by, and while it
stands by what a master that starts at once loads with its first plan.
"""

from __future__ import annotations

import importlib

import msgspec

from clusterd.opcodes import registry
from clusterd.queries.answers import resources
from clusterd.steps import all_steps
from jobqueue.opcode import Registry
from jobqueue.step import Steps

PLANNING = ("clusterd.iallocator.builtin", "clusterd.placement.balance")
"""Its arrays take a quarter of a start."""


class Product(msgspec.Struct, frozen=True):
    """The opcodes and steps that a master serves."""

    registry: Registry
    steps: Steps


def product() -> Product:
    """All of this version, queries loaded as well."""
    resources()
    return Product(registry(), all_steps())


def load_planning() -> None:
    """For a thread."""
    for module in PLANNING:
        importlib.import_module(module)
