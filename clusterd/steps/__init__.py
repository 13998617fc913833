"""The steps of the cluster: do/undo pairs, one module a resource. Their tags are stored: API."""

from __future__ import annotations

import importlib
import pkgutil

from jobqueue.step import Step, Steps


def all_steps() -> Steps:
    """All kinds of steps, found by listing the modules of this package."""
    kinds: set[type[Step]] = set()
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        kinds.update(
            value
            for value in vars(loaded).values()
            if isinstance(value, type)
            and issubclass(value, Step)
            and value.__module__ == loaded.__name__
            and isinstance(value.__struct_config__.tag, str)
            and "." in value.__struct_config__.tag
        )
    return Steps(tuple(sorted(kinds, key=lambda kind: str(kind.__struct_config__.tag))))
