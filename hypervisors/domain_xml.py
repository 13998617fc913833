"""From a guest to libvirt's domain description. Pure: nothing is read and nothing is looked up.

Decided here: the virtual hardware. virtio disks and cards, no floppy, no USB controller and no
display unless a parameter asks for them. A block device is opened past the page cache unless
``disk_cache`` says otherwise, as only then may two nodes hold it during a live migration.
"""

from __future__ import annotations

import shlex
import xml.etree.ElementTree as ET
from typing import Literal

import msgspec

from hypervisors.domain_displays import add_displays
from hypervisors.errors import BadParameter
from hypervisors.guest import Guest, GuestDisk, GuestNic, NetworkDisk
from hypervisors.kvm_parameters import DEFAULT_KVM_PATH, KvmParameters
from hypervisors.processors import add_processors
from hypervisors.xml_building import add, text_of

MARK = "urn:clusterd:guest:1"
"""Name space of what this driver keeps in a domain's metadata."""
ARRIVED_TAG = "arrived"
QEMU_NAMES = "http://libvirt.org/schemas/domain/qemu/1.0"
AGENT_CHANNEL = "org.qemu.guest_agent.0"
UNEVEN_KIB = 8
UNEVEN_ID = "uneven.ram"
SERIAL_LENGTH = 20
"""Characters that a virtio disk can show of its serial number."""

_BOOT = {"disk": "hd", "cdrom": "cdrom", "network": "network", "floppy": "fd"}
_BUS = {"paravirtual": "virtio", "ide": "ide"}
_PREFIX = {"virtio": "vd", "ide": "hd", "scsi": "sd", "sata": "sd"}
_SCSI = {"lsi": "lsilogic", "megasas": "lsisas1078", "virtio-scsi-pci": "virtio-scsi"}
_SOUND = {"hda": "ich6", "intel-hda": "ich6"}


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What the node adds to the description."""

    accelerator: Literal["kvm", "tcg"]
    console_log: str = ""
    """File that the serial console is appended to, or empty."""
    password: str = ""
    """Of the graphical console."""


def domain_xml(guest: Guest, parameters: KvmParameters, decided: Decided) -> str:
    """The description of the whole guest. Raises BadParameter."""
    kind = "kvm" if decided.accelerator == "kvm" else "qemu"
    domain = ET.Element("domain", {"type": kind})
    add(domain, "name", guest.name)
    add(domain, "uuid", guest.uuid)
    add(domain, "memory", str(guest.memory_mib), unit="MiB")
    if parameters.mem_path:
        add(add(domain, "memoryBacking"), "hugepages")
    add_processors(domain, guest.vcpus, parameters, decided.accelerator)
    _add_boot(domain, parameters)
    features = add(domain, "features")
    if parameters.acpi:
        add(features, "acpi")
    add(domain, "clock", offset="localtime" if parameters.use_localtime else "utc")
    add(domain, "on_poweroff", "destroy")
    add(domain, "on_reboot", "restart" if parameters.reboot_behavior == "reboot" else "destroy")
    add(domain, "on_crash", "destroy")
    _add_devices(domain, guest, parameters, decided)
    _add_for_qemu(domain, guest, parameters, decided)
    return text_of(domain)


def disk_xml(disk: GuestDisk, parameters: KvmParameters) -> str:
    """The description of one disk."""
    devices = ET.Element("devices")
    _add_disk(devices, disk, parameters)
    return ET.tostring(devices[0], encoding="unicode")


def nic_xml(nic: GuestNic, parameters: KvmParameters) -> str:
    """The description of one network card. Raises BadParameter."""
    devices = ET.Element("devices")
    _add_nic(devices, nic, parameters)
    return ET.tostring(devices[0], encoding="unicode")


def marked_as_arrived(description: str) -> str:
    """The description with the mark that its guest has not run where it arrives."""
    domain = ET.fromstring(description)
    metadata = domain.find("metadata")
    if metadata is None:
        metadata = ET.SubElement(domain, "metadata")
    if metadata.find(f"{{{MARK}}}{ARRIVED_TAG}") is None:
        ET.SubElement(metadata, f"{{{MARK}}}{ARRIVED_TAG}")
    return ET.tostring(domain, encoding="unicode")


def runs_accelerated(description: str) -> bool:
    """True if the domain is run by the processor, False if it is emulated."""
    return ET.fromstring(description).get("type") == "kvm"


def _add_for_qemu(
    domain: ET.Element, guest: Guest, parameters: KvmParameters, decided: Decided
) -> None:
    emulated = decided.accelerator == "tcg"
    words = shlex.split(parameters.kvm_extra)
    if emulated and not parameters.mem_path:
        words = [*_uneven_memory(guest.memory_mib), *words]
    if not words and not emulated:
        return
    domain.set("xmlns:qemu", QEMU_NAMES)
    command_line = add(domain, "qemu:commandline")
    for word in words:
        add(command_line, "qemu:arg", value=word)
    if emulated:
        # libvirt asks for each of 400 properties of the processor at each start, which takes most
        # of the start on a slow node; without this capability it asks for all of them at once
        capabilities = add(domain, "qemu:capabilities")
        add(capabilities, "qemu:del", capability="cpu-unavailable-features")


def _uneven_memory(memory_mib: int) -> list[str]:
    """Words that give an emulated guest 8 KiB more than libvirt could.

    QEMU before 9.0 loses writes of an emulated guest that migrates live ("physmem: Fix migration
    dirty bitmap coherency with TCG memory access"), but only where it looks at the memory's dirty
    pages 64 at a time, which it does for sizes that are a multiple of 256 KiB.
    """
    size_kib = memory_mib * 1024 + UNEVEN_KIB
    backend = f"memory-backend-ram,id={UNEVEN_ID},size={size_kib}K"
    machine = f"memory-backend={UNEVEN_ID}"
    return ["-object", backend, "-machine", machine, "-m", f"size={size_kib}k"]


def _add_boot(domain: ET.Element, parameters: KvmParameters) -> None:
    system = add(domain, "os")
    hvm = add(system, "type", "hvm", arch="x86_64")
    hvm.set("machine", parameters.machine_version or "pc")
    if not parameters.kernel_path:
        add(system, "boot", dev=_BOOT[parameters.boot_order])
        return
    add(system, "kernel", parameters.kernel_path)
    if parameters.initrd_path:
        add(system, "initrd", parameters.initrd_path)
    words = [f"root={parameters.root_path}"] if parameters.root_path else []
    words += [parameters.kernel_args] if parameters.kernel_args else []
    if parameters.serial_console:
        words.append(f"console=ttyS0,{parameters.serial_speed}")
    add(system, "cmdline", " ".join(words))


def _add_devices(
    domain: ET.Element, guest: Guest, parameters: KvmParameters, decided: Decided
) -> None:
    devices = add(domain, "devices")
    if parameters.kvm_path not in ("", DEFAULT_KVM_PATH):
        add(devices, "emulator", parameters.kvm_path)
    for disk in sorted(guest.disks, key=lambda one: one.index):
        _add_disk(devices, disk, parameters)
    _add_removable(devices, parameters)
    _add_controllers(devices, parameters)
    for nic in sorted(guest.nics, key=lambda one: one.index):
        _add_nic(devices, nic, parameters)
    if parameters.serial_console:
        serial = add(devices, "serial", type="pty")
        if decided.console_log:
            add(serial, "log", file=decided.console_log, append="on")
        add(serial, "target", port="0")
    if parameters.use_guest_agent:
        channel = add(devices, "channel", type="unix")
        add(channel, "target", type="virtio", name=AGENT_CHANNEL)
    add_displays(devices, guest, parameters, decided.password)
    _add_usb(devices, parameters)
    if parameters.soundhw:
        add(devices, "sound", model=_SOUND.get(parameters.soundhw, parameters.soundhw))
    add(devices, "memballoon", model="virtio")
    if parameters.rng:
        add(add(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")


def _add_disk(devices: ET.Element, disk: GuestDisk, parameters: KvmParameters) -> None:
    bus = _BUS.get(parameters.disk_type, "scsi")
    device = "lun" if parameters.disk_type == "scsi-block" and disk.kind == "block" else "disk"
    if bus == "ide" and disk.access == "ro":
        device = "cdrom"  # QEMU has no other IDE disk that is only read
    kind = "network" if disk.source is not None else disk.kind
    element = add(devices, "disk", type=kind, device=device)
    driver = add(element, "driver", name="qemu", type=disk.format)
    cache = _cache(disk, parameters)
    if cache:
        driver.set("cache", cache)
    driver.set("io", parameters.disk_aio)
    driver.set("discard", parameters.disk_discard)
    if disk.source is not None:
        _add_network_source(element, disk.source)
    else:
        add(element, "source", **{"dev" if disk.kind == "block" else "file": disk.path})
    add(element, "target", dev=_letters(_PREFIX[bus], disk.index), bus=bus)
    if disk.access == "ro":
        add(element, "readonly")
    if device == "disk":
        add(element, "serial", disk.uuid[:SERIAL_LENGTH])


def secret_usage(source: NetworkDisk) -> str:
    """Under what name libvirt keeps the key of a network disk's user."""
    return f"clusterd client.{source.user} of {source.config}"


def _add_network_source(element: ET.Element, disk: NetworkDisk) -> None:
    source = add(element, "source", protocol=disk.protocol)
    if disk.name:
        source.set("name", disk.name)
    if disk.socket:
        add(source, "host", transport="unix", socket=disk.socket)
    for host, port in disk.hosts:
        add(source, "host", name=host, port=str(port))
    if disk.config:
        add(source, "config", file=disk.config)
    if disk.keyring:
        auth = add(source, "auth", username=disk.user)
        add(auth, "secret", type="ceph", usage=secret_usage(disk))


def _cache(disk: GuestDisk, parameters: KvmParameters) -> str:
    if parameters.disk_cache != "default":
        return parameters.disk_cache
    return "none" if disk.source or disk.kind == "block" or parameters.disk_aio == "native" else ""


def _add_removable(devices: ET.Element, parameters: KvmParameters) -> None:
    bus = "scsi" if parameters.cdrom_disk_type.startswith("scsi") else "ide"
    if bus == "ide" and "q35" in parameters.machine_version:
        bus = "sata"  # that machine has no IDE
    # the last letters of the bus, so that disks keep theirs when an image comes or goes
    paths = (parameters.cdrom_image_path, parameters.cdrom2_image_path)
    for path, index in zip(paths, (3, 2), strict=True):
        if path:
            _add_image(devices, "cdrom", path, _letters(_PREFIX[bus], index), bus)
    if parameters.floppy_image_path:
        _add_image(devices, "floppy", parameters.floppy_image_path, "fda", "fdc")


def _add_image(devices: ET.Element, device: str, path: str, target: str, bus: str) -> None:
    element = add(devices, "disk", type="file", device=device)
    add(element, "driver", name="qemu", type="raw")
    add(element, "source", file=path)
    add(element, "target", dev=target, bus=bus)
    add(element, "readonly")


def _add_controllers(devices: ET.Element, parameters: KvmParameters) -> None:
    if parameters.disk_type.startswith("scsi") or parameters.cdrom_disk_type.startswith("scsi"):
        model = _SCSI[parameters.scsi_controller_type]
        add(devices, "controller", type="scsi", index="0", model=model)
    if not parameters.usb_mouse and not parameters.usb_devices:
        # the usual USB controller wakes an idle guest a thousand times a second
        add(devices, "controller", type="usb", model="none")


def _add_nic(devices: ET.Element, nic: GuestNic, parameters: KvmParameters) -> None:
    if nic.mode == "routed":
        raise BadParameter(
            f"network card {nic.index}: mode 'routed' is not supported by the kvm driver; "
            "use 'bridged' or 'openvswitch'",
            subject=nic.uuid,
        )
    interface = add(devices, "interface", type="bridge")
    add(interface, "mac", address=nic.mac)
    add(interface, "source", bridge=nic.link)
    if nic.mode == "openvswitch":
        add(interface, "virtualport", type="openvswitch")
        _add_vlan(interface, nic)
    elif nic.vlan:
        raise BadParameter(
            f"network card {nic.index}: a VLAN needs mode 'openvswitch'; "
            "with 'bridged' name the bridge of that VLAN as link",
            subject=nic.uuid,
        )
    virtio = parameters.nic_type == "paravirtual"
    add(interface, "model", type="virtio" if virtio else parameters.nic_type)
    if virtio and (not parameters.vhost_net or parameters.virtio_net_queues > 1):
        driver = add(interface, "driver")
        if not parameters.vhost_net:
            driver.set("name", "qemu")
        if parameters.virtio_net_queues > 1:
            driver.set("queues", str(parameters.virtio_net_queues))
    if parameters.boot_order != "network":
        add(interface, "rom", enabled="no")


def _add_vlan(interface: ET.Element, nic: GuestNic) -> None:
    """Ganeti's notation: ``.5`` untagged in 5, ``:6:7`` tagged in 6 and 7, ``.5:6`` both."""
    if not nic.vlan:
        return
    native, *tagged = nic.vlan.lstrip(".").split(":")
    numbers = [one for one in (native, *tagged) if one]
    if not all(one.isdecimal() and 1 <= int(one) <= 4094 for one in numbers):
        raise BadParameter(
            f"network card {nic.index}: {nic.vlan!r} is no VLAN; write '.5', ':6:7' or '.5:6'",
            subject=nic.uuid,
        )
    vlan = add(interface, "vlan")
    if tagged:
        vlan.set("trunk", "yes")
    for number in numbers:
        tag = add(vlan, "tag", id=number)
        if tagged and number == native:
            tag.set("nativeMode", "untagged")


def _add_usb(devices: ET.Element, parameters: KvmParameters) -> None:
    if parameters.usb_mouse:
        add(devices, "input", type=parameters.usb_mouse, bus="usb")
    for word in parameters.usb_devices.replace(",", " ").split():
        name = word.removeprefix("host:")
        colon, dot = name.split(":"), name.split(".")
        if word in ("tablet", "mouse", "keyboard"):
            add(devices, "input", type=word, bus="usb")
            continue
        host = add(devices, "hostdev", mode="subsystem", type="usb", managed="yes")
        source = add(host, "source")
        if len(colon) == 2:
            add(source, "vendor", id=f"0x{colon[0].removeprefix('0x')}")
            add(source, "product", id=f"0x{colon[1].removeprefix('0x')}")
        elif len(dot) == 2:
            add(source, "address", bus=dot[0], device=dot[1])
        else:
            raise BadParameter(
                f"hypervisor parameter usb_devices: {word!r} is neither VENDOR:PRODUCT, BUS.DEVICE,"
                " tablet, mouse nor keyboard",
                subject="usb_devices",
            )


def _letters(prefix: str, index: int) -> str:
    """``vd`` 0 -> vda, 25 -> vdz, 26 -> vdaa."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return prefix + letters


def devices_at(description: str, paths: tuple[str, ...]) -> list[str]:
    """What the guest calls its disks at these paths, in order: ``vda``."""
    found = {}
    for disk in ET.fromstring(description).iterfind("./devices/disk"):
        source, target = disk.find("source"), disk.find("target")
        if source is not None and target is not None:
            found[source.get("file") or source.get("dev")] = target.get("dev", "")
    return [found[path] for path in paths if path in found]
