"""A world of the storage contracts in a thin pool of a node host."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from storage.lvm import PlainBackend
from storage.volume import Template, Volume
from tests.contracts.storage import finish
from tests.contracts.storage_snapshots import SnapshotWorld
from tests.system.real_storage import GROUP, SshCommands, held_open, plain_volume, prepare
from tests.testbed.node import Node

POOL = "thin"
POOL_MIB = 256


def prepare_pool(node: Node) -> None:
    """The thin pool is in the volume group."""
    prepare(node)
    if not node.run(["lvs", f"{GROUP}/{POOL}"], check=False).ok:
        size = ["-L", f"{POOL_MIB}m", "--poolmetadatasize", "4m"]
        node.run(["lvcreate", "-q", "-y", "--type", "thin-pool", *size, "-n", POOL, GROUP])


class ThinWorld(SnapshotWorld):
    """Thin volumes of one node host."""

    bounded = False

    def __init__(self, node: Node) -> None:
        self.node = node
        self.template = Template.PLAIN
        prepare_pool(node)
        self.commands = SshCommands(node)
        self.backend = PlainBackend(self.commands, (GROUP,))
        self._made: list[Volume] = []

    def volume(self, size_mib: int = 32) -> Volume:
        volume = msgspec.structs.replace(plain_volume(size_mib), params={"thin-pool": POOL})
        self._made.append(volume)
        return volume

    def elsewhere(self, volume: Volume) -> Volume:
        return msgspec.structs.replace(volume, params={"thin-pool": "nowhere"})

    @contextlib.contextmanager
    def used(self, path: str) -> Iterator[None]:
        with held_open(self.node, path):
            yield

    def restart(self) -> None:
        self.node.kill()
        self.node.start()

    def put(self, volume: Volume, text: str) -> None:
        path = finish(self.backend.attach(volume))
        self.node.run(f"printf %-512s {text} | dd of={path} conv=notrunc oflag=sync 2>/dev/null")

    def get(self, volume: Volume) -> str:
        path = finish(self.backend.attach(volume))
        read = f"dd if={path} bs=512 count=1 iflag=direct 2>/dev/null | tr '\\0' ' '"
        return self.node.run(read).stdout.strip()

    def image_file(self, text: str, size_mib: int) -> str:
        path = Path(f"/tmp/image-{text}")
        self.node.run(f"printf %-512s {text} >{path}; truncate -s {size_mib}M {path}")
        return str(path)

    def close(self) -> None:
        for volume in reversed(self._made):
            finish(self.backend.forget(volume))
