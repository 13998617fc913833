"""The OpenAPI document and the certificate of the RAPI."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from clusterd.certificates import issue_rapi, make_authority, write_rapi
from rapi.certificate import RenewableContext, UnusableCertificate, server_context
from rapi.resources.table import routes
from tests.unit.rapi_house import REGISTRY, RapiHouse


def document() -> Any:
    heard = RapiHouse().ask("GET", "/2/openapi.json", user="")
    assert heard.status == 200
    return heard.body


def references(value: Any) -> set[str]:
    """All references in a JSON value."""
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(references(item) for item in value))
    return set()


def test_the_document_names_every_route_and_opcode() -> None:
    found = document()
    for route in routes():
        assert route.method.lower() in found["paths"][route.path], route.path
        names = {p["name"] for p in found["paths"][route.path][route.method.lower()]["parameters"]}
        assert set(re.findall(r"\{(\w+)\}", route.path)) <= names
    for kind in REGISTRY:
        assert kind.opcode.__name__ in found["components"]["schemas"]


def test_all_references_lead_somewhere() -> None:
    found = document()
    for reference in references(found):
        name = reference.removeprefix("#/components/schemas/")
        assert name in found["components"]["schemas"], reference


def test_operations_have_names_of_their_own() -> None:
    found = document()
    identities = [
        operation["operationId"] for path in found["paths"].values() for operation in path.values()
    ]
    assert len(set(identities)) == len(identities)


def test_the_body_of_a_creation() -> None:
    operation = document()["paths"]["/2/instances"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert {"name", "os", "instance_name", "os_type", "disks", "__version__"} <= set(
        body["properties"]
    )
    assert "__version__" in body["required"]
    assert not {"OP_ID", "dry_run"} & set(body["properties"])
    assert operation["x-access"] == "write"


def test_what_is_not_served_says_so() -> None:
    operation = document()["paths"]["/2/groups"]["post"]
    served = any(kind.opcode.op_id() == "OP_GROUP_ADD" for kind in REGISTRY)
    assert ("501" in operation.get("description", "")) != served


# -- the certificate ----------------------------------------------------------------------------

NOW = 1_800_000_000.0


def written(directory: Path) -> Path:
    authority = make_authority("c1", NOW)
    pair = issue_rapi(authority, ("localhost", "127.0.0.1"), NOW)
    write_rapi(directory, pair, authority.certificate)
    return directory / "rapi.pem"


def test_a_certificate_with_its_chain_and_key_in_one_file(tmp_path: Path) -> None:
    context = server_context(written(tmp_path)).getContext()
    assert isinstance(context, SSL.Context)


@pytest.mark.parametrize("content", [None, b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nx\n"])
def test_a_file_that_is_no_certificate(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "rapi.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnusableCertificate, match=re.escape(str(path))):
        server_context(path)


def test_a_key_that_is_not_the_certificates(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = written(tmp_path / "a"), written(tmp_path / "b")
    with pytest.raises(UnusableCertificate):
        server_context(one, two)


def test_a_renewed_certificate_counts_for_the_next_connection(tmp_path: Path) -> None:
    path = written(tmp_path)
    contexts = RenewableContext(path)

    def shown() -> Any:
        return contexts.serverConnectionForTLS(None).get_context()

    first = shown()
    assert shown() is first
    written(tmp_path)
    second = shown()
    assert second is not first
    path.write_bytes(b"nothing")
    assert shown() is second
    path.unlink()
    assert shown() is second
    written(tmp_path)
    assert shown() is not second
