"""The parameters of the kvm driver: Ganeti's names, types and defaults, plus ``accel``, ``rng``.

Decided here: which values exist and which of them this driver cannot honour. Three defaults differ
in meaning from Ganeti. ``kernel_path`` is empty: the guest boots from its disk. ``kvm_path`` with
its default lets libvirt choose the QEMU of the distribution. ``serial_speed`` only enters the
command line of a kernel given by ``kernel_path``.
Parameters that are accepted and mean nothing here, because libvirt or the cluster decides:
``kvm_pci_reservations``, ``vnet_hdr``, ``migration_port``, ``migration_mode``, ``user_shutdown``,
``spice_tls_ciphers``, ``spice_ip_version``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hypervisors.errors import BadParameter
from hypervisors.guest import ParamValue

DEFAULT_KVM_PATH = "/usr/bin/kvm"

DiskBus = Literal[
    "ide",
    "mtd",
    "paravirtual",
    "pflash",
    "scsi",
    "scsi-block",
    "scsi-cd",
    "scsi-generic",
    "scsi-hd",
    "sd",
]
NicModel = Literal[
    "e1000",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "paravirtual",
    "pcnet",
    "rtl8139",
]
SpiceLossy = Literal["", "always", "auto", "never"]
SpiceImage = Literal["", "auto_glz", "auto_lz", "glz", "lz", "off", "quic"]
AbsolutePath = Annotated[str, Meta(pattern=r"^(/.*)?$")]
Accelerator = Literal["auto", "kvm", "tcg"]

GLOBAL_PARAMETERS = frozenset({"migration_bandwidth", "migration_mode", "migration_port"})
"""May be set for the cluster only."""

MIGRATION_CAPABILITIES = frozenset({"xbzrle", "auto-converge"})


class KvmParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One guest's effective parameters."""

    accel: Accelerator = "auto"
    acpi: bool = True
    boot_order: Literal["cdrom", "disk", "floppy", "network"] = "disk"
    cdrom2_image_path: str = ""
    cdrom_disk_type: DiskBus | Literal[""] = ""
    cdrom_image_path: str = ""
    cpu_cores: Annotated[int, Meta(ge=0)] = 0
    cpu_mask: str = "all"
    cpu_sockets: Annotated[int, Meta(ge=0)] = 0
    cpu_threads: Annotated[int, Meta(ge=0)] = 0
    cpu_type: str = ""
    disk_aio: Literal["threads", "native", "io_uring"] = "threads"
    disk_cache: Literal["default", "none", "writeback", "writethrough"] = "default"
    disk_discard: Literal["ignore", "unmap"] = "ignore"
    disk_type: DiskBus = "paravirtual"
    floppy_image_path: AbsolutePath = ""
    initrd_path: AbsolutePath = ""
    kernel_args: str = "ro"
    kernel_path: AbsolutePath = ""
    keymap: str = ""
    kvm_extra: str = ""
    kvm_flag: Literal["", "enabled", "disabled"] = ""
    kvm_path: AbsolutePath = DEFAULT_KVM_PATH
    kvm_pci_reservations: Annotated[int, Meta(ge=0, le=32)] = 12
    machine_version: str = ""
    mem_path: AbsolutePath = ""
    migration_bandwidth: Annotated[int, Meta(ge=0)] = 32
    """MiB/s; 0 is no limit."""
    migration_caps: str = ""
    migration_downtime: Annotated[int, Meta(ge=0)] = 30
    """ms"""
    migration_mode: Literal["live", "non-live"] = "live"
    migration_port: Annotated[int, Meta(ge=1, le=65535)] = 8102
    nic_type: NicModel = "paravirtual"
    reboot_behavior: Literal["reboot", "exit"] = "reboot"
    rng: bool = True
    root_path: str = "/dev/vda1"
    scsi_controller_type: Literal["dc390", "lsi", "megasas", "virtio-scsi-pci"] = "lsi"
    security_domain: str = ""
    security_model: Literal["none", "pool", "user"] = "none"
    serial_console: bool = True
    serial_speed: Annotated[int, Meta(ge=50)] = 38400
    soundhw: str = ""
    spice_bind: str = ""
    spice_image_compression: SpiceImage = ""
    spice_ip_version: Literal[0, 4, 6] = 0
    spice_jpeg_wan_compression: SpiceLossy = ""
    spice_password_file: AbsolutePath = ""
    spice_playback_compression: bool = True
    spice_streaming_video: Literal["", "all", "filter", "off"] = ""
    spice_tls_ciphers: str = "HIGH:-DES:-3DES:-EXPORT:-DH"
    spice_use_tls: bool = False
    spice_use_vdagent: bool = True
    spice_zlib_glz_wan_compression: SpiceLossy = ""
    usb_devices: str = ""
    usb_mouse: Literal["", "mouse", "tablet"] = ""
    use_chroot: bool = False
    use_guest_agent: bool = False
    use_localtime: bool = False
    user_shutdown: bool = False
    vga: str = ""
    vhost_net: bool = True
    virtio_net_queues: Annotated[int, Meta(ge=1, le=32)] = 1
    vnc_bind_address: str = ""
    vnc_password_file: AbsolutePath = ""
    vnc_tls: bool = False
    vnc_x509_path: AbsolutePath = ""
    vnc_x509_verify: bool = False
    vnet_hdr: bool = True


def kvm_parameters(params: Mapping[str, ParamValue]) -> KvmParameters:
    """The parameters, strictly typed; text from a command line is taken as what it says.

    Raises BadParameter naming what is wrong: an unknown name, a wrong value, or a value that this
    driver cannot honour.
    """
    try:
        found = msgspec.convert(dict(params), KvmParameters, strict=False)
    except msgspec.ValidationError as error:
        raise BadParameter(f"hypervisor parameters of kvm: {error}", subject="kvm") from None
    for name, reason in refusals(found):
        raise BadParameter(f"hypervisor parameter {name} of kvm: {reason}", subject=name)
    return found


def wanted_accelerator(parameters: KvmParameters) -> Accelerator:
    """``accel``, or what Ganeti's ``kvm_flag`` says where ``accel`` leaves it open."""
    if parameters.accel != "auto" or not parameters.kvm_flag:
        return parameters.accel
    return "kvm" if parameters.kvm_flag == "enabled" else "tcg"


def refusals(parameters: KvmParameters) -> Iterator[tuple[str, str]]:
    """(parameter, why it cannot be honoured) for all that this driver refuses. Pure."""
    for name, allowed in _ALLOWED.items():
        value = getattr(parameters, name)
        if value not in allowed:
            shown = ", ".join(repr(one) for one in allowed)
            yield name, f"{value!r} is not supported, use one of {shown}"
    for name, reason in _BY_QEMU_CONF.items():
        if getattr(parameters, name):
            yield name, reason
    for name in ("cdrom_image_path", "cdrom2_image_path"):
        if getattr(parameters, name) and not getattr(parameters, name).startswith("/"):
            yield name, "must be an absolute path on the node; URLs are not supported"
    for capability in filter(None, parameters.migration_caps.split(":")):
        if capability not in MIGRATION_CAPABILITIES:
            known = ", ".join(sorted(MIGRATION_CAPABILITIES))
            yield "migration_caps", f"{capability!r} is not supported, use {known}"
    if parameters.disk_aio == "native" and parameters.disk_cache.startswith("write"):
        yield "disk_aio", "'native' needs disk_cache 'none' or 'default'"
    if parameters.initrd_path and not parameters.kernel_path:
        yield "initrd_path", "has no effect without kernel_path"
    if parameters.vnc_bind_address and parameters.spice_bind:
        yield "spice_bind", "cannot be used together with vnc_bind_address"


_DISKS = ("paravirtual", "ide", "scsi", "scsi-hd", "scsi-block")
_ALLOWED: dict[str, tuple[str, ...]] = {
    "disk_type": _DISKS,
    "cdrom_disk_type": ("", "paravirtual", "ide", "scsi", "scsi-cd"),
    "scsi_controller_type": ("lsi", "megasas", "virtio-scsi-pci"),
    "security_model": ("none",),
    "soundhw": ("", "ac97", "es1370", "hda", "intel-hda", "pcspk", "sb16"),
    "vga": ("", "std", "cirrus", "vmware", "qxl", "virtio", "none"),
}
_BY_QEMU_CONF = {
    "security_domain": "libvirt decides the user of guests: set user in /etc/libvirt/qemu.conf",
    "use_chroot": "not supported: libvirt confines guests by its own means",
    "vnc_tls": "set vnc_tls in /etc/libvirt/qemu.conf instead",
    "vnc_x509_path": "set vnc_tls_x509_cert_dir in /etc/libvirt/qemu.conf instead",
    "vnc_x509_verify": "set vnc_tls_x509_verify in /etc/libvirt/qemu.conf instead",
    "spice_use_tls": "set spice_tls in /etc/libvirt/qemu.conf instead",
}
