"""What is shown of an instance, its console, and what was changed of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli_stage import Stage, job_answers, stage_in


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as made:
        yield made


DRBD_DISK = {
    "iv_name": "disk/0",
    "dev_type": "drbd",
    "logical_id": ["n1", "n2", 11000, 0, 0, "secret"],
    "drbd_info": {
        "primary_node": "n1",
        "primary_minor": 0,
        "secondary_node": "n2",
        "secondary_minor": 3,
        "port": 11000,
        "secret": "secret",
    },
    "pstatus": ["/dev/drbd0", 147, 0, 42.5, 30, True, 1],
    "sstatus": ["/dev/drbd3", 147, 3, None, None, False, 1],
    "children": [
        {
            "dev_type": "plain",
            "logical_id": ["xenvg", "u.disk0_data"],
            "drbd_info": None,
            "pstatus": None,
            "sstatus": None,
            "children": [],
            "mode": None,
            "size": 1024,
            "name": None,
            "uuid": "c0",
        }
    ],
    "mode": "rw",
    "size": 1024,
    "name": None,
    "uuid": "d0",
}
INSTANCE = {
    "name": "web1",
    "config_state": "up",
    "run_state": "up",
    "pnode": "n1",
    "pnode_group_uuid": "g1",
    "pnode_group_name": "default",
    "snodes": ["n2"],
    "snodes_group_uuids": ["g1"],
    "snodes_group_names": ["default"],
    "os": "noop",
    "nics": [[None, "u1", None, "aa:00:00:00:00:01", "bridged", "br0", "", None, None]],
    "disk_template": "drbd",
    "disks": [DRBD_DISK],
    "hypervisor": "kvm",
    "network_port": 11001,
    "hv_instance": {},
    "hv_actual": {"acpi": True, "vnc_bind_address": "0.0.0.0"},
    "be_instance": {"vcpus": 2},
    "be_actual": {"maxmem": 128, "vcpus": 2},
    "os_instance": {},
    "os_actual": {},
    "serial_no": 3,
    "mtime": 1_700_000_000.5,
    "ctime": 1_700_000_000.0,
    "uuid": "i1",
}


def test_details_of_an_instance(stage: Stage) -> None:
    stage.answer(**job_answers({"web1": INSTANCE}))
    ended = stage.run("instance", "info", "web1")
    assert stage.submitted() == {
        "OP_ID": "OP_INSTANCE_QUERY_DATA",
        "instances": ["web1"],
        "static": False,
    }
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1_700_000_000))
    assert ended.out == [
        "- Instance name: web1",
        "  UUID: i1",
        "  Serial number: 3",
        f"  Creation time: {when}",
        f"  Modification time: {when}",
        "  State: configured to be up, actual state is up",
        "  Nodes: ",
        "    - primary: n1",
        "      group: default (UUID g1)",
        "    - secondaries: ",
        "        - n2 (group default, group UUID g1)",
        "  Operating system: noop",
        "  Operating system parameters: ",
        "  Allocated network port: 11001",
        "  Hypervisor: kvm",
        "  console connection: vnc to n1:11001 (display 5101)",
        "  Hypervisor parameters: ",
        "    acpi: default (True)",
        "    vnc_bind_address: default (0.0.0.0)",
        "  Back-end parameters: ",
        "    maxmem: default (128)",
        "    vcpus: 2",
        "  NICs: ",
        "    - nic/0: ",
        "      MAC: aa:00:00:00:00:01",
        "      IP: None",
        "      mode: bridged",
        "      link: br0",
        "      vlan: ",
        "      network: None",
        "      UUID: u1",
        "      name: None",
        "  Disk template: drbd",
        "  Disks: ",
        "    - disk/0: drbd, size 1.0G",
        "      access mode: rw",
        "      nodeA: n1, minor=0",
        "      nodeB: n2, minor=3",
        "      port: 11000",
        "      on primary: /dev/drbd0 (147:0) *RECOVERING* 42.50%, ETA 30s, status *DEGRADED*",
        "      on secondary: /dev/drbd3 (147:3) in sync, status ok",
        "      name: None",
        "      UUID: d0",
        "      child devices: ",
        "        - child 0: plain, size 1.0G",
        "          logical_id: ['xenvg', 'u.disk0_data']",
        "          name: None",
        "          UUID: c0",
    ]


def test_files_for_cloud_init_are_read(stage: Stage, tmp_path: Path) -> None:
    network, user = tmp_path / "network.yaml", tmp_path / "user.yaml"
    network.write_text("version: 2\n")
    user.write_text("#cloud-config\n")
    stage.answer(**job_answers([]))
    files = (f"--network-config={network}", f"--user-data={user}")
    stage.run("instance", "modify", *files, "web1")
    submitted = stage.submitted()
    assert submitted["network_config"] == "version: 2\n"
    assert submitted["user_data"] == "#cloud-config\n"
    ended = stage.run("instance", "modify", f"--network-config={tmp_path}/none", "web1")
    assert (ended.code, "none cannot be read" in " ".join(ended.err)) == (1, True)


def test_a_synchronisation_that_stands_still_has_no_estimate(stage: Stage) -> None:
    stuck = {**DRBD_DISK, "pstatus": ["/dev/drbd0", 147, 0, 42.5, None, True, 2]}
    stage.answer(**job_answers({"web1": {**INSTANCE, "disks": [{**stuck, "sync_stalled": True}]}}))
    (line,) = [one for one in stage.run("instance", "info", "web1").out if "on primary" in one]
    assert line.endswith("/dev/drbd0 (147:0) *RECOVERING* 42.50%, *STALLED*, status *DEGRADED*")


@pytest.mark.parametrize(
    ("local", "said"),
    [(1, ""), (2, ""), (3, " *UNCERTAIN STATE*"), (4, " *MISSING DISK*")],
)
def test_the_state_of_the_local_data(stage: Stage, local: int, said: str) -> None:
    disk = {**DRBD_DISK, "pstatus": ["/dev/drbd0", 147, 0, None, None, False, local]}
    stage.answer(**job_answers({"web1": {**INSTANCE, "disks": [disk]}}))
    (line,) = [one for one in stage.run("instance", "info", "web1").out if "on primary" in one]
    assert line.endswith(f"in sync, status ok{said}")


def test_details_of_all_instances_are_asked_for_explicitly(stage: Stage) -> None:
    stage.answer(**job_answers({"web1": INSTANCE}), QueryInstances=[["web1"]])
    ended = stage.run("instance", "info")
    assert (ended.code, "--all" in ended.err[0]) == (1, True)
    ended = stage.run("instance", "show", "-s", "--all", "--roman")
    assert stage.submitted() == {"OP_ID": "OP_INSTANCE_QUERY_DATA", "instances": [], "static": True}
    assert "  State: configured to be up" in ended.out
    assert "  Serial number: III" in ended.out


def test_details_of_very_many_instances_are_asked_for_in_portions(stage: Stage) -> None:
    names = [f"web{number}" for number in range(250)]
    stage.answer(**job_answers({"web1": INSTANCE}), QueryInstances=[[name] for name in names])
    ended = stage.run("instance", "info", "--all")
    assert ended.code == 0
    asked = [opcode["instances"] for (opcode,), _name in stage.responder.of("SubmitJob")]
    assert asked == [names[:100], names[100:200], names[200:]]
    assert sum("Instance name: web1" in line for line in ended.out) == 3


@pytest.mark.parametrize(
    ("console", "out"),
    [
        ({"kind": "msg", "message": "none here"}, "none here"),
        (
            {"kind": "vnc", "host": "n1", "port": 5901, "display": 1},
            "The instance has VNC listening on n1:5901 (display 1), vnc://n1:5901/",
        ),
    ],
)
def test_consoles_that_are_told(stage: Stage, console: dict[str, Any], out: str) -> None:
    ended = stage.answer(**job_answers(console)).run("instance", "console", "web1")
    assert (ended.out, ended.became) == ([out], [])


def test_a_console_over_ssh(stage: Stage) -> None:
    console = {
        "kind": "ssh",
        "host": "n1",
        "user": "root",
        "port": 2222,
        "command": ["virsh", "console", "web 1"],
    }
    stage.answer(**job_answers(console))
    argv = ["ssh", "-o", "EscapeChar=none", "-t", "-p", "2222", "root@n1", "virsh console 'web 1'"]
    assert stage.run("instance", "console", "web1").became == argv
    ended = stage.run("instance", "console", "--show-cmd", "web1")
    assert ended.out == [
        "ssh -o EscapeChar=none -t -p 2222 root@n1 'virsh console '\"'\"'web 1'\"'\"''"
    ]
    assert ended.became == []


def test_what_was_modified_is_told(stage: Stage) -> None:
    stage.answer(**job_answers([["be/vcpus", 2]]))
    ended = stage.run("instance", "modify", "-B", "vcpus=2", "web1")
    assert ended.out[:2] == ["Modified instance web1", " - be/vcpus -> 2"]
    ended = stage.run("node", "modify", "-D", "yes", "n1")
    assert ended.out == ["Modified node n1", " - be/vcpus -> 2"]


def test_disks_that_were_activated_are_told(stage: Stage) -> None:
    stage.answer(**job_answers([["n1", "disk/0", "/dev/drbd0"]]))
    assert stage.run("instance", "activate-disks", "web1").out == ["n1:disk/0:/dev/drbd0"]


def test_tags_are_listed_in_order(stage: Stage) -> None:
    stage.answer(QueryTags=["b", "a"])
    assert stage.run("instance", "list-tags", "web1").out == ["a", "b"]
    stage.run("cluster", "list-tags")
    stage.run("group", "list-tags", "default")
    assert stage.responder.of("QueryTags") == [
        ["instance", "web1"],
        ["cluster", None],
        ["nodegroup", "default"],
    ]
