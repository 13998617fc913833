"""What the echo daemon serves: a welcome over TLS. Apart, as ``cli`` loads what a daemon serves
only when it is to serve it."""

from __future__ import annotations

import os
from typing import Any

import structlog
from twisted.internet import endpoints
from twisted.internet.protocol import Factory, Protocol

from cli.process import Surroundings
from clusterd.calls import tls
from clusterd.errors import NotMaster


class Welcome(Protocol):
    """Says who it is to whoever speaks, and hangs up."""

    transport: Any = None
    around: Surroundings

    def dataReceived(self, data: bytes) -> None:
        """Answer."""
        structlog.get_logger().info("spoken_to", text=data.decode())
        if data == b"end":
            self.around.end("asked to")
        self.transport.write(self.around.settings.node.name.encode())
        self.transport.loseConnection()


class Echo:
    """The service."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._port: Any = None

    async def start(self) -> None:
        """Listen, or fail as asked."""
        fault = os.environ.get("ECHO_FAULT", "")
        if fault == "refuse":
            raise NotMaster("the master is another")
        if fault == "bug":
            raise ZeroDivisionError("division by zero")
        if fault == "die":
            os._exit(9)
        settings = self._around.settings
        Welcome.around = self._around
        factory = Factory.forProtocol(Welcome)
        options = tls.ServerOptions(lambda: tls.read_identity(settings.state_directory))
        kind: Any = endpoints.TCP4ServerEndpoint
        endpoint = kind(
            self._around.reactor, settings.node.port, interface=settings.node.bind_address
        )
        self._port = await endpoint.listen(options.wrapped(factory, self._around.reactor))

    async def stop(self) -> None:
        """Hear nothing more."""
        if os.environ.get("ECHO_FAULT") == "stuck":
            from twisted.internet.defer import Deferred

            await Deferred[None]()
        if self._port is not None:
            await self._port.stopListening()
