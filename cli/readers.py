"""Ganeti's composite option values: node pairs, disks, network cards, hypervisors, modifications.

Decided here: text (or texts) to the opcode's plain JSON. Which option uses which reader is a row of
``compatibility``. Sizes are in MiB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cli.exits import WrongInput
from cli.notation import (
    BadText,
    Value,
    boolean,
    identified,
    integer,
    number,
    pairs,
    size_mib,
    typed,
)

BACKEND_KINDS: dict[str, Callable[[str], Any]] = {
    "maxmem": size_mib,
    "minmem": size_mib,
    "memory": size_mib,
    "vcpus": integer,
    "spindle_use": integer,
    "auto_balance": boolean,
    "always_failover": boolean,
}

NODE_KINDS: dict[str, Callable[[str], Any]] = {
    "spindle_count": integer,
    "exclusive_storage": boolean,
    "ovs": boolean,
    "ssh_port": integer,
    "cpu_speed": number,
}

_HYPERVISOR_BOOLEANS = (
    "acpi pae serial_console spice_playback_compression spice_use_tls spice_use_vdagent"
    " use_bootloader use_chroot use_guest_agent use_localtime user_shutdown vhost_net viridian"
    " vnc_tls vnc_x509_verify vnet_hdr"
)
_HYPERVISOR_NUMBERS = (
    "cpu_cap cpu_cores cpu_sockets cpu_threads cpu_weight kvm_pci_reservations"
    " migration_bandwidth migration_downtime migration_port num_ttys serial_speed"
    " spice_ip_version startup_timeout virtio_net_queues"
)
HYPERVISOR_KINDS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(_HYPERVISOR_BOOLEANS.split(), boolean),
    **dict.fromkeys(_HYPERVISOR_NUMBERS.split(), integer),
}
"""Parameters of Ganeti's hypervisors that are no text; all others stay text for the driver."""

_DISK_NUMBERS = (
    "c-delay-target c-fill-target c-max-rate c-min-rate c-plan-ahead data-stripes meta-stripes"
    " port resync-rate stripes"
)
DISK_KINDS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(_DISK_NUMBERS.split(), integer),
    "dynamic-resync": boolean,
    "meta-barriers": boolean,
}

ACTIONS = ("add", "attach", "remove", "detach", "modify")


def params_of(kinds: Mapping[str, Callable[[str], Any]]) -> Callable[[str], dict[str, Any]]:
    """A reader of ``k=v,...`` with these kinds of values."""
    return lambda text: typed(pairs(text), dict(kinds))


def nested_params_of(
    kinds: Mapping[str, Callable[[str], Any]],
) -> Callable[[Sequence[str]], dict[str, Any]]:
    """A reader of repeated ``NAME:k=v,...``."""

    def read(texts: Sequence[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for text in texts:
            name, values = _named(text)
            found.setdefault(name, {}).update(typed(values, dict(kinds)))
        return found

    return read


backend = params_of(BACKEND_KINDS)
hypervisor_params = params_of(HYPERVISOR_KINDS)
node_params = params_of(NODE_KINDS)


def os_params(text: str) -> dict[str, Any]:
    """Parameters of an OS definition: texts, or null for the default."""
    found = pairs(text)
    return {
        key: value if value is None or isinstance(value, str) else str(value).lower()
        for key, value in found.items()
    }


def _named(text: str) -> tuple[str, dict[str, Value]]:
    name, values = identified(text)
    if not isinstance(values, dict):
        raise BadText(f"'{text}' is not of the form NAME:KEY=VALUE,...")
    return name, values


def node_pair(text: str) -> dict[str, str]:
    """``n1:n2`` -> primary and secondary node."""
    primary, colon, secondary = text.partition(":")
    if not primary or (colon and not secondary):
        raise BadText(f"'{text}' is not of the form NODE or PRIMARY:SECONDARY")
    return {"pnode": primary, "snode": secondary} if colon else {"pnode": primary}


def hypervisor(text: str) -> dict[str, Any]:
    """``kvm:acpi=false`` -> hypervisor and its parameters."""
    name, values = _named(text)
    return {"hypervisor": name, "hvparams": typed(values, HYPERVISOR_KINDS)}


def sequence(what: str) -> Callable[[Sequence[str]], list[tuple[int, dict[str, Value]]]]:
    """A reader of repeated ``INDEX:k=v,...`` for new disks and cards."""

    def read(texts: Sequence[str]) -> list[tuple[int, dict[str, Value]]]:
        found = []
        for text in texts:
            name, values = _named(text)
            if not name.isdecimal():
                raise BadText(f"'{text}': '{name}' is not the index of a {what}")
            found.append((int(name), values))
        return found

    return read


def in_order(
    given: Sequence[tuple[int, dict[str, Value]]], limit: int, what: str
) -> list[dict[str, Value]]:
    """Specifications by index; an index that was left out is an empty one."""
    count = max((index for index, _ in given), default=-1) + 1
    if count > limit:
        raise WrongInput(f"{what} {count - 1} is not possible, at most {limit} are allowed")
    specs: list[dict[str, Value]] = [{} for _ in range(count)]
    for index, values in given:
        specs[index] = {**specs[index], **values}
    return specs


def new_disk(index: int, spec: Mapping[str, Any]) -> dict[str, Any]:
    """A disk specification as the opcode has it: whole MiB, ``size`` or ``adopt``."""
    disk = dict(spec)
    try:
        if "size" in disk:
            if "adopt" in disk:
                raise WrongInput(f"Only one of 'size' and 'adopt' is allowed (disk {index})")
            disk["size"] = size_mib(str(disk["size"]))
        elif "adopt" in disk:
            disk["size"] = 0
        else:
            raise WrongInput(f"Missing size or adoption source for disk {index}")
        if "spindles" in disk:
            disk["spindles"] = integer(str(disk["spindles"]))
    except BadText as error:
        raise WrongInput(f"disk {index}: {error}") from None
    return disk


def new_nic(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A card's specification: texts, nulls kept."""
    return {
        key: value if value is None or isinstance(value, str) else str(value).lower()
        for key, value in spec.items()
    }


def modifications(texts: Sequence[str]) -> list[list[Any]]:
    """``add:size=1g``, ``0:mode=ro``, ``-1:remove`` -> [[action, identifier, parameters], ...]."""
    return [_modification(text) for text in texts]


def _modification(text: str) -> list[Any]:
    name, values = identified(text)
    if not isinstance(values, dict):
        raise BadText(f"'{text}' says neither what to change nor how")
    if name in ACTIONS[:4]:
        action, identifier = name, -1
    else:
        named = [key for key in ACTIONS if key in values]
        if len(named) > 1:
            raise BadText(f"'{text}': {' and '.join(named)} exclude each other")
        action = named[0] if named else "modify"
        values.pop(action, None)
        identifier = _identifier(name)
    if action in ("remove", "detach") and values:
        raise BadText(f"'{text}': {action} takes no parameters")
    return [action, identifier, dict(values)]


def _identifier(name: str) -> Any:
    try:
        return int(name)
    except ValueError:
        return name


def disk_modifications(texts: Sequence[str]) -> list[list[Any]]:
    """Modifications of disks, sizes in MiB."""
    found = modifications(texts)
    for action, identifier, values in found:
        if "size" in values:
            values["size"] = size_mib(str(values["size"]))
        elif action == "add" and "adopt" not in values:
            raise BadText(f"a new disk needs size=SIZE or adopt=NAME (disk {identifier})")
    return found


def list_changes(text: str) -> list[list[str]]:
    """``+a,-b`` or plain names: [[add or remove, name], ...]."""
    found = []
    for name in text.split(","):
        action = "remove" if name.startswith("-") else "add"
        bare = name.lstrip("+-")
        if bare:
            found.append([action, bare])
    return found
