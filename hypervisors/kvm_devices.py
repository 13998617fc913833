"""Bringing the devices of a running domain to what is wanted. Blocking functions.

Decided here: a disk is known by its place and its serial number, a card by its address. A card that
only moves to another bridge is changed in place. A device that must go is asked for; the guest lets
go of it when it likes.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from hypervisors.domain_xml import SERIAL_LENGTH, disk_xml, nic_xml
from hypervisors.errors import BadParameter, StillAttached
from hypervisors.guest import Guest
from hypervisors.kvm_parameters import KvmParameters

PLUGGABLE = ("virtio", "scsi")
MIB = 1024 * 1024
CAPACITY, PHYSICAL = 0, 2
"""Places in libvirt's figures of a block device, in bytes."""


def reshape(library: Any, domain: Any, guest: Guest, parameters: KvmParameters) -> None:
    """See ``Driver.reshape``; the domain runs."""
    found = ET.fromstring(domain.XMLDesc(0))
    live = library.VIR_DOMAIN_AFFECT_LIVE
    have_disks, want_disks = _disks(found), _wanted_disks(guest, parameters)
    have_nics, want_nics = _nics(found), _wanted_nics(guest, parameters)
    leaving = []
    for have, want in ((have_disks, want_disks), (have_nics, want_nics)):
        for key in sorted(set(have) - set(want)):
            _check_pluggable(guest, have[key])
            leaving.append(key)
            _ask_for(library, domain, have[key], live)
    for key in sorted(set(want_disks) - set(have_disks)):
        if any(taken[0] == key[0] for taken in leaving):
            continue  # its place is not free yet
        _check_pluggable(guest, want_disks[key])
        domain.attachDeviceFlags(ET.tostring(want_disks[key], encoding="unicode"), live)
    _fit_nics(domain, have_nics, want_nics, live)
    sizes = {disk.uuid[:SERIAL_LENGTH]: disk.size_mib * MIB for disk in guest.disks}
    for place, serial in sorted(set(want_disks) & set(have_disks)):
        if sizes.get(serial, 0) > domain.blockInfo(place)[CAPACITY]:
            domain.blockResize(place, sizes[serial], 1)  # in bytes
    _fit_sizes(
        domain,
        sorted(key[0] for key in set(want_disks) & set(have_disks) if _is_raw(want_disks[key])),
    )
    _check_gone(domain, guest, leaving)


Devices = Mapping[tuple[str, str], ET.Element]


def _fit_nics(domain: Any, have: Devices, want: Devices, live: int) -> None:
    for key in sorted(want):
        text = ET.tostring(want[key], encoding="unicode")
        if key not in have:
            domain.attachDeviceFlags(text, live)
        elif _link(have[key]) != _link(want[key]):
            changed = ET.fromstring(ET.tostring(have[key]))
            source, wanted = changed.find("source"), want[key].find("source")
            if source is not None and wanted is not None:
                source.attrib.clear()
                source.attrib.update(wanted.attrib)
            domain.updateDeviceFlags(ET.tostring(changed, encoding="unicode"), live)


def _is_raw(disk: ET.Element) -> bool:
    """Whether the guest sees what is behind it: the length of a file in another format says
    nothing of its disk."""
    driver = disk.find("driver")
    return driver is None or driver.get("type") == "raw"


def _fit_sizes(domain: Any, targets: list[str]) -> None:
    """The guest sees each disk as large as what is behind it."""
    for target in targets:
        figures = domain.blockInfo(target)
        if figures[PHYSICAL] > figures[CAPACITY]:
            domain.blockResize(target, figures[PHYSICAL], 1)  # in bytes


def _check_gone(domain: Any, guest: Guest, leaving: list[tuple[str, str]]) -> None:
    if not leaving:
        return
    found = ET.fromstring(domain.XMLDesc(0))
    left = [key for key in leaving if key in {**_disks(found), **_nics(found)}]
    if left:
        raise StillAttached(
            f"guest {guest.name} has been asked to let go of {left[0][0]} and has not done so",
            subject=guest.name,
        )


def _ask_for(library: Any, domain: Any, element: ET.Element, live: int) -> None:
    try:
        domain.detachDeviceFlags(ET.tostring(element, encoding="unicode"), live)
    except library.libvirtError as error:
        # gone meanwhile, or on its way out since it was asked for before
        codes = (library.VIR_ERR_DEVICE_MISSING, library.VIR_ERR_OPERATION_FAILED)
        if error.get_error_code() not in codes:
            raise


def _check_pluggable(guest: Guest, element: ET.Element) -> None:
    target = element.find("target")
    bus = target.get("bus") if target is not None else None
    if element.tag == "disk" and bus not in PLUGGABLE:
        raise BadParameter(
            f"a disk of type '{bus}' of guest {guest.name} cannot come or go while it runs; stop "
            "the guest first",
            subject=guest.name,
        )


def _disks(domain: ET.Element) -> dict[tuple[str, str], ET.Element]:
    """(place, serial number) -> description of each disk that is not removable."""
    found = {}
    for element in domain.iterfind("devices/disk"):
        if element.get("device") in ("disk", "lun"):
            target = element.find("target")
            place = target.get("dev", "") if target is not None else ""
            found[place, element.findtext("serial", "")] = element
    return found


def _nics(domain: ET.Element) -> dict[tuple[str, str], ET.Element]:
    """(address, "") -> description of each network card."""
    found = {}
    for element in domain.iterfind("devices/interface"):
        mac = element.find("mac")
        found[mac.get("address", "") if mac is not None else "", ""] = element
    return found


def _wanted_disks(guest: Guest, parameters: KvmParameters) -> dict[tuple[str, str], ET.Element]:
    devices = ET.Element("devices")
    for disk in guest.disks:
        devices.append(ET.fromstring(disk_xml(disk, parameters)))
    domain = ET.Element("domain")
    domain.append(devices)
    return _disks(domain)


def _wanted_nics(guest: Guest, parameters: KvmParameters) -> dict[tuple[str, str], ET.Element]:
    devices = ET.Element("devices")
    for nic in guest.nics:
        devices.append(ET.fromstring(nic_xml(nic, parameters)))
    domain = ET.Element("domain")
    domain.append(devices)
    return _nics(domain)


def _link(element: ET.Element) -> tuple[str | None, str | None]:
    source = element.find("source")
    vlan = element.find("vlan/tag")
    bridge = source.get("bridge") if source is not None else None
    return bridge, vlan.get("id") if vlan is not None else None
