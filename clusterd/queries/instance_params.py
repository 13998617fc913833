"""Fields of an instance's parameters: effective ones, the instance's own, single ones.

Effective means: Ganeti's defaults, below the cluster's, below the OS's, below the instance's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from clusterd.defaults import GLOBAL_HVPARAMS, HVPARAMS
from clusterd.model import Instance, Params, ParamValue
from clusterd.queries.field import Cell, Field, Value, normal, plain, present
from clusterd.queries.sources import Sources


def hvparams(sources: Sources, instance: Instance) -> Params:
    """Effective hypervisor parameters without those of the cluster only."""
    filled = sources.view.hvparams(instance)
    return {name: value for name, value in filled.items() if name not in GLOBAL_HVPARAMS}


def osparams(sources: Sources, instance: Instance) -> dict[str, str]:
    """Effective parameters of the OS definition."""
    of_cluster = sources.configuration.cluster.osparams
    base = instance.os.split("+", maxsplit=1)[0]
    return {**of_cluster.get(base, {}), **of_cluster.get(instance.os, {}), **instance.osparams}


_BE_TITLES = {
    "auto_balance": ("Auto_balance", "bool"),
    "maxmem": ("ConfigMaxMem", "unit"),
    "minmem": ("ConfigMinMem", "unit"),
    "vcpus": ("ConfigVCPUs", "number"),
    "spindle_use": ("be/spindle_use", "number"),
    "always_failover": ("be/always_failover", "bool"),
}
_HV_TITLES = {
    "acpi": "ACPI",
    "boot_order": "Boot_order",
    "cdrom_image_path": "CDROM_image_path",
    "cpu_type": "cpu_type",
    "disk_type": "Disk_type",
    "initrd_path": "Initrd_path",
    "kernel_path": "Kernel_path",
    "nic_type": "NIC_type",
    "pae": "PAE",
    "pci_pass": "pci_pass",
    "vnc_bind_address": "VNC_bind_address",
}


def _kind(value: ParamValue) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int) else "other"


def _be(name: str) -> Value:
    return lambda sources, instance: present(sources.view.beparams(instance).get(name))


def _hv(name: str) -> Value:
    return lambda sources, instance: present(hvparams(sources, instance).get(name))


def _shown(sources: Sources, instance: Instance) -> Cell:
    return normal(sources.view.beparams(instance))


def _fields() -> Iterable[Field]:
    for name, (title, kind) in _BE_TITLES.items():
        yield Field(f"be/{name}", title, kind, f'Backend parameter "{name}"', _be(name))
    kinds: dict[str, Any] = {}
    for params in HVPARAMS.values():
        for name, value in params.items():
            kinds.setdefault(name, _kind(value))
    for name in sorted(set(kinds) - set(GLOBAL_HVPARAMS)):
        title = _HV_TITLES.get(name, f"hv/{name}")
        yield Field(f"hv/{name}", title, kinds[name], f'Hypervisor parameter "{name}"', _hv(name))
    yield Field("beparams", "BackendParameters", "other", "Effective backend parameters", _shown)
    yield Field(
        "hvparams",
        "HypervisorParameters",
        "other",
        "Effective hypervisor parameters",
        lambda sources, instance: normal(hvparams(sources, instance)),
    )
    yield Field(
        "osparams",
        "OpSysParameters",
        "other",
        "Effective parameters of the OS definition",
        lambda sources, instance: normal(osparams(sources, instance)),
    )
    for name, title, words in (
        ("beparams", "CustomBackendParameters", "Backend"),
        ("hvparams", "CustomHypervisorParameters", "Hypervisor"),
        ("osparams", "CustomOpSysParameters", "OS"),
    ):
        doc = f"{words} parameters set for the instance itself"
        yield Field(f"custom_{name}", title, "other", doc, plain(_own(name)))


def _own(name: str) -> Any:
    return lambda instance: getattr(instance, name)


def _with_aliases(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    known = {field.name: field for field in fields}
    return (
        *fields,
        msgspec.structs.replace(known["be/maxmem"], name="be/memory"),
        msgspec.structs.replace(known["be/vcpus"], name="vcpus"),
    )


FIELDS = _with_aliases(tuple(_fields()))
