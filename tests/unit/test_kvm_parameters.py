"""Names, defaults and refusals of the kvm driver's parameters; what a host can honour."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hypervisors.errors import BadParameter, DeviceMissing, NotEnoughMemory
from hypervisors.guest import Guest, GuestDisk, GuestNic, ParamValue
from hypervisors.host import Host
from hypervisors.kvm_parameters import KvmParameters, kvm_parameters
from hypervisors.kvm_preparation import Preparation
from hypervisors.plugins import built_in

OURS = {"accel", "rng"}
GUEST = Guest(
    name="i1",
    uuid="u1",
    memory_mib=128,
    vcpus=1,
    disks=(GuestDisk(path="/dev/disk0", uuid="d0", index=0),),
    nics=(GuestNic(mac="aa:00:00:00:00:01", uuid="n0", index=0, link="br0"),),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with one bridge, one disk, 1 GiB free and a processor that has svm."""
    for name in ("proc", "dev", "sys/class/net", "sys/devices/br0", "etc"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text(
        "MemTotal:  2097152 kB\nMemFree:  10240 kB\nMemAvailable:  1048576 kB\n"
    )
    (tmp_path / "proc/cpuinfo").write_text("processor : 0\nflags : fpu svm\n")
    (tmp_path / "dev/kvm").touch()
    (tmp_path / "dev/real0").touch()
    (tmp_path / "dev/disk0").symlink_to("/dev/real0")
    (tmp_path / "dev/dangling").symlink_to("/dev/nothing")
    (tmp_path / "sys/class/net/br0").symlink_to("../../devices/br0")
    (tmp_path / "etc/password").write_text("secret\nnot this\n")
    return tmp_path


def preparation(root: Path) -> Preparation:
    return Preparation(Host(root), "/var/log/console")


def test_every_parameter_of_ganeti_and_two_more() -> None:
    assert len(KvmParameters.__struct_fields__) == 65 + len(OURS)
    assert set(KvmParameters.__struct_fields__) >= OURS


def test_defaults_are_allowed() -> None:
    assert kvm_parameters({}) == KvmParameters()
    assert kvm_parameters(msgspec.structs.asdict(KvmParameters())) == KvmParameters()


def test_text_is_taken_as_what_it_says() -> None:
    found = kvm_parameters({"acpi": "false", "cpu_cores": "2", "migration_downtime": "100"})
    assert (found.acpi, found.cpu_cores, found.migration_downtime) == (False, 2, 100)


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"no_such": 1}, "no_such"),
        ({"cpu_cores": -1}, "cpu_cores"),
        ({"disk_cache": "often"}, "disk_cache"),
        ({"disk_type": "pflash"}, "disk_type"),
        ({"security_model": "pool"}, "security_model"),
        ({"use_chroot": True}, "use_chroot"),
        ({"vnc_tls": True}, "qemu.conf"),
        ({"cdrom_image_path": "http://x/y.iso"}, "cdrom_image_path"),
        ({"migration_caps": "xbzrle:postcopy-ram"}, "postcopy-ram"),
        ({"disk_aio": "native", "disk_cache": "writeback"}, "disk_aio"),
        ({"initrd_path": "/i"}, "initrd_path"),
        ({"vnc_bind_address": "::", "spice_bind": "::"}, "spice_bind"),
    ],
)
def test_refusals_name_the_parameter(params: dict[str, ParamValue], named: str) -> None:
    with pytest.raises(BadParameter, match=named):
        kvm_parameters(params)


def test_what_the_guest_needs_is_there(root: Path) -> None:
    decided = preparation(root).prepare(GUEST, kvm_parameters({}))
    assert decided.accelerator == "kvm"
    assert decided.console_log == "/var/log/console/i1.log"
    assert (root / "var/log/console").is_dir()


@pytest.mark.parametrize(
    ("cpuinfo", "device", "params", "accelerator"),
    [
        ("flags : fpu vmx\n", True, {}, "kvm"),
        ("flags : fpu\n", True, {}, "tcg"),
        ("flags : fpu vmx\n", False, {}, "tcg"),
        ("flags : fpu vmx\n", True, {"accel": "tcg"}, "tcg"),
        ("flags : fpu vmx\n", True, {"kvm_flag": "disabled"}, "tcg"),
        ("flags : fpu vmx\n", True, {"accel": "kvm", "kvm_flag": "disabled"}, "kvm"),
    ],
)
def test_accelerator(
    root: Path, cpuinfo: str, device: bool, params: dict[str, ParamValue], accelerator: str
) -> None:
    (root / "proc/cpuinfo").write_text(cpuinfo)
    if not device:
        (root / "dev/kvm").unlink()
    decided = preparation(root).prepare(GUEST, kvm_parameters(params))
    assert decided.accelerator == accelerator


def test_kvm_is_refused_where_it_cannot_be(root: Path) -> None:
    (root / "proc/cpuinfo").write_text("flags : fpu\n")
    for params in ({"accel": "kvm"}, {"kvm_flag": "enabled"}):
        with pytest.raises(BadParameter, match="accel"):
            preparation(root).check_parameters(kvm_parameters(params))


def test_missing_things_are_said(root: Path) -> None:
    prepare = preparation(root).prepare
    disk = msgspec.structs.replace(GUEST.disks[0], path="/dev/dangling")
    with pytest.raises(DeviceMissing, match="/dev/dangling"):
        prepare(msgspec.structs.replace(GUEST, disks=(disk,)), kvm_parameters({}))
    nic = msgspec.structs.replace(GUEST.nics[0], link="br7")
    with pytest.raises(DeviceMissing, match="br7"):
        prepare(msgspec.structs.replace(GUEST, nics=(nic,)), kvm_parameters({}))
    with pytest.raises(NotEnoughMemory, match="1024 MiB free"):
        prepare(msgspec.structs.replace(GUEST, memory_mib=1025), kvm_parameters({}))
    with pytest.raises(BadParameter, match="/boot/k"):
        prepare(GUEST, kvm_parameters({"kernel_path": "/boot/k"}))


def test_password_is_the_first_line(root: Path) -> None:
    params = {"vnc_bind_address": "::", "vnc_password_file": "/etc/password"}
    assert preparation(root).prepare(GUEST, kvm_parameters(params)).password == "secret"


def test_memory(root: Path) -> None:
    memory = Host(root).memory()
    assert (memory.total_mib, memory.free_mib) == (2048, 1024)


def test_plugins_are_found_and_declare_defaults() -> None:
    plugins = built_in()
    assert list(plugins) == ["kvm", "memory"]
    for name, plugin in plugins.items():
        assert plugin.name == name
        plugin.check(plugin.defaults())
        assert plugin.global_parameters <= set(plugin.defaults())
    assert plugins["kvm"].defaults()["migration_bandwidth"] == 32
