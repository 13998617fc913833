"""What libvirt is told of a guest, by parameter."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import msgspec
import pytest

from hypervisors.domain_xml import Decided, domain_xml, marked_as_arrived, runs_accelerated
from hypervisors.errors import BadParameter
from hypervisors.guest import Guest, GuestDisk, GuestNic, ParamValue
from hypervisors.kvm_parameters import kvm_parameters

GUEST = Guest(
    name="i1.example",
    uuid="11111111-1111-4111-8111-111111111111",
    memory_mib=128,
    vcpus=4,
    disks=(
        GuestDisk(path="/dev/xenvg/a", uuid="d0" * 12, index=0),
        GuestDisk(path="/srv/b", uuid="d1" * 12, index=1, kind="file", access="ro"),
    ),
    nics=(GuestNic(mac="aa:00:00:00:00:01", uuid="n0", index=0, link="br0"),),
    network_port=11005,
)
TCG = Decided(accelerator="tcg", console_log="/var/log/console/i1.log")


def described(guest: Guest = GUEST, decided: Decided = TCG, /, **params: ParamValue) -> ET.Element:
    return ET.fromstring(domain_xml(guest, kvm_parameters(params), decided))


def attributes(domain: ET.Element, path: str) -> list[dict[str, str]]:
    return [dict(element.attrib) for element in domain.findall(path)]


def with_nic(**changes: str) -> Guest:
    return msgspec.structs.replace(GUEST, nics=(msgspec.structs.replace(GUEST.nics[0], **changes),))


def test_defaults() -> None:
    domain = described()
    assert domain.get("type") == "qemu"
    assert domain.findtext("name") == GUEST.name
    assert domain.findtext("uuid") == GUEST.uuid
    assert (domain.findtext("memory"), domain.findtext("vcpu")) == ("128", "4")
    assert attributes(domain, "os/boot") == [{"dev": "hd"}]
    assert domain.find("os/kernel") is None
    assert domain.find("cpu") is None
    assert domain.find("features/acpi") is not None
    assert attributes(domain, "devices/disk/target") == [
        {"dev": "vda", "bus": "virtio"},
        {"dev": "vdb", "bus": "virtio"},
    ]
    assert attributes(domain, "devices/interface/model") == [{"type": "virtio"}]
    assert attributes(domain, "devices/controller") == [{"type": "usb", "model": "none"}]
    assert attributes(domain, "devices/video/model") == [{"type": "none"}]
    assert attributes(domain, "devices/serial/log") == [{"file": TCG.console_log, "append": "on"}]
    assert attributes(domain, "devices/memballoon") == [{"model": "virtio"}]
    assert domain.findtext("devices/rng/backend") == "/dev/urandom"
    for absent in ("graphics", "channel", "input", "sound", "emulator"):
        assert domain.find(f"devices/{absent}") is None, absent
    assert [domain.findtext(f"on_{what}") for what in ("poweroff", "reboot", "crash")] == [
        "destroy",
        "restart",
        "destroy",
    ]


def test_same_guest_same_description() -> None:
    shuffled = msgspec.structs.replace(GUEST, disks=GUEST.disks[::-1])
    assert domain_xml(GUEST, kvm_parameters({}), TCG) == domain_xml(
        shuffled, kvm_parameters({}), TCG
    )


def test_disks_are_block_devices_or_files() -> None:
    first, second = described().findall("devices/disk")
    assert (first.get("type"), attributes(first, "source")) == ("block", [{"dev": "/dev/xenvg/a"}])
    assert (second.get("type"), attributes(second, "source")) == ("file", [{"file": "/srv/b"}])
    assert first.find("readonly") is None
    assert second.find("readonly") is not None
    assert first.findtext("serial") == ("d0" * 12)[:20]


@pytest.mark.parametrize(
    ("params", "caches"),
    [
        ({}, ["none", None]),
        ({"disk_cache": "writethrough"}, ["writethrough", "writethrough"]),
        ({"disk_aio": "native"}, ["none", "none"]),
    ],
)
def test_cache(params: dict[str, ParamValue], caches: list[str | None]) -> None:
    drivers = described(**params).findall("devices/disk/driver")
    assert [driver.get("cache") for driver in drivers] == caches
    assert {driver.get("io") for driver in drivers} == {params.get("disk_aio", "threads")}


def test_accelerated() -> None:
    text = domain_xml(GUEST, kvm_parameters({}), Decided(accelerator="kvm"))
    assert runs_accelerated(text)
    assert not runs_accelerated(domain_xml(GUEST, kvm_parameters({}), TCG))


def test_direct_boot() -> None:
    domain = described(
        kernel_path="/boot/k", initrd_path="/boot/i", kernel_args="ro quiet", serial_speed=115200
    )
    assert domain.findtext("os/kernel") == "/boot/k"
    assert domain.findtext("os/initrd") == "/boot/i"
    assert domain.findtext("os/cmdline") == "root=/dev/vda1 ro quiet console=ttyS0,115200"
    assert domain.find("os/boot") is None


def test_vnc_needs_address_and_port() -> None:
    graphics = described(vnc_bind_address="0.0.0.0").find("devices/graphics")
    assert graphics is not None
    assert (graphics.get("type"), graphics.get("port")) == ("vnc", "11005")
    assert attributes(graphics, "listen") == [{"type": "address", "address": "0.0.0.0"}]
    portless = msgspec.structs.replace(GUEST, network_port=None)
    assert described(portless, vnc_bind_address="0.0.0.0").find("devices/graphics") is None
    socket = described(portless, vnc_bind_address="/run/vnc").find("devices/graphics/listen")
    assert socket is not None
    assert socket.get("socket") == "/run/vnc/i1.example.vnc"


def test_spice_with_password_and_compression() -> None:
    decided = Decided(accelerator="tcg", password="secret")
    domain = described(
        GUEST, decided, spice_bind="127.0.0.1", spice_image_compression="lz", keymap="de"
    )
    graphics = domain.find("devices/graphics")
    assert graphics is not None
    assert (graphics.get("type"), graphics.get("passwd"), graphics.get("keymap")) == (
        "spice",
        "secret",
        "de",
    )
    assert attributes(graphics, "image") == [{"compression": "lz"}]
    assert attributes(domain, "devices/channel/target")[0]["name"] == "com.redhat.spice.0"
    assert attributes(domain, "devices/video/model") == [{"type": "qxl"}]


@pytest.mark.parametrize(
    ("params", "path", "expected"),
    [
        ({"boot_order": "cdrom"}, "os/boot", [{"dev": "cdrom"}]),
        ({"machine_version": "pc-i440fx-7.2"}, "os/type", None),
        ({"use_localtime": "true"}, "clock", [{"offset": "localtime"}]),
        ({"usb_mouse": "tablet"}, "devices/input", [{"type": "tablet", "bus": "usb"}]),
        ({"vga": "std"}, "devices/video/model", [{"type": "vga"}]),
        ({"nic_type": "e1000"}, "devices/interface/model", [{"type": "e1000"}]),
        ({"virtio_net_queues": 2}, "devices/interface/driver", [{"queues": "2"}]),
        ({"vhost_net": "false"}, "devices/interface/driver", [{"name": "qemu"}]),
        ({"soundhw": "hda"}, "devices/sound", [{"model": "ich6"}]),
        ({"kvm_path": "/opt/qemu"}, "devices/emulator", [{}]),
        ({"cpu_mask": "0-1"}, "vcpu", [{"cpuset": "0-1"}]),
        ({"cpu_type": "host"}, "cpu", [{"mode": "maximum"}]),
        ({"cpu_cores": 2}, "cpu/topology", [{"sockets": "2", "cores": "2", "threads": "1"}]),
        ({"rng": False}, "devices/rng", []),
        ({"acpi": False}, "features/acpi", []),
        ({"serial_console": False}, "devices/serial", []),
        ({"mem_path": "/dev/hugepages"}, "memoryBacking/hugepages", [{}]),
        ({"use_guest_agent": True}, "devices/channel", [{"type": "unix"}]),
        ({"disk_type": "scsi"}, "devices/controller[@type='scsi']", None),
        ({"cdrom_image_path": "/a.iso"}, "devices/disk[@device='cdrom']/source", None),
        ({"floppy_image_path": "/a.img"}, "devices/disk[@device='floppy']/source", None),
        ({"usb_devices": "host:1234:abcd"}, "devices/hostdev/source/vendor", [{"id": "0x1234"}]),
    ],
)
def test_parameter_reaches_the_description(
    params: dict[str, ParamValue], path: str, expected: list[dict[str, str]] | None
) -> None:
    found = attributes(described(**params), path)
    if expected is None:
        assert found
        assert found != attributes(described(), path)
    else:
        assert found == expected


def test_processors_one_by_one() -> None:
    domain = described(cpu_mask="0:1:all:2-3", cpu_type="Nehalem,+aes,-vmx,x2apic=on")
    assert attributes(domain, "cputune/vcpupin") == [
        {"vcpu": "0", "cpuset": "0"},
        {"vcpu": "1", "cpuset": "1"},
        {"vcpu": "3", "cpuset": "2-3"},
    ]
    assert domain.findtext("cpu/model") == "Nehalem"
    assert attributes(domain, "cpu/feature") == [
        {"policy": "require", "name": "aes"},
        {"policy": "disable", "name": "vmx"},
        {"policy": "require", "name": "x2apic"},
    ]


def words_for_qemu(decided: Decided, **params: ParamValue) -> list[str | None]:
    domain = described(GUEST, decided, **params)
    names = {"q": "http://libvirt.org/schemas/domain/qemu/1.0"}
    return [one.get("value") for one in domain.findall("q:commandline/q:arg", names)]


def test_extra_words_for_qemu() -> None:
    accelerated = Decided(accelerator="kvm")
    assert words_for_qemu(accelerated) == []
    assert words_for_qemu(accelerated, kvm_extra="-name 'a b'") == ["-name", "a b"]


def test_emulated_memory_is_uneven() -> None:
    words = words_for_qemu(TCG)
    assert words[-2:] == ["-m", "size=131080k"]
    assert 131080 % 256 != 0
    assert words_for_qemu(TCG, mem_path="/dev/hugepages") == []


def test_open_vswitch_with_vlans() -> None:
    domain = described(with_nic(mode="openvswitch", vlan=".5:6:7"))
    assert attributes(domain, "devices/interface/virtualport") == [{"type": "openvswitch"}]
    assert attributes(domain, "devices/interface/vlan") == [{"trunk": "yes"}]
    assert attributes(domain, "devices/interface/vlan/tag") == [
        {"id": "5", "nativeMode": "untagged"},
        {"id": "6"},
        {"id": "7"},
    ]


@pytest.mark.parametrize(
    ("guest", "params"),
    [
        (with_nic(mode="routed"), {}),
        (with_nic(vlan=".5"), {}),
        (with_nic(mode="openvswitch", vlan=".9999"), {}),
        (GUEST, {"cpu_mask": "0:1"}),
        (GUEST, {"cpu_mask": "zero"}),
        (GUEST, {"cpu_cores": 3}),
        (GUEST, {"cpu_type": "qemu64,pmu=maybe"}),
        (GUEST, {"usb_devices": "everything"}),
    ],
)
def test_refused(guest: Guest, params: dict[str, ParamValue]) -> None:
    with pytest.raises(BadParameter):
        described(guest, **params)


def test_27th_disk() -> None:
    disk = GuestDisk(path="/dev/z", uuid="z", index=26)
    domain = described(msgspec.structs.replace(GUEST, disks=(disk,)))
    assert attributes(domain, "devices/disk/target") == [{"dev": "vdaa", "bus": "virtio"}]


def test_mark_of_arrival_is_set_once_and_changes_nothing_else() -> None:
    text = domain_xml(GUEST, kvm_parameters({}), TCG)
    once = marked_as_arrived(text)
    assert marked_as_arrived(once) == once
    domain = ET.fromstring(once)
    metadata = domain.find("metadata")
    assert metadata is not None
    assert len(metadata) == 1
    domain.remove(metadata)
    before, after = text, ET.tostring(domain, encoding="unicode")
    assert canonical(after) == canonical(before)


def canonical(text: str) -> str:
    return ET.canonicalize(text, strip_text=True, rewrite_prefixes=True)
