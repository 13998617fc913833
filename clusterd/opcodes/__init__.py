"""All opcodes, one module each: declaration, locks, check, plan, result. Found by listing."""

from __future__ import annotations

import importlib
import pkgutil

from jobqueue.opcode import OpcodeKind, Registry

SHARED_MODULES = frozenset(
    {
        "addressing",
        "adoption",
        "beginnings",
        "candidates",
        "cards",
        "copied_images",
        "copies",
        "disk_plans",
        "disk_steps",
        "drafts",
        "fields",
        "importing",
        "item_changes",
        "locking",
        "moving",
        "new_instances",
        "grouping",
        "guest_os",
        "placing",
        "requirements",
        "roles",
        "seeding",
        "tag_changes",
        "travelling",
        "wiring",
    }
)
"""Modules of this package that hold pieces which several opcodes share."""


def registry() -> Registry:
    """Every opcode that this version serves; a module that fails to import stops the caller."""
    kinds: list[OpcodeKind] = []
    for module in pkgutil.iter_modules(__path__):
        if module.name not in SHARED_MODULES:
            kinds.append(importlib.import_module(f"{__name__}.{module.name}").KIND)
    return Registry(kinds)
