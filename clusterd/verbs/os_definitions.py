"""Finding OS definitions and judging whether they can be used (Ganeti's OS interface 10, 15, 20).

Reads files, runs nothing. A broken definition is reported with the reason, it does not hide others.
"""

from __future__ import annotations

from pathlib import Path

from clusterd.names import OS_API_VERSIONS, OS_PARAMETERS_FROM
from clusterd.observation import OsFound
from storage import site_directories
from storage.site_directories import check_script, described, lines

SCRIPTS = ("create", "import", "export", "rename")
VARIANTS_FROM = 15
UNTRUSTED = "create_untrusted"

SHIPPED = Path(__file__).resolve().parent.parent / "share" / "os"
"""The definitions that come with the package."""


def search_path(directories: tuple[Path, ...]) -> tuple[Path, ...]:
    """The given directories, and last the definitions that ship with the package."""
    return (*directories, SHIPPED)


def find_all(directories: tuple[Path, ...]) -> tuple[OsFound, ...]:
    """All definitions, sorted by name."""
    return tuple(judge(place) for place in site_directories.places(directories))


def find(directories: tuple[Path, ...], name: str) -> OsFound | None:
    """The definition of this name (without variant), or None."""
    place = site_directories.place(directories, name)
    return None if place is None else judge(place)


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


def _versions(place: Path) -> tuple[int, ...]:
    rows = lines(place / "ganeti_api_version")
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
    wanted = SCRIPTS if version < OS_PARAMETERS_FROM else (*SCRIPTS, "verify")
    for name in wanted:
        script = place / name
        if name == "create" and not script.exists() and (place / UNTRUSTED).exists():
            script = place / UNTRUSTED
        check_script(script, called=name)


def _variants(place: Path, version: int) -> tuple[str, ...]:
    if version < VARIANTS_FROM:
        return ()
    path = place / "variants.list"
    if version >= OS_PARAMETERS_FROM and not path.exists():
        return ()
    found = lines(path)
    if not found and version < OS_PARAMETERS_FROM:
        raise ValueError("variants.list names no variant")
    return found


def _parameters(place: Path, version: int) -> tuple[tuple[str, str], ...]:
    if version < OS_PARAMETERS_FROM:
        return ()
    return described(place / "parameters.list")
