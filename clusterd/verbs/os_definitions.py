"""Finding OS definitions and judging whether they can be used (Ganeti's OS interface 10, 15, 20).

Reads files, runs nothing. The first directory of the search path that has a name wins; a broken
definition is reported with the reason, it does not hide others.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from clusterd.names import OS_API_VERSIONS
from clusterd.observation import OsFound

SCRIPTS = ("create", "import", "export", "rename")
VARIANTS_FROM = 15
PARAMETERS_FROM = 20
UNTRUSTED = "create_untrusted"

SHIPPED = Path(__file__).resolve().parent.parent / "share" / "os"
"""The definitions that come with the package."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


def search_path(directories: tuple[Path, ...]) -> tuple[Path, ...]:
    """The given directories, and last the definitions that ship with the package."""
    return (*directories, SHIPPED)


def find_all(directories: tuple[Path, ...]) -> tuple[OsFound, ...]:
    """All definitions, sorted by name."""
    found: dict[str, OsFound] = {}
    for directory in directories:
        if not directory.is_dir():
            continue
        for entry in sorted(directory.iterdir()):
            if entry.is_dir() and _NAME.match(entry.name) and entry.name not in found:
                found[entry.name] = judge(entry)
    return tuple(found[name] for name in sorted(found))


def find(directories: tuple[Path, ...], name: str) -> OsFound | None:
    """The definition of this name (without variant), or None."""
    if not _NAME.match(name):
        return None
    for directory in directories:
        if (directory / name).is_dir():
            return judge(directory / name)
    return None


def judge(place: Path) -> OsFound:
    """What lies in one directory."""
    try:
        versions = _versions(place)
        usable = _newest(versions)
        _check_scripts(place, usable)
        variants = _variants(place, usable)
        parameters = _parameters(place, usable)
    except (OSError, ValueError) as problem:
        return OsFound(name=place.name, path=str(place), valid=False, message=str(problem))
    return OsFound(
        name=place.name,
        path=str(place),
        valid=True,
        variants=variants,
        api_versions=versions,
        parameters=parameters,
    )


def newest_version(found: OsFound) -> int:
    """The interface version to speak with a valid definition."""
    return _newest(found.api_versions)


def _lines(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ValueError(f"{path.name} is missing") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is not UTF-8 text") from None
    rows = (line.strip() for line in text.splitlines())
    return tuple(row for row in rows if row and not row.startswith("#"))


def _versions(place: Path) -> tuple[int, ...]:
    rows = _lines(place / "ganeti_api_version")
    try:
        return tuple(int(row) for row in rows)
    except ValueError:
        raise ValueError("ganeti_api_version must have one number a line") from None


def _newest(versions: tuple[int, ...]) -> int:
    for version in OS_API_VERSIONS:
        if version in versions:
            return version
    wanted = ", ".join(map(str, OS_API_VERSIONS))
    raise ValueError(f"interface versions {list(versions)} are none of {wanted}")


def _check_scripts(place: Path, version: int) -> None:
    wanted = SCRIPTS if version < PARAMETERS_FROM else (*SCRIPTS, "verify")
    for name in wanted:
        script = place / name
        if name == "create" and not script.exists() and (place / UNTRUSTED).exists():
            script = place / UNTRUSTED
        if not script.is_file():
            raise ValueError(f"script '{name}' is missing")
        if not os.access(script, os.X_OK):
            raise ValueError(f"script '{script.name}' is not executable")


def _variants(place: Path, version: int) -> tuple[str, ...]:
    if version < VARIANTS_FROM:
        return ()
    path = place / "variants.list"
    if version >= PARAMETERS_FROM and not path.exists():
        return ()
    found = _lines(path)
    if not found and version < PARAMETERS_FROM:
        raise ValueError("variants.list names no variant")
    return found


def _parameters(place: Path, version: int) -> tuple[tuple[str, str], ...]:
    if version < PARAMETERS_FROM:
        return ()
    pairs = (row.split(maxsplit=1) for row in _lines(place / "parameters.list"))
    return tuple((pair[0], pair[1] if len(pair) > 1 else "") for pair in pairs)
