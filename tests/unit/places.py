"""A prefix with the settings and keys of a node, and the programs that run there."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

from clusterd import certificates
from clusterd.certificates import KeyPair, Subject
from clusterd.settings import ClusterSection, NodeSection, Settings, Timeouts

CHECKOUT = Path(__file__).resolve().parents[2]
NODE = "n2.example.com"
UUID = "6b1f9a0e-0000-4000-8000-000000000001"


def node_settings(port: int, *, uuid: str = UUID) -> Settings:
    """Of one node on loopback."""
    return Settings(
        cluster=ClusterSection(name="c.example.com", uuid=uuid),
        node=NodeSection(
            name=NODE,
            primary_ip="127.0.0.1",
            secondary_ip="127.0.0.1",
            bind_address="127.0.0.1",
            port=port,
        ),
        timeouts=Timeouts(start_s=30, stop_s=3),
    )


def issue(authority: KeyPair, name: str = NODE) -> KeyPair:
    """A node's pair."""
    return certificates.issue_node(
        authority, Subject(name=name, addresses=("127.0.0.1",)), time.time()
    )


def programs(directory: Path) -> Path:
    """A directory with ``clusterd-node``, which is the echo daemon."""
    directory.mkdir()
    program = directory / "clusterd-node"
    program.write_text(
        f'#!/bin/sh\ncd {CHECKOUT} && exec {sys.executable} -m tests.unit.echo_daemon "$@"\n'
    )
    program.chmod(0o755)
    return directory


def run(
    program: Path, *words: str, root: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run it below a prefix to its end."""
    return subprocess.run(
        [str(program), *words],
        env={**os.environ, "CLUSTERD_ROOT": str(root), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def greet(directory: Path, address: str, port: int, say: bytes = b"hello") -> bytes:
    """Speak to a node over TLS with the keys in ``directory``; what it answers first."""
    tls = ssl.create_default_context(cafile=str(directory / certificates.AUTHORITY_FILE))
    tls.load_cert_chain(directory / certificates.NODE_FILE, directory / certificates.NODE_KEY_FILE)
    with (
        socket.create_connection((address, port), 10) as plain,
        tls.wrap_socket(plain, server_hostname=NODE) as link,
    ):
        link.sendall(say)
        return link.recv(100)
