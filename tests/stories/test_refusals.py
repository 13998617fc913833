"""What cannot be done is refused before anything has changed: with Ganeti's code, the object, and
what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from clusterd.opcodes import test_delay
from clusterd.opcodes.cluster_destroy import ClusterDestroy
from clusterd.opcodes.cluster_set_params import ClusterSetParams
from clusterd.opcodes.cluster_verify import ClusterVerify
from clusterd.opcodes.cluster_verify_config import ClusterVerifyConfig
from clusterd.opcodes.cluster_verify_group import ClusterVerifyGroup
from clusterd.opcodes.instance_console import InstanceConsole
from clusterd.opcodes.instance_create import InstanceCreate
from clusterd.opcodes.instance_deactivate_disks import InstanceDeactivateDisks
from clusterd.opcodes.instance_failover import InstanceFailover
from clusterd.opcodes.instance_migrate import InstanceMigrate
from clusterd.opcodes.instance_remove import InstanceRemove
from clusterd.opcodes.instance_set_params import InstanceSetParams
from clusterd.opcodes.instance_startup import InstanceStartup
from clusterd.opcodes.node_add import NodeAdd
from clusterd.opcodes.node_remove import NodeRemove
from clusterd.opcodes.node_set_params import NodeSetParams
from clusterd.opcodes.query import Query
from clusterd.simulation.complaints import Complaints
from clusterd.simulation.portrait import portrait
from clusterd.simulation.pretended_site import OS_NAME
from clusterd.simulation.scenario import create
from jobqueue.job import Status
from jobqueue.opcode import Opcode
from tests.stories.operator import Operator

WEB2 = msgspec.structs.replace(create("drbd"), instance_name="web2")


def web2(**fields: object) -> InstanceCreate:
    """A second instance, with something wrong."""
    return msgspec.structs.replace(WEB2, **fields)


def nothing(_operator: Operator) -> None:
    """The node hosts are well."""


def node3_offline(operator: Operator) -> None:
    operator.marks_offline("node3")


def node3_drained(operator: Operator) -> None:
    operator.does(NodeSetParams(node_name="node3", drained=True, auto_promote=True))


def node3_silent(operator: Operator) -> None:
    operator.pulls_the_plug("node3")


def node1_silent(operator: Operator) -> None:
    operator.cluster.hosts["node1"].kill_daemon()
    operator.waits(15.0)


def node2_silent(operator: Operator) -> None:
    operator.pulls_the_plug("node2")


def node2_without_hypervisor(operator: Operator) -> None:
    operator.cluster.room.stop_service("node2")
    operator.waits(15.0)


def web1_stopped(operator: Operator) -> None:
    operator.stops("web1")


def web1_marked_offline(operator: Operator) -> None:
    operator.stops("web1")
    operator.does(InstanceSetParams(instance_name="web1", offline=True))


Trouble = Callable[[Operator], None]

TABLE: list[tuple[str, Trouble, Opcode, str, str]] = [
    ("unknown node", nothing, web2(pnode="node9"), "unknown_entity", "node9"),
    ("unknown secondary", nothing, web2(snode="node9"), "unknown_entity", "node9"),
    ("name clash", nothing, create("drbd"), "already_exists", "web1"),
    ("same node twice", nothing, web2(snode="node1"), "wrong_input", "secondary node"),
    ("no mirror node", nothing, web2(snode=None), "wrong_input", "mirror node"),
    ("no primary", nothing, web2(pnode=None), "wrong_input", "primary node"),
    ("node and allocator", nothing, web2(iallocator="hail"), "wrong_input", "iallocator and node"),
    ("no template", nothing, web2(disk_template=None), "wrong_input", "option -t"),
    ("wrong template", nothing, web2(disk_template="rbd"), "wrong_input", "rbd"),
    ("secondary for plain", nothing, web2(disk_template="plain"), "wrong_input", "plain"),
    ("disks for diskless", nothing, web2(disk_template="diskless", snode=None), "wrong_input", ""),
    ("no disks", nothing, web2(disks=()), "wrong_input", "disk"),
    ("disk without size", nothing, web2(disks=({},)), "wrong_input", "size"),
    ("odd disk field", nothing, web2(disks=({"size": 1024, "x": 1},)), "wrong_input", "'x'"),
    (
        "odd disk format",
        nothing,
        web2(disk_template="file", snode=None, disks=({"size": 1024, "format": "qcow3"},)),
        "wrong_input",
        "Disk 0: 'format' cannot be 'qcow3': use one of raw, qcow2",
    ),
    ("disk too small", nothing, web2(disks=({"size": 16},)), "wrong_input", "disk-size"),
    (
        "not enough disk",
        nothing,
        web2(disks=({"size": 1000000}, {"size": 1000000})),
        "insufficient_resources",
        "disk space",
    ),
    ("no volume group", nothing, web2(disks=({"size": 1024, "vg": "x"},)), "wrong_input", "'x'"),
    (
        "not enough memory",
        nothing,
        web2(beparams={"maxmem": 30000}),
        "insufficient_resources",
        "memory on node node1",
    ),
    ("unknown OS", nothing, web2(os_type="plan9"), "wrong_input", "plan9"),
    ("no OS", nothing, web2(os_type=None), "wrong_input", "OS"),
    ("wrong variant", nothing, web2(os_type=f"{OS_NAME}+x"), "wrong_input", "'x'"),
    ("wrong hypervisor", nothing, web2(hypervisor="xen-pvm"), "wrong_input", "xen-pvm"),
    ("wrong MAC", nothing, web2(nics=({"mac": "a:b"},)), "wrong_input", "a:b"),
    ("wrong address", nothing, web2(nics=({"ip": "1.2"},)), "wrong_input", "1.2"),
    ("unknown bridge", nothing, web2(nics=({"link": "br9"},)), "environment_error", "br9"),
    ("unknown beparam", nothing, web2(beparams={"memroy": 1}), "wrong_input", "memroy"),
    ("unknown hvparam", nothing, web2(hvparams={"cpu": "x"}), "wrong_input", "cpu"),
    ("node offline", node3_offline, web2(snode="node3"), "wrong_state", "node3"),
    ("node drained", node3_drained, web2(snode="node3"), "wrong_state", "node3"),
    ("node silent", node3_silent, web2(snode="node3"), "environment_error", "node3"),
    (
        "unknown allocator",
        nothing,
        ClusterSetParams(default_iallocator="nosuch"),
        "wrong_input",
        "'nosuch' not found; looked in",
    ),
    (
        "volume group that is nowhere",
        nothing,
        ClusterSetParams(vg_name="nosuch"),
        "environment_error",
        "Volume group 'nosuch' is not on node node1",
    ),
    (
        "no volume group for LVM",
        nothing,
        ClusterSetParams(vg_name=""),
        "wrong_state",
        "(drbd, plain): they need a volume group",
    ),
    (
        "MAC addresses of many",
        nothing,
        ClusterSetParams(mac_prefix="01:00:5e"),
        "wrong_input",
        "'01:00:5e'",
    ),
    (
        "unknown finding",
        nothing,
        ClusterVerify(ignore_errors=("ENODELVM", "ENOSUCH")),
        "wrong_input",
        "no error code 'ENOSUCH'",
    ),
    (
        "unknown finding in a group",
        nothing,
        ClusterVerifyGroup(group_name="default", ignore_errors=("ENOSUCH",)),
        "wrong_input",
        "no error code 'ENOSUCH'",
    ),
    (
        "unknown finding of the configuration",
        nothing,
        ClusterVerifyConfig(ignore_errors=("ENOSUCH",)),
        "wrong_input",
        "no error code 'ENOSUCH'",
    ),
    (
        "adoption of what is no volume",
        nothing,
        web2(disk_template="plain", snode=None, disks=({"adopt": "../../etc"},), no_install=True),
        "wrong_input",
        "'../../etc' cannot be the name of a logical volume",
    ),
    ("start unknown", nothing, InstanceStartup(instance_name="x"), "unknown_entity", "'x'"),
    (
        "start on a silent node",
        node1_silent,
        InstanceStartup(instance_name="web1"),
        "environment_error",
        "--offline yes node1",
    ),
    (
        "start a marked one",
        web1_marked_offline,
        InstanceStartup(instance_name="web1"),
        "wrong_state",
        "--online",
    ),
    (
        "migrate a stopped one",
        web1_stopped,
        InstanceMigrate(instance_name="web1"),
        "wrong_state",
        "failover",
    ),
    (
        "migrate elsewhere",
        nothing,
        InstanceMigrate(instance_name="web1", target_node="node3"),
        "wrong_input",
        "node2",
    ),
    (
        "migrate to a silent node",
        node2_silent,
        InstanceMigrate(instance_name="web1"),
        "environment_error",
        "node2",
    ),
    (
        "migrate without hypervisor",
        node2_without_hypervisor,
        InstanceMigrate(instance_name="web1"),
        "environment_error",
        "node2",
    ),
    (
        "fail over to a silent node",
        node2_silent,
        InstanceFailover(instance_name="web1"),
        "environment_error",
        "node2",
    ),
    (
        "fail over from a silent node",
        node1_silent,
        InstanceFailover(instance_name="web1"),
        "environment_error",
        "may still run",
    ),
    (
        "take disks from a guest",
        nothing,
        InstanceDeactivateDisks(instance_name="web1"),
        "wrong_state",
        "running",
    ),
    (
        "console of a stopped one",
        web1_stopped,
        InstanceConsole(instance_name="web1"),
        "wrong_state",
        "not running",
    ),
    (
        "change nothing",
        nothing,
        InstanceSetParams(instance_name="web1"),
        "wrong_input",
        "No changes",
    ),
    (
        "remove on a silent node",
        node1_silent,
        InstanceRemove(instance_name="web1"),
        "environment_error",
        "node1",
    ),
    ("remove a used node", nothing, NodeRemove(node_name="node2"), "wrong_input", "web1"),
    ("remove the master", nothing, NodeRemove(node_name="node1"), "wrong_input", "master"),
    (
        "add a known node",
        nothing,
        NodeAdd(node_name="node2", primary_ip="node2"),
        "already_exists",
        "node2",
    ),
    (
        "the master offline",
        nothing,
        NodeSetParams(node_name="node1", offline=True),
        "wrong_input",
        "master-failover",
    ),
    ("destroy a used cluster", nothing, ClusterDestroy(), "wrong_input", "2 node(s)"),
    ("query what is not", nothing, Query(what="ghost", fields=("name",)), "wrong_input", "ghost"),
    (
        "delay on a silent node",
        node3_silent,
        test_delay.TestDelay(duration=1, on_nodes=("node3",)),
        "environment_error",
        "node3",
    ),
]


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    complaints = Complaints()
    with complaints.listening():
        operator = Operator(tmp_path)
        operator.creates("web1", on="node1:node2")
        yield operator
    assert not complaints.heard


@pytest.mark.parametrize(
    ("trouble", "opcode", "code", "says"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_it_is_refused(
    operator: Operator, trouble: Trouble, opcode: Opcode, code: str, says: str
) -> None:
    trouble(operator)
    before = portrait(operator.cluster)
    job = operator.does(opcode)
    assert job is not None
    assert job.status is Status.ERROR
    kind, (sentence, reason) = job.known[-1].result
    assert (kind, reason) == ("OpPrereqError", code), sentence
    assert says in sentence
    assert portrait(operator.cluster) == before
    assert not operator.cluster.master.queue.locks.rows()


def test_a_dry_run_changes_nothing(operator: Operator) -> None:
    before = portrait(operator.cluster)
    job = operator.does(web2(dry_run=True))
    operator.expect_success(job)
    assert "would do disk.ensure" in operator.logged(job)
    assert portrait(operator.cluster) == before


def test_a_hook_refuses(operator: Operator, tmp_path: Path) -> None:
    hook = tmp_path / "node2" / "hooks" / "instance-migrate-pre.d" / "10-no"
    hook.parent.mkdir(parents=True)
    hook.write_text("#!/bin/sh\nexit 1\n", "utf-8")
    hook.chmod(0o755)
    operator.cluster.hosts["node2"].scripts.fails = lambda script: "10-no" in script.argv[0]
    before = portrait(operator.cluster)
    job = operator.migrates("web1")
    assert job is not None
    assert job.known[-1].result[0] == "HooksAbort"
    assert "10-no" in str(job.known[-1].result)
    assert portrait(operator.cluster) == before


def test_a_failing_script_is_undone(operator: Operator) -> None:
    operator.cluster.hosts["node1"].scripts.fails = lambda script: "create" in script.argv[0]
    before = portrait(operator.cluster)
    job = operator.does(WEB2)
    assert job is not None
    assert job.status is Status.ERROR
    assert job.known[-1].result[0] == "OpExecError"
    assert portrait(operator.cluster) == before
