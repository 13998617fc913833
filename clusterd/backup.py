"""A backup of the cluster's state: what is in it, how it is read, how a store is made of it again.

Decided here: a tar archive (gzip) of a description, every key of the store from one moment, and the
keys and users that only candidates have. Whoever has it has the cluster: it is readable by its
owner only. Values are copied as they are; the mastership is not: who restores it is the master.
"""

from __future__ import annotations

import base64
import gzip
import io
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from clusterd import certificates
from clusterd.configuration import Configuration
from clusterd.durable import sync_directory
from clusterd.errors import ClusterError
from clusterd.master.mastership import PREFIX as MASTERSHIP
from clusterd.master.mastership import carried_over
from clusterd.model import Cluster
from clusterd.settings import Settings
from jobqueue.store.interface import MAX_BYTES, MAX_WRITES, Entry, Store, Transaction

FORMAT = 1
CHUNK_BYTES = 1024 * 1024
MANIFEST, STORE, FILES = "manifest.json", "store.jsonl", "state/"
KEPT_FILES = (
    certificates.AUTHORITY_FILE,
    certificates.AUTHORITY_KEY_FILE,
    certificates.STORE_AUTHORITY_FILE,
    certificates.STORE_AUTHORITY_KEY_FILE,
    "rapi/users",
)
"""Of the state directory."""


class BadBackup(ClusterError):
    """The file is no backup that this version can read."""

    code = "bad_backup"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the archive is."""

    format: int = FORMAT
    cluster: str
    uuid: str
    node: str
    """Where it was taken."""
    taken: float
    keys: int
    engine: str


class Line(msgspec.Struct, frozen=True):
    """One key; the value is base64, as in all JSON of msgspec."""

    key: str
    value: bytes


def write_backup(path: Path, settings: Settings, entries: Iterable[Entry], now: float) -> Manifest:
    """Make the archive at ``path``, whole or not at all."""
    aside = path.with_name(f".{path.name}.new")
    with tempfile.TemporaryFile(dir=path.parent) as lines:
        keys = 0
        for entry in entries:
            lines.write(msgspec.json.encode(Line(entry.key, entry.value)) + b"\n")
            keys += 1
        manifest = Manifest(
            cluster=settings.cluster.name,
            uuid=settings.cluster.uuid,
            node=settings.node.name,
            taken=now,
            keys=keys,
            engine=settings.store.engine,
        )
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with (
                os.fdopen(descriptor, "wb") as raw,
                tarfile.open(fileobj=raw, mode="w:gz") as archive,
            ):
                _add(archive, MANIFEST, io.BytesIO(msgspec.json.encode(manifest)), now)
                lines.seek(0)
                _add(archive, STORE, lines, now)
                for name in KEPT_FILES:
                    kept = settings.state_directory / name
                    if kept.exists():
                        _add(archive, FILES + name, io.BytesIO(kept.read_bytes()), now)
            with aside.open("rb") as written:
                os.fsync(written.fileno())
            aside.rename(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
    sync_directory(path.parent)
    return manifest


class Backup:
    """An archive that is open for reading."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        try:
            self.manifest = msgspec.json.decode(self.file(MANIFEST) or b"", type=Manifest)
        except msgspec.DecodeError as error:
            raise BadBackup(f"this is no backup of a cluster: {error}") from None
        if self.manifest.format != FORMAT:
            raise BadBackup(
                f"the backup has format {self.manifest.format}; this version reads {FORMAT}"
            )

    def file(self, name: str) -> bytes | None:
        """One member of the archive."""
        try:
            member = self._archive.extractfile(name)
        except KeyError:
            return None
        return member.read() if member is not None else None

    def lines(self) -> Iterator[Line]:
        """Every key of the store, in order."""
        member = self._archive.extractfile(STORE)
        if member is None:
            raise BadBackup("the backup has no store in it")
        for text in member:
            try:
                yield msgspec.json.decode(text, type=Line)
            except msgspec.DecodeError as error:
                raise BadBackup(f"the backup is damaged: {error}") from None


@contextmanager
def read_backup(path: Path) -> Iterator[Backup]:
    """Open an archive; raises BadBackup, OSError. It is read to its end first, where its checksum
    stands: a bit that was turned over would else be restored as if it had been so."""
    try:
        with gzip.open(path) as whole:
            while whole.read(CHUNK_BYTES):
                pass
        with tarfile.open(path, mode="r:gz") as archive:
            yield Backup(archive)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise BadBackup(f"{path} is no backup, or is damaged: {error}") from None


async def fill(store: Store, backup: Backup, master: str, now: float) -> Cluster:
    """Put everything into an empty store, with the node called ``master`` as the master.

    Epochs go on far above those that nodes can have seen since the backup: from the time of day,
    as there was never more than one mastership a second. Raises BadBackup.
    """
    count = 0
    for puts in _groups(backup.lines()):
        kept = tuple(put for put in puts if not put[0].startswith(MASTERSHIP))
        await store.commit(Transaction(puts=kept))
        count += len(puts)
    if count != backup.manifest.keys:
        raise BadBackup(f"the backup has {count} keys, not {backup.manifest.keys}: it is damaged")
    configuration = Configuration()
    await configuration.load(store)
    node = configuration.find_node(master)
    if not configuration.exists or node is None:
        raise BadBackup(f"{master} is no node of the cluster in this backup")
    cluster = configuration.cluster
    writes = configuration.changed(cluster, now, master_node=node.uuid, store="sqlite")
    writes += configuration.changed(
        node, now, master_candidate=True, offline=False, drained=False, store_member=False
    )
    await store.commit(writes + carried_over(int(now)))
    for other in list(configuration.nodes()):
        if other.store_member:
            await store.commit(configuration.changed(other, now, store_member=False))
    return configuration.cluster


def from_door(rows: Any) -> Iterator[Entry]:
    """The store as the master's door tells it."""
    for key, value, version in rows:
        yield Entry(str(key), base64.b64decode(value), int(version))


def _groups(lines: Iterable[Line]) -> Iterator[tuple[tuple[str, bytes], ...]]:
    """As large as a transaction may be."""
    group: list[tuple[str, bytes]] = []
    size = 0
    for line in lines:
        bytes_ = len(line.key.encode()) + len(line.value)
        if group and (len(group) >= MAX_WRITES or size + bytes_ > MAX_BYTES):
            yield tuple(group)
            group, size = [], 0
        group.append((line.key, line.value))
        size += bytes_
    if group:
        yield tuple(group)


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes], now: float) -> None:
    info = tarfile.TarInfo(name)
    info.size = content.seek(0, os.SEEK_END)
    content.seek(0)
    info.mode, info.mtime = 0o600, int(now)
    archive.addfile(info, content)
