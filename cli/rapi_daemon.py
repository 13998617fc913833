"""What clusterd-rapi serves: HTTPS in front; behind it this node's door, or the master's API."""

from __future__ import annotations

from typing import Any

from twisted.internet import endpoints

from cli.process import Surroundings
from clusterd import certificates
from clusterd.certificates import MASTER_CANDIDATE
from clusterd.doorway.async_client import Door
from clusterd.doorway.protocol import MASTER_SOCKET
from clusterd.errors import NotMaster
from rapi.application import Listening, listen, make_site
from rapi.auth import UsersFile
from rapi.following import OverTls

_endpoints: Any = endpoints


class RapiDaemon:
    """Fits ``cli.process.Service``."""

    def __init__(self, around: Surroundings) -> None:
        self._reactor = around.reactor
        self._settings = around.settings
        path = str(around.settings.socket_directory / MASTER_SOCKET)
        self._door = Door(
            lambda: _endpoints.UNIXClientEndpoint(around.reactor, path), around.reactor
        )
        self._port: Any = None

    async def start(self) -> None:
        """Listen. The master daemon may come later: until then clients are told 502."""
        settings = self._settings
        if settings.node.role != MASTER_CANDIDATE:
            raise NotMaster(f"{settings.node.name} is no master candidate")
        chain = settings.state_directory / certificates.RAPI_FILE
        site = make_site(
            self._door,
            UsersFile(settings.users_path),
            self._reactor,
            require_authentication=settings.rapi.require_authentication,
            away=OverTls(
                self._reactor,
                chain.read_bytes,
                (settings.state_directory / certificates.AUTHORITY_FILE).read_bytes,
                settings.rapi.port,
            ),
        )
        where = Listening(
            port=settings.rapi.port,
            address=settings.rapi.bind_address,
            certificate=chain,
        )
        self._port = listen(self._reactor, site, where)

    async def stop(self) -> None:
        """Take no more requests."""
        if self._port is not None:
            await self._port.stopListening()
        self._door.close()
