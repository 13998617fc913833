"""Logical volumes by LVM's commands: what ``plain`` and ``drbd`` share.

Decided here: a new volume carries ``clusterd.unfinished`` until it is complete. Whatever carries
the tag is nobody's data yet and is made anew, never completed in place; attaching refuses it. New
volumes are zeroed at their start and cleared of old signatures (``-Zy -Wy``), so no guest finds
another's partition table; their other old contents stay unless the parameter ``wipe`` is set.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from storage.commands import command_failed
from storage.errors import (
    BadParameter,
    CommandFailed,
    NameTaken,
    NoSpace,
    PoolMissing,
    SizeDiffers,
    StorageError,
    VolumeBusy,
    VolumeMissing,
)
from storage.interface import Commands, Output
from storage.lvm_report import (
    BOTH_FIELDS,
    LABEL_TAG,
    LV_FIELDS,
    MIB,
    OWNER_TAG,
    REPORT_OPTIONS,
    REPORT_TIMES,
    UNFINISHED_TAG,
    VG_FIELDS,
    LogicalVolume,
    missing_groups,
    parse_groups,
    parse_volumes,
    size_fits,
)
from storage.volume import Capacity, Stored, Template, Volume

WIPE_MIB_PER_S = 8
"""The slowest disk that a wipe waits for; decides its time limit."""
WIPE_TIMEOUT_LEAST_S = 120.0


STILL = ".still"
"""Ends the name of the snapshot of a volume that is being read."""


def full_name(group: str, name: str) -> str:
    """The name LVM takes on its command line."""
    return f"{group}/{name}"


def device_path(group: str, name: str) -> str:
    """The device node of an active logical volume."""
    return f"/dev/{group}/{name}"


def still_of(name: str) -> str:
    """What the still of this logical volume is called."""
    return f"{name}{STILL}"


class LogicalVolumes:
    """LVM on one node. Holds no state."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def find(self, *names: str) -> dict[str, LogicalVolume]:
        """Those of ``names`` (``group/name``) that exist. Raises PoolMissing, CommandFailed."""
        argv = ("lvs", *REPORT_OPTIONS, *REPORT_TIMES, "-o", LV_FIELDS, *names)
        output = await self._commands.run(*argv, check=False)
        _check_groups(output)
        if output.code != 0 and "Failed to find logical volume" not in output.stderr:
            raise command_failed(argv, output)
        return {full_name(lv.group, lv.name): lv for lv in parse_volumes(output.stdout)}

    async def stored(
        self, template: Template, names: re.Pattern[str], attached: Callable[[LogicalVolume], bool]
    ) -> tuple[Stored, ...]:
        """Those whose whole names match, as ``Backend.list`` tells them."""
        return tuple(
            Stored(
                template=template,
                pool=lv.group,
                name=lv.name,
                size_mib=lv.size_mib,
                owner=lv.owner,
                attached=attached(lv),
            )
            for lv in await self.all()
            if names.fullmatch(lv.name)
        )

    async def stands(self, volume: Volume) -> bool:
        """Whether it is there as wanted: whole, the owner's, of its size. One that was left
        unfinished is removed. Raises NameTaken, SizeDiffers."""
        name = full_name(volume.pool, volume.name)
        found = (await self.find(name)).get(name)
        if found is None:
            return False
        if found.unfinished:
            await self.remove(name)
            return False
        checked_own(found, volume.owner)
        checked_size(found, volume.size_mib)
        return True

    async def matching(self, group: str, pattern: str) -> tuple[LogicalVolume, ...]:
        """Those of a volume group whose names match, sorted. Raises PoolMissing."""
        chosen = ("-S", f'lv_name=~"{pattern}"')
        argv = ("lvs", *REPORT_OPTIONS, *REPORT_TIMES, "-o", LV_FIELDS, *chosen, group)
        output = await self._commands.run(*argv, check=False)
        _check_groups(output)
        if output.code != 0:
            raise command_failed(argv, output)
        return parse_volumes(output.stdout)

    async def all(self) -> tuple[LogicalVolume, ...]:
        """Every logical volume of this node, sorted."""
        return parse_volumes(await self._everything())

    async def room(
        self, template: Template, groups: tuple[str, ...]
    ) -> tuple[tuple[Capacity, ...], tuple[LogicalVolume, ...]]:
        """Room in those volume groups of ``groups`` that exist, sorted, and every logical volume.

        The report that ``all`` reads tells both, so who looks at a node asks LVM once; only a group
        that has no logical volume yet is asked for.
        """
        if not groups:
            return (), ()
        report = await self._everything()
        found = {group.name: group for group in parse_groups(report)}
        if silent := [name for name in groups if name not in found]:
            argv = ("vgs", *REPORT_OPTIONS, "-o", VG_FIELDS, *silent)
            output = await self._commands.run(*argv, check=False)
            if output.code != 0 and not missing_groups(output.stderr):
                raise command_failed(argv, output)
            found |= {group.name: group for group in parse_groups(output.stdout)}
        room = tuple(
            Capacity(
                template=template,
                pool=name,
                total_mib=found[name].size_bytes // MIB,
                free_mib=found[name].free_bytes // MIB,
            )
            for name in sorted(set(groups))
            if name in found
        )
        return room, parse_volumes(report)

    async def _everything(self) -> str:
        argv = ("lvs", *REPORT_OPTIONS, *REPORT_TIMES, "-o", BOTH_FIELDS)
        return (await self._commands.run(*argv)).stdout

    async def create(
        self, name: str, size_mib: int, *, tags: tuple[str, ...], stripes: int = 1, wipe: bool
    ) -> None:
        """Make ``name``, active, tagged unfinished. Raises NoSpace, PoolMissing, BadParameter."""
        group, short = name.split("/", 1)
        argv = ["lvcreate", "--yes", "-Wy", "-Zy", "-L", f"{size_mib}m", "-n", short]
        for tag in (UNFINISHED_TAG, *tags):
            argv += ["--addtag", tag]
        if stripes > 1:
            argv += ["--stripes", str(stripes)]
        output = await self._commands.run(*argv, group, check=False)
        if output.code != 0:
            raise refusal((*argv, group), output, name)
        if wipe:
            timeout_s = max(WIPE_TIMEOUT_LEAST_S, size_mib / WIPE_MIB_PER_S)
            await self._commands.run(
                "blkdiscard", "--zeroout", device_path(group, short), timeout_s=timeout_s
            )

    async def still(self, group: str, origin: str, tags: tuple[str, ...]) -> str:
        """A snapshot of ``origin``, active, with room for every change; answers its device.

        Raises NoSpace, VolumeMissing.
        """
        name = full_name(group, origin)
        short = f"{origin}{STILL}"
        found = await self.find(name, full_name(group, short))
        volume = complete(found, name)
        if full_name(group, short) not in found:
            # a thin volume shares its blocks with its snapshot, any other needs room for changes
            room = ("--setactivationskip", "n") if volume.thin_pool else ("-l", "100%ORIGIN")
            argv = ["lvcreate", "--yes", "--snapshot", *room, "-n", short]
            for tag in tags:
                argv += ["--addtag", tag]
            output = await self._commands.run(*argv, name, check=False)
            if output.code != 0:
                raise refusal((*argv, name), output, name)
        elif not found[full_name(group, short)].active:
            # a snapshot is activated with its origin, about which LVM asks
            await self._commands.run("lvchange", "--yes", "-ay", full_name(group, short))
        return device_path(group, short)

    async def forget_still(self, group: str, origin: str, owner: str) -> None:
        """There is no such snapshot. Raises VolumeBusy."""
        await self.remove_of(owner, still_of(full_name(group, origin)))

    async def extend(self, found: LogicalVolume, size_mib: int) -> None:
        """``found`` has at least this size. Raises NoSpace."""
        if found.size_bytes >= size_mib * MIB:
            return
        name = full_name(found.group, found.name)
        argv = ("lvextend", "--yes", "-L", f"{size_mib}m", name)
        output = await self._commands.run(*argv, check=False)
        if output.code != 0:
            raise refusal(argv, output, name)

    async def rename(self, group: str, old: str, new: str, tags: tuple[str, ...]) -> None:
        """What was ``old`` in ``group`` is ``new``, with these marks of its owner and no others;
        done already is success.

        Raises VolumeMissing when neither is there, VolumeBusy while it is open.
        """
        names = full_name(group, old), full_name(group, new)
        found = await self.find(*names)
        if names[1] not in found:
            volume = complete(found, names[0])
            if volume.opened:
                raise VolumeBusy(
                    f"logical volume {names[0]} is open; stop what uses it", subject=names[0]
                )
            await self._commands.run("lvrename", group, old, new)
        elif names[0] in found and old != new:
            raise NameTaken(
                f"both {names[0]} and {names[1]} exist; remove the one that is not wanted",
                subject=names[1],
            )
        kept = found.get(names[1], found.get(names[0]))
        words = marking(kept.tags, tags) if kept is not None else []
        if words:
            await self._commands.run("lvchange", *words, names[1])

    async def finish(self, *names: str, activate: bool) -> None:
        """``names`` are complete: usable when ``activate``, else out of the way."""
        active = "-ay" if activate else "-an"
        await self._commands.run("lvchange", active, "--deltag", UNFINISHED_TAG, *names)

    async def activate(self, *names: str) -> None:
        """The device nodes of ``names`` exist."""
        await self._commands.run("lvchange", "-ay", *names)

    async def deactivate(self, name: str) -> None:
        """The device node of ``name`` is gone. Raises VolumeBusy."""
        argv = ("lvchange", "-an", name)
        output = await self._commands.run(*argv, check=False)
        if output.code != 0:
            raise refusal(argv, output, name)

    async def remove(self, *names: str) -> None:
        """None of ``names`` is left; gone already is success. Raises VolumeBusy."""
        argv = ("lvremove", "--yes", "--force", *names)
        output = await self._commands.run(*argv, check=False)
        if output.code == 0 or _only_absence(output):
            return
        raise refusal(argv, output, names[0])

    async def remove_of(self, owner: str, *names: str, stilled: bool = False) -> None:
        """As ``remove``, but what is marked as another's, or not at all, is left alone. With
        ``stilled`` the still of the first, too."""
        if stilled:
            names = (still_of(names[0]), *names)
        try:
            found = await self.find(*names)
        except PoolMissing:
            return
        own = [name for name in names if name in found and belongs(found[name], owner)]
        if own:
            await self.remove(*own)


def marking(old: tuple[str, ...], new: tuple[str, ...]) -> list[str]:
    """Options that make marks of owners those of ``new``; other tags stay."""
    gone = [tag for tag in old if tag.startswith((OWNER_TAG, LABEL_TAG)) and tag not in new]
    words = [word for tag in gone for word in ("--deltag", tag)]
    return words + [word for tag in new if tag not in old for word in ("--addtag", tag)]


def _check_groups(output: Output) -> None:
    """Raises PoolMissing when LVM did not find a volume group."""
    absent = missing_groups(output.stderr)
    if absent:
        raise PoolMissing(
            f"volume group {absent[0]} does not exist on this node; make it", subject=absent[0]
        )


def belongs(found: LogicalVolume, owner: str) -> bool:
    """Whether the logical volume was made for ``owner``. Ganeti marks its own with the instance's
    name, which may have changed; nothing of ours is without any mark."""
    return found.unfinished or (found.labelled if found.owner is None else found.owner == owner)


def checked_own(found: LogicalVolume, owner: str) -> None:
    """Raises NameTaken unless ``found`` was made for ``owner``."""
    if not belongs(found, owner):
        name = full_name(found.group, found.name)
        raise NameTaken(
            f"logical volume {name} exists already and belongs to {found.owner or 'nobody known'};"
            " rename or remove it",
            subject=name,
        )


def checked_size(found: LogicalVolume, size_mib: int) -> None:
    """Raises SizeDiffers unless LVM would make ``found`` of ``size_mib``."""
    if not size_fits(found, size_mib):
        raise SizeDiffers(
            f"{found.group}/{found.name} has {found.size_mib} MiB but {size_mib} MiB are wanted;"
            " grow or remove it first",
            subject=full_name(found.group, found.name),
        )


def complete(found: dict[str, LogicalVolume], name: str) -> LogicalVolume:
    """The logical volume ``name``. Raises VolumeMissing when it is absent or unfinished."""
    volume = found.get(name)
    if volume is None or volume.unfinished:
        state = "is not on this node" if volume is None else "was never completed"
        raise VolumeMissing(
            f"logical volume {name} {state}; bring it back, or recreate the disk", subject=name
        )
    return volume


def _only_absence(output: Output) -> bool:
    """Whether LVM complains of nothing but things that are not there."""
    absent = re.compile(r"Failed to find logical volume|Volume group \"[^\"]+\" not found")
    follows = re.compile(r"Cannot process volume group|successfully removed|WARNING")
    lines = [line for line in output.stderr.splitlines() if line.strip()]
    return bool(lines) and all(absent.search(line) or follows.search(line) for line in lines)


_REFUSALS: tuple[tuple[str, type[StorageError], str], ...] = (
    (r"insufficient (free space|suitable)", NoSpace, "the volume group has too little free space"),
    (r"Volume group \"[^\"]+\" not found", PoolMissing, "the volume group does not exist here"),
    (r"Number of stripes", BadParameter, "the volume group has too few disks for the stripes"),
    (r"in use|is used by|used by another", VolumeBusy, "it is in use; stop what has it open"),
)


def refusal(argv: tuple[str, ...] | list[str], output: Output, subject: str) -> StorageError:
    """The error that LVM's complaint stands for."""
    failed: CommandFailed = command_failed(tuple(argv), output, subject=subject)
    for pattern, error, meaning in _REFUSALS:
        if re.search(pattern, output.stderr, re.IGNORECASE):
            return error(f"{subject}: {meaning} ({failed.message})", subject=subject)
    return failed
