"""Real TLS on loopback: who is let in, and who is believed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from OpenSSL import SSL
from twisted.internet import endpoints
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    TLSVersion,
    optionsForClientTLS,
    trustRootFromCertificates,
)

from clusterd import certificates
from clusterd.calls import tls
from clusterd.calls.client import Commander
from clusterd.calls.links import Links
from clusterd.certificates import Subject
from clusterd.errors import NodeAway
from tests.unit.call_rig import Numbers, volume
from tests.unit.tls_rig import MASTER, POLICY, Cluster, in_cluster
from tests.waiting import pause, reactor


def test_a_master_candidate_commands_over_tls(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        node = await cluster.node("n1")
        links = cluster.links(cluster.identity(MASTER))
        links.connect("n1", node.address)
        assert (await links.node("n1").greet("cl"))["name"] == "n1"
        await links.node("n1").storage("memory").ensure(volume())
        (link,) = next(iter(node.service._factories)).links
        assert link.transport.getHandle().get_protocol_version_name() == "TLSv1.3"
        assert (node.settings.state_directory / "node-epoch").read_text() == "1"

    in_cluster(tmp_path, story)


def test_an_ordinary_nodes_certificate_may_not_command(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        node = await cluster.node("n1")
        links = cluster.links(cluster.identity(Subject(name="n2", role="node")), name="n2")
        links.connect("n1", node.address)
        with pytest.raises(NodeAway, match="no master candidate"):
            await links.node("n1").leave()
        assert not node.ended

    in_cluster(tmp_path, story)


def test_a_name_that_is_not_the_certificates_is_refused(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        node = await cluster.node("n1")
        links = cluster.links(cluster.identity(MASTER), name="m2")
        links.connect("n1", node.address)
        with pytest.raises(NodeAway, match="certificate is of m1"):
            await links.node("n1").greet("cl")

    in_cluster(tmp_path, story)


def test_another_authoritys_certificate_is_refused(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        node = await cluster.node("n1")
        stranger = certificates.make_authority("cl", time.time())
        links = cluster.links(cluster.identity(MASTER, stranger))
        links.connect("n1", node.address)
        with pytest.raises(NodeAway):
            await links.node("n1").greet("cl")
        assert node.service.epochs.highest == 0

    in_cluster(tmp_path, story)


def test_a_caller_without_certificate_is_refused(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        node = await cluster.node("n1")
        options = CertificateOptions(raiseMinimumTo=TLSVersion.TLSv1_3)
        over: Deferred[None] = Deferred()

        class Nobody(Protocol):
            def connectionLost(self, reason: Any = None) -> None:
                over.callback(None)

        class Trusting:
            def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
                return SSL.Connection(options.getContext(), None)

        from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
        from zope.interface import directlyProvides

        creator = Trusting()
        directlyProvides(creator, IOpenSSLClientConnectionCreator)
        plain: Any = endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", node.port)
        await tls.TlsEndpoint(plain, creator, reactor).connect(Factory.forProtocol(Nobody))
        await over
        assert node.service.epochs.highest == 0

    in_cluster(tmp_path, story)


def test_tls_before_1_3_is_refused(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        node = await cluster.node("n1")
        identity = cluster.identity(MASTER)

        def old_endpoint(name: str, address: str) -> Any:
            plain: Any = endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", node.port)
            authority = Certificate.loadPEM(identity.authority)
            options = optionsForClientTLS(
                name,
                trustRoot=trustRootFromCertificates([authority]),
                extraCertificateOptions={
                    "lowerMaximumSecurityTo": TLSVersion.TLSv1_2,
                    **tls._own(identity),
                },
            )
            return tls.TlsEndpoint(plain, options, reactor)

        links = Links(
            Commander("m1", lambda: 1),
            old_endpoint,
            reactor,
            Numbers("fresh"),
            cluster.listener,
            POLICY,
        )
        links.connect("n1", node.address)
        with pytest.raises(NodeAway):
            await links.node("n1").greet("cl")
        links.close()
        await pause(0.05)

    in_cluster(tmp_path, story)


def test_a_node_that_is_not_the_one_wanted_is_not_believed(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        node = await cluster.node("n1")
        links = cluster.links(cluster.identity(MASTER))
        links.connect("n2", node.address)
        with pytest.raises(NodeAway, match="n2"):
            await links.node("n2").greet("cl")
        assert node.service.epochs.highest == 0, "it did not even hear the hello"

    in_cluster(tmp_path, story)


def test_a_renewed_certificate_counts_without_a_restart(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        node = await cluster.node("n1")
        identity = cluster.identity(MASTER)
        first = cluster.links(identity)
        first.connect("n1", node.address)
        await first.node("n1").greet("cl")
        node.certify(cluster.authority, Subject(name="n1-renamed"))
        second = cluster.links(identity)
        second.connect("n1", node.address)
        with pytest.raises(NodeAway):
            await second.node("n1").greet("cl")
        assert first.up("n1"), "links that stand are left alone"

    in_cluster(tmp_path, story)


def test_large_answers_and_requests_pass(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        node = await cluster.node("n1")
        links = cluster.links(cluster.identity(MASTER))
        links.connect("n1", node.address)
        peers = {f"n{number}": "a" * 200 for number in range(20_000)}
        await links.node("n1").peers(peers)
        found = await links.node("n1").verify({"filelist": [f"/no/{n}" for n in range(50_000)]})
        assert found == {"filelist": {}}
        stored = (node.settings.state_directory / "node-peers").read_bytes()
        assert msgspec.json.decode(stored) == peers

    in_cluster(tmp_path, story)


def test_reach_says_which_addresses_answer(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        node = await cluster.node("n1")
        links = cluster.links(cluster.identity(MASTER))
        links.connect("n1", node.address)
        asked = {"port": node.port, "nodes": {"n1": ["127.0.0.1"], "n2": ["127.0.0.2"]}}
        found = await links.node("n1").verify({"node-net-test": asked})
        assert list(found["node-net-test"]) == ["n2"]

    in_cluster(tmp_path, story)


def test_leaving_ends_the_daemon_after_its_answer(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        node = await cluster.node("n1")
        links = cluster.links(cluster.identity(MASTER))
        links.connect("n1", node.address)
        await links.node("n1").leave()
        assert not node.ended
        assert not (node.settings.state_directory / "node.key").exists()
        await pause(1.2)
        assert node.ended

    in_cluster(tmp_path, story)


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("192.0.2.1", "192.0.2.1", 1811),
        ("192.0.2.1:7", "192.0.2.1", 7),
        ("2001:db8::1", "2001:db8::1", 1811),
        ("[2001:db8::1]", "2001:db8::1", 1811),
        ("[2001:db8::1]:7", "2001:db8::1", 7),
        ("n1.example.com", "n1.example.com", 1811),
    ],
)
def test_addresses(address: str, host: str, port: int) -> None:
    assert tls.split_address(address, 1811) == (host, port)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(certificates.BadCertificate, match=r"node\.pem"):
        tls.read_identity(tmp_path)
