"""What is shown of the cluster, its nodes, groups, locks and OS definitions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.exits import Exit
from tests.unit.cli_stage import NOW_NS, Failed, Stage, field, job_answers, stage_in


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as made:
        yield made


NODE = [
    "node2", "10.99.0.11", "10.99.1.11", False, False, False, None, True, True,
    ["b", "a"], [], {"ssh_port": 2222}, {"ssh_port": 2222, "ovs": False},
]  # fmt: skip


def test_details_of_a_node(stage: Stage) -> None:
    ended = stage.answer(QueryNodes=[NODE]).run("node", "info", "node2")
    assert ended.out == [
        "- Node name: node2",
        "  primary ip: 10.99.0.11",
        "  secondary ip: 10.99.1.11",
        "  master candidate: False",
        "  drained: False",
        "  offline: False",
        "  master_capable: True",
        "  vm_capable: True",
        "  primary for instances: ",
        "    - a",
        "    - b",
        "  secondary for instances: ",
        "  node parameters: ",
        "    ovs: default (False)",
        "    ssh_port: 2222",
    ]
    assert stage.responder.of("QueryNodes")[0][0] == ["node2"]


def test_details_of_a_group(stage: Stage) -> None:
    stage.answer(
        QueryGroups=[
            [
                "default",
                *({"ovs": False}, {}),
                *({"plain": {"stripes": 1}}, {}),
                *({}, {}),
                {"kvm": {"mem_node": 1024}},
                {"plain": {"xenvg": {"disk_reserved": 10}}},
            ]
        ]
    )
    assert stage.run("group", "info").out[:13] == [
        "- Node group: default",
        "  Node parameters: ",
        "    ovs: default (False)",
        "  Disk parameters: ",
        "    plain: ",
        "      stripes: default (1)",
        "  Hypervisor state: ",
        "    kvm: ",
        "      mem_node: 1024",
        "  Disk state: ",
        "    plain: ",
        "      xenvg: ",
        "        disk_reserved: 10",
    ]


CLUSTER = {
    "software_version": "3.1.0",
    "protocol_version": 3010000,
    "config_version": 3010000,
    "os_api_version": 20,
    "export_version": 0,
    "vcs_version": "",
    "architecture": ["64bits", "x86_64"],
    "name": "cluster",
    "uuid": "u0",
    "ctime": 1_700_000_000.0,
    "mtime": 1_700_000_000.0,
    "master": "n1",
    "tags": [],
    "default_hypervisor": "kvm",
    "enabled_hypervisors": ["kvm", "memory"],
    "hvparams": {"kvm": {"acpi": True, "accel": "auto"}, "xen-pvm": {"cpu_cap": 0}},
    "volume_group_name": "",
    "reserved_lvs": [],
    "candidate_pool_size": 10,
    "enabled_disk_templates": ["drbd", "plain"],
    "beparams": {"default": {"vcpus": 1}},
    "ipolicy": {"minmax": [{"min": {"cpu-count": 1}, "max": {"cpu-count": 8}}]},
}


def test_versions(stage: Stage) -> None:
    assert stage.answer(QueryClusterInfo=CLUSTER).run("cluster", "version").out == [
        "Software version: 3.1.0",
        "Internode protocol: 3010000",
        "Configuration format: 3010000",
        "OS api version: 20",
        "Export interface: 0",
        "VCS version: ",
    ]


def test_details_of_the_cluster(stage: Stage) -> None:
    out = stage.answer(QueryClusterInfo=CLUSTER).run("cluster", "info").out
    assert out[4:9] == [
        "Master node: n1",
        "Architecture (this node): 64bits (x86_64)",
        "Tags: (none)",
        "Default hypervisor: kvm",
        "Enabled hypervisors: kvm, memory",
    ]
    assert out[9:13] == [
        "Hypervisor parameters: ",
        "  kvm: ",
        "    accel: auto",
        "    acpi: True",
    ]
    start = out.index("Cluster parameters: ")
    assert out[start + 1 : start + 4] == [
        "  candidate pool size: 10",
        "  lvm volume group: None",
        "  lvm reserved volumes: (none)",
    ]
    assert "  enabled disk templates: drbd, plain" in out
    assert out[-6:] == [
        "  bounds specs: ",
        "    - max/0: ",
        "        cpu-count: 8",
        "      min/0: ",
        "        cpu-count: 1",
        "  allowed disk templates: ",
    ]
    assert "  candidate pool size: X" in stage.run("cluster", "info", "--roman").out


def test_the_queue_and_the_watcher(stage: Stage) -> None:
    values = {"drain_flag": True, "watcher_pause": None, "master_node": "n1"}
    stage.answer(
        QueryConfigValues=lambda names: [values[name] for name in names],
        SetDrainFlag=True,
        SetWatcherPause=None,
    )
    assert stage.run("cluster", "getmaster").out == ["n1"]
    assert stage.run("cluster", "queue", "info").out == ["The drain flag is set"]
    stage.run("cluster", "queue", "drain")
    stage.run("cluster", "queue", "undrain")
    assert stage.responder.of("SetDrainFlag") == [[True], [False]]
    assert stage.run("cluster", "watcher", "info").out == ["The watcher is not paused."]
    values["watcher_pause"] = NOW_NS / 1e9 + 60  # type: ignore[assignment]
    assert stage.run("cluster", "watcher", "info").out[0].startswith("The watcher is paused until")
    stage.run("cluster", "watcher", "pause", "1h")
    stage.run("cluster", "watcher", "continue")
    assert stage.responder.of("SetWatcherPause") == [[NOW_NS / 1e9 + 3600], [None]]
    for words in (
        ["queue", "x"],
        ["watcher", "pause"],
        ["watcher", "continue", "x"],
        ["watcher", "x"],
    ):
        assert stage.run("cluster", *words).code == 1


def test_the_master_answers_or_not(stage: Stage) -> None:
    assert stage.answer(QueryClusterInfo=CLUSTER).run("cluster", "master-ping").code == 0
    stage.environment["CLUSTERD_ROOT"] += "/nothing"
    stage.responder.path = stage.responder.path / "none"
    ended = stage.run("cluster", "master-ping")
    assert (ended.code, ended.out, ended.err) == (Exit.FAILURE, [], [])


@pytest.mark.parametrize(
    ("settings", "code", "text"),
    [
        ("", Exit.NOT_CLUSTER, "Failure: this machine is not part of a cluster"),
        ('[cluster]\nuuid = "u"\n[node]\nrole = "master-candidate"', Exit.FAILURE, "Cannot comm"),
        (
            '[cluster]\nuuid = "u"\n[node]\nrole = "node"',
            Exit.NOT_MASTER,
            "This node is not the master",
        ),
        ("[nonsense]", Exit.FAILURE, "Failure: "),
    ],
)
def test_why_nobody_answers(stage: Stage, settings: str, code: int, text: str) -> None:
    directory = Path(stage.environment["CLUSTERD_ROOT"]) / "etc/clusterd"
    directory.mkdir(parents=True)
    (directory / "clusterd.toml").write_text(settings)
    stage.responder.path = stage.responder.path / "none"
    ended = stage.run("node", "list")
    assert (ended.code, ended.out) == (code, [])
    assert ended.err[0].startswith(text)


def test_destroying_needs_to_be_meant(stage: Stage) -> None:
    ended = stage.run("cluster", "destroy")
    assert (ended.code, "--yes-do-it" in ended.err[0]) == (1, True)
    assert stage.responder.calls == []


def test_locks(stage: Stage) -> None:
    stage.answer(
        Query={
            "fields": [field(name, name.title(), "other") for name in ("name", "mode", "owner")]
            + [field("pending", "Pending", "other")],
            "data": [
                [
                    [0, "node/n1"],
                    [0, "exclusive"],
                    [0, ["job1"]],
                    [0, [["shared", ["job2", "job3"]]]],
                ],
                [[0, "instance/web1"], [0, None], [0, None], [0, []]],
            ],
        }
    )
    assert stage.run("debug", "locks").out == [
        "Name          Mode      Owner Pending",
        "node/n1       exclusive job1  shared:job2,job3",
        "instance/web1 -         -     -",
    ]


def test_locks_are_shown_again_until_somebody_ends_it(stage: Stage) -> None:
    stage.answer(Query={"fields": [field("name", "Name", "text")], "data": []})
    ended = stage.run("debug", "locks", "--interval=5")
    assert ended.code == 1
    assert ended.out == ["Name", ""]
    assert ended.err[0].startswith("Aborted.")
    assert stage.run("debug", "locks", "--interval=0").code == 1


DEBIAN = [["/usr/share/ganeti/os/debian", True, "", ["bookworm"], [["fs", "x"]], [20, 15], True]]
NOOP = [["/os/noop", True, "", [], [], [20]]]
BROKEN = [["/os/broken", False, "no create script", [], [], []]]
OS_ROWS: list[list[Any]] = [
    [
        "debian",
        True,
        ["bookworm", "trixie"],
        {"n1": DEBIAN},
        False,
        False,
        [20, 15],
        [["fs", "x"]],
        1,
    ],
    ["noop", True, [], {"n1": NOOP}, False, False, [20], [], 1],
    ["broken", False, [], {"n1": BROKEN, "n2": []}, False, False, [], [], 1],
    ["secret", True, [], {}, True, False, [], [], 0],
]


def test_os_definitions(stage: Stage) -> None:
    stage.answer(
        Query={
            "fields": [],
            "data": [[[0, value] for value in row] for row in OS_ROWS],
        }
    )
    assert stage.run("os", "list").out == ["Name", "debian+bookworm", "debian+trixie", "noop"]
    assert stage.run("os", "list", "--no-headers").out[0] == "debian+bookworm"
    ended = stage.run("os", "diagnose")
    assert ended.code == 1
    assert ended.out[:4] == [
        "OS: debian [global status: valid]",
        "  Variants: [bookworm, trixie]",
        "  Node: n1, status: valid (path: /usr/share/ganeti/os/debian) [API versions: 20, 15]"
        " [variants: bookworm] [parameters: fs] [trusted]",
        "",
    ]
    assert ended.out[7:10] == [
        "OS: broken [global status: invalid]",
        "  Node: n1, status: invalid - no create script (path: /os/broken)",
        "  Node: n2, status: missing",
    ]


def test_details_of_os_definitions(stage: Stage) -> None:
    stage.answer(Query={"fields": [], "data": [[[0, value] for value in row] for row in OS_ROWS]})
    ended = stage.run("os", "info", "debian", "nosuch")
    assert (ended.code, ended.err) == (1, ["OS 'nosuch' is unknown"])
    assert ended.out == [
        "debian:",
        "  - valid: True",
        "  - hidden: False",
        "  - blacklisted: False",
        "  - API versions:",
        "    - 15",
        "    - 20",
        "  - variants:",
        "    - bookworm",
        "    - trixie",
        "  - parameters:",
        "    - fs: x",
        "  - trusted: True",
        "",
    ]


def test_lists_of_what_cannot_be_changed_yet(stage: Stage) -> None:
    network = [["net1", "192.0.2.0/24", "192.0.2.1", None, [["default", "bridged", "br0", ""]], []]]
    names = ("Network", "Subnet", "Gateway", "MacPrefix", "GroupList", "Tags")
    asked = ("name", "network", "gateway", "mac_prefix", "group_list", "tags")
    stage.answer(
        Query={
            "fields": [
                field(name, title, "other") for name, title in zip(asked, names, strict=True)
            ],
            "data": [[[0, value] for value in row] for row in network],
        }
    )
    assert stage.run("network", "list").out == [
        "Network Subnet       Gateway   MacPrefix GroupList                Tags",
        "net1    192.0.2.0/24 192.0.2.1 -         default (bridged, br0, ) ",
    ]
    stage.run("backup", "list", "-n", "n1")
    stage.run("filter", "list", "u1")
    _, backup, filter_ = stage.responder.of("Query")
    assert backup == ["export", ["node", "export"], ["|", ["==", "node", "n1"]]]
    assert filter_[2] == ["|", ["==", "uuid", "u1"]]


def test_errors_of_the_master_are_told_as_they_are(stage: Stage) -> None:
    def unknown(*_args: Any) -> None:
        raise Failed("OpPrereqError", "Node name nosuchnode not found", "unknown_entity")

    ended = stage.answer(QueryNodes=unknown).run("node", "info", "nosuchnode")
    assert (ended.code, ended.err) == (
        1,
        [
            "Failure: prerequisites not met for this operation:",
            "error type: unknown_entity, error details:",
            "Node name nosuchnode not found",
        ],
    )


def test_certificates_are_renewed_by_a_job_that_need_not_be_waited_for(stage: Stage) -> None:
    stage.answer(**job_answers())
    ended = stage.run("cluster", "renew-crypto", "--new-node-certificates", "--submit")
    assert (ended.code, ended.err) == (0, ["JobID: 12"])
    assert not stage.responder.of("WaitForJobChange")
    assert stage.submitted() == {
        "OP_ID": "OP_CLUSTER_RENEW_CRYPTO",
        "node_certificates": True,
    }
