"""The connection to a Ceph cluster: the only place that imports its libraries, and only when used.

Decided here: every call has a deadline, so a cluster without quorum or with a dead OSD makes a verb
fail and never hang; one connection a verb, as it takes 20 ms and an old one may be shut out; which
of Ceph's errors becomes which of ours.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
from collections.abc import Iterator
from typing import Any

import msgspec

from storage.errors import (
    BadParameter,
    NoSpace,
    PoolMissing,
    StorageDown,
    StorageError,
    VolumeBusy,
    VolumeMissing,
)

CONNECT_TIMEOUT_S = 8
MON_TIMEOUT_S = 8
OSD_TIMEOUT_S = 15
"""One object's operation; an OSD that is marked out of order takes its own 20 s longer."""
MISSING_LIBRARY = (
    "Ceph's Python modules cannot be loaded ({error}); install python3-rados and python3-rbd"
)


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks which cluster."""

    config: str
    user: str
    keyring: str = ""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A pool and a namespace in it; users write ``pool`` or ``pool/namespace``."""

    pool: str
    namespace: str = ""

    def __str__(self) -> str:
        return f"{self.pool}/{self.namespace}" if self.namespace else self.pool


def place_of(text: str) -> Place:
    """The place of a volume's ``pool``. Raises BadParameter."""
    pool, _, namespace = text.partition("/")
    if not pool or "/" in namespace or "@" in text:
        raise BadParameter(f"{text!r} is no pool; write POOL or POOL/NAMESPACE", subject=text)
    return Place(pool=pool, namespace=namespace)


def libraries() -> tuple[Any, Any]:
    """The modules ``rados`` and ``rbd``. Raises StorageDown."""
    try:
        return importlib.import_module("rados"), importlib.import_module("rbd")
    except ImportError as error:
        raise StorageDown(MISSING_LIBRARY.format(error=error)) from None


@contextlib.contextmanager
def cluster(access: Access) -> Iterator[Any]:
    """A connection, closed afterwards. Raises StorageDown, BadParameter."""
    rados, _ = libraries()
    options = {
        "client_mount_timeout": str(CONNECT_TIMEOUT_S),
        "rados_mon_op_timeout": str(MON_TIMEOUT_S),
        "rados_osd_op_timeout": str(OSD_TIMEOUT_S),
    }
    if access.keyring:
        options["keyring"] = access.keyring
    try:
        link = rados.Rados(conffile=access.config, rados_id=access.user, conf=options)
        link.connect(timeout=CONNECT_TIMEOUT_S)
    except rados.ObjectNotFound as error:
        raise BadParameter(
            f"Ceph's configuration {access.config} or the keyring of client.{access.user} is not"
            f" on this node ({error})",
            subject=access.config,
        ) from None
    except rados.PermissionError as error:
        raise _denied(access, error) from None
    except rados.PermissionDeniedError as error:
        raise _denied(access, error) from None
    except rados.Error as error:
        raise StorageDown(
            f"the Ceph cluster of {access.config} does not answer ({error}); see 'ceph -s'",
            subject=access.config,
        ) from None
    try:
        yield link
    finally:
        link.shutdown()


@contextlib.contextmanager
def pool_of(link: Any, place: Place) -> Iterator[Any]:
    """An open pool, set to the namespace. Raises PoolMissing, StorageDown."""
    rados, rbd = libraries()
    try:
        io = link.open_ioctx(place.pool)
    except rados.ObjectNotFound:
        raise PoolMissing(f"Ceph has no pool {place.pool}; make it", subject=place.pool) from None
    except rados.Error as error:
        raise translated(error, place.pool) from None
    try:
        if place.namespace:
            if not rbd.RBD().namespace_exists(io, place.namespace):
                raise PoolMissing(
                    f"pool {place.pool} has no namespace {place.namespace}; make it with"
                    f" 'rbd namespace create {place}'",
                    subject=str(place),
                )
            io.set_namespace(place.namespace)
        yield io
    except (rados.Error, rbd.Error) as error:
        raise translated(error, str(place)) from error
    finally:
        io.close()


@contextlib.contextmanager
def image_of(io: Any, name: str, *, read_only: bool = False, snapshot: str = "") -> Iterator[Any]:
    """An open image, closed afterwards. Raises VolumeMissing."""
    _, rbd = libraries()
    try:
        image = rbd.Image(io, name, snapshot=snapshot or None, read_only=read_only)
    except rbd.ImageNotFound:
        raise VolumeMissing(
            f"image {name} does not exist; bring it back, or recreate the disk", subject=name
        ) from None
    try:
        yield image
    finally:
        image.close()


_BY_NUMBER: dict[int, tuple[type[StorageError], str]] = {
    errno.ENOSPC: (NoSpace, "the pool is full, as an OSD under it is"),
    errno.EDQUOT: (NoSpace, "the pool is full, as its quota is used up"),
    errno.EBUSY: (VolumeBusy, "it is in use; stop what has it open"),
    errno.EROFS: (VolumeBusy, "another client holds its lock"),
    errno.ETIMEDOUT: (StorageDown, "Ceph does not answer in time; see 'ceph -s'"),
    errno.ESHUTDOWN: (StorageDown, "this client was shut out of the cluster; try again"),
    errno.EPERM: (BadParameter, "Ceph refuses its user; see 'ceph auth get'"),
    errno.EACCES: (BadParameter, "Ceph refuses its user; see 'ceph auth get'"),
    errno.ENOENT: (VolumeMissing, "it does not exist"),
}


def translated(error: Any, subject: str) -> StorageError:
    """Ceph's error as one of ours."""
    kind, meaning = _BY_NUMBER.get(
        abs(getattr(error, "errno", 0) or 0), (StorageError, "Ceph failed")
    )
    return kind(f"{subject}: {meaning} ({error})", subject=subject)


def command(link: Any, **words: str | float) -> bytes:
    """Ask the monitors. Raises StorageDown, BadParameter, StorageError."""
    rados, _ = libraries()
    asked = msgspec.json.encode({**words, "format": "json"}).decode()
    code, answer, said = link.mon_command(asked, b"", timeout=MON_TIMEOUT_S)
    if code:
        asked_for = str(words["prefix"])
        raise translated(rados.OSError(f"{asked_for}: {said}", errno=abs(code)), asked_for)
    return bytes(answer)


class _Pool(msgspec.Struct, frozen=True):
    pool_name: str
    flags_names: str = ""


def full_pools(link: Any) -> dict[str, str]:
    """Those that Ceph marks as full, and why: their quota, or an OSD under them."""
    told = command(link, prefix="osd pool ls", detail="detail")
    flags = {
        one.pool_name: one.flags_names.split(",")
        for one in msgspec.json.decode(told, type=list[_Pool])
    }
    numbers = {True: errno.EDQUOT, False: errno.ENOSPC}
    return {
        pool: _BY_NUMBER[numbers["full_quota" in found]][1]
        for pool, found in flags.items()
        if "full" in found
    }


def refuse_full(link: Any, place: Place) -> None:
    """Raises NoSpace while the pool is full. To be asked before what needs room: Ceph itself would
    let it wait, and a snapshot would be made by half."""
    reason = full_pools(link).get(place.pool)
    if reason is not None:
        raise NoSpace(f"{place.pool}: {reason}; see 'ceph df detail'", subject=place.pool)


def host_of(address: str) -> str:
    """The host part of ``192.0.2.1:0/123`` or ``v1:[2001:db8::1]:0/123``."""
    return address.rpartition("/")[0].rpartition(":")[0].removeprefix("v1:").removeprefix("v2:")


def _denied(access: Access, error: Any) -> BadParameter:
    return BadParameter(
        f"Ceph refuses client.{access.user}: {error}; see 'ceph auth get client.{access.user}'",
        subject=access.user,
    )
