"""gnt-cluster init and gnt-node add: what is asked of the machine, and what is refused before."""

from __future__ import annotations

import shlex
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli import catalogue, declarations
from cli.arguments import parse
from cli.compatibility import SPELLINGS
from cli.exits import Exit
from cli.joining import new_node
from cli.spelling import body_of
from clusterd import certificates
from clusterd.certificates import Subject
from clusterd.founding import Founding
from clusterd.settings import Settings
from tests.unit.cli_stage import Stage, StageSession, stage_in


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as made:
        yield made


INIT: list[tuple[str, Founding]] = [
    ("cluster.example.org", Founding(cluster_name="cluster.example.org")),
    (
        "--enabled-hypervisors=kvm --enabled-disk-templates=drbd,plain,diskless --vg-name=xenvg"
        " --master-netdev=br0 --master-netmask=24 -N link=br0 -H kvm:kernel_path=,acpi=false"
        " --no-etc-hosts -s 198.51.100.1 c1",
        Founding(
            cluster_name="c1",
            enabled_hypervisors=("kvm",),
            enabled_disk_templates=("drbd", "plain", "diskless"),
            vg_name="xenvg",
            master_netdev="br0",
            master_netmask=24,
            nicparams={"link": "br0"},
            hvparams={"kvm": {"kernel_path": "", "acpi": "false"}},
            secondary_ip="198.51.100.1",
        ),
    ),
    (
        "-B maxmem=1g,vcpus=2 -D drbd:resync-rate=100 -C 3 -m 52:54:00 -I hail"
        " --file-storage-dir=/srv/fs --drbd-usermode-helper=/bin/true --maintain-node-health=no"
        " --gluster-storage-dir=/srv/mounts"
        " --prealloc-wipe-disks=yes --primary-ip-version=6 --node-parameters=ssh_port=2222 c1",
        Founding(
            cluster_name="c1",
            beparams={"maxmem": 1024, "vcpus": "2"},
            diskparams={"drbd": {"resync-rate": "100"}},
            candidate_pool_size=3,
            mac_prefix="52:54:00",
            default_iallocator="hail",
            file_storage_dir="/srv/fs",
            gluster_storage_dir="/srv/mounts",
            drbd_usermode_helper="/bin/true",
            prealloc_wipe_disks=True,
            primary_ip_version=6,
            ndparams={"ssh_port": "2222"},
        ),
    ),
    (
        "--ipolicy-std-specs=memory-size=256m --ipolicy-disk-templates=drbd c1",
        Founding(
            cluster_name="c1", ipolicy={"std": {"memory-size": 256}, "disk-templates": ["drbd"]}
        ),
    ),
]


@pytest.mark.parametrize(("line", "expected"), INIT, ids=[line[:40] for line, _ in INIT])
def test_a_line_becomes_a_founding(tmp_path: Path, line: str, expected: Founding) -> None:
    (spelling,) = [row for row in SPELLINGS if (row.tool, row.name) == ("cluster", "init")]
    command = catalogue.find("cluster", "init")
    assert command is not None
    call = parse("gnt-cluster", command, shlex.split(line), StageSession(tmp_path / "door"))
    body = body_of(spelling, declarations.load_request(spelling.request), call)
    assert msgspec.convert(body, Founding) == expected


def member(stage: Stage, **timeouts: float) -> Settings:
    """Make the stage's root a member of a cluster, with keys."""
    text = '[cluster]\nname = "c1"\nuuid = "u1"\n[node]\nname = "n1"\nrole = "master-candidate"\n'
    settings = Settings.parse(text, source="here", root=stage.environment["CLUSTERD_ROOT"])
    settings.config_directory.mkdir(parents=True)
    settings.state_directory.mkdir(parents=True)
    settings.path.write_text(text)
    now = time.time()
    authority = certificates.make_authority("c1", now)
    certificates.write_authority(settings.state_directory, authority)
    subject = Subject(name="n1", addresses=("127.0.0.1",), role="master-candidate")
    pair = certificates.issue_node(authority, subject, now)
    certificates.write_node(settings.state_directory, pair)
    stage.answer(
        QueryClusterInfo={"primary_ip_version": 4},
        QueryNodes=[["n1", "127.0.0.1", "127.0.0.1"], ["n2.example.org", "192.0.2.2", "192.0.2.2"]],
        QueryGroups=[["default", "g1-uuid"]],
    )
    return settings


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["n2.example.org"], "already_exists"),
        (["n2"], "already_exists"),
        (["--readd", "n9"], "unknown_entity"),
    ],
)
def test_names_that_cannot_be_added_are_refused_before_anything_is_done(
    stage: Stage, words: list[str], reason: str
) -> None:
    member(stage)
    ended = stage.run("node", "add", *words)
    assert (ended.code, ended.err[1]) == (1, f"error type: {reason}, error details:")
    assert stage.responder.of("SubmitJob") == []


def test_the_group_of_a_new_node_is_clear_before_anything_is_done(stage: Stage) -> None:
    member(stage)
    ended = stage.run("node", "add", "-g", "rack2", "n3")
    assert ended.err[1] == "error type: unknown_entity, error details:"
    stage.answer(QueryGroups=[["default", "g1-uuid"], ["rack2", "g2-uuid"]])
    assert "default, rack2" in "".join(stage.run("node", "add", "n3").err)
    assert stage.responder.of("SubmitJob") == []


def test_a_machine_outside_of_a_cluster_adds_no_nodes(stage: Stage) -> None:
    assert stage.run("node", "add", "n2").code == Exit.NOT_CLUSTER


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_a_machine_that_does_not_answer_ends_with_the_code_for_that(stage: Stage) -> None:
    member(stage)
    ended = stage.run(
        "node", "add", "--primary-ip=127.0.0.1", f"--ssh-port={closed_port()}", "n3.example.org"
    )
    assert ended.code == Exit.NODE_SETUP
    assert ended.err[0].startswith("Failure: ")
    assert stage.responder.of("SubmitJob") == []


def test_a_node_that_was_set_up_by_hand_must_prove_itself(stage: Stage) -> None:
    settings = member(stage)
    settings.path.write_text(settings.path.read_text() + f"port = {closed_port()}\n")
    ended = stage.run("node", "add", "--no-node-setup", "--primary-ip=127.0.0.1", "n3.example.org")
    assert ended.code == 1
    assert "does not answer as that node" in ended.err[0]
    assert stage.responder.of("SubmitJob") == []


@pytest.mark.parametrize(
    ("body", "known", "addresses"),
    [
        ({"primary_ip": "192.0.2.5"}, None, ("n5", "192.0.2.5", "192.0.2.5")),
        (
            {"primary_ip": "192.0.2.5", "secondary_ip": "198.51.100.5"},
            None,
            ("n5", "192.0.2.5", "198.51.100.5"),
        ),
        ({}, ["n5.x", "192.0.2.6", "198.51.100.6"], ("n5.x", "192.0.2.6", "198.51.100.6")),
        (
            {"secondary_ip": "198.51.100.7"},
            ["n5.x", "192.0.2.6", "198.51.100.6"],
            ("n5.x", "192.0.2.6", "198.51.100.7"),
        ),
    ],
)
def test_addresses_of_a_new_node(
    body: dict[str, Any], known: list[Any] | None, addresses: tuple[str, str, str]
) -> None:
    node = new_node({"node_name": "n5", **body}, Settings(), {}, known)
    assert (node.name, node.primary_ip, node.secondary_ip) == addresses
    assert node.role == "node"
