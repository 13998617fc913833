"""What is refused of a new cluster, and the objects it begins with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from clusterd import defaults
from clusterd.founding import Found, Founding, first_objects
from clusterd.founding_checks import Known, decide
from jobqueue.errors import Refused

KNOWN = Known(hypervisors=("kvm", "memory"), disk_templates=("diskless", "drbd", "file", "plain"))
FOUNDING = Founding(cluster_name="c.example.com", master_netdev="br0")
FOUND = Found(
    hostname="n1.example.com",
    node_ip="192.0.2.11",
    cluster_ip="192.0.2.10",
    addresses=("127.0.0.1", "192.0.2.11", "198.51.100.11"),
    links=("lo", "br0"),
    volume_groups={"xenvg": 50000},
)


def decided(found: dict[str, Any] | None = None, **asked: Any) -> Any:
    return decide(
        msgspec.structs.replace(FOUNDING, **asked),
        msgspec.structs.replace(FOUND, **(found or {})),
        KNOWN,
    )


def test_a_usual_request() -> None:
    made = decided()
    assert (made.node_name, made.primary_ip, made.secondary_ip) == (
        "n1.example.com",
        "192.0.2.11",
        "192.0.2.11",
    )
    assert (made.master_ip, made.master_netmask) == ("192.0.2.10", 32)
    assert (made.vg_name, made.warnings, made.directories) == ("xenvg", (), ())


@pytest.mark.parametrize(
    ("asked", "reason", "what"),
    [
        ({"cluster_name": "c_1"}, "wrong_input", "'c_1' is not a valid host name"),
        ({"cluster_name": "n1.example.com"}, "wrong_input", "needs a name of its own"),
        ({"node_name": "-x"}, "wrong_input", "for the node"),
        ({"primary_ip_version": 5}, "wrong_input", "IP version 5"),
        ({"mac_prefix": "aa:00"}, "wrong_input", "MAC address prefix 'aa:00'"),
        ({"mac_prefix": "01:00:5e"}, "wrong_input", "unicast"),
        ({"maintain_node_health": True}, "wrong_input", "does not serve powering off guests"),
        ({"candidate_pool_size": 0}, "wrong_input", "At least one master candidate"),
        ({"enabled_hypervisors": ()}, "wrong_input", "must contain at least one member"),
        ({"enabled_hypervisors": ("kvm", "bhyve")}, "wrong_input", "invalid entries: bhyve"),
        ({"enabled_hypervisors": ("kvm", "kvm")}, "wrong_input", "given twice"),
        ({"enabled_disk_templates": ()}, "wrong_input", "must contain at least one member"),
        ({"enabled_disk_templates": ("zfs",)}, "wrong_input", "invalid entries: zfs; known are"),
        ({"hvparams": {"bhyve": {}}}, "wrong_input", "Hypervisor 'bhyve'"),
        ({"diskparams": {"zfs": {}}}, "wrong_input", "Disk template 'zfs'"),
        ({"primary_ip": "192.0.2.99"}, "environment_error", "does not belong to this host"),
        ({"primary_ip": "x"}, "wrong_input", "primary address 'x'"),
        ({"primary_ip_version": 6}, "wrong_input", "not one of IPv6"),
        ({"secondary_ip": "2001:db8::1"}, "wrong_input", "has to be an IPv4 address"),
        ({"secondary_ip": "192.0.2.99"}, "environment_error", "given as secondary IP"),
        ({"master_netdev": "br9"}, "wrong_input", "Invalid master netdev given (br9)"),
        ({"master_netmask": 33}, "wrong_input", "CIDR netmask (33) not valid"),
        ({"master_netmask": 0}, "wrong_input", "CIDR netmask (0) not valid"),
        ({"vg_name": ""}, "wrong_input", "no volume group is given"),
        ({"vg_name": "vg9"}, "wrong_input", "volume group 'vg9' missing (this host has: xenvg)"),
        (
            {"enabled_disk_templates": ("file",), "file_storage_dir": ""},
            "wrong_input",
            "its directory is empty",
        ),
        (
            {"enabled_disk_templates": ("file",), "file_storage_dir": "srv"},
            "wrong_input",
            "no absolute path",
        ),
        (
            {"enabled_disk_templates": ("file",), "file_storage_dir": "/srv/../etc"},
            "wrong_input",
            "no absolute path",
        ),
        ({"gluster_storage_dir": "mounts"}, "wrong_input", "template 'gluster' is no absolute"),
        ({"beparams": {"memry": 5}}, "wrong_input", "memry"),
        ({"beparams": {"minmem": 512}}, "wrong_input", "higher than maximum memory"),
        ({"nicparams": {"lnk": "br0"}}, "wrong_input", "lnk"),
        ({"ndparams": {"ssh_port": "x"}}, "wrong_input", "ssh_port"),
        ({"hvparams": {"kvm": {"no_such": 1}}}, "wrong_input", "no_such"),
        ({"diskparams": {"drbd": {"no-such": 1}}}, "wrong_input", "no-such"),
        ({"ipolicy": {"vcpu-ratio": "x"}}, "wrong_input", "Instance policy"),
        ({"ipolicy": {"disk-templates": ["x"]}}, "wrong_input", "unknown disk template 'x'"),
    ],
)
def test_a_request_is_refused_by_its_reason(asked: dict[str, Any], reason: str, what: str) -> None:
    with pytest.raises(Refused) as caught:
        decided(**asked)
    assert what in str(caught.value)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("found", "asked", "reason", "what"),
    [
        ({"node_ip": None}, {}, "resolver_error", "n1.example.com cannot be resolved"),
        ({"cluster_ip": None}, {}, "resolver_error", "c.example.com cannot be resolved"),
        ({"node_ip": "127.0.1.1"}, {}, "environment_error", "loopback address (127.0.1.1)"),
        ({"node_ip": "192.0.2.12"}, {}, "environment_error", "does not belong to this host"),
        ({"cluster_ip_answers": True}, {}, "resource_not_unique", "Cluster IP already active"),
        (
            {"not_directories": ("/srv/f",)},
            {"enabled_disk_templates": ("file",), "file_storage_dir": "/srv/f"},
            "environment_error",
            "is not a directory",
        ),
        ({"volume_groups": {}}, {}, "wrong_input", "volume group 'xenvg' missing"),
    ],
)
def test_a_machine_is_refused_by_its_reason(
    found: dict[str, Any], asked: dict[str, Any], reason: str, what: str
) -> None:
    with pytest.raises(Refused) as caught:
        decided(found, **asked)
    assert what in str(caught.value)
    assert caught.value.reason == reason


def test_the_cluster_needs_no_address_when_its_name_is_the_node_s() -> None:
    assert decided({"cluster_ip": "192.0.2.11"}).master_ip == ""


def test_a_small_volume_group_is_a_warning() -> None:
    (warning,) = decided({"volume_groups": {"xenvg": 8000}}).warnings
    assert "8000 MiB" in warning


def test_without_lvm_templates_no_volume_group_is_needed() -> None:
    files: dict[str, Any] = {"enabled_disk_templates": ("file",)}
    made = decided({"volume_groups": {}}, **files)
    assert (made.vg_name, made.directories) == ("", ("/srv/ganeti/file-storage",))
    (warning,) = decided(vg_name="vg9", **files).warnings
    assert "no disk template that uses LVM" in warning


def counting() -> Callable[[], str]:
    numbers = iter(range(1, 100))
    return lambda: f"uuid-{next(numbers)}"


def test_the_first_objects() -> None:
    made = decided(
        beparams={"memory": 512, "vcpus": "2"},
        hvparams={"kvm": {"kernel_path": "", "acpi": "no"}},
        nicparams={"link": "br0"},
        diskparams={"drbd": {"resync-rate": "1024"}},
        mac_prefix="AA:01:02",
        secondary_ip="198.51.100.11",
    )
    cluster, group, node = first_objects(made, counting(), 5.0, "print")
    assert cluster.master_node == node.uuid
    assert node.group == group.uuid
    assert (group.name, node.name, node.master_candidate) == ("default", "n1.example.com", True)
    assert (node.primary_ip, node.secondary_ip) == ("192.0.2.11", "198.51.100.11")
    assert node.certificate == "print"
    assert len({cluster.uuid, group.uuid, node.uuid}) == 3
    assert cluster.beparams == {**defaults.BEPARAMS, "minmem": 512, "maxmem": 512, "vcpus": 2}
    assert cluster.nicparams == {**defaults.NICPARAMS, "link": "br0"}
    assert cluster.ndparams == defaults.NDPARAMS
    # of drivers and backends only what was given: their defaults are theirs
    assert cluster.hvparams == {"kvm": {"kernel_path": "", "acpi": False}}
    assert cluster.diskparams == {"drbd": {"resync-rate": 1024}}
    assert cluster.mac_prefix == "aa:01:02"
    assert cluster.ipolicy.disk_templates == ("drbd", "plain")
    assert cluster.ipolicy.vcpu_ratio == 4.0
    assert (cluster.ctime, cluster.mtime, cluster.serial_no) == (5.0, 5.0, 1)


def test_an_unknown_field_of_the_request_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="no_such"):
        msgspec.convert({"cluster_name": "c", "no_such": 1}, Founding)
