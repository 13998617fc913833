"""What a site installs in directories: each plugin is a directory with scripts and small lists.

Decided here: what can be a name, that the first directory of a search path that has a name wins,
and what a list file holds. Reads files, runs nothing. Not decided here: what makes a plugin usable.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


def is_name(name: str) -> bool:
    """Whether a plugin can be called so; what could lead out of its directory cannot."""
    return _NAME.match(name) is not None


def places(directories: tuple[Path, ...]) -> tuple[Path, ...]:
    """The directory of each plugin, sorted by name; search directories may be missing."""
    found: dict[str, Path] = {}
    for directory in directories:
        if not directory.is_dir():
            continue
        for entry in sorted(directory.iterdir()):
            if entry.is_dir() and is_name(entry.name):
                found.setdefault(entry.name, entry)
    return tuple(found[name] for name in sorted(found))


def place(directories: tuple[Path, ...], name: str) -> Path | None:
    """The directory of the plugin of this name, or None."""
    if not is_name(name):
        return None
    return next((each / name for each in directories if (each / name).is_dir()), None)


def check_script(path: Path, called: str = "") -> None:
    """Raises ValueError for a script that is missing (under the name ``called``) or cannot run."""
    if not path.is_file():
        raise ValueError(f"script '{called or path.name}' is missing")
    if not os.access(path, os.X_OK):
        raise ValueError(f"script '{path.name}' is not executable")


def lines(path: Path) -> tuple[str, ...]:
    """The lines of a list without comments; raises ValueError if it cannot be read as one."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ValueError(f"{path.name} is missing") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is not UTF-8 text") from None
    rows = (line.strip() for line in text.splitlines())
    return tuple(row for row in rows if row and not row.startswith("#"))


def described(path: Path) -> tuple[tuple[str, str], ...]:
    """(name, description) from a list of parameters, one a line; raises as ``lines``."""
    pairs = (row.split(maxsplit=1) for row in lines(path))
    return tuple((pair[0], pair[1] if len(pair) > 1 else "") for pair in pairs)
