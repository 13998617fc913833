"""``config.ini`` of an export, in Ganeti's layout: written of an instance, read from any cluster's.

Decided here: what is in the file, and what is made of it. Sections and options are Ganeti's; ``id``
in ``[export]`` is ours and says which job made it. Pure.
"""

from __future__ import annotations

import configparser
import io
from typing import Any

import msgspec

from clusterd.model import Instance
from clusterd.names import EXPORT_VERSION, MAX_DISKS, MAX_NICS
from clusterd.view import View
from jobqueue.errors import Refused

FILE = "config.ini"
NIC_OPTIONS = ("mode", "link", "vlan")
NOT_SET = ("", "None", "none")


class ExportedDisk(msgspec.Struct, frozen=True, kw_only=True):
    """One disk; ``dump`` is the file with its contents, empty without one."""

    size_mib: int
    dump: str = ""
    name: str | None = None


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export says of its instance. Values of parameters are text."""

    name: str
    os: str
    node: str = ""
    """Where it was made."""
    id: str = ""
    disk_template: str = ""
    hypervisor: str = ""
    tags: tuple[str, ...] = ()
    nics: tuple[dict[str, str], ...] = ()
    disks: tuple[ExportedDisk, ...] = ()
    hvparams: dict[str, str] = {}
    beparams: dict[str, str] = {}
    osparams: dict[str, str] = {}
    osparams_private: dict[str, str] = {}


def written(view: View, instance: Instance, *, now: float, identity: str) -> str:
    """The file's text; dumps are named after the disks."""
    parser = _parser()
    backend = view.beparams(instance)
    parser["export"] = {
        "version": str(EXPORT_VERSION),
        "timestamp": str(int(now)),
        "source": view.primary(instance).name,
        "os": instance.os,
        "compression": "none",
        "id": identity,
    }
    parser["instance"] = {
        "name": instance.name,
        "maxmem": str(backend["maxmem"]),
        "minmem": str(backend["minmem"]),
        "memory": str(backend["maxmem"]),
        "vcpus": str(backend["vcpus"]),
        "disk_template": instance.disk_template,
        "hypervisor": instance.hypervisor,
        "tags": " ".join(instance.tags),
        **_nics(view, instance),
        **_disks(instance),
    }
    parser["hypervisor"] = {key: str(value) for key, value in view.hvparams(instance).items()}
    parser["backend"] = {key: str(value) for key, value in backend.items()}
    parser["os"] = dict(instance.osparams)
    parser["os_private"] = {}
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def dump_of(disk_uuid: str) -> str:
    """The name of the file with a disk's contents."""
    return disk_uuid


def _nics(view: View, instance: Instance) -> dict[str, str]:
    options = {"nic_count": str(len(instance.nics))}
    for index, nic in enumerate(instance.nics):
        params = view.nicparams(nic.params)
        options |= {
            f"nic{index}_mac": nic.mac,
            f"nic{index}_ip": str(nic.ip),
            f"nic{index}_network": str(nic.network),
            f"nic{index}_name": str(nic.name),
            **{f"nic{index}_{key}": str(params.get(key)) for key in NIC_OPTIONS},
        }
    return options


def _disks(instance: Instance) -> dict[str, str]:
    options = {"disk_count": str(len(instance.disks))}
    for index, disk in enumerate(instance.disks):
        options |= {
            f"disk{index}_ivname": f"disk/{index}",
            f"disk{index}_dump": dump_of(disk.uuid),
            f"disk{index}_size": str(disk.size_mib),
            f"disk{index}_name": str(disk.name),
        }
    return options


def read(text: str, where: str) -> Exported:
    """What a file says; raises Refused naming ``where`` for one that is no export's."""
    parser = _parser()
    try:
        parser.read_string(text)
        return _exported(parser)
    except (configparser.Error, ValueError) as error:
        told = str(error).splitlines()[0]
        raise Refused(f"{where} is not an export that can be read: {told}", "wrong_input") from None


def _exported(parser: configparser.RawConfigParser) -> Exported:
    if not parser.has_section("export") or not parser.has_section("instance"):
        raise ValueError("sections [export] and [instance] are missing")
    version = parser.get("export", "version", fallback="")
    if version != str(EXPORT_VERSION):
        raise ValueError(f"its version is '{version}', only {EXPORT_VERSION} is understood")
    instance = parser["instance"]
    memory = {
        key: instance[key] for key in ("maxmem", "minmem", "memory", "vcpus") if key in instance
    }
    return Exported(
        name=instance.get("name", ""),
        os=parser.get("export", "os", fallback=""),
        node=parser.get("export", "source", fallback=""),
        id=parser.get("export", "id", fallback=""),
        disk_template=instance.get("disk_template", ""),
        hypervisor=instance.get("hypervisor", ""),
        tags=tuple(instance.get("tags", "").split()),
        nics=tuple(_read_nics(instance)),
        disks=tuple(_read_disks(instance)),
        hvparams=_section(parser, "hypervisor"),
        beparams=_section(parser, "backend") or memory,
        osparams=_section(parser, "os"),
        osparams_private=_section(parser, "os_private"),
    )


def _read_nics(instance: Any) -> list[dict[str, str]]:
    cards = []
    for index in range(MAX_NICS):
        if f"nic{index}_mac" not in instance:
            break
        keys = ("mac", "ip", "name", "network", "bridge", *NIC_OPTIONS)
        found = {key: instance.get(f"nic{index}_{key}", "") for key in keys}
        cards.append({key: value for key, value in found.items() if value not in NOT_SET})
    return cards


def _read_disks(instance: Any) -> list[ExportedDisk]:
    disks = []
    for index in range(min(int(instance.get("disk_count", MAX_DISKS)), MAX_DISKS)):
        if f"disk{index}_size" not in instance:
            break
        dump = instance.get(f"disk{index}_dump", "")
        if "/" in dump or dump in (".", ".."):
            raise ValueError(f"'{dump}' is not the name of a file beside it")
        name = instance.get(f"disk{index}_name", "")
        size_mib = int(instance[f"disk{index}_size"])
        disks.append(
            ExportedDisk(size_mib=size_mib, dump=dump, name=None if name in NOT_SET else name)
        )
    return disks


def _section(parser: configparser.RawConfigParser, name: str) -> dict[str, str]:
    return dict(parser[name]) if parser.has_section(name) else {}


def _parser() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    return parser
