"""Contents from image files and devices into volumes, by QEMU's own programs.

Decided here: every copy is compared with what was copied before anybody relies on it; ranges of
zeros are not written where the target is known to be zero.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from storage.commands import command_failed
from storage.errors import BadParameter, ContentsDiffer, NoSpace, VolumeMissing
from storage.interface import Commands

MIB = 1024 * 1024
COPY_TIMEOUT_S = 24 * 3600.0
"""A copy takes as long as it takes; a day is what scripts of OS definitions have, too."""
ZERO_STEP_BYTES = 1024 * MIB
"""QEMU takes less than 2 GiB at once."""
DIFFERENT = 1
"""Exit code of ``qemu-img compare``."""
Format = Literal["raw", "qcow2"]


class ImageInfo(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """What ``qemu-img info`` says of an image."""

    virtual_size: int
    format: str = "raw"
    backing_filename: str | None = None

    @property
    def size_mib(self) -> int:
        """Whole MiB that hold all of it."""
        return -(-self.virtual_size // MIB)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What is written: a path or QEMU's name of a network volume."""

    where: str
    size_mib: int
    format: Format = "raw"
    zeroed: bool = False
    """Known to read as zeros throughout."""


async def image_info(commands: Commands, path: str, format: Format | None = None) -> ImageInfo:
    """What an image file or device is. Raises VolumeMissing, CommandFailed."""
    wanted = ("-f", format) if format else ()
    argv = ("qemu-img", "info", "--output=json", "--force-share", *wanted, path)
    output = await commands.run(*argv, check=False)
    if output.code != 0:
        if "No such file" in output.stderr:
            raise VolumeMissing(f"{path} is not on this node", subject=path)
        raise command_failed(argv, output, subject=path)
    return msgspec.json.decode(output.stdout, type=ImageInfo)


async def copy_image(commands: Commands, source: str, format: Format, target: Target) -> None:
    """``target`` begins with the contents of ``source``. Raises NoSpace, ContentsDiffer,
    BadParameter, CommandFailed."""
    info = await image_info(commands, source, format)
    if info.backing_filename:
        # a file that names another would let whoever made it read any file of this node
        raise BadParameter(
            f"{source} refers to another file ({info.backing_filename}); make one that stands"
            " alone with 'qemu-img convert'",
            subject=source,
        )
    if info.virtual_size > target.size_mib * MIB:
        raise NoSpace(
            f"{source} has {info.size_mib} MiB, too much for a volume of {target.size_mib} MiB",
            subject=target.where,
        )
    zeroed = ("--target-is-zero",) if target.zeroed else ()
    # writeback: all of it is on the disk when it ends, as the original may be removed then
    convert = ("qemu-img", "convert", "-n", "-t", "writeback", *zeroed)
    convert += ("-f", format, "-O", target.format)
    await commands.run(*convert, source, target.where, timeout_s=COPY_TIMEOUT_S)
    if not target.zeroed:
        await _zero_behind(commands, info.virtual_size, target)
    await compare(commands, source, format, target)


async def _zero_behind(commands: Commands, begin_bytes: int, target: Target) -> None:
    words = ["qemu-io", "-f", target.format]
    end_bytes = target.size_mib * MIB
    for offset in range(begin_bytes, end_bytes, ZERO_STEP_BYTES):
        words += ["-c", f"write -z {offset} {min(ZERO_STEP_BYTES, end_bytes - offset)}"]
    if "-c" in words:
        await commands.run(*words, target.where, timeout_s=COPY_TIMEOUT_S)


async def compare(commands: Commands, source: str, format: Format, target: Target) -> None:
    """Raises ContentsDiffer unless both are equal, where one ends zeros in the other."""
    argv = ("qemu-img", "compare", "-f", format, "-F", target.format, source, target.where)
    output = await commands.run(*argv, timeout_s=COPY_TIMEOUT_S, check=False)
    if output.code == DIFFERENT:
        raise ContentsDiffer(
            f"{target.where} is not equal to {source} after the copy ({output.stdout.strip()});"
            " check the node's disks and memory, then try again",
            subject=target.where,
        )
    if output.code != 0:
        raise command_failed(argv, output, subject=target.where)
