"""The blocking client of the master's local door, for commands.

Decided here: where the door is, when the connection is made anew, and which error stands for what
went wrong on the way. Messages and their errors are ``protocol``'s. Neither Twisted nor the
master's code is imported, since a command must start at once.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clusterd import names
from clusterd.doorway import protocol
from clusterd.errors import ClusterError, DoorAway

ROOT_VARIABLE = "CLUSTERD_ROOT"
SOCKET_VARIABLE = "FORCE_LUXI_SOCKET"
SOCKET_NAMES = {"master": protocol.MASTER_SOCKET, "query": protocol.QUERY_SOCKET}
CONNECT_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 180.0
WAIT_S = 60.0
"""How long one ``WaitForJobChange`` may take; less than the server's own bound."""

_CHUNK_BYTES = 256 * 1024


class DoorRefused(DoorAway):
    """This user may not talk to the master daemon."""

    code = "door_refused"


class DoorLost(DoorAway):
    """The master daemon hung up instead of answering; what was asked may still be done."""

    code = "door_lost"


class DoorSilent(DoorAway):
    """The master daemon did not answer in time; what was asked may still be done."""

    code = "door_silent"


def door_path(environment: Mapping[str, str] | None = None) -> Path:
    """The socket, below ``CLUSTERD_ROOT``; or ``FORCE_LUXI_SOCKET``: master, query, a path."""
    env = os.environ if environment is None else environment
    wanted = env.get(SOCKET_VARIABLE, "") or "master"
    if "/" in wanted:
        return Path(wanted)
    root = env.get(ROOT_VARIABLE, "").rstrip("/")
    name = SOCKET_NAMES.get(wanted)
    if name is None:
        raise DoorAway(f"{SOCKET_VARIABLE}={wanted} must be 'master', 'query' or a path")
    return Path(f"{root}{names.RUN_DIRECTORY}/{protocol.SOCKET_DIRECTORY}/{name}")


class Door:
    """One connection, opened at the first call and again after it broke. Not for threads."""

    def __init__(
        self,
        path: Path,
        *,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        self.path = path
        self._connect_timeout_s = connect_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._socket: socket.socket | None = None
        self._buffer = bytearray()

    def call(self, method: str, *args: Any) -> Any:
        """Ask and wait. Raises RequestFailed, BadMessage, DoorAway, DoorRefused, DoorLost,
        DoorSilent."""
        try:
            self._send(protocol.encode_request(method, args))
            message = self._receive()
        except (ClusterError, KeyboardInterrupt):
            # a late answer must not be taken for the answer to the next call
            self.close()
            raise
        return protocol.decode_reply(message)

    def close(self) -> None:
        """Hang up; the next call connects anew."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._buffer.clear()

    def submit_job(self, opcodes: Sequence[Mapping[str, Any]], name: str = "") -> int:
        """The number of the new job, or of the one that the same ``name`` submitted before."""
        return int(self.call("SubmitJob", list(opcodes), *([name] if name else [])))

    def submit_many_jobs(
        self, jobs: Sequence[Sequence[Mapping[str, Any]]], name: str = ""
    ) -> list[tuple[bool, Any]]:
        """A (true, number) or (false, message) for each; the same ``name`` submits once."""
        rows = self.call("SubmitManyJobs", [list(job) for job in jobs], *([name] if name else []))
        return [(bool(accepted), outcome) for accepted, outcome in rows]

    def wait_for_job_change(
        self, job: int, fields: Sequence[str], info: Any, serial: int | None
    ) -> Any:
        """``[info, log entries]``, "nochange" after a while, or null for an unknown job."""
        return self.call("WaitForJobChange", job, list(fields), info, serial, WAIT_S)

    def query(self, what: str, fields: Sequence[str], filter_: Any = None) -> dict[str, Any]:
        """``{fields: [...], data: [[[status, value], ...], ...]}``"""
        answer = self.call("Query", what, list(fields), filter_)
        if not isinstance(answer, dict) or not {"fields", "data"} <= answer.keys():
            raise protocol.BadMessage(
                f"the answer to a query about '{what}' has no fields and data"
            )
        return answer

    def query_jobs(self, jobs: Sequence[int] | None, fields: Sequence[str]) -> list[Any]:
        """A row for each job; null for an unknown number."""
        return list(self.call("QueryJobs", None if jobs is None else list(jobs), list(fields)))

    def query_names(
        self, method: str, wanted: Sequence[str], fields: Sequence[str]
    ) -> list[list[Any]]:
        """Rows of QueryInstances, QueryNodes or QueryGroups; without names, of all."""
        return list(self.call(method, list(wanted), list(fields), False))

    def _send(self, message: bytes) -> None:
        for attempt in (1, 2):
            try:
                self._connected().sendall(message)
                return
            except TimeoutError:
                raise DoorSilent(self._about("takes no requests")) from None
            except OSError as error:
                # a connection left idle since the last call may be gone; nothing was asked on it
                self.close()
                if attempt == 2:
                    raise DoorAway(self._about(f"hung up ({error.strerror})")) from None

    def _connected(self) -> socket.socket:
        if self._socket is not None:
            return self._socket
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.ExitStack() as undo:
            undo.callback(link.close)
            link.settimeout(self._connect_timeout_s)
            try:
                link.connect(str(self.path))
            except PermissionError:
                raise DoorRefused(f"you have no permission to use {self.path}") from None
            except OSError as error:
                raise DoorAway(self._about(f"is not there ({error.strerror or error})")) from None
            undo.pop_all()
        link.settimeout(self._answer_timeout_s)
        self._socket = link
        return link

    def _receive(self) -> bytes:
        link = self._connected()
        searched = 0
        while (end := self._buffer.find(protocol.END, searched)) < 0:
            searched = len(self._buffer)
            if searched > protocol.MAX_REPLY_BYTES:
                raise protocol.BadMessage(
                    f"an answer on {self.path} is larger than {protocol.MAX_REPLY_BYTES} bytes"
                )
            try:
                data = link.recv(_CHUNK_BYTES)
            except TimeoutError:
                raise DoorSilent(self._about("does not answer")) from None
            except OSError as error:
                raise DoorLost(self._about(f"hung up ({error.strerror})")) from None
            if not data:
                raise DoorLost(self._about("hung up"))
            self._buffer += data
        message = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return message

    def _about(self, what: str) -> str:
        return f"the master daemon at {self.path} {what}"
