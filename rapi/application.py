"""Composing the RAPI: from a door and a users file to a listening port.

``make_site`` builds everything over whatever door it is handed, so that a test or a simulation
serves it over transports in memory; ``listen`` puts it on a port.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.interfaces import IListeningPort

from clusterd import names
from clusterd.opcodes import registry as built_in
from jobqueue.opcode import Registry
from rapi.auth import Users
from rapi.certificate import RenewableContext
from rapi.following import Away, Following
from rapi.routes import Door
from rapi.service import Rapi
from rapi.web import RapiSite


class Listening(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how to listen."""

    port: int = names.RAPI_PORT
    address: str = ""
    """Empty: all addresses."""
    certificate: Path | None = None
    """One file with certificate, chain and key; None serves plain HTTP (``--no-ssl``)."""
    key: Path | None = None
    """The key, when it is in a file of its own."""


def make_site(
    door: Door,
    users: Users,
    reactor: Any,
    *,
    registry: Registry | None = None,
    now: Callable[[], float] | None = None,
    require_authentication: bool = False,
    away: Away | None = None,
) -> RapiSite:
    """The HTTP server factory. ``reactor`` gives time only; ``now`` seconds since the epoch.
    ``away``: the way to the master's remote API, where this node may not be it."""
    rapi = Rapi(
        door,
        users,
        registry or built_in(),
        now or reactor.seconds,
        require_authentication=require_authentication,
    )
    return RapiSite(rapi if away is None else Following(rapi, door, away), reactor)


def listen(reactor: Any, site: RapiSite, where: Listening) -> IListeningPort:
    """Serve ``site``; raises BadCertificate, and CannotListenError when the port is taken."""
    if where.certificate is None:
        port: IListeningPort = reactor.listenTCP(where.port, site, interface=where.address)
        return port
    context = RenewableContext(where.certificate, where.key)
    secured: IListeningPort = reactor.listenSSL(where.port, site, context, interface=where.address)
    return secured
