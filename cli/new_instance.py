"""Disks and cards of an instance that is to be made, by ``gnt-instance add`` or from an export.

Decided here: the options that both have, what they mean together and what of it excludes each
other. Sizes are in MiB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cli import readers
from cli.command import Option
from cli.exits import WrongInput
from cli.notation import BadText, Value, integer, size_mib
from cli.rows import (
    BACKEND,
    IALLOCATOR,
    OS_PARAMS,
    OS_PARAMS_PRIVATE,
    OS_PARAMS_SECRET,
    TAGS,
    not_,
    row,
    sets,
    spread,
)
from clusterd.names import MAX_DISKS, MAX_NICS

NEW_INSTANCE = (
    BACKEND,
    row("disks", "--disk", many=True, reads=readers.sequence("disk"),
        metavar="N:size=SIZE,..."),
    row("disk_template", "-t", "--disk-template", metavar="TEMPLATE"),
    row("file_storage_dir", "--file-storage-dir", metavar="DIR"),
    row("file_driver", "--file-driver"),
    spread("-H", "--hypervisor-parameters", reads=readers.hypervisor,
           metavar="HYPERVISOR:KEY=VALUE,...", words="Hypervisor and its parameters"),
    IALLOCATOR,
    row("nics", "--net", many=True, reads=readers.sequence("network card"),
        metavar="N:KEY=VALUE,..."),
    spread("-n", "--node", reads=readers.node_pair, metavar="PNODE[:SNODE]",
           words="Primary and secondary node", completes="node"),
    row("group_name", "-g", "--node-group", metavar="GROUP", completes="group"),
    not_("conflicts_check", "--no-conflicts-check", words="Allow addresses in use"),
    not_("wait_for_sync", "--no-wait-for-sync", words="Do not wait for mirrors"),
    sets("--no-ip-check", words="The default; accepted for older scripts", ip_check=False),
    sets("--no-name-check", words="The default; accepted for older scripts",
         name_check=False),
    OS_PARAMS, OS_PARAMS_PRIVATE, OS_PARAMS_SECRET,
    Option(names=("-s", "--os-size"), reads=size_mib, metavar="SIZE",
           words="One disk of this size", fields=lambda size: {"single_disk": size}),
    TAGS,
)  # fmt: skip
"""What can be said of any new instance."""


def take_disks(body: dict[str, Any], *, from_image: bool = False) -> list[dict[str, Any]] | None:
    """The disks of ``--disk`` or ``-s``, which are taken out of ``body``; None without either.

    With an image its size is the first disk's, if none is given.
    """
    single, given = body.pop("single_disk", None), body.pop("disks", None)
    if given is not None and single is not None:
        raise WrongInput("Please use either the '--disk' or '-s' option")
    if single is not None:
        given = [(0, {"size": single})]
    if given is None:
        return None
    return [
        _new_disk(index, spec, needs_size=bool(index) or not from_image)
        for index, spec in enumerate(_in_order(given, MAX_DISKS, "Disk"))
    ]


def take_cards(body: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The cards of ``--net``, none with ``--no-nics``, which are taken out of ``body``; None
    without either."""
    none, given = body.pop("no_nics", False), body.pop("nics", None)
    if none and given is not None:
        raise WrongInput("Please use either the '--net' or '--no-nics' option")
    if given is None:
        return [] if none else None
    return [_new_card(spec) for spec in _in_order(given, MAX_NICS, "Network card")]


def _in_order(
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


def _new_disk(index: int, spec: Mapping[str, Any], *, needs_size: bool = True) -> dict[str, Any]:
    """A disk specification as the opcode has it: whole MiB, ``size`` or ``adopt``; neither where
    an image says the size."""
    disk = dict(spec)
    try:
        if "size" in disk:
            if "adopt" in disk:
                raise WrongInput(f"Only one of 'size' and 'adopt' is allowed (disk {index})")
            disk["size"] = size_mib(str(disk["size"]))
        elif "adopt" in disk:
            disk["size"] = 0
        elif needs_size:
            raise WrongInput(f"Missing size or adoption source for disk {index}")
        if "spindles" in disk:
            disk["spindles"] = integer(str(disk["spindles"]))
    except BadText as error:
        raise WrongInput(f"disk {index}: {error}") from None
    return disk


def _new_card(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A card's specification: texts, nulls kept."""
    return {
        key: value if value is None or isinstance(value, str) else str(value).lower()
        for key, value in spec.items()
    }
