"""TLS of the RAPI: the server's certificate file and what it speaks (TLS 1.2 and later)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions, TLSVersion

from clusterd.errors import ClusterError

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"


class UnusableCertificate(ClusterError):
    """The RAPI's certificate or key cannot be used."""

    code = "unusable_certificate"


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
