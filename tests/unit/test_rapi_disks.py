"""Requests about exports and about moving instances with their disks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.rapi_house import RapiHouse
from tests.unit.test_rapi_submissions import CREATE, WEB1, fields


@pytest.mark.parametrize(
    ("method", "path", "body", "op", "expected"),
    [
        (
            "PUT",
            f"{WEB1}/export",
            {"mode": "local", "destination": "n2.example.com", "shutdown": True},
            "OP_BACKUP_EXPORT",
            {"instance_name": "web1.example.com", "target_node": "n2.example.com"},
        ),
        (
            "PUT",
            f"{WEB1}/prepare-export?mode=local",
            None,
            "OP_BACKUP_PREPARE",
            {"instance_name": "web1.example.com", "mode": "local"},
        ),
        ("DELETE", f"{WEB1}/export", None, "OP_BACKUP_REMOVE", {}),
        (
            "PUT",
            f"{WEB1}/move",
            {"target_node": "n2.example.com"},
            "OP_INSTANCE_MOVE",
            {"target_node": "n2.example.com"},
        ),
        (
            "PUT",
            f"{WEB1}/change-group",
            {"target_groups": ["default"]},
            "OP_INSTANCE_CHANGE_GROUP",
            {"target_groups": ("default",)},
        ),
        (
            "PUT",
            "/2/verify-disks?group_name=default",
            None,
            "OP_CLUSTER_VERIFY_DISKS",
            {"group_name": "default"},
        ),
        (
            "PUT",
            "/2/repair-disk-sizes",
            {"instances": ["web1.example.com"]},
            "OP_CLUSTER_REPAIR_DISK_SIZES",
            {"instances": ("web1.example.com",)},
        ),
        (
            "POST",
            "/2/instances",
            {**CREATE, "mode": "import", "src_node": "n2.example.com", "src_path": "old"},
            "OP_INSTANCE_CREATE",
            {"mode": "import", "src_path": "old", "src_node": "n2.example.com"},
        ),
    ],
)
def test_a_request_becomes_an_opcode(
    method: str, path: str, body: Any, op: str, expected: dict[str, Any]
) -> None:
    (opcode,) = RapiHouse().job(method, path, body)
    assert opcode.op_id() == op
    found = fields(opcode)
    assert {key: found[key] for key in expected} == expected
