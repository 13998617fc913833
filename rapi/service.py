"""The RAPI without HTTP: from a request's values to an answer's.

Order: route, who asks, body, opcode or read, door. Whatever goes wrong becomes one of
``rapi.errors``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec
import structlog
from twisted.internet.defer import CancelledError

from clusterd.errors import ClusterError
from jobqueue.opcode import Registry
from rapi.auth import Users, admitted
from rapi.errors import BadRequest, RapiError, TooLarge, body_of, from_door
from rapi.exchange import Answer, Call, decoded
from rapi.resources.table import routes
from rapi.routes import Door, Route, Table, filled_from
from rapi.schema import document
from rapi.submission import Body, Opcodes, reason_trail

SCHEMA_PATH = "/2/openapi.json"
MAX_ARGUMENTS = 1000
KEY = "idempotency-key"
"""The header and the query argument with a request's name."""

log = structlog.get_logger()


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came. Header names are in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""
    too_large: bool = False
    """The body was over the limit and is not here."""


class Rapi:
    """Answers requests; holds no state of its own between them."""

    def __init__(
        self,
        door: Door,
        users: Users,
        registry: Registry,
        now: Callable[[], float],
        *,
        require_authentication: bool = False,
    ) -> None:
        self._door = door
        self._users = users
        self._opcodes = Opcodes(registry)
        self._now = now
        self._require_authentication = require_authentication
        # few ask for it, and making it takes a good part of a start
        schema = functools.cache(lambda: document(routes(), registry))

        async def described(_call: Call, _door: Door) -> Any:
            return schema()

        of_schema = Route(
            method="GET", path=SCHEMA_PATH, read=described, summary="This description"
        )
        self._table = Table((*routes(), of_schema))

    async def answer(self, incoming: Incoming) -> Answer:
        """What the client is told; raises nothing but its own cancellation."""
        try:
            return Answer(body=await self._carry_out(incoming))
        except ClusterError as error:
            problem = from_door(error)
        except CancelledError:
            raise
        except Exception:
            log.exception("rapi_failed", method=incoming.method, path=incoming.path)
            problem = RapiError("Internal error, see the log of the RAPI")
        return Answer(status=problem.status, body=body_of(problem), headers=problem.headers)

    async def _carry_out(self, incoming: Incoming) -> Any:
        found = self._table.find(incoming.method, incoming.path)
        user = admitted(
            self._users,
            incoming.headers.get("authorization"),
            found.route.access,
            everyone_says_who=self._require_authentication,
        )
        if incoming.too_large:
            raise TooLarge
        arguments = _arguments(incoming.query)
        call = Call(
            method=incoming.method,
            path=incoming.path,
            arguments=arguments,
            key=incoming.headers.get(KEY) or (arguments.get(KEY) or [""])[0],
            received_s=self._now(),
            body=decoded(incoming.body, incoming.headers.get("content-type", "")),
            user=user,
            names=found.names,
            resource=found.route.resource,
        )
        if found.route.read is not None:
            return await found.route.read(call, self._door)
        return await self._submit(call, self._job(call, found.route))

    def _job(self, call: Call, route: Route) -> list[Body]:
        """The opcodes of a request, checked."""
        if route.prepare is not None:
            parts = route.prepare(call)
        else:
            submit = route.submit
            assert submit is not None
            self._opcodes.type_of(submit.op)
            for argument in submit.needed:
                if call.text(argument) is None:
                    raise BadRequest(f"Required parameter '{argument}' is missing")
            body, fixed = filled_from(call, submit)
            parts = [(submit.op, body, fixed)]
        return [self._opcodes.filled(op, body, fixed) for op, body, fixed in parts]

    async def _submit(self, call: Call, opcodes: list[Body]) -> Any:
        job = [{**opcode, "reason": reason_trail(call, opcode.get("reason"))} for opcode in opcodes]
        name = [call.key] if call.key else []
        return await self._door.call("SubmitJobFor", job, f"rapi:{call.user}", *name)


def _arguments(query: str) -> dict[str, list[str]]:
    try:
        return parse_qs(query, keep_blank_values=False, max_num_fields=MAX_ARGUMENTS)
    except ValueError as error:
        raise BadRequest(f"Query arguments: {error}") from None
