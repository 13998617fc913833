"""Work on RBD images, blocking. Each function is handed an open pool and finishes what it finds.

A new image carries the metadata ``clusterd.owner`` and ``clusterd.label``. ``clusterd.shared`` is
there while two nodes may write it. A snapshot is protected, and counted as made, once it is both.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from storage.ceph_link import command, host_of, image_of, libraries, place_of
from storage.errors import (
    HasChildren,
    NoSpace,
    SecondPrimary,
    SizeDiffers,
    VolumeBusy,
    VolumeMissing,
)
from storage.rbd_mapped import mapped_here
from storage.volume import Health, Origin, Snapshot, Stored, Template, Volume, VolumeStatus

MIB = 1024 * 1024
NAME_SHAPE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.(rbd\.disk\d+|image)")
OWNER_KEY = "clusterd.owner"
LABEL_KEY = "clusterd.label"
SHARED_KEY = "clusterd.shared"
BLOCKLIST_S = 24 * 3600.0
"""How long a client stays shut out; its node has been started anew by then."""
OPENED_LISTED_MAX = 5
CHILDREN_LISTED_MAX = 10


def present(io: Any, volume: Volume, size_mib: int) -> bool:
    """Whether the image is there and marked as whose it is. Raises SizeDiffers."""
    try:
        with image_of(io, volume.name, read_only=True) as image:
            found = image.size()
            marked = any(key == OWNER_KEY for key, _ in image.metadata_list())
    except VolumeMissing:
        return False
    if found != size_mib * MIB:
        raise SizeDiffers(
            f"image {volume.name} has {found / MIB:g} MiB but {size_mib} MiB are wanted; grow or"
            " remove it first",
            subject=volume.name,
        )
    return marked


def create(io: Any, volume: Volume) -> None:
    """A new, empty image."""
    _, rbd = libraries()
    with contextlib.suppress(rbd.ImageExists):
        rbd.RBD().create(io, volume.name, volume.size_mib * MIB)
    _mark(io, volume)


def clone(parent_io: Any, io: Any, volume: Volume, origin: Origin) -> None:
    """A new image that reads from the snapshot what was not written. Half done is finished."""
    _, rbd = libraries()
    if origin.size_mib > volume.size_mib:
        raise NoSpace(
            f"{volume.name} would have {volume.size_mib} MiB, its image has {origin.size_mib} MiB",
            subject=volume.name,
        )
    try:
        rbd.RBD().clone(parent_io, origin.name, origin.snapshot, io, volume.name)
    except rbd.ImageExists:
        pass
    except rbd.ImageNotFound:
        raise VolumeMissing(
            f"snapshot {origin.name}@{origin.snapshot} does not exist", subject=origin.name
        ) from None
    # resized last: an image with the wanted size is complete
    _mark(io, volume)
    with image_of(io, volume.name) as image:
        if image.size() < volume.size_mib * MIB:
            image.resize(volume.size_mib * MIB)


def unfinished_clone(io: Any, volume: Volume, origin: Origin) -> bool:
    """Whether the image is the origin's clone that has not got its own size yet."""
    with image_of(io, volume.name, read_only=True) as image:
        parent = _parent(image) or ""
        same = parent == f"{origin.pool}/{origin.name}@{origin.snapshot}"
        return same and image.size() == origin.size_mib * MIB


def _mark(io: Any, volume: Volume) -> None:
    with image_of(io, volume.name) as image:
        image.metadata_set(OWNER_KEY, volume.owner)
        image.metadata_set(LABEL_KEY, volume.label)


def resize(io: Any, volume: Volume, size_mib: int) -> None:
    """At least this large; never smaller."""
    with image_of(io, volume.name) as image:
        if image.size() < size_mib * MIB:
            image.resize(size_mib * MIB)


def remove(io: Any, volume: Volume) -> None:
    """Nothing is left of the image and its snapshots. Raises VolumeBusy, HasChildren."""
    _, rbd = libraries()
    try:
        with image_of(io, volume.name, read_only=True) as image:
            refuse_users(image, volume, everywhere=True)
            snapshots = [found["name"] for found in image.list_snaps()]
            dependents = children_of(io, volume.name, snapshots)
    except VolumeMissing:
        # made by half, its header may be missing: removing takes what there is
        with contextlib.suppress(rbd.ImageNotFound):
            rbd.RBD().remove(io, volume.name)
        return
    for name, children in dependents.items():
        refuse_children(volume.name, name, children)
    for name in snapshots:
        forget_snapshot(io, volume, name)
    try:
        rbd.RBD().remove(io, volume.name)
    except rbd.ImageNotFound:
        _check_gone(io, volume)


def _check_gone(io: Any, volume: Volume) -> None:
    """Ceph says "not found" also of its own trash, which the first removal in a pool makes: in a
    full one that fails, and the image is still there. Raises VolumeBusy."""
    with contextlib.suppress(VolumeMissing), image_of(io, volume.name, read_only=True):
        raise VolumeBusy(
            f"image {volume.name} cannot be removed, as its pool is full and nothing was ever"
            " removed there; make room, then try again",
            subject=volume.name,
        )


def children_of(io: Any, name: str, snapshots: list[str]) -> dict[str, tuple[str, ...]]:
    """Snapshot -> the images that depend on it, sorted. One that was made by half cannot be opened,
    so none does."""
    found: dict[str, tuple[str, ...]] = dict.fromkeys(snapshots, ())
    for snapshot in snapshots:
        with (
            contextlib.suppress(VolumeMissing),
            image_of(io, name, read_only=True, snapshot=snapshot) as image,
        ):
            found[snapshot] = tuple(
                sorted(
                    "/".join(part for part in (one["pool_namespace"], one["image"]) if part)
                    for one in image.list_children2()
                    if not one["trash"]
                )
            )
    return found


def refuse_children(name: str, snapshot: str, children: tuple[str, ...]) -> None:
    """Raises HasChildren unless there are none."""
    if children:
        shown = ", ".join(children[:CHILDREN_LISTED_MAX])
        more = len(children) - CHILDREN_LISTED_MAX
        shown += f" and {more} more" if more > 0 else ""
        raise HasChildren(
            f"snapshot {name}@{snapshot} has {len(children)} children: {shown}; flatten or remove"
            " them first",
            subject=name,
        )


def take_snapshot(io: Any, volume: Volume, name: str) -> None:
    """There and protected."""
    _, rbd = libraries()
    with image_of(io, volume.name) as image:
        with contextlib.suppress(rbd.ImageExists):
            image.create_snap(name)
        if not image.is_protected_snap(name):
            image.protect_snap(name)


def forget_snapshot(io: Any, volume: Volume, name: str) -> None:
    """Gone. Raises HasChildren."""
    _, rbd = libraries()
    try:
        with image_of(io, volume.name) as image:
            if name not in [found["name"] for found in image.list_snaps()]:
                return
            refuse_children(volume.name, name, children_of(io, volume.name, [name])[name])
            if image.is_protected_snap(name):
                image.unprotect_snap(name)
            with contextlib.suppress(rbd.ImageNotFound):
                image.remove_snap(name)
    except VolumeMissing:
        return


def revert(io: Any, volume: Volume, name: str) -> None:
    """The image's contents are the snapshot's. Raises VolumeBusy, VolumeMissing."""
    _, rbd = libraries()
    with image_of(io, volume.name) as image:
        refuse_users(image, volume, everywhere=True, own=True)
        try:
            image.rollback_to_snap(name)
        except rbd.ImageNotFound:
            raise VolumeMissing(
                f"image {volume.name} has no snapshot {name}", subject=volume.name
            ) from None


def flatten(io: Any, volume: Volume) -> None:
    """The image reads from no other."""
    with image_of(io, volume.name) as image:
        if _parent(image):
            image.flatten()


def _parent(image: Any) -> str | None:
    _, rbd = libraries()
    try:
        spec = image.get_parent_image_spec()
    except rbd.ImageNotFound:
        return None
    place = "/".join(part for part in (spec["pool_name"], spec["pool_namespace"]) if part)
    return f"{place}/{spec['image_name']}@{spec['snap_name']}"


class Users(msgspec.Struct, frozen=True, kw_only=True):
    """The clients that have an image open for writing: address -> where from."""

    here: tuple[str, ...]
    elsewhere: tuple[str, ...]


def users_of(link: Any, image: Any) -> Users:
    """Who watches the image or holds its lock; what this connection itself does is left out."""
    mine = link.get_addrs()
    here: set[str] = set()
    elsewhere: set[str] = set()
    addresses = {watcher["addr"] for watcher in image.watchers_list()}
    addresses |= {locker[2] for locker in _lockers(image)}
    for address in addresses - {mine}:
        (here if host_of(address) == host_of(mine) else elsewhere).add(address)
    return Users(here=tuple(sorted(here)), elsewhere=tuple(sorted(elsewhere)))


def _lockers(image: Any) -> list[tuple[str, str, str]]:
    found = image.list_lockers()
    return list(found["lockers"]) if found else []


def refuse_users(image: Any, volume: Volume, *, everywhere: bool, own: bool = False) -> None:
    """Raises VolumeBusy while somebody has the image open for writing: anywhere, or here. ``own``:
    this very connection does."""
    watchers = list(image.watchers_list())
    if len(watchers) > (1 if own else 0) and everywhere:
        shown = ", ".join(sorted(watcher["addr"] for watcher in watchers)[:OPENED_LISTED_MAX])
        raise VolumeBusy(
            f"image {volume.name} is open ({shown}); stop what uses it", subject=volume.name
        )


def refuse_local_users(link: Any, io: Any, volume: Volume) -> None:
    """Raises VolumeBusy while something on this host has the image open. Absent: nothing."""
    try:
        with image_of(io, volume.name, read_only=True) as image:
            users = users_of(link, image).here
    except VolumeMissing:
        return
    if users:
        raise VolumeBusy(
            f"image {volume.name} is open on this node ({users[0]}); stop what uses it",
            subject=volume.name,
        )


def take_over(link: Any, io: Any, volume: Volume, *, force: bool) -> None:
    """Nobody elsewhere writes the image, unless sharing is allowed. Raises SecondPrimary.

    ``force`` means that no migration is under way, whatever one that broke off has left. Others
    are then shut out of the cluster first and lose the lock after it: a lock taken from a client
    that can still write would be worth nothing.
    """
    with image_of(io, volume.name, read_only=True) as image:
        others = users_of(link, image).elsewhere
        if not others or (_is_shared(image) and not force):
            return
        held = _lockers(image)
    if not force:
        raise SecondPrimary(
            f"image {volume.name} is open on another node ({others[0]}); stop its guest there, or"
            " mark that node offline if it is surely off",
            subject=volume.name,
        )
    for address in others:
        asked = {"blocklistop": "add", "addr": address}
        command(link, prefix="osd blocklist", **asked, expire=BLOCKLIST_S)
    _, rbd = libraries()
    with image_of(io, volume.name) as image:
        for client, cookie, address in held:
            if address in others:
                with contextlib.suppress(rbd.ImageNotFound):
                    image.break_lock(client, cookie)


def _is_shared(image: Any) -> bool:
    return any(key == SHARED_KEY for key, _ in image.metadata_list())


def share(io: Any, volume: Volume, *, allowed: bool) -> None:
    """Two nodes may, or may not, have the image open for writing. Absent: nothing."""
    _, rbd = libraries()
    try:
        with image_of(io, volume.name) as image:
            if allowed:
                image.metadata_set(SHARED_KEY, "1")
            else:
                with contextlib.suppress(rbd.ImageNotFound, KeyError):
                    image.metadata_remove(SHARED_KEY)
    except VolumeMissing:
        return


def status_of(io: Any, volume: Volume) -> VolumeStatus:
    """What is found, as the pool says; the caller adds how it is reached."""
    try:
        with image_of(io, volume.name, read_only=True) as image:
            found = [(one["name"], one["size"]) for one in image.list_snaps()]
            children = children_of(io, volume.name, [name for name, _ in found])
            return VolumeStatus(
                uuid=volume.uuid,
                present=True,
                size_mib=image.size() // MIB,
                health=Health.OK,
                origin=_parent(image),
                two_primaries_allowed=_is_shared(image),
                snapshots=tuple(
                    Snapshot(name=name, size_mib=size // MIB, children=children[name])
                    for name, size in found
                ),
            )
    except VolumeMissing:
        return VolumeStatus(uuid=volume.uuid, present=False)


def stored_in(io: Any, pool: str) -> Iterator[Stored]:
    """Our images in a pool; those that vanish meanwhile are left out. Ceph tells the names of a
    pool in one answer and the rest of each image by opening it, so those of others stay closed."""
    _, rbd = libraries()
    place, mapped = place_of(pool), mapped_here()
    for name in filter(NAME_SHAPE.fullmatch, sorted(rbd.RBD().list(io))):
        with contextlib.suppress(VolumeMissing), image_of(io, name, read_only=True) as image:
            metadata = dict(image.metadata_list())
            yield Stored(
                template=Template.RBD,
                pool=pool,
                name=name,
                size_mib=image.size() // MIB,
                owner=metadata.get(OWNER_KEY),
                attached=bool(list(image.watchers_list())),
                held=(place.pool, place.namespace, name) in mapped,
            )
