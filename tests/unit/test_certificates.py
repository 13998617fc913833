"""The cluster's certificates, judged by OpenSSL in a real handshake on loopback."""

from __future__ import annotations

import hashlib
import socket
import ssl
import stat
import threading
import time
from pathlib import Path

import pytest

from clusterd import certificates
from clusterd.certificates import BadCertificate, KeyPair, Subject

NOW = time.time()
YEAR_S = 366 * 86400


def context(directory: Path, side: int, authority: KeyPair, pair: KeyPair) -> ssl.SSLContext:
    made = ssl.SSLContext(side)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.load_verify_locations(cadata=authority.certificate.decode())
    made.verify_mode = ssl.CERT_REQUIRED
    directory.mkdir()
    certificates.write_node(directory, pair)
    made.load_cert_chain(directory / "node.pem", directory / "node.key")
    return made


def serve_one(server: socket.socket, tls: ssl.SSLContext, seen: list[object]) -> None:
    plain, _ = server.accept()
    with plain:
        plain.settimeout(10)
        try:
            with tls.wrap_socket(plain, server_side=True) as link:
                seen.append(link.getpeercert())
                link.sendall(link.recv(5))
        except OSError as error:  # what the other end does to us is what the test looks at
            seen.append(error)


def handshake(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, name: str) -> list[object]:
    """Greet once; what the server saw: the client's certificate or its error."""
    seen: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve_one, args=(server, server_tls, seen))
        thread.start()
        try:
            with (
                socket.create_connection(server.getsockname(), 10) as plain,
                client_tls.wrap_socket(plain, server_hostname=name) as link,
            ):
                link.sendall(b"hello")
                assert link.recv(5) == b"hello"
        finally:
            thread.join(10)
    return seen


@pytest.fixture(scope="module")
def authority() -> KeyPair:
    return certificates.make_authority("c1.example.com", NOW)


def node(authority: KeyPair, name: str, now: float = NOW) -> KeyPair:
    return certificates.issue_node(authority, Subject(name=name, addresses=("127.0.0.1",)), now)


@pytest.mark.parametrize("name", ["n1.example.com", "127.0.0.1"])
def test_both_ends_trust_each_other(tmp_path: Path, authority: KeyPair, name: str) -> None:
    master = certificates.issue_node(
        authority, Subject(name="m.example.com", role="master-candidate"), NOW
    )
    server = context(
        tmp_path / "n", ssl.PROTOCOL_TLS_SERVER, authority, node(authority, "n1.example.com")
    )
    client = context(tmp_path / "m", ssl.PROTOCOL_TLS_CLIENT, authority, master)
    (seen,) = handshake(server, client, name)
    assert isinstance(seen, dict)
    subject = {key: value for part in seen["subject"] for key, value in part}
    assert subject["commonName"] == "m.example.com"
    assert subject["organizationalUnitName"] == "master-candidate"


def test_another_node_cannot_stand_in(tmp_path: Path, authority: KeyPair) -> None:
    server = context(
        tmp_path / "n", ssl.PROTOCOL_TLS_SERVER, authority, node(authority, "n2.example.com")
    )
    client = context(tmp_path / "m", ssl.PROTOCOL_TLS_CLIENT, authority, node(authority, "m"))
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(server, client, "n1.example.com")


def test_another_cluster_is_refused(tmp_path: Path, authority: KeyPair) -> None:
    other = certificates.make_authority("c1.example.com", NOW)
    server = context(
        tmp_path / "n", ssl.PROTOCOL_TLS_SERVER, authority, node(authority, "n1.example.com")
    )
    client = context(tmp_path / "m", ssl.PROTOCOL_TLS_CLIENT, authority, node(other, "m"))
    # under TLS 1.3 the client learns of it at its first read
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        handshake(server, client, "n1.example.com")


def test_an_expired_certificate_is_refused_and_a_renewed_one_is_not(
    tmp_path: Path, authority: KeyPair
) -> None:
    old = node(authority, "n1.example.com", NOW - YEAR_S)
    assert certificates.describe(old.certificate).not_after < NOW
    server = context(tmp_path / "old", ssl.PROTOCOL_TLS_SERVER, authority, old)
    client = context(tmp_path / "m", ssl.PROTOCOL_TLS_CLIENT, authority, node(authority, "m"))
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        handshake(server, client, "n1.example.com")
    renewed = context(
        tmp_path / "new", ssl.PROTOCOL_TLS_SERVER, authority, node(authority, "n1.example.com")
    )
    (seen,) = handshake(renewed, client, "n1.example.com")
    assert isinstance(seen, dict)


def test_the_rapi_certificate_serves_but_cannot_be_a_client(
    tmp_path: Path, authority: KeyPair
) -> None:
    rapi = certificates.issue_rapi(authority, ("c1.example.com", "127.0.0.1"), NOW)
    certificates.write_rapi(tmp_path, rapi, authority.certificate)
    client = ssl.create_default_context(cadata=authority.certificate.decode())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "rapi.pem")
    assert handshake(server, client, "c1.example.com") == [None]
    as_client = context(tmp_path / "r", ssl.PROTOCOL_TLS_CLIENT, authority, rapi)
    node_tls = context(
        tmp_path / "n", ssl.PROTOCOL_TLS_SERVER, authority, node(authority, "n1.example.com")
    )
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        handshake(node_tls, as_client, "n1.example.com")


def test_what_a_certificate_says(authority: KeyPair) -> None:
    pair = certificates.issue_node(
        authority,
        Subject(name="n1.example.com", addresses=("192.0.2.1", "2001:db8::1", "192.0.2.1")),
        NOW,
    )
    found = certificates.describe(pair.certificate)
    assert (found.name, found.role) == ("n1.example.com", "node")
    assert found.addresses == ("192.0.2.1", "2001:db8::1")
    assert found.not_after == pytest.approx(NOW + 365 * 86400, abs=2)
    der = ssl.PEM_cert_to_DER_cert(pair.certificate.decode())
    assert certificates.fingerprint(pair.certificate) == hashlib.sha256(der).hexdigest()


def test_a_long_name_is_kept_in_full(authority: KeyPair) -> None:
    name = ".".join(["n" * 40, "e" * 40, "com"])
    pair = certificates.issue_node(authority, Subject(name=name), NOW)
    assert certificates.describe(pair.certificate).name == name


def test_files_are_private_and_read_back(tmp_path: Path, authority: KeyPair) -> None:
    certificates.write_authority(tmp_path, authority)
    certificates.write_node(tmp_path, authority)
    assert certificates.read_authority(tmp_path) == authority
    assert certificates.read_node(tmp_path) == authority
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "ca.key",
        "ca.pem",
        "node.key",
        "node.pem",
    ]
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_unusable_input_is_refused(tmp_path: Path, authority: KeyPair) -> None:
    with pytest.raises(BadCertificate, match=r"ca\.pem"):
        certificates.read_authority(tmp_path)
    with pytest.raises(BadCertificate, match="not a PEM certificate"):
        certificates.describe(b"hello")
    other = certificates.make_authority("c2", NOW)
    mixed = KeyPair(authority.certificate, other.key)
    with pytest.raises(BadCertificate, match="do not belong together"):
        certificates.issue_node(mixed, Subject(name="n1"), NOW)
