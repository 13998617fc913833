"""The OpenAPI document, made of the routes and the opcodes' own declarations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from clusterd import names
from jobqueue.opcode import OP_ID, Opcode, Registry
from rapi.auth import REALM
from rapi.compatibility import RENAMES
from rapi.routes import Route, Submit

REFERENCE = "#/components/schemas/{name}"
ERROR = {
    "type": "object",
    "required": ["code", "message", "explain"],
    "properties": {
        "code": {"type": "integer"},
        "message": {"type": "string"},
        "explain": {"type": "string"},
    },
}
JOB = {"type": "integer", "description": "number of the job"}

EXTRA_KEYS: dict[str, dict[str, Any]] = {
    "OP_INSTANCE_CREATE": {"__version__": {"const": 1, "description": "version of this form"}}
}
"""Opcode -> keys of the body that are no fields; all of them are required."""

Document = dict[str, Any]


def document(routes: Iterable[Route], registry: Registry) -> Document:
    """The whole document."""
    opcodes = {kind.opcode.op_id(): kind.opcode for kind in registry}
    paths: dict[str, Document] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, opcodes)
    _, components = msgspec.json.schema_components(
        [opcodes[op_id] for op_id in sorted(opcodes)], ref_template=REFERENCE
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "clusterd remote API",
            "version": names.SOFTWARE_VERSION,
            "description": "Ganeti's remote API, version 2.",
        },
        "paths": {path: paths[path] for path in sorted(paths)},
        "components": {
            "schemas": {**{name: components[name] for name in sorted(components)}, "Error": ERROR},
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic", "description": REALM}},
        },
    }


def _operation(route: Route, opcodes: dict[str, type[Opcode]]) -> Document:
    served = _served(route, opcodes)
    operation: Document = {
        "operationId": f"{route.method.lower()}_{_identity(route)}",
        "summary": route.summary,
        "parameters": [*_in_path(route.path), *_in_query(route.submit)],
        "responses": {
            "200": _answer(JOB if route.submit or route.prepare else {}),
            "default": _answer({"$ref": REFERENCE.format(name="Error")}),
        },
    }
    if route.access:
        operation["security"] = [{"basic": []}]
        operation["x-access"] = route.access
    if not served:
        operation["deprecated"] = True
        operation["description"] = "Not part of this release: answers 501."
    body = _body(route.submit, opcodes) if served else None
    if body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return operation


def _identity(route: Route) -> str:
    """Paths outside ``/2`` and without words have names of their own."""
    return route.resource or ("version_2" if route.path == "/2" else "root")


def _served(route: Route, opcodes: dict[str, type[Opcode]]) -> bool:
    needed = (route.submit.op,) if route.submit is not None else route.operations
    return all(op in opcodes for op in needed)


def _answer(schema: Document) -> Document:
    return {"description": "", "content": {"application/json": {"schema": schema}}}


def _in_path(path: str) -> list[Document]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "integer" if name in ("id", "disk") else "string"},
        }
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _in_query(submit: Submit | None) -> list[Document]:
    if submit is None:
        return []
    flag: Document = {"type": "integer", "enum": [0, 1]}
    text: Document = {"type": "string"}
    shapes = [
        *((argument, flag) for argument, _ in submit.flags),
        *((argument, text) for argument, _ in submit.texts),
        *((argument, {"type": "array", "items": text}) for argument, _ in submit.lists),
        *((argument, {**text, "default": value}) for argument, _, value in submit.defaults),
        ("reason", text),
        ("idempotency-key", text),
    ]
    return [
        {"name": name, "in": "query", "required": name in submit.needed, "schema": schema}
        for name, schema in shapes
    ]


def _body(submit: Submit | None, opcodes: dict[str, type[Opcode]]) -> Document | None:
    """The opcode's fields without those that path and query fill; old names stand beside."""
    if submit is None or not submit.body:
        return None
    type_ = opcodes[submit.op]
    (_,), components = msgspec.json.schema_components([type_], ref_template=REFERENCE)
    whole: Document = dict(components[type_.__name__])
    filled = {OP_ID, submit.target.removesuffix("[]"), *submit.fixed}
    filled.update(field for _, field in submit.flags)
    filled.update(field for _, field, _ in submit.defaults)
    properties = {k: v for k, v in whole["properties"].items() if k not in filled}
    for old, new in RENAMES.get(submit.op, ()):
        if new in properties:
            properties[old] = {**properties[new], "description": f"Ganeti's name of {new}"}
    extra = EXTRA_KEYS.get(submit.op, {})
    properties.update(extra)
    renamed = {new for _, new in RENAMES.get(submit.op, ())}
    required = [
        name for name in whole.get("required", ()) if name in properties and name not in renamed
    ]
    return {"type": "object", "properties": properties, "required": [*extra, *required]}
