"""Making the cluster's store from what is known of it: which engine, which members, whose keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.web import client
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer  # type: ignore[import-untyped]

from clusterd.calls.tls import Identity, client_options
from jobqueue.store.etcd import EtcdStore
from jobqueue.store.etcd_gateway import Gateway, Patience

_WEB: Any = client
"""The same without types, as these parts have none."""

KEPT_CONNECTIONS = 4
"""To one member; more are opened when needed and closed after use."""


@implementer(IPolicyForHTTPS)
class OwnAuthority:
    """TLS with the node's certificate; only the cluster's authority is believed."""

    def __init__(self, identity: Callable[[], Identity]) -> None:
        self._identity = identity

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """See IPolicyForHTTPS; asked for each request, though few begin a connection."""
        return _Options(self._identity, hostname.decode("ascii"))


@implementer(IOpenSSLClientConnectionCreator)
class _Options:
    """The files are read when a connection begins, so that a renewed certificate counts."""

    def __init__(self, identity: Callable[[], Identity], host: str) -> None:
        self._identity = identity
        self._host = host

    def clientConnectionForTLS(self, protocol: Any) -> Any:
        """See IOpenSSLClientConnectionCreator."""
        return client_options(self._identity(), self._host).clientConnectionForTLS(protocol)


class EtcdLink:
    """Connections to an etcd cluster; ``close`` after the stores that use them."""

    def __init__(
        self,
        reactor: Any,
        identity: Callable[[], Identity],
        endpoints: Sequence[str],
        patience: Patience | None = None,
    ) -> None:
        self._reactor = reactor
        self._pool = _WEB.HTTPConnectionPool(reactor, persistent=True)
        self._pool.maxPersistentPerHost = KEPT_CONNECTIONS
        self._pool.retryAutomatically = False
        patience = Patience() if patience is None else patience
        self.agent = _WEB.Agent(
            reactor, OwnAuthority(identity), connectTimeout=patience.member_s, pool=self._pool
        )
        self.gateway = Gateway(endpoints, self.agent, reactor, patience)

    def store(self, name: str) -> EtcdStore:
        """A store object; ``name`` was never used before."""
        return EtcdStore(self.gateway, self._reactor, name)

    async def close(self) -> None:
        """Let go of all connections."""
        await self._pool.closeCachedConnections()
