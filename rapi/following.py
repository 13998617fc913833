"""The remote API of a candidate that is not master: each request is handed to the master's.

Decided here: who answers. The clients of Ganeti follow no redirects, so a request is passed on as
it came, with its credentials, and the answer passed back. It is passed on once: a candidate that is
handed a request and is not master says 503, and the client asks again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import structlog
from cryptography.x509 import load_pem_x509_certificates
from treq.client import HTTPClient
from twisted.internet import ssl
from twisted.internet.defer import CancelledError, Deferred
from twisted.web import client
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer  # type: ignore[import-untyped]

from clusterd.doorway.porter import Mastery
from clusterd.doorway.protocol import RequestFailed
from clusterd.errors import ClusterError, DoorAway
from rapi.errors import BadGateway, RapiError, TooLarge, Unavailable, body_of
from rapi.exchange import Answer
from rapi.routes import Door
from rapi.service import KEY, Incoming

_TLS: Any = ssl
_WEB: Any = client

HANDED_ON = "x-clusterd-handed-on"
"""Header of a request that another candidate has passed on."""

PASSED = ("authorization", "content-type", KEY)
TOLD = ("www-authenticate",)
ANSWER_S = 200.0
"""Longer than the door of the master takes to answer."""
CONNECT_S = 5.0

log = structlog.get_logger()


class Answering(Protocol):
    """Answers requests."""

    async def answer(self, incoming: Incoming) -> Answer:
        """What the client is told; raises nothing but its own cancellation."""


class Away(Protocol):
    """The way to another candidate's remote API."""

    async def ask(self, address: str, incoming: Incoming) -> Answer:
        """Its answer; raises RapiError."""


class Following:
    """``own`` answers where this node is master, ``away`` leads to the master elsewhere."""

    def __init__(self, own: Answering, door: Door, away: Away) -> None:
        self._own = own
        self._door = door
        self._away = away

    async def answer(self, incoming: Incoming) -> Answer:
        """See ``Answering``."""
        try:
            elsewhere = await self._master_elsewhere(incoming)
            if elsewhere is None:
                return await self._own.answer(incoming)
            if incoming.too_large:
                # its body is not here: without it, it would be another request
                raise TooLarge
            return await self._away.ask(elsewhere, incoming)
        except RapiError as problem:
            return Answer(status=problem.status, body=body_of(problem), headers=problem.headers)

    async def _master_elsewhere(self, incoming: Incoming) -> str | None:
        """The master's address; None where this node may be it, or must say itself why not."""
        try:
            found = msgspec.convert(await self._door.call("QueryMastership"), Mastery)
        except (RequestFailed, DoorAway, msgspec.ValidationError):
            return None
        if found.standing == "master":
            return None
        if HANDED_ON in incoming.headers:
            raise Unavailable(f"{found.node} is not the master any more; ask again")
        if not found.master or found.master == found.node:
            raise Unavailable("The cluster has no master at the moment; ask again")
        return found.address


@implementer(IPolicyForHTTPS)
class AuthorityOf:
    """Believes the authority whose certificate stands behind our own in the same file, and those
    that this node believes.

    The latter are the former and the next one while the cluster's authority changes: the others'
    certificates are renewed before or after our own.
    """

    def __init__(self, chain: Callable[[], bytes], believed: Callable[[], bytes]) -> None:
        self._chain = chain
        self._believed = believed

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """See IPolicyForHTTPS."""
        own, *authorities = load_pem_x509_certificates(self._chain())
        found = [*(authorities or [own]), *_authorities(self._believed)]
        trusted = [_TLS.Certificate.loadPEM(_pem(one)) for one in found]
        root = _TLS.trustRootFromCertificates(trusted)
        return _TLS.optionsForClientTLS(hostname.decode("ascii"), trustRoot=root)


class OverTls:
    """Implements ``Away``. ``chain`` reads our certificate's file, ``believed`` that of the
    authorities, which may not be there for us; ``port`` is everybody's."""

    def __init__(
        self,
        reactor: Any,
        chain: Callable[[], bytes],
        believed: Callable[[], bytes],
        port: int,
    ) -> None:
        self._reactor = reactor
        self._port = port
        agent = _WEB.Agent(reactor, AuthorityOf(chain, believed), connectTimeout=CONNECT_S)
        self._client = HTTPClient(agent)

    async def ask(self, address: str, incoming: Incoming) -> Answer:
        """See ``Away``."""
        host = f"[{address}]" if ":" in address else address
        query = f"?{incoming.query}" if incoming.query else ""
        asking = Deferred.fromCoroutine(
            self._exchange(
                incoming.method,
                f"https://{host}:{self._port}{incoming.path}{query}",
                passed_on(incoming),
                incoming.body,
            )
        )
        try:
            return await asking.addTimeout(ANSWER_S, self._reactor)
        except CancelledError:
            raise
        except ClusterError:
            raise
        # however it was not reached, the client asks again
        except Exception as error:
            log.warning("master_not_reached", address=address, error=str(error))
            raise BadGateway(f"The master's remote API at {address} does not answer") from error

    async def _exchange(self, method: str, url: str, headers: Any, body: bytes) -> Answer:
        response = await self._client.request(
            method, url, headers=headers, data=body, unbuffered=False
        )
        content = await response.content()
        told = response.headers
        return Answer(
            status=response.code,
            body=msgspec.Raw(content.strip() or b"null"),
            headers=tuple((name, value) for name in TOLD for value in told.getRawHeaders(name, [])),
        )


def passed_on(incoming: Incoming) -> dict[str, str]:
    """The headers of the request to the master: all that mean something to it."""
    headers = {name: incoming.headers[name] for name in PASSED if name in incoming.headers}
    return {**headers, HANDED_ON: "1"}


def _authorities(read: Callable[[], bytes]) -> list[Any]:
    """Those of a file; none where it is not readable for the remote API's user."""
    try:
        return load_pem_x509_certificates(read())
    except (OSError, ValueError):
        return []


def _pem(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    pem: bytes = certificate.public_bytes(Encoding.PEM)
    return pem
