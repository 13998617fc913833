"""The file that describes an export: written and read again, and one that Ganeti wrote."""

from __future__ import annotations

import pytest

from clusterd import export_file
from clusterd.export_file import ExportedDisk
from jobqueue.errors import Refused

GANETI = """
[export]
version = 0
timestamp = 1700000000
source = node1.example.com
os = debian+default
compression = none

[instance]
name = inst1.example.com
maxmem = 1024
minmem = 512
memory = 1024
vcpus = 2
disk_template = plain
hypervisor = kvm
tags = web prod
nic0_mac = aa:00:00:11:22:33
nic0_ip = None
nic0_network = None
nic0_name = None
nic0_mode = bridged
nic0_link = br0
nic0_vlan =
nic_count = 1
disk0_ivname = disk/0
disk0_dump = 4fd87a9c-6a7b-4a34-9a8b-0d1c4a5e8a11.disk0.snap
disk0_size = 2048
disk0_name = None
disk_count = 1

[hypervisor]
acpi = True
kernel_path =
disk_cache = none

[backend]
auto_balance = True
maxmem = 1024
minmem = 512
vcpus = 2

[os]
dhcp = yes

[os_private]
"""


def test_an_export_of_ganeti_is_read() -> None:
    found = export_file.read(GANETI, "there")
    assert (found.name, found.os, found.node) == (
        "inst1.example.com",
        "debian+default",
        "node1.example.com",
    )
    assert found.disks == (
        ExportedDisk(size_mib=2048, dump="4fd87a9c-6a7b-4a34-9a8b-0d1c4a5e8a11.disk0.snap"),
    )
    assert found.nics == ({"mac": "aa:00:00:11:22:33", "mode": "bridged", "link": "br0"},)
    assert (found.tags, found.hypervisor, found.disk_template) == (("web", "prod"), "kvm", "plain")
    assert found.beparams["maxmem"] == "1024"
    assert found.osparams == {"dhcp": "yes"}


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("version = 0", "version = 9", "version is '9'"),
        ("[instance]", "[other]", "are missing"),
        ("disk0_size = 2048", "disk0_size = big", "big"),
        ("disk0_dump = ", "disk0_dump = ../", "not the name of a file"),
        ("[export]", "export", "no section headers"),
    ],
)
def test_what_is_no_export_is_refused(old: str, new: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        export_file.read(GANETI.replace(old, new, 1), "there")
