"""The cluster's own address: an alias on the master's network device, as wide as the operator said.

Idempotent both ways. A device or neighbour that cannot be told is no failure: the address works.
"""

from __future__ import annotations

import ipaddress

import msgspec

from clusterd.errors import ClusterError
from clusterd.model import Cluster
from clusterd.services import Machine

COMMAND_TIMEOUT_S = 10.0


class AddressFailed(ClusterError):
    """The cluster's address cannot be set up or taken down."""

    code = "master_address_failed"


class MasterAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Empty ``ip``: the cluster has no address of its own."""

    ip: str = ""
    netmask: int = 32
    netdev: str = ""

    def up(self, machine: Machine) -> None:
        """Set it up and tell the neighbours."""
        if not self.ip:
            return
        ended = machine.run(self._command("replace"), COMMAND_TIMEOUT_S)
        if ended.code:
            raise AddressFailed(
                f"the cluster's address {self.ip} cannot be set up on {self.netdev}:"
                f" {ended.last_words}",
                subject=self.ip,
            )
        if ipaddress.ip_address(self.ip).version == 4:
            # caches of neighbours may still lead to an earlier master
            machine.run(
                ["arping", "-q", "-U", "-c", "1", "-w", "1", "-I", self.netdev, self.ip],
                COMMAND_TIMEOUT_S,
            )

    def down(self, machine: Machine) -> None:
        """Take it away. Not there: success."""
        if not self.ip:
            return
        ended = machine.run(self._command("del"), COMMAND_TIMEOUT_S)
        gone = "Cannot assign requested address" in ended.output or "not found" in ended.output
        if ended.code and not gone:
            raise AddressFailed(
                f"the cluster's address {self.ip} cannot be taken down on {self.netdev}:"
                f" {ended.last_words}",
                subject=self.ip,
            )

    def _command(self, verb: str) -> list[str]:
        return ["ip", "address", verb, f"{self.ip}/{self.netmask}", "dev", self.netdev]


def address_of(cluster: Cluster) -> MasterAddress:
    """The cluster's own address."""
    return MasterAddress(
        ip=cluster.master_ip, netmask=cluster.master_netmask, netdev=cluster.master_netdev
    )
