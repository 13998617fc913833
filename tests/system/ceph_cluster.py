"""A real cluster on two libvirt hosts with Ceph: founded and used by the operator's commands.

Each host has its own prefix, network, processes and libvirt; no login between them is needed, as
the second host's keys and settings are laid down here and it is taken in with --no-node-setup.
"""

from __future__ import annotations

import re
import shlex
import sys
import time
from pathlib import Path

import msgspec

from clusterd import certificates
from clusterd.certificates import Subject
from clusterd.settings import NodeSection, Settings, StorageSection
from tests.system.ceph_hosts import CephHosts
from tests.system.kvm_world import guest_image
from tests.system.libvirt_hosts import LibvirtHost

PROGRAMS = Path(sys.executable).parent
CLUSTER_ADDRESS = "10.99.0.10"
COMMAND_S = 180.0
STAMP_OFFSET = 524288


class CephCluster:
    """n1.test is the master; n2.test can take its guests."""

    def __init__(self, hosts: CephHosts) -> None:
        self.hosts = hosts
        assert hosts.ceph is not None
        self.ceph = hosts.ceph
        self.ceph.make_user("guests")
        # the configuration's own keyring has no such user: each user's file is named beside it
        text = self.ceph.config.read_text().replace(
            "[client]\n", f"[client]\nkeyring = {self.ceph.directory}/ceph.$name.keyring\n"
        )
        self.config = self.ceph.directory / "guests.conf"
        self.config.write_text(text)

    def found(self) -> None:
        """A cluster of two nodes."""
        master = self.hosts.host(1)
        self._lay(1, Settings(node=self._node(1), storage=self._storage()))
        self.run(
            master, "gnt-cluster", "init", "--enabled-disk-templates=rbd,diskless",
            "--enabled-hypervisors=kvm", "--master-netdev=br0",
            f"--primary-ip={self.address(1)}", f"--master-ip={CLUSTER_ADDRESS}",
            "-N", "link=br0", "-D", f"rbd:user-id=guests,config={self.config}", "c.test",
        )  # fmt: skip
        self._join(2)

    def _join(self, number: int) -> None:
        state = self.root(1) / "var/lib/clusterd"
        first = self._settings(1)
        authority = certificates.read_authority(state)
        name = f"n{number}.test"
        subject = Subject(name=name, addresses=(self.address(number),), role="node")
        pair = certificates.issue_node(authority, subject, time.time())
        settings = Settings(
            cluster=first.cluster,
            node=msgspec.structs.replace(self._node(number), name=name, role="node"),
            storage=self._storage(),
        )
        self._lay(number, settings)
        home = self.root(number) / "var/lib/clusterd"
        home.mkdir(parents=True, exist_ok=True)
        (home / "ca.pem").write_bytes(authority.certificate)
        certificates.write_node(home, pair)
        host = self.hosts.host(number)
        self.run(host, "clusterd-node", "--start")
        self.gnt("node", "add", "--no-node-setup", f"--primary-ip={self.address(number)}", name)

    def _settings(self, number: int) -> Settings:
        found = next((self.root(number) / "etc/clusterd").glob("*.toml"))
        return Settings.parse(found.read_text(), source=str(found))

    def _lay(self, number: int, settings: Settings) -> None:
        placed = msgspec.structs.replace(settings, root=str(self.root(number)))
        placed.path.parent.mkdir(parents=True, exist_ok=True)
        placed.path.write_text(placed.to_toml())

    def _node(self, number: int) -> NodeSection:
        address = self.address(number)
        return NodeSection(primary_ip=address, secondary_ip=address)

    def _storage(self) -> StorageSection:
        return StorageSection(ceph_config=str(self.config), ceph_user="guests")

    @staticmethod
    def address(number: int) -> str:
        """Of host ``number``."""
        return f"10.99.0.1{number}"

    def root(self, number: int) -> Path:
        """What the host's daemons take for the root."""
        return self.hosts.directory / f"root{number}"

    def gnt(self, tool: str, *words: str) -> str:
        """A command of the operator on the master; what it says. Raises AssertionError."""
        return self.run(self.hosts.host(1), f"gnt-{tool}", *words)

    def run(self, host: LibvirtHost, program: str, *words: str) -> str:
        """A program of the product on a host."""
        name = f"n{host.number}.test"
        line = shlex.join([
            "timeout", str(COMMAND_S), "env", f"CLUSTERD_ROOT={self.root(host.number)}",
            f"CLUSTERD_HOSTNAME={name}", str(PROGRAMS / program), *words,
        ])  # fmt: skip
        done = host.run("sh", "-c", f"{line} 2>&1 </dev/null", check=False)
        assert done.returncode == 0, (
            f"{program} {words} ended with {done.returncode}: {done.stdout}"
        )
        return done.stdout

    # -- guests ----------------------------------------------------------------------------------

    def image_file(self, name: str, **wishes: str) -> Path:
        """The demo's guest, stamped, as a file that an image can be made from."""
        path = self.hosts.directory / f"{name}.img"
        data = bytearray(guest_image().read_bytes())
        words = {"name": name, "tick": "0.1", **wishes}
        stamp = " ".join(["clusterd-guest", *(f"{key}={text}" for key, text in words.items())])
        data[STAMP_OFFSET : STAMP_OFFSET + len(stamp)] = stamp.encode()
        path.write_bytes(data)
        return path

    def console(self, number: int, instance: str) -> str:
        """All that the guest has said on this host."""
        path = self.root(number) / "var/log/clusterd/console" / f"{instance}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def ticks(self, number: int, instance: str) -> list[int]:
        """The numbers it counted there."""
        return [
            int(n) for n in re.findall(r"^TICK (\d+) \S+\s*$", self.console(number, instance), re.M)
        ]

    def wait_ticks(self, number: int, instance: str, beyond: int = 0, limit_s: float = 90.0) -> int:
        """The last number once there are more than ``beyond`` on this host."""
        deadline = time.monotonic() + limit_s
        while len(found := self.ticks(number, instance)) <= beyond:
            console = self.console(number, instance)[-1500:]
            assert time.monotonic() < deadline, f"no tick of {instance}: {console}"
            time.sleep(0.02)
        return found[-1]
