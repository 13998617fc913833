"""Directories of exports on this node, in Ganeti's layout.

``NAME.new`` is being written and belongs to the job whose identity it bears; ``NAME`` is complete,
with its ``config.ini``. Committing replaces one complete export by another; whatever stops it in
between is finished by asking again.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from clusterd.durable import make_directory, sync_directory, write_durable
from clusterd.export_file import FILE
from clusterd.verbs.declare import verb
from clusterd.verbs.errors import ExportMissing, WrongInput
from clusterd.verbs.host import Host
from clusterd.world import ExportFound

NEW, OLD = ".new", ".old"
IDENTITY = ".identity"
CONFIG_BYTES_MAX = 256 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


@verb(subject="export", named_by=("name",), observed=True)
async def begin_export(host: Host, name: str, identity: str) -> None:
    """There is an empty unfinished export of an instance; one of the same identity stays."""
    await host.threads.run(begin, _own(host, name), identity)


@verb(subject="export", named_by=("name",), observed=True)
async def commit_export(host: Host, name: str, identity: str, text: str) -> None:
    """The unfinished export is the instance's export, with this ``config.ini``."""
    await host.threads.run(commit, _own(host, name), identity, text)


@verb(subject="export", named_by=("name",), observed=True)
async def forget_export(host: Host, name: str, identity: str) -> None:
    """The unfinished export of this identity is gone; with an empty identity the finished one of
    every directory that is looked in, too."""
    own = _own(host, name)
    if identity:
        await host.threads.run(abandon, own, identity)
        return
    for directory in host.places.exports:
        await host.threads.run(_remove, directory / name)


@verb(reads=True)
async def read_export(host: Host, path: str) -> ExportFound:
    """``config.ini`` of the export at an absolute path, or of a name. Raises ExportMissing."""
    return await host.threads.run(found_at, host.places.exports, path)


def found_names(directories: tuple[Path, ...]) -> tuple[str, ...]:
    """Names of all complete exports, sorted."""
    names = set()
    for directory in directories:
        if directory.is_dir():
            names |= {
                entry.name
                for entry in directory.iterdir()
                if entry.suffix not in (NEW, OLD) and (entry / FILE).is_file()
            }
    return tuple(sorted(names))


def found_at(directories: tuple[Path, ...], path: str) -> ExportFound:
    """The export at a path, which may be relative to the directories."""
    places = [Path(path)] if path.startswith("/") else [place / path for place in directories]
    if ".." in Path(path).parts:
        raise WrongInput(f"'{path}': an export's path has no '..'", subject=path)
    for place in places:
        file = place / FILE
        if file.is_file():
            if file.stat().st_size > CONFIG_BYTES_MAX:
                raise WrongInput(f"{file} is too long for an export's", subject=path)
            return ExportFound(path=str(place), text=file.read_text("utf-8", "replace"))
    looked = ", ".join(str(place) for place in places)
    raise ExportMissing(f"there is no export at {looked} on this node", subject=path)


def begin(final: Path, identity: str) -> None:
    """Blocking part; see ``begin_export``."""
    new = _new(final)
    if _identity(new) == identity:
        return
    _remove(new)
    make_directory(final.parent, 0o750)
    make_directory(new, 0o700)
    write_durable(new / IDENTITY, identity.encode())


def commit(final: Path, identity: str, text: str) -> None:
    """Blocking part; the old export is put aside, the new one takes its place, the old one goes."""
    new, old = _new(final), final.with_name(f"{final.name}{OLD}")
    if _identity(new) == identity:
        write_durable(new / FILE, text.encode())
        if final.exists():
            _remove(old)
            final.rename(old)
        new.rename(final)
    elif _identity(final) != identity:
        raise ExportMissing(
            f"the unfinished export {new} is gone; export again", subject=final.name
        )
    sync_directory(final.parent)
    _remove(old)


def abandon(final: Path, identity: str) -> None:
    """Blocking part; what another job writes is left alone."""
    new = _new(final)
    if _identity(new) in (identity, ""):
        _remove(new)


def _identity(place: Path) -> str:
    try:
        return (place / IDENTITY).read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _new(final: Path) -> Path:
    return final.with_name(f"{final.name}{NEW}")


def _own(host: Host, name: str) -> Path:
    if not _NAME.match(name) or name.endswith((NEW, OLD)):
        raise WrongInput(f"'{name}' cannot be the name of an export", subject=name)
    return host.places.exports[0] / name


def _remove(place: Path) -> None:
    if place.is_dir():
        # what is half removed must not look complete
        (place / FILE).unlink(missing_ok=True)
        shutil.rmtree(place)
