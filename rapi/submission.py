"""From a request to an opcode: path, query arguments, fixed values and body, checked here.

What path and query say cannot be said again in the body. Unknown keys are refused by name; the
opcode's own declaration decides what is valid.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import FieldInfo, fields

from jobqueue.errors import Refused
from jobqueue.opcode import OP_ID, Opcode, Registry
from rapi.compatibility import COMMA_LISTS, FORBIDDEN, RENAMES
from rapi.errors import BadRequest, Forbidden, NotImplementedHere
from rapi.exchange import Call

Body = dict[str, Any]


class Opcodes:
    """The opcodes of this release."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._kinds = {kind.opcode.op_id(): kind.opcode for kind in registry}

    def __contains__(self, op_id: str) -> bool:
        return op_id in self._kinds

    def type_of(self, op_id: str) -> type[Opcode]:
        """The declaration; raises NotImplementedHere for one that this release does not have."""
        found = self._kinds.get(op_id)
        if found is None:
            raise NotImplementedHere(
                f"This resource needs {op_id}, which is not part of this release"
            )
        return found

    def filled(self, op_id: str, body: Body, fixed: Body) -> Body:
        """The opcode's wire form; raises BadRequest, Forbidden, NotImplementedHere."""
        type_ = self.type_of(op_id)
        values = _renamed(op_id, body)
        _refuse_forbidden(op_id, values)
        twice = sorted(set(values) & set(fixed))
        if twice:
            raise BadRequest(f"Can't overwrite static parameters {set(twice)!r}")
        values.update(fixed)
        known = {field.name: field for field in fields(type_)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise BadRequest(
                f"Invalid body parameters: Object Op{type_.__name__} doesn't support the "
                f"parameter '{unknown[0]}'"
            )
        for name in COMMA_LISTS.get(op_id, ()):
            if isinstance(values.get(name), str):
                values[name] = [item.strip() for item in values[name].split(",") if item.strip()]
        values = {
            name: value
            for name, value in values.items()
            if value is not None or not _has_other_default(known[name])
        }
        return self._checked({**values, OP_ID: op_id})

    def _checked(self, opcode: Body) -> Body:
        try:
            self._registry.decode(opcode)
        except Refused as refused:
            text = refused.message.removeprefix(f"{opcode[OP_ID]}: ")
            raise BadRequest(f"Invalid body parameters: {text}") from None
        return opcode


def _has_other_default(field: FieldInfo) -> bool:
    """Clients send null for what they do not set; then a default other than null counts."""
    if field.required:
        return False
    return field.default is not None or field.default_factory is not msgspec.NODEFAULT


def _renamed(op_id: str, body: Body) -> Body:
    values = dict(body)
    for old, new in RENAMES.get(op_id, ()):
        if old not in values:
            continue
        if new in values:
            raise BadRequest(f"Parameter '{old}' was renamed to '{new}', but both are specified")
        values[new] = values.pop(old)
    return values


def _refuse_forbidden(op_id: str, values: Body) -> None:
    for name in sorted(FORBIDDEN.get(op_id, frozenset()) & set(values)):
        raise Forbidden(f"Parameter '{name}' cannot be set over the remote API")


def reason_trail(call: Call, given: Any) -> list[Any]:
    """Why: what the body said, the user's own words, and the resource that was called."""
    moment = int(call.received_s * 1_000_000_000)
    trail = list(given) if isinstance(given, list) else []
    words = call.text("reason")
    if words is not None:
        trail.append(["gnt:user", words, moment])
    trail.append([f"gnt:library:rlib2:{call.resource}", "", moment])
    return trail
