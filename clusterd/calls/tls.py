"""TLS 1.3 both ways with the cluster's own authority.

A node accepts only certificates of its authority and reads name and role off them; a caller
accepts only the certificate of the node that it wants, by name, whatever the address. Files are
read when a connection begins, so that a renewed certificate counts without a restart.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from OpenSSL.SSL import Connection
from twisted.internet import ssl
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IStreamClientEndpoint
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer  # type: ignore[import-untyped]

from clusterd import certificates
from clusterd.calls.server import NotPermitted, Peer
from clusterd.calls.wire import Endpoint
from clusterd.names import NODE_PORT

_TLS: Any = ssl
"""The same without types, for its parts that have none."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who we are and whom we believe, PEM."""

    certificate: bytes
    key: bytes
    authority: bytes


def read_identity(directory: Path) -> Identity:
    """This node's, from its state directory; raises ``certificates.BadCertificate``."""
    pair = certificates.read_node(directory)
    try:
        authority = (directory / certificates.AUTHORITY_FILE).read_bytes()
    except OSError as error:
        raise certificates.BadCertificate(
            f"cannot read {error.filename}: {error.strerror}"
        ) from None
    return Identity(certificate=pair.certificate, key=pair.key, authority=authority)


def server_options(identity: Identity) -> Any:
    """For the node's end: a certificate of our authority is demanded."""
    return ssl.CertificateOptions(
        trustRoot=_trust(identity), raiseMinimumTo=ssl.TLSVersion.TLSv1_3, **_own(identity)
    )


def client_options(identity: Identity, node: str) -> Any:
    """For the caller's end: only the certificate of ``node`` will do."""
    return ssl.optionsForClientTLS(
        node,
        trustRoot=_trust(identity),
        extraCertificateOptions={"raiseMinimumTo": ssl.TLSVersion.TLSv1_3} | _own(identity),
    )


def identify(transport: Any) -> Peer:
    """Who is at the other end of a TLS transport; raises NotPermitted."""
    found = transport.getPeerCertificate()
    if found is None:
        raise NotPermitted("the caller shows no certificate")
    said = certificates.describe(_TLS.Certificate(found).dumpPEM())
    return Peer(said.name, said.role)


@implementer(IOpenSSLServerConnectionCreator)
class ServerOptions:
    """The node's end, with the files as they are when a connection begins."""

    def __init__(self, identity: Callable[[], Identity]) -> None:
        self._identity = identity
        self._used: Identity | None = None
        self._options: Any = None

    def wrapped(self, factory: Any, clock: Any) -> Any:
        """``factory`` behind TLS, to be given to a listening endpoint."""
        return TLSMemoryBIOFactory(cast(Any, self), False, factory, clock)

    def serverConnectionForTLS(self, protocol: Any) -> Any:
        """See IOpenSSLServerConnectionCreator; options are built anew when the files changed."""
        identity = self._identity()
        if identity != self._used:
            self._options, self._used = server_options(identity), identity
        return Connection(self._options.getContext(), None)


@implementer(IStreamClientEndpoint)
class TlsEndpoint:
    """A plain endpoint with TLS on top, driven by the given clock."""

    def __init__(self, plain: Endpoint, options: Any, clock: Any) -> None:
        self._plain = plain
        self._options = options
        self._clock = clock

    def connect(self, factory: Any) -> Deferred[Any]:
        """See IStreamClientEndpoint; the protocol answered is the one inside."""
        wrapped = TLSMemoryBIOFactory(self._options, True, factory, self._clock)
        connecting: Deferred[Any] = self._plain.connect(wrapped)
        return connecting.addCallback(lambda protocol: protocol.wrappedProtocol)


def node_endpoints(
    reactor: Any, identity: Callable[[], Identity], *, port: int = NODE_PORT, timeout_s: float = 5.0
) -> Callable[[str, str], Endpoint]:
    """(node's name, address) -> endpoint, for ``Links`` and relays. An address may end in
    a port."""

    def endpoint(node: str, address: str) -> Endpoint:
        host, wanted_port = split_address(address, port)
        plain = HostnameEndpoint(reactor, host, wanted_port, timeout=timeout_s)
        return TlsEndpoint(plain, client_options(identity(), node), reactor)

    return endpoint


def split_address(address: str, port: int) -> tuple[str, int]:
    """``host``, ``host:port``, ``[v6]:port`` or a bare IPv6 address -> host and port."""
    if address.startswith("["):
        host, _, rest = address[1:].partition("]")
        return host, int(rest[1:]) if rest.startswith(":") else port
    host, colon, last = address.rpartition(":")
    if colon and ":" not in host:
        return host, int(last)
    return address, port


def _own(identity: Identity) -> dict[str, Any]:
    return {
        "privateKey": load_pem_private_key(identity.key, None),
        "certificate": load_pem_x509_certificate(identity.certificate),
    }


def _trust(identity: Identity) -> Any:
    """Two authorities while one takes the place of the other."""
    found = [_TLS.Certificate.loadPEM(one) for one in certificates.split(identity.authority)]
    return _TLS.trustRootFromCertificates(found)
