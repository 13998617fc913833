"""One etcd server as clusterd runs it: its files, its addresses, and the words that start it.

Decided here: how a member is configured, so that nobody edits its configuration by hand. Not
decided here: where members run, who starts them, how one joins or leaves (the cluster's business).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

PROGRAM = "/usr/bin/etcd"
"""Of Debian's package etcd-server."""

COMPACTION = "5m"
"""How much history is kept: a watch that was away for longer reads everything anew."""

QUOTA_BYTES = 4 * 1024**3
"""etcd refuses to grow beyond; its own default of 2 GiB is meant for less."""

SNAPSHOT_COUNT = 10_000
"""Log entries that are kept in memory; etcd's own default of 100,000 costs hundreds of MiB."""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How fast members miss each other, in milliseconds; etcd's defaults."""

    heartbeat_ms: int = 100
    election_ms: int = 1000


class EtcdMember(msgspec.Struct, frozen=True, kw_only=True):
    """One member. ``host`` is what its certificate names; ports are its own on that host."""

    name: str
    host: str
    client_port: int = 2379
    peer_port: int = 2380
    data: Path
    """Its own directory; made by etcd with mode 0700."""
    authority: Path
    certificate: Path
    key: Path
    """PEM files; the certificate is good for servers and clients."""
    timing: Timing = Timing()
    quota_bytes: int = QUOTA_BYTES
    program: str = PROGRAM

    @property
    def client_url(self) -> str:
        """Where stores ask it."""
        return f"https://{_bracketed(self.host)}:{self.client_port}"

    @property
    def peer_url(self) -> str:
        """Where members ask it."""
        return f"https://{_bracketed(self.host)}:{self.peer_port}"

    def command(
        self, peers: Mapping[str, str], state: Literal["new", "existing"], token: str
    ) -> list[str]:
        """Start it. ``peers`` (name -> peer URL, itself included), ``state`` and ``token`` (the
        cluster's uuid) count only while ``data`` is empty."""
        cluster = ",".join(f"{name}={peers[name]}" for name in sorted(peers))
        options = {
            "name": self.name,
            "data-dir": str(self.data),
            "listen-client-urls": self.client_url,
            "advertise-client-urls": self.client_url,
            "listen-peer-urls": self.peer_url,
            "initial-advertise-peer-urls": self.peer_url,
            "initial-cluster": cluster,
            "initial-cluster-state": state,
            "initial-cluster-token": token,
            "trusted-ca-file": str(self.authority),
            "cert-file": str(self.certificate),
            "key-file": str(self.key),
            "peer-trusted-ca-file": str(self.authority),
            "peer-cert-file": str(self.certificate),
            "peer-key-file": str(self.key),
            "heartbeat-interval": str(self.timing.heartbeat_ms),
            "election-timeout": str(self.timing.election_ms),
            "auto-compaction-mode": "periodic",
            "auto-compaction-retention": COMPACTION,
            "quota-backend-bytes": str(self.quota_bytes),
            "snapshot-count": str(SNAPSHOT_COUNT),
            "logger": "zap",
            "log-level": "warn",
        }
        flags = [
            "client-cert-auth",
            "peer-client-cert-auth",
            # whom a member believes, its authority says; from which of a host's addresses it calls
            # is the routing table's matter
            "experimental-peer-skip-client-san-verification",
        ]
        pairs = [f"--{name}={value}" for name, value in options.items()]
        return [self.program, *pairs, *(f"--{flag}" for flag in flags)]


def _bracketed(host: str) -> str:
    """IPv6 addresses stand in brackets in a URL."""
    return f"[{host}]" if ":" in host else host
