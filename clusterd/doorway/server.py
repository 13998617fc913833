"""The door's server: connections, who asks, one request after the other on each, bounds.

Whoever may open the socket may do everything, so the socket's mode and group are the access rule.
Who it was is taken from the kernel (``SO_PEERCRED``) and kept with the job.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from clusterd.doorway import methods, porter
from clusterd.doorway.desk import Desk
from clusterd.doorway.porter import Porter
from clusterd.doorway.protocol import (
    MASTER_SOCKET,
    MAX_REQUEST_BYTES,
    QUERY_SOCKET,
    BadMessage,
    Frames,
    decode_request,
    encode_error,
    encode_failure,
    encode_reply,
)
from clusterd.doorway.waiting import Waiting

MAX_CLIENTS = 2000
MAX_PIPELINED = 100
"""Requests that one client may send ahead of the answers."""

SOCKET_MODE = 0o660
READS = ("Query", "WaitFor")
"""How the names of methods begin that change nothing."""

log = structlog.get_logger()


def peer_of(transport: Any) -> str:
    """``uid:N`` of the process at the other end of a unix socket."""
    handle = transport.getHandle()
    size = struct.calcsize("3i")
    credentials = handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return f"uid:{struct.unpack('3i', credentials)[1]}"


class Conversation(Protocol):
    """One client. Requests are carried out in the order in which they came."""

    factory: DoorFactory
    transport: Any = None

    def __init__(self) -> None:
        self._frames = Frames(MAX_REQUEST_BYTES)
        self._waiting: list[bytes] = []
        self._busy: Deferred[None] | None = None
        self._waits = False
        self._submitter = ""
        self._untaken: Deferred[None] | None = None
        """There while the client does not take what was answered."""

    def connectionMade(self) -> None:
        """Look who it is."""
        if not self.factory.admit(self):
            log.warning("door_full", clients=MAX_CLIENTS)
            self._refuse(BadMessage(f"The master serves {MAX_CLIENTS} clients already; ask again"))
            return
        self.transport.registerProducer(self, True)
        self._submitter = self.factory.who(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Cut messages and begin with the first when idle."""
        try:
            self._waiting.extend(self._frames.feed(data))
        except BadMessage as problem:
            self._refuse(problem)
            return
        held_bytes = sum(map(len, self._waiting))
        if len(self._waiting) > MAX_PIPELINED or held_bytes > MAX_REQUEST_BYTES:
            self._refuse(BadMessage("Too many requests without waiting for an answer"))
            return
        self._go_on()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nobody listens any more. A wait is given up; a change that was begun is finished."""
        self.factory.leave(self)
        self._waiting.clear()
        self.resumeProducing()
        if self._busy is not None and self._waits:
            self._busy.cancel()

    # -- what the transport says: answers pile up, or are taken again ---------------------------

    def pauseProducing(self) -> None:
        """The client is slow: its next request waits until it has read the answers."""
        if self._untaken is None:
            self._untaken = Deferred()

    def resumeProducing(self) -> None:
        """The client has read what there was."""
        untaken, self._untaken = self._untaken, None
        if untaken is not None:
            untaken.callback(None)

    def stopProducing(self) -> None:
        """The connection ends."""

    def _refuse(self, problem: BadMessage) -> None:
        self._waiting.clear()
        self.transport.write(encode_failure(["GenericError", [problem.message]]))
        self.hang_up()

    def hang_up(self) -> None:
        """End the conversation when all answers are sent."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _go_on(self) -> None:
        if self._busy is None and self._waiting:
            self._busy = Deferred.fromCoroutine(self._work())
            self._busy.addErrback(_swallow_cancel)
            if self._busy.called:
                self._busy = None

    async def _work(self) -> None:
        while self._waiting:
            reply = await self._answer(self._waiting.pop(0))
            if self.connected:
                self.transport.write(reply)
            if self._untaken is not None:
                self._waits = False
                await self._untaken
        self._busy = None

    async def _answer(self, message: bytes) -> bytes:
        method = ""
        try:
            request = decode_request(message)
            method = request.method
            self._waits = method == "WaitForJobChange"
            return encode_reply(await self.factory.ask(self._submitter, method, request.args))
        except CancelledError:
            raise
        except Exception as error:
            encoded = encode_error(error)
            if encoded is not None:
                return encode_failure(encoded)
            log.exception("door_failed", method=method, submitter=self._submitter)
            text = f"internal error in {method}: {type(error).__name__}, see the master's log"
            return encode_failure(["GenericError", [text]])


def _swallow_cancel(failure: Failure) -> None:
    failure.trap(CancelledError)  # type: ignore[no-untyped-call]


class DoorFactory(Factory):
    """The door. Without a porter its desk is always there."""

    noisy = False

    def __init__(
        self,
        desk: Desk | None,
        who: Callable[[Any], str] = peer_of,
        porter: Porter | None = None,
    ) -> None:
        self.who = who
        self._porter = porter
        self._desk: Desk | None = None
        self.waiting: Waiting | None = None
        self._clients: set[Conversation] = set()
        if desk is not None:
            self.serve(desk)

    def serve(self, desk: Desk) -> None:
        """From now on this node is master."""
        self._desk, self.waiting = desk, Waiting(desk)

    def drop(self) -> None:
        """This node is master no longer: who still waits for an answer gets none."""
        self._desk = None
        for conversation in list(self._clients):
            conversation.transport.abortConnection()
        if self.waiting is not None:
            self.waiting.close()
            self.waiting = None

    async def ask(self, submitter: str, method: str, args: Any) -> Any:
        """The answer to a request; raises what the door tells.

        What was read while the mastership ended is not told; a change that was stored is.
        """
        desk, waiting, at_door = self._desk, self.waiting, self._porter
        if at_door is None:
            assert desk is not None
            assert waiting is not None
        elif (
            desk is None or waiting is None or method in porter.METHODS or not at_door.may_answer()
        ):
            return await porter.answer(at_door, method, args)
        caller = methods.Caller(desk=desk, waiting=waiting, submitter=submitter)
        answer = await methods.call(caller, method, args)
        if at_door is not None and method.startswith(READS) and not at_door.may_answer():
            raise at_door.not_master()
        return answer

    def buildProtocol(self, addr: IAddress | None) -> Conversation:  # type: ignore[override]
        """A conversation for a new client."""
        conversation = Conversation()
        conversation.factory = self
        return conversation

    def admit(self, conversation: Conversation) -> bool:
        """Count a client; False when there are too many."""
        if len(self._clients) >= MAX_CLIENTS:
            return False
        self._clients.add(conversation)
        return True

    def leave(self, conversation: Conversation) -> None:
        """Forget a client."""
        self._clients.discard(conversation)

    def close(self) -> None:
        """End all conversations."""
        if self.waiting is not None:
            self.waiting.close()
        for conversation in list(self._clients):
            conversation.hang_up()


def listen(
    reactor: Any, factory: DoorFactory, directory: str, group_id: int = -1
) -> list[IListeningPort]:
    """Open the door under both of Ganeti's names in ``directory``, which is made if missing.

    Sockets that a killed daemon left are replaced: the caller makes sure that no other daemon runs.
    A lock file with a pid would not do, since that pid may soon be another program's.
    """
    Path(directory).mkdir(mode=0o755, parents=True, exist_ok=True)
    ports = []
    for name in (MASTER_SOCKET, QUERY_SOCKET):
        path = os.path.join(directory, name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        ports.append(reactor.listenUNIX(path, factory, mode=SOCKET_MODE))
        if group_id >= 0:
            os.chown(path, -1, group_id)
    return ports
