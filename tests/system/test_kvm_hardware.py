"""libvirt and QEMU take what the kvm driver describes, for each kind of virtual hardware."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec
import pytest

from hypervisors.errors import BadParameter
from hypervisors.guest import ParamValue
from tests.contracts.hypervisor_world import Pair
from tests.system.kvm_world import KvmWorld, guest_image

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def world() -> Iterator[KvmWorld]:
    with contextlib.closing(KvmWorld()) as world:
        yield world


@pytest.mark.parametrize(
    "params",
    [
        {"vnc_bind_address": "127.0.0.1", "vga": "std", "keymap": "de"},
        {"vnc_bind_address": "/run"},
        {"usb_mouse": "tablet", "vnc_bind_address": "127.0.0.1"},
        {"spice_bind": "127.0.0.1", "spice_image_compression": "lz", "vga": "std"},
        {"disk_type": "ide", "nic_type": "e1000"},
        {"disk_type": "scsi", "scsi_controller_type": "virtio-scsi-pci", "nic_type": "rtl8139"},
        {"disk_type": "scsi", "scsi_controller_type": "lsi"},
        {"disk_cache": "none", "disk_aio": "native", "disk_discard": "unmap"},
        {"disk_cache": "writethrough", "disk_aio": "io_uring"},
        {"machine_version": "q35", "cdrom_image_path": "IMAGE"},
        {"machine_version": "pc-i440fx-6.2", "boot_order": "cdrom", "cdrom_image_path": "IMAGE"},
        {"cdrom_image_path": "IMAGE", "cdrom2_image_path": "IMAGE", "cdrom_disk_type": "scsi-cd"},
        {"boot_order": "network", "acpi": False, "serial_console": False},
        {"kernel_path": "IMAGE", "initrd_path": "IMAGE", "kernel_args": "ro quiet"},
        {"use_guest_agent": True, "use_localtime": True, "rng": False},
        {"reboot_behavior": "exit", "virtio_net_queues": 2, "vhost_net": False},
        {"cpu_type": "host"},
        {"cpu_type": "qemu64,+aes,-vmx", "cpu_sockets": 1, "cpu_cores": 2, "cpu_mask": "0:0-1"},
        {"soundhw": "hda", "kvm_extra": "-name 'an odd name'"},
    ],
    ids="-".join,
)
def test_hardware_is_taken(world: KvmWorld, params: dict[str, ParamValue]) -> None:
    pair, guest = Pair(world), world.guest()
    image = str(guest_image())
    params = {name: image if value == "IMAGE" else value for name, value in params.items()}
    guest = msgspec.structs.replace(guest, params=params, network_port=5977, vcpus=2)
    world.drive(pair.here.start(guest, paused=True))
    assert pair.places(guest) == ("paused", None)
    world.drive(pair.here.destroy(guest.name))


def test_processor_that_qemu_does_not_know(world: KvmWorld) -> None:
    pair, guest = Pair(world), world.guest()
    guest = msgspec.structs.replace(guest, params={"cpu_type": "z80"})
    with pytest.raises(BadParameter, match="z80"):
        world.drive(pair.here.start(guest))
    assert pair.places(guest) == (None, None)


def test_capabilities_of_migration_are_taken(world: KvmWorld) -> None:
    pair, guest = Pair(world), world.guest()
    params = {"migration_caps": "xbzrle:auto-converge", "migration_bandwidth": 0}
    guest = msgspec.structs.replace(guest, params=params)
    world.drive(pair.here.start(guest))
    world.wait_until_obedient(guest)
    pair.begin(guest)
    status = pair.end(guest)
    assert status.state == "completed", status
    world.drive(pair.there.destroy(guest.name))
