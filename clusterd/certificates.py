"""The cluster's own certificate authority and what it signs.

Decided here: names of the files, kinds of keys, lifetimes, and what a certificate says about a
node: the common name is the node's name, the alternative names are its name and addresses, the
organisational unit is its role. Only a ``master-candidate`` may speak as the master, and only
candidates hold the authority's key. Keys come from the operating system's random source.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
from pathlib import Path
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clusterd.durable import write_durable
from clusterd.errors import ClusterError

AUTHORITY_FILE = "ca.pem"
AUTHORITY_KEY_FILE = "ca.key"
NEXT_AUTHORITY_FILE = "ca.next.pem"
NEXT_AUTHORITY_KEY_FILE = "ca.next.key"
"""The authority that takes the place of the present one, while that is renewed."""
NODE_FILE = "node.pem"
NODE_KEY_FILE = "node.key"
RAPI_FILE = "rapi.pem"
"""Certificate and key in one file, as Ganeti's."""
STORE_AUTHORITY_FILE = "store-ca.pem"
STORE_AUTHORITY_KEY_FILE = "store-ca.key"
STORE_FILE = "store.pem"
STORE_KEY_FILE = "store.key"
"""An authority of its own: only who holds a pair of it can read or write the store, and only
candidates do. With the cluster's authority every node could."""

WITH_END = (NODE_FILE, RAPI_FILE, STORE_FILE, AUTHORITY_FILE, STORE_AUTHORITY_FILE)
"""Files of a node that hold a certificate."""

AUTHORITY_DAYS = 3650
NODE_DAYS = 365
RAPI_DAYS = 365
EARLY_S = 3600
"""Certificates are valid from so much before now, for nodes whose clocks are behind."""

Role = Literal["master-candidate", "node"]
ROLES: tuple[Role, ...] = ("master-candidate", "node")
MASTER_CANDIDATE: Role = "master-candidate"

_ORGANISATION = "clusterd"
_COMMON_NAME_MAX = 64


class BadCertificate(ClusterError):
    """A certificate or key cannot be used."""

    code = "bad_certificate"


class KeyPair(msgspec.Struct, frozen=True):
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a certificate is for."""

    name: str
    addresses: tuple[str, ...] = ()
    role: Role = "node"


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What a certificate says. ``not_after``: seconds since the epoch."""

    name: str
    role: str
    addresses: tuple[str, ...]
    not_after: float
    fingerprint: str


def make_authority(cluster: str, now: float) -> KeyPair:
    """A new authority for the cluster of this name; signs nodes, never another authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"{cluster} authority", "authority")
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(key.public_key(), now, AUTHORITY_DAYS)
        .subject_name(name)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(own, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return _pair(certificate, key)


def issue_node(authority: KeyPair, subject: Subject, now: float, days: int = NODE_DAYS) -> KeyPair:
    """A node's pair, good on both ends of a call; issuing again is how it is renewed."""
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    names = [subject.name, *subject.addresses]
    return _issue(authority, _name(subject.name, subject.role), names, both, now, days)


def issue_rapi(authority: KeyPair, names: tuple[str, ...], now: float) -> KeyPair:
    """The remote API's pair; ``names`` are host names and addresses, the cluster's first."""
    server = [ExtendedKeyUsageOID.SERVER_AUTH]
    return _issue(authority, _name(names[0], "rapi"), list(names), server, now, RAPI_DAYS)


def describe(certificate: bytes) -> Description:
    """Read the first certificate of a PEM text."""
    found = _load_certificate(certificate)
    hosts, addresses = _alternatives_of(found)
    return Description(
        name=hosts[0] if hosts else _attribute(found, NameOID.COMMON_NAME),
        role=_attribute(found, NameOID.ORGANIZATIONAL_UNIT_NAME),
        addresses=addresses,
        not_after=found.not_valid_after_utc.timestamp(),
        fingerprint=found.fingerprint(hashes.SHA256()).hex(),
    )


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of a PEM certificate, in lower-case hexadecimal digits."""
    return describe(certificate).fingerprint


def issued(authorities: bytes, certificate: bytes) -> bool:
    """Whether one of these authorities has signed the first certificate of a PEM text."""
    for authority in split(authorities):
        with contextlib.suppress(ValueError, TypeError, InvalidSignature, BadCertificate):
            _load_certificate(certificate).verify_directly_issued_by(_load_certificate(authority))
            return True
    return False


def split(certificates: bytes) -> list[bytes]:
    """Each certificate of a PEM text; raises BadCertificate where there is none."""
    try:
        found = x509.load_pem_x509_certificates(certificates)
    except ValueError as error:
        raise BadCertificate(f"not a PEM certificate: {error}") from None
    return [one.public_bytes(serialization.Encoding.PEM) for one in found]


def write_authority(directory: Path, pair: KeyPair) -> None:
    """Key first: whoever sees the certificate may count on the key."""
    write_durable(directory / AUTHORITY_KEY_FILE, pair.key)
    write_durable(directory / AUTHORITY_FILE, pair.certificate)


def read_store_authority(directory: Path) -> KeyPair:
    """Whom members of the store and their clients believe."""
    return _read(directory / STORE_AUTHORITY_FILE, directory / STORE_AUTHORITY_KEY_FILE)


def store_files(authority: KeyPair, subject: Subject, now: float) -> dict[str, bytes]:
    """Name -> content of what a candidate needs to read the store and to be a member of it."""
    pair = issue_node(authority, subject, now)
    return {
        STORE_AUTHORITY_KEY_FILE: authority.key,
        STORE_AUTHORITY_FILE: authority.certificate,
        STORE_KEY_FILE: pair.key,
        STORE_FILE: pair.certificate,
    }


def rapi_file(authority: KeyPair, names: tuple[str, ...], now: float) -> bytes:
    """The content of ``RAPI_FILE``: certificate, authority (so that clients see the chain), key."""
    pair = issue_rapi(authority, names, now)
    return pair.certificate + split(authority.certificate)[0] + pair.key


def read_authority(directory: Path) -> KeyPair:
    """The pair on this machine; raises BadCertificate where the key is not kept."""
    return _read(directory / AUTHORITY_FILE, directory / AUTHORITY_KEY_FILE)


def write_node(directory: Path, pair: KeyPair) -> None:
    """The node's own pair."""
    write_durable(directory / NODE_KEY_FILE, pair.key)
    write_durable(directory / NODE_FILE, pair.certificate)


def read_node(directory: Path) -> KeyPair:
    """The node's own pair on this machine."""
    return _read(directory / NODE_FILE, directory / NODE_KEY_FILE)


def write_rapi(directory: Path, pair: KeyPair, authority: bytes) -> None:
    """One file: certificate, authority (so that clients see the chain), key."""
    write_durable(directory / RAPI_FILE, pair.certificate + authority + pair.key)


def _issue(
    authority: KeyPair,
    subject: x509.Name,
    names: list[str],
    purposes: list[x509.ObjectIdentifier],
    now: float,
    days: int,
) -> KeyPair:
    issuer = _load_certificate(authority.certificate)
    signer = _load_key(authority.key)
    if signer.public_key() != issuer.public_key():
        raise BadCertificate(
            "the cluster's authority certificate and its key do not belong together"
        )
    key = ec.generate_private_key(ec.SECP256R1())
    owner = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _builder(key.public_key(), now, days)
        .subject_name(subject)
        .issuer_name(issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(_alternatives(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(owner), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    return _pair(certificate, key)


def _builder(key: ec.EllipticCurvePublicKey, now: float, days: int) -> x509.CertificateBuilder:
    start = datetime.datetime.fromtimestamp(int(now) - EARLY_S, datetime.UTC)
    end = datetime.datetime.fromtimestamp(int(now), datetime.UTC) + datetime.timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _name(common: str, unit: str) -> x509.Name:
    # a common name holds 64 characters at most; longer names are in the alternative names in full
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, common[:_COMMON_NAME_MAX]),
        ]
    )


def _alternatives(names: list[str]) -> x509.SubjectAlternativeName:
    found: list[x509.GeneralName] = []
    for name in dict.fromkeys(filter(None, names)):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(found)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    return KeyPair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _read(certificate: Path, key: Path) -> KeyPair:
    try:
        return KeyPair(certificate.read_bytes(), key.read_bytes())
    except OSError as error:
        raise BadCertificate(f"cannot read {error.filename}: {error.strerror}") from None


def _load_certificate(data: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError as error:
        raise BadCertificate(f"not a PEM certificate: {error}") from None


def _load_key(data: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise BadCertificate(f"not a PEM key: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadCertificate("the key is not one of an elliptic curve")
    return key


def _alternatives_of(certificate: x509.Certificate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return (), ()
    hosts = tuple(found.get_values_for_type(x509.DNSName))
    return hosts, tuple(map(str, found.get_values_for_type(x509.IPAddress)))


def _attribute(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    values = certificate.subject.get_attributes_for_oid(oid)
    return str(values[0].value) if values else ""
