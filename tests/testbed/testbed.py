"""A set of node hosts on one network: made fresh, used, and removed without a trace.

Whatever is needed to find the set again is in its directory, so a driver that died leaves nothing
that the next one's ``down`` does not remove.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.testbed.network import Network
from tests.testbed.node import Node
from tests.testbed.seed import SHARE, Keys, known_hosts
from tests.testbed.settings import CHECKOUT, NODES_MAX, Settings
from tests.testbed.shell import Completed, TestbedError, run

MARKER = "clusterd-testbed"
"""Only a directory with this file in it is ever removed."""


class Testbed:
    """Node hosts n1, n2, ... and the network between them."""

    __test__ = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.network = Network(settings)

    @classmethod
    def named(cls, name: str) -> Testbed:
        """The testbed ``name``, whether it is up or not."""
        return cls(Settings.named(name))

    def up(self, count: int) -> None:
        """Make ``count`` fresh node hosts, start them beside each other and wait for them."""
        self._refuse(count)
        self.down()
        directory = self.settings.directory
        directory.mkdir(parents=True)
        (directory / MARKER).touch()
        shutil.copy(SHARE / "stage1", directory / "stage1")
        (directory / "stage1").chmod(0o755)
        library = ["gcc", "-O2", "-shared", "-fPIC", "-o", str(self.settings.preloaded)]
        run([*library, str(SHARE / "populate.c")])
        self._compile()
        self.network.ensure()
        fresh = [Node(self.settings, self.network, number) for number in range(1, count + 1)]
        keys = self._make_keys([node.name for node in fresh])
        for node in fresh:
            node.create(keys[node.name])
            node.power_on()
        for node in fresh:
            node.wait()
        self._keep_capabilities(fresh[0])

    def down(self) -> None:
        """No process, namespace or file of this testbed is left. Nothing there is success."""
        directory = self.settings.directory
        for node in self.nodes():
            node.kill()
        self.network.remove()
        if not directory.exists():
            return
        if not (directory / MARKER).exists():
            raise TestbedError(f"{directory} is not a testbed's directory; it is left alone")
        shutil.rmtree(directory)

    def nodes(self) -> list[Node]:
        """The node hosts that were made, in order, running or not."""
        numbers = [int(path.name[1:]) for path in self.settings.directory.glob("n[0-9]*")]
        return [Node(self.settings, self.network, number) for number in sorted(numbers)]

    def node(self, name: str) -> Node:
        """The node host ``name``. Raises TestbedError."""
        for node in self.nodes():
            if name in (node.name, node.fqdn):
                return node
        raise TestbedError(f"no node host {name!r} in {self.settings.directory}; is it up?")

    def outside(
        self, argv: Sequence[str], *, timeout_s: float = 60.0, check: bool = True, stdin: str = ""
    ) -> Completed:
        """Run a command of this machine in the node hosts' network."""
        return run(
            self.network.inside(argv),
            where="outside",
            shown=argv,
            timeout_s=timeout_s,
            check=check,
            stdin=stdin,
        )

    def refresh(self) -> None:
        """Let running node hosts see files of this machine that changed since they were read."""
        self._compile()
        for node in self.nodes():
            if node.running:
                node.run("sync; echo 3 >/proc/sys/vm/drop_caches")

    def _refuse(self, count: int) -> None:
        if not 1 <= count <= NODES_MAX:
            raise TestbedError(f"{count} node hosts: choose 1 to {NODES_MAX}")
        if os.geteuid() != 0:
            raise TestbedError("node hosts need root for their network")
        if not Path("/dev/net/tun").exists():
            raise TestbedError("/dev/net/tun is missing: node hosts need the kernel's tun device")
        running = [node.name for node in self.nodes() if node.running]
        if running:
            raise TestbedError(f"already up ({', '.join(running)}); take it down first")

    def _make_keys(self, names: list[str]) -> dict[str, Keys]:
        directory = self.settings.directory
        for name in ("key", *(f"host-{name}" for name in names)):
            comment = "root@testbed" if name == "key" else name
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment]
            run([*command, "-f", str(directory / name)])
        public = {name: (directory / f"host-{name}.pub").read_text() for name in names}
        (directory / "known_hosts").write_text(known_hosts(self.settings, public))
        return {
            name: Keys(
                root=(directory / "key").read_text(),
                root_public=(directory / "key.pub").read_text(),
                host=(directory / f"host-{name}").read_text(),
                host_public=public[name],
                all_public=public,
            )
            for name in names
        }

    def _keep_capabilities(self, node: Node) -> None:
        """What libvirt finds out about QEMU takes it 5 s on a node host, and is the same on each.
        Later ones begin with what the first found; libvirt itself checks whether it still holds."""
        kept = self.settings.capabilities
        if kept.exists():
            return
        place = "/var/cache/libvirt/qemu/capabilities"
        words = f"virsh -c qemu:///system capabilities >/dev/null && cd {place} && grep -H '' *.xml"
        found: dict[str, list[str]] = {}
        for line in node.run(words, timeout_s=120).stdout.splitlines():
            name, _, text = line.partition(":")
            found.setdefault(name, []).append(text)
        fresh = kept.with_name(f"{kept.name}.{os.getpid()}")
        fresh.mkdir(parents=True)
        for name, lines in found.items():
            (fresh / name).write_text("".join(f"{line}\n" for line in lines))
        try:
            fresh.rename(kept)
        except OSError:
            # another testbed was faster
            shutil.rmtree(fresh)

    def _compile(self) -> None:
        """Byte-compile the checkout once, here: in a node host it would cost each process anew."""
        python = CHECKOUT / ".venv/bin/python"
        if python.exists():
            places = [str(CHECKOUT / name) for name in (["clusterd", "jobqueue", "storage"])]
            places += [str(CHECKOUT / name) for name in (["hypervisors", "cli", "rapi"])]
            run([str(python), "-m", "compileall", "-q", *places], check=False, timeout_s=300)
