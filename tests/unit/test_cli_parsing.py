"""Command lines of Ganeti's users, and the opcodes that they become."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli.exits import Exit
from jobqueue.opcode import Opcode
from tests.unit.cli_stage import NOW_NS, Stage, job_answers, stage_in


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as made:
        made.answer(**job_answers(), QueryInstances=[["web1"]])
        yield made


ADD = "instance add -o noop -n n1"
CREATED = {
    "OP_ID": "OP_INSTANCE_CREATE",
    "mode": "create",
    "instance_name": "web1",
    "os_type": "noop",
    "pnode": "n1",
    "nics": [{}],
}


def created(**fields: Any) -> dict[str, Any]:
    """An OP_INSTANCE_CREATE of ``ADD`` with more."""
    return {**CREATED, **fields}


DISKLESS = {"disk_template": "diskless", "disks": []}

LINES: list[tuple[str, dict[str, Any]]] = [
    (f"{ADD} -t diskless web1", created(**DISKLESS)),
    (
        "instance add -t drbd -n n1:n2 -o debootstrap+default -s 10g web1",
        created(
            disk_template="drbd",
            snode="n2",
            os_type="debootstrap+default",
            disks=[{"size": 10240}],
        ),
    ),
    (
        f"{ADD} -t plain --disk 0:size=1G,mode=rw --disk 1:size=513m,vg=fast,name=data web1",
        created(
            disk_template="plain",
            disks=[{"size": 1024, "mode": "rw"}, {"size": 516, "vg": "fast", "name": "data"}],
        ),
    ),
    (
        f"{ADD} -t plain --disk 0:adopt=lv1 web1",
        created(disk_template="plain", disks=[{"size": 0, "adopt": "lv1"}]),
    ),
    (
        f"{ADD} -t diskless -B maxmem=1g,minmem=512m,vcpus=2,no_auto_balance web1",
        created(
            **DISKLESS,
            beparams={"maxmem": 1024, "minmem": 512, "vcpus": "2", "auto_balance": False},
        ),
    ),
    (
        f"{ADD} -t diskless -H kvm:acpi=false,kernel_path=,no_vhost_net,-root_path web1",
        created(
            **DISKLESS,
            hypervisor="kvm",
            hvparams={"acpi": "false", "kernel_path": "", "vhost_net": False, "root_path": None},
        ),
    ),
    (
        f"{ADD} -t diskless -H kvm web1",
        created(**DISKLESS, hypervisor="kvm", hvparams={}),
    ),
    (
        f"{ADD} -t diskless --net 0:link=br0,mode=bridged --net 1:ip=192.0.2.5 web1",
        created(**DISKLESS, nics=[{"link": "br0", "mode": "bridged"}, {"ip": "192.0.2.5"}]),
    ),
    (f"{ADD} -t diskless --net 1:link=br1 web1", created(**DISKLESS, nics=[{}, {"link": "br1"}])),
    (f"{ADD} -t diskless --no-nics web1", created(**DISKLESS, nics=[])),
    (
        f"{ADD} -t diskless --no-start --no-ip-check --no-name-check --tags=a,b web1",
        created(**DISKLESS, start=False, ip_check=False, name_check=False, tags=["a", "b"]),
    ),
    (
        "instance add -t diskless -I hail --no-install web1",
        {
            "OP_ID": "OP_INSTANCE_CREATE",
            "mode": "create",
            "instance_name": "web1",
            "iallocator": "hail",
            "no_install": True,
            "start": False,
            "nics": [{}],
            **DISKLESS,
        },
    ),
    (
        f"{ADD} -t diskless --dry-run --priority=high -d -d web1",
        created(**DISKLESS, dry_run=True, priority=-10, debug_level=2),
    ),
    (
        f"{ADD} -t diskless -O filesystem=ext4,-mirror --os-parameters-secret=key=a\\\\,b web1",
        created(
            **DISKLESS,
            osparams={"filesystem": "ext4", "mirror": None},
            osparams_secret={"key": "a,b"},
        ),
    ),
    (
        f"{ADD} -t file --file-storage-dir=web --file-driver=loop -s 64 --no-wait-for-sync web1",
        created(
            disk_template="file",
            file_storage_dir="web",
            file_driver="loop",
            disks=[{"size": 64}],
            wait_for_sync=False,
        ),
    ),
    ("instance remove -f web1", {"OP_ID": "OP_INSTANCE_REMOVE", "instance_name": "web1"}),
    (
        "instance remove -f --ignore-failures --shutdown-timeout=0 web1",
        {
            "OP_ID": "OP_INSTANCE_REMOVE",
            "instance_name": "web1",
            "ignore_failures": True,
            "shutdown_timeout": 0,
        },
    ),
    (
        "instance migrate -f --non-live --no-runtime-changes web1",
        {
            "OP_ID": "OP_INSTANCE_MIGRATE",
            "instance_name": "web1",
            "mode": "non-live",
            "allow_runtime_changes": False,
        },
    ),
    (
        "instance migrate -f --migration-mode=live -n n3 --allow-failover web1",
        {
            "OP_ID": "OP_INSTANCE_MIGRATE",
            "instance_name": "web1",
            "mode": "live",
            "target_node": "n3",
            "allow_failover": True,
        },
    ),
    (
        "instance failover -f --ignore-consistency web1",
        {"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": "web1", "ignore_consistency": True},
    ),
    (
        "instance activate-disks --wait-for-sync web1",
        {"OP_ID": "OP_INSTANCE_ACTIVATE_DISKS", "instance_name": "web1", "wait_for_sync": True},
    ),
    (
        "instance deactivate-disks -f web1",
        {"OP_ID": "OP_INSTANCE_DEACTIVATE_DISKS", "instance_name": "web1", "force": True},
    ),
    (
        "instance modify -B vcpus=2,memory=default -H acpi=false web1",
        {
            "OP_ID": "OP_INSTANCE_SET_PARAMS",
            "instance_name": "web1",
            "beparams": {"vcpus": "2", "memory": None},
            "hvparams": {"acpi": "false"},
        },
    ),
    (
        "instance modify --disk add:size=1g --disk 0:mode=ro --disk -1:remove --disk remove web1",
        {
            "OP_ID": "OP_INSTANCE_SET_PARAMS",
            "instance_name": "web1",
            "disks": [
                ["add", -1, {"size": 1024}],
                ["modify", 0, {"mode": "ro"}],
                ["remove", -1, {}],
                ["remove", -1, {}],
            ],
        },
    ),
    (
        "instance modify --net add --net 0:modify,link=br1 --net eth7:ip=none --net 2:add web1",
        {
            "OP_ID": "OP_INSTANCE_SET_PARAMS",
            "instance_name": "web1",
            "nics": [
                ["add", -1, {}],
                ["modify", 0, {"link": "br1"}],
                ["modify", "eth7", {"ip": "none"}],
                ["add", 2, {}],
            ],
        },
    ),
    (
        "instance modify --offline web1",
        {"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": "web1", "offline": True},
    ),
    (
        "instance modify --online -m 1g --no-hotplug -o noop web1",
        {
            "OP_ID": "OP_INSTANCE_SET_PARAMS",
            "instance_name": "web1",
            "offline": False,
            "runtime_mem": 1024,
            "hotplug": False,
            "os_name": "noop",
        },
    ),
    (
        "instance migrate --forc --migration=live --target n3 --allow-f web1",
        {
            "OP_ID": "OP_INSTANCE_MIGRATE",
            "instance_name": "web1",
            "mode": "live",
            "target_node": "n3",
            "allow_failover": True,
        },
    ),
    ("node remove n2", {"OP_ID": "OP_NODE_REMOVE", "node_name": "n2"}),
    (
        "node modify -O yes n2",
        {"OP_ID": "OP_NODE_SET_PARAMS", "node_name": "n2", "offline": True},
    ),
    (
        "node modify -C no -D yes --auto-promote --node-parameters=ssh_port=2222 -s 192.0.2.9 n2",
        {
            "OP_ID": "OP_NODE_SET_PARAMS",
            "node_name": "n2",
            "master_candidate": False,
            "drained": True,
            "auto_promote": True,
            "ndparams": {"ssh_port": "2222"},
            "secondary_ip": "192.0.2.9",
        },
    ),
    (
        "cluster modify -B maxmem=2g --enabled-hypervisors=kvm,memory -H kvm:acpi=true"
        " -D drbd:resync-rate=1000 -C 3",
        {
            "OP_ID": "OP_CLUSTER_SET_PARAMS",
            "beparams": {"maxmem": 2048},
            "enabled_hypervisors": ["kvm", "memory"],
            "hvparams": {"kvm": {"acpi": "true"}},
            "diskparams": {"drbd": {"resync-rate": "1000"}},
            "candidate_pool_size": 3,
        },
    ),
    (
        "cluster modify --ipolicy-bounds-specs"
        " min:memory-size=128m,cpu-count=1/max:memory-size=4g,cpu-count=8 --ipolicy-vcpu-ratio 3.5",
        {
            "OP_ID": "OP_CLUSTER_SET_PARAMS",
            "ipolicy": {
                "minmax": [
                    {
                        "min": {"memory-size": 128, "cpu-count": 1},
                        "max": {"memory-size": 4096, "cpu-count": 8},
                    }
                ],
                "vcpu-ratio": 3.5,
            },
        },
    ),
    (
        "cluster verify --error-codes -v --no-nplus1-mem -I ENODEN1 -I ENODELVM -g default",
        {
            "OP_ID": "OP_CLUSTER_VERIFY",
            "error_codes": True,
            "verbose": True,
            "skip_checks": ["nplusone_mem"],
            "ignore_errors": ["ENODEN1", "ENODELVM"],
            "group_name": "default",
        },
    ),
    (
        "debug delay 0.1",
        {"OP_ID": "OP_TEST_DELAY", "duration": 0.1, "no_locks": False},
    ),
    (
        "debug delay --no-master -n n1 -n n2 -r 3 -l 5",
        {
            "OP_ID": "OP_TEST_DELAY",
            "duration": 5.0,
            "on_master": False,
            "on_nodes": ["n1", "n2"],
            "repeat": 3,
            "no_locks": True,
        },
    ),
]


def opcode_class(op_id: str) -> type[Opcode]:
    """By listing all that are imported."""
    (found,) = [one for one in Opcode.__subclasses__() if one.op_id() == op_id]
    return found


@pytest.mark.parametrize(("line", "expected"), LINES, ids=[line for line, _ in LINES])
def test_a_line_becomes_an_opcode(stage: Stage, line: str, expected: dict[str, Any]) -> None:
    ended = stage.run(*shlex.split(line))
    assert (ended.code, ended.err) == (Exit.SUCCESS, [])
    assert stage.submitted() == expected
    # and the opcode's own declaration takes it, with its constraints
    msgspec.convert(expected, opcode_class(expected["OP_ID"]))


MANY = [
    (
        "instance startup --paused -H kernel_args=single -B maxmem=1g web1",
        {
            "OP_ID": "OP_INSTANCE_STARTUP",
            "instance_name": "web1",
            "startup_paused": True,
            "hvparams": {"kernel_args": "single"},
            "beparams": {"maxmem": 1024},
        },
    ),
    (
        "instance start --ignore-offline --no-remember -f web1",
        {
            "OP_ID": "OP_INSTANCE_STARTUP",
            "instance_name": "web1",
            "ignore_offline_nodes": True,
            "no_remember": True,
            "force": True,
        },
    ),
    (
        "instance shutdown --timeout=0 web1",
        {"OP_ID": "OP_INSTANCE_SHUTDOWN", "instance_name": "web1", "timeout": 0},
    ),
    ("instance stop web1", {"OP_ID": "OP_INSTANCE_SHUTDOWN", "instance_name": "web1"}),
    (
        "instance reboot web1",
        {"OP_ID": "OP_INSTANCE_REBOOT", "instance_name": "web1", "reboot_type": "hard"},
    ),
    (
        "instance reboot -t full --ignore-secondaries web1",
        {
            "OP_ID": "OP_INSTANCE_REBOOT",
            "instance_name": "web1",
            "reboot_type": "full",
            "ignore_secondaries": True,
        },
    ),
]


@pytest.mark.parametrize(("line", "expected"), MANY, ids=[line for line, _ in MANY])
def test_a_line_about_several_instances(stage: Stage, line: str, expected: dict[str, Any]) -> None:
    stage.answer(SubmitManyJobs=[[True, 12]])
    ended = stage.run(*shlex.split(line))
    assert (ended.code, ended.out) == (Exit.SUCCESS, ["Waiting for job 12 for web1 ..."])
    ((jobs, _name),) = stage.responder.of("SubmitManyJobs")
    ((opcode,),) = jobs
    assert {key: value for key, value in opcode.items() if key != "reason"} == expected
    msgspec.convert(expected, opcode_class(expected["OP_ID"]))


def test_the_reason_trail_says_who_asked_and_why(stage: Stage) -> None:
    stage.run("node", "remove", "--reason", "broken fan", "n2")
    ((opcodes, _name),) = stage.responder.of("SubmitJob")
    assert opcodes[0]["reason"] == [
        ["gnt:user", "broken fan", NOW_NS],
        ["gnt:client:gnt-node", "remove", NOW_NS],
    ]
