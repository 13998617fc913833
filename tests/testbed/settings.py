"""What a testbed is called, where it keeps its files and how large its node hosts are.

Two testbeds with different names share nothing: each has its own directory and network namespace,
so both use the same addresses.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from tests.testbed.kernels import Kernel, present

CHECKOUT = Path(__file__).resolve().parents[2]
FILES = Path("/var/tmp")
"""Not /tmp: a node host hides the host's /tmp behind its own."""
NODES_MAX = 20
CLUSTER_NAME = "cluster.tb"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Decides every name and address of one testbed; the same settings find it again."""

    directory: Path
    namespace: str
    net: str = "10.77.0"
    memory_mib: int = 1024
    """Enough for libvirtd, our daemons and two 128 MiB guests; the host gives it when touched."""
    root_gib: int = 4
    data_gib: int = 8
    kernel: Kernel = msgspec.field(default_factory=lambda: present(CHECKOUT / "build/node-kernel"))
    boot_timeout_s: float = 120.0

    @classmethod
    def named(cls, name: str) -> Settings:
        """The settings of the testbed ``name``. Raises ValueError for an unusable name."""
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", name):
            raise ValueError(f"testbed name {name!r}: use up to 20 of a-z, 0-9 and -")
        return cls(directory=FILES / f"clusterd-testbed-{name}", namespace=f"clusterd-{name}")

    @property
    def preloaded(self) -> Path:
        """The library that every program of a node host is started with."""
        return self.directory / "populate.so"

    @property
    def capabilities(self) -> Path:
        """What libvirt found out about QEMU on an earlier node host of this kernel, if any."""
        return CHECKOUT / "build" / f"capabilities-{self.kernel.release()}"

    @property
    def host_address(self) -> str:
        """Where tests outside the node hosts are reached from inside."""
        return f"{self.net}.1"

    def address(self, number: int) -> str:
        """The address of node host ``number``, counted from 1."""
        return f"{self.net}.{10 + number}"

    def mac(self, number: int, *, bridge: bool = False) -> str:
        """The hardware address of a node host's card, or of the bridge on it."""
        return f"52:54:00:77:{0 if bridge else 1:02x}:{number:02x}"

    def names(self) -> dict[str, str]:
        """Address -> names, for every host's /etc/hosts: nodes, the cluster, guests."""
        found = {self.host_address: "outside.tb outside", f"{self.net}.10": CLUSTER_NAME}
        for number in range(1, NODES_MAX + 1):
            found[self.address(number)] = f"n{number}.tb n{number}"
        for number in range(1, 10):
            found[f"{self.net}.{100 + number}"] = f"web{number}.tb"
            found[f"{self.net}.{120 + number}"] = f"inst{number}.tb"
        return found
