"""TLS of the RAPI: the server's certificate file and what it speaks (TLS 1.2 and later)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions, TLSVersion
from zope.interface import implementer  # type: ignore[import-untyped]

from clusterd.errors import ClusterError

log = structlog.get_logger()

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"


class UnusableCertificate(ClusterError):
    """The RAPI's certificate or key cannot be used."""

    code = "unusable_certificate"


@implementer(IOpenSSLServerConnectionCreator)
class RenewableContext:
    """The context of a connection that begins now: a renewed file counts without a restart. One
    that cannot be used is logged, and the former one stays."""

    def __init__(self, certificate: Path, key: Path | None = None) -> None:
        self._files = (certificate, key)
        self._seen = self._state()
        self._options = server_context(certificate, key)

    def serverConnectionForTLS(self, protocol: Any) -> Any:
        """See IOpenSSLServerConnectionCreator."""
        state = self._state()
        if state != self._seen:
            self._seen = state
            try:
                self._options = server_context(*self._files)
            except UnusableCertificate as error:
                log.error("rapi_certificate", text=str(error))
        return SSL.Connection(self._options.getContext(), None)

    def _state(self) -> tuple[Any, ...]:
        found = []
        for file in filter(None, self._files):
            try:
                stat = file.stat()
            except OSError:
                continue
            found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return tuple(found)


def server_context(certificate: Path, key: Path | None = None) -> Any:
    """A TLS context factory; ``certificate`` holds chain and, unless ``key`` is given, the key."""
    try:
        pem = certificate.read_bytes()
        private = load_pem_private_key(pem if key is None else key.read_bytes(), None)
        first, *chain = x509.load_pem_x509_certificates(pem)
        options = CertificateOptions(
            privateKey=private,  # type: ignore[arg-type]
            certificate=first,  # type: ignore[arg-type]
            extraCertChain=chain,  # type: ignore[arg-type]
            raiseMinimumTo=TLSVersion.TLSv1_2,
            acceptableCiphers=AcceptableCiphers.fromOpenSSLCipherString(  # type: ignore[no-untyped-call]
                CIPHERS
            ),
        )
        options.getContext().check_privatekey()
    except (OSError, ValueError, TypeError) as error:
        raise UnusableCertificate(f"{certificate}: {error}") from error
    except SSL.Error as error:
        raise UnusableCertificate(f"{certificate}: the key is not the certificate's") from error
    return options
