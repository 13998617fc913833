"""Worlds for the storage contracts on real node hosts: LVM and DRBD driven over SSH.

Nothing is needed but two node hosts with an empty disk each and a way to run commands on them.
"""

from __future__ import annotations

import contextlib
import itertools
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import ClassVar

import msgspec

from storage.commands import command_failed
from storage.drbd import DrbdBackend
from storage.errors import CommandTimedOut
from storage.interface import USUAL, Backend, Output, Surroundings
from storage.lvm import PlainBackend
from storage.volume import Mirror, Template, Volume
from tests.contracts.storage import StorageWorld, finish
from tests.contracts.storage_mirror import MirrorWorld
from tests.system.node_runner import TIMED_OUT, Order
from tests.testbed.node import Node
from tests.testbed.settings import CHECKOUT
from tests.testbed.testbed import Testbed

GROUP = "xenvg"
DISK = "/dev/ubdb"
UUID = "{:08x}-0000-4000-8000-000000000001"
OWNER = "99999999-2222-4333-8444-000000000001"
SLOW_KIB_PER_S = 200
FIRST_PORT = 11000

_numbers = itertools.count(1)


class Runner:
    """The process on a node host that runs commands. Started when first needed, and again after
    the node host lost power.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self._process: subprocess.Popen[bytes] | None = None

    def obey(self, order: Order) -> Output:
        """Have it done."""
        line = msgspec.json.encode(order) + b"\n"
        if self._process is not None:
            answer = self._exchange(line)
            if answer:
                return msgspec.json.decode(answer, type=Output)
            self.end()
        self._start()
        answer = self._exchange(line)
        assert answer, f"{self.node.name} does not answer"
        return msgspec.json.decode(answer, type=Output)

    def end(self) -> None:
        """No process is left."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):  # what the dead never read
                if pipe is not None:
                    pipe.close()

    def _start(self) -> None:
        program = shlex.join([sys.executable, "-m", "tests.system.node_runner"])
        command = f"cd {shlex.quote(str(CHECKOUT))} && exec {program}"
        self._process = subprocess.Popen(
            self.node.ssh_command(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def _exchange(self, line: bytes) -> bytes:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except BrokenPipeError:
            return b""
        return self._process.stdout.readline()


class SshCommands:
    """Runs a backend's programs on a node host. Counts them."""

    runners: ClassVar[dict[str, Runner]] = {}
    """By the node host's directory; ended by the session's fixture."""

    @classmethod
    def end_all(cls) -> None:
        """No process of theirs is left."""
        for runner in cls.runners.values():
            runner.end()
        cls.runners.clear()

    def __init__(self, node: Node) -> None:
        self.count = 0
        self._runner = self.runners.setdefault(str(node.directory), Runner(node))

    async def run(
        self,
        *argv: str,
        timeout_s: float = 60.0,
        check: bool = True,
        stdin: str | None = None,
        around: Surroundings = USUAL,
    ) -> Output:
        self.count += 1
        output = self._runner.obey(
            Order(argv=argv, timeout_s=timeout_s, stdin=stdin, around=around)
        )
        if output.code == TIMED_OUT:
            raise CommandTimedOut(output.stderr, subject=argv[0])
        if check and output.code != 0:
            raise command_failed(argv, output)
        return output

    async def read(self, path: str) -> str:
        return self._runner.obey(Order(path=path)).stdout


class Killed(Exception):
    """The node daemon died."""


class DyingCommands(SshCommands):
    """Commands of a daemon that is killed once it ran so many programs that change anything."""

    reading: ClassVar[tuple[str, ...]] = ("lvs", "vgs", "show", "get-gi")
    verbs: ClassVar[tuple[str, ...]] = (
        *("create-md", "restore-md", "apply-al", "new-resource", "new-minor"),
        *("attach", "connect", "primary", "secondary", "down"),
    )

    def __init__(self, node: Node, changes: int) -> None:
        super().__init__(node)
        self._left = changes
        self.changed: list[str] = []
        """The program or its verb, of those that ran."""

    async def run(
        self,
        *argv: str,
        timeout_s: float = 60.0,
        check: bool = True,
        stdin: str | None = None,
        around: Surroundings = USUAL,
    ) -> Output:
        if not any(word in self.reading for word in argv):
            if not self._left:
                raise Killed(argv)
            self._left -= 1
            verbs = [word for word in argv if word in self.verbs]
            self.changed.append(verbs[0] if verbs else argv[0])
        return await super().run(
            *argv, timeout_s=timeout_s, check=check, stdin=stdin, around=around
        )


def prepare(node: Node) -> None:
    """The volume group exists on the node's empty disk."""
    if not node.run(["vgs", GROUP], check=False).ok:
        node.run(["pvcreate", "-q", "-y", DISK])
        node.run(["vgcreate", "-q", GROUP, DISK])


@contextlib.contextmanager
def second_disk(node: Node, mib: int = 64) -> Iterator[str]:
    """Another empty disk that LVM sees; nothing is on it afterwards."""
    settings, path = "/etc/lvm/lvmlocal.conf", "/var/tmp/second"
    node.run(f'sed -i.kept \'s#"r|#"a|^/dev/loop|", &#\' {settings}')
    device = node.run(f"truncate -s {mib}M {path}; losetup -f --show {path}").stdout.strip()
    try:
        yield device
    finally:
        node.run(f"losetup -d {device}; rm {path}; mv {settings}.kept {settings}")


def plain_volume(size_mib: int = 32) -> Volume:
    """A plain volume nobody has used."""
    uuid = UUID.format(next(_numbers))
    return Volume(
        template=Template.PLAIN,
        uuid=uuid,
        pool=GROUP,
        name=f"{uuid}.disk0",
        size_mib=size_mib,
        owner=OWNER,
        label="web1.example.com",
    )


def mirror_volumes(nodes: list[Node], size_mib: int = 32, **params: object) -> list[Volume]:
    """A mirror nobody has used, as each of two nodes holds it. New data are zeros."""
    number = next(_numbers)
    uuid = UUID.format(number)
    volumes = []
    for local, peer in (nodes, nodes[::-1]):
        mirror = Mirror(
            minor=number % 100 + 100 * nodes.index(local),
            port=FIRST_PORT + number,
            secret=f"{number:040x}",
            local_name=local.name,
            local_address=local.address,
            peer_name=peer.name,
            peer_address=peer.address,
            peer_minor=number % 100 + 100 * nodes.index(peer),
            meta_pool=GROUP,
            meta_name=f"{uuid}.disk0_meta",
            side=0 if local is nodes[0] else 1,
        )
        volumes.append(
            Volume(
                template=Template.DRBD,
                uuid=uuid,
                pool=GROUP,
                name=f"{uuid}.disk0_data",
                size_mib=size_mib,
                owner=OWNER,
                label="web1.example.com",
                mirror=mirror,
                params={"wipe": True, **params},  # type: ignore[dict-item]
            )
        )
    return volumes


@contextlib.contextmanager
def held_open(node: Node, path: str) -> Iterator[None]:
    """A process on the node has the device open."""
    command = f"sleep 300 9<>{shlex.quote(path)} >/dev/null 2>&1 </dev/null & echo $!"
    pid = node.run(command).stdout.strip()
    try:
        yield
    finally:
        node.run(f"kill {pid}; while [ -e /proc/{pid} ]; do sleep 0.05; done")


class RealWorld(StorageWorld):
    """LVM or DRBD on the first of two node hosts."""

    def __init__(self, testbed: Testbed, template: Template) -> None:
        self.nodes = testbed.nodes()[:2]
        self.node = self.nodes[0]
        prepare(self.node)
        self.template = template
        self.force_to_open = self.restart_detaches = template is Template.DRBD
        commands = SshCommands(self.node)
        backends: dict[Template, Backend] = {
            Template.PLAIN: PlainBackend(commands, (GROUP, "nowhere")),
            Template.DRBD: DrbdBackend(commands, (GROUP, "nowhere")),
        }
        self.backend = backends[template]
        self._made: list[Volume] = []

    def volume(self, size_mib: int = 32) -> Volume:
        if self.template is Template.PLAIN:
            volume = plain_volume(size_mib)
        else:
            volume = msgspec.structs.replace(mirror_volumes(self.nodes, size_mib)[0], params={})
        self._made.append(volume)
        return volume

    def elsewhere(self, volume: Volume) -> Volume:
        return msgspec.structs.replace(volume, pool="nowhere")

    @contextlib.contextmanager
    def used(self, path: str) -> Iterator[None]:
        with held_open(self.node, path):
            yield

    def restart(self) -> None:
        self.node.kill()
        self.node.start()

    def close(self) -> None:
        for volume in self._made:
            finish(self.backend.forget(volume))


class RealPair(MirrorWorld):
    """DRBD between two node hosts."""

    patience_s = 40.0

    def __init__(self, testbed: Testbed) -> None:
        self.nodes = testbed.nodes()[:2]
        for node in self.nodes:
            prepare(node)
        first, second = (DrbdBackend(SshCommands(node), (GROUP,)) for node in self.nodes)
        self.backends = (first, second)
        self._made: list[list[Volume]] = []
        self._writes = 0
        self._blocked = False

    def pair(self, *, slow: bool = False) -> tuple[Volume, Volume]:
        params = {"resync-rate": SLOW_KIB_PER_S} if slow else {}
        volumes = mirror_volumes(self.nodes, **params)
        self._made.append(volumes)
        return volumes[0], volumes[1]

    def write(self, node: int, volume: Volume) -> None:
        assert volume.mirror is not None
        place = self._writes % (volume.size_mib - 1)
        self._writes += 1
        self.nodes[node].run(
            f"dd if=/dev/urandom of=/dev/drbd{volume.mirror.minor} bs=1M count=2"
            f" seek={min(place, volume.size_mib - 2)} oflag=direct"
        )

    def content(self, node: int, volume: Volume) -> str:
        path = f"/dev/{volume.pool}/{volume.name}"
        read = f"dd if={path} bs=1M count={volume.size_mib} iflag=direct 2>/dev/null"
        return self.nodes[node].run(f"{read} | sha256sum").stdout.split()[0]

    def power_off(self, node: int) -> None:
        self.nodes[node].kill()

    def power_on(self, node: int) -> None:
        self.nodes[node].start()

    def cut(self) -> None:
        self._blocked = True
        self.nodes[0].run(["ip", "route", "add", "blackhole", f"{self.nodes[1].address}/32"])

    def mend(self) -> None:
        self._blocked = False
        self.nodes[0].run(["ip", "route", "del", "blackhole", f"{self.nodes[1].address}/32"])

    def close(self) -> None:
        for node in self.nodes:
            if not node.running:
                node.start()
        if self._blocked:
            self.mend()
        for volumes in self._made:
            for backend, volume in zip(self.backends, volumes, strict=True):
                finish(backend.forget(volume))
