"""Measuring image files on this node."""

from __future__ import annotations

import re

from clusterd.verbs.declare import DAY_S, verb
from clusterd.verbs.errors import WrongInput
from clusterd.verbs.host import Host
from clusterd.world import ImageFile
from storage.copying import MIB, image_info

_PATH = re.compile(r"/[^\0\n,:]*\Z")
"""QEMU's programs read more than a path into some characters."""
HEAD_SUM = 'set -e; head -c "$1" <"$2" | sha256sum'
"""A device may be longer than what is in it."""
FORMATS = ("raw", "qcow2")


@verb(reads=True, deadline_s=DAY_S)
async def sum_contents(host: Host, path: str, size_mib: int) -> str:
    """``sha256:...`` of the first ``size_mib`` of a file or device, or of all if that is less."""
    if not _PATH.match(path):
        raise WrongInput(f"'{path}' is not a usable path of an image", subject=path)
    argv = ("sh", "-c", HEAD_SUM, "sum", str(size_mib * MIB), path)
    summed = await host.commands.run(*argv, timeout_s=DAY_S)
    return f"sha256:{summed.stdout.split()[0]}"


@verb(reads=True, deadline_s=DAY_S)
async def inspect_image(host: Host, path: str) -> ImageFile:
    """Size, format and checksum of an image file; reads all of it.

    Raises WrongInput for what is no image that stands alone, VolumeMissing without the file.
    """
    if not _PATH.match(path):
        raise WrongInput(f"'{path}' is not a usable path of an image", subject=path)
    info = await image_info(host.commands, path)
    if info.format not in FORMATS:
        raise WrongInput(
            f"{path} has format {info.format}; convert it to raw or qcow2 with 'qemu-img convert'",
            subject=path,
        )
    if info.backing_filename:
        raise WrongInput(
            f"{path} refers to another file ({info.backing_filename}); make one that stands alone"
            " with 'qemu-img convert'",
            subject=path,
        )
    summed = await host.commands.run("sha256sum", "--", path, timeout_s=DAY_S)
    return ImageFile(
        size_mib=info.size_mib,
        format="qcow2" if info.format == "qcow2" else "raw",
        checksum=f"sha256:{summed.stdout.split()[0].lstrip(chr(92))}",
    )
