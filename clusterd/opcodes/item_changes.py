"""Modifications of an instance's disks and network cards: from what is asked to what will be. Pure.

Decided here: identifiers count the items as they are before anything is changed; new items come in
the order in which they are named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from clusterd.model import Disk, Instance, Nic, Node
from clusterd.names import MAX_DISKS, MAX_NICS
from clusterd.opcodes import cards, drafts, wiring
from clusterd.opcodes.wiring import Place
from clusterd.view import View
from clusterd.volumes import has_mirror, must_adopt, numbered, takes_any_parameter
from jobqueue.errors import Refused

ADDING = ("add",)
REMOVING = ("remove",)
NOT_SERVED = ("attach", "detach")
DISK_CHANGES = frozenset({"mode", "name"})
DISKLESS = "diskless"


class Item(msgspec.Struct, frozen=True):
    """One modification. ``at`` is the place of an item, or where a new one comes."""

    operation: str
    at: int
    spec: dict[str, Any]


class DiskChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the disks."""

    added: tuple[tuple[int, Disk], ...] = ()
    """(place, draft)"""
    modified: tuple[tuple[int, dict[str, Any]], ...] = ()
    """(place, fields)"""
    removed: tuple[int, ...] = ()
    template: str
    """The instance's afterwards: one without disks gets that of its first ones."""


def items(asked: Sequence[Any], present: Sequence[Disk] | Sequence[Nic], word: str) -> list[Item]:
    """The modifications, each checked for its shape; raises Refused naming it."""
    return [_item(one, present, word) for one in asked]


def _item(asked: Any, present: Sequence[Any], word: str) -> Item:
    if not isinstance(asked, list | tuple) or len(asked) not in (2, 3):
        raise Refused(
            f"{word}: a modification is (operation, identifier, parameters), not {asked!r:.100}",
            "wrong_input",
        )
    operation, which, spec = asked if len(asked) == 3 else (asked[0], -1, asked[1])
    if isinstance(operation, int) and not isinstance(operation, bool):
        operation, which = "modify", operation
    if not isinstance(spec, dict):
        raise Refused(f"{word}: the parameters are not an object: {spec!r:.100}", "wrong_input")
    if operation in NOT_SERVED:
        raise Refused(f"{word}: this version does not serve '{operation}'", "wrong_input")
    if operation in ADDING:
        return Item(operation, _new_place(which, len(present), word), spec)
    if operation not in (*REMOVING, "modify"):
        raise Refused(f"{word}: unknown operation '{operation}'", "wrong_input")
    if operation in REMOVING and spec:
        raise Refused(f"{word}: remove takes no parameters", "wrong_input")
    return Item(operation, _place(present, which, word), spec)


def _new_place(which: Any, count: int, word: str) -> int:
    try:
        at = int(which)
    except (TypeError, ValueError):
        raise Refused(
            f"{word}: a new one comes at a number, or at -1, not '{which}'", "wrong_input"
        ) from None
    at = count if at == -1 else at
    if not 0 <= at <= count:
        raise Refused(f"{word}: there is no place {which} among {count}", "wrong_input")
    return at


def _place(present: Sequence[Any], which: Any, word: str) -> int:
    """An item by index (-1: the last), name or uuid."""
    if isinstance(which, str) and re.fullmatch(r"-?[0-9]{1,9}", which):
        which = int(which)
    if isinstance(which, int) and not isinstance(which, bool):
        at = len(present) - 1 if which == -1 else which
        if 0 <= at < len(present):
            return at
    for at, item in enumerate(present):
        if which is not None and which in (item.name, item.uuid):
            return at
    raise Refused(f"{word} '{which}' not found", "unknown_entity")


def nics(
    asked: Sequence[Any], view: View, instance: Instance, *, conflicts_check: bool = True
) -> tuple[Nic, ...]:
    """The cards as they will be; raises Refused."""
    place = Place(
        group=view.primary(instance).group, conflicts_check=conflicts_check, owner=instance.uuid
    )
    kept: list[Nic | None] = list(instance.nics)
    added: list[tuple[int, Nic]] = []
    for item in items(asked, instance.nics, "Network card"):
        if item.operation in ADDING:
            added.append((item.at, cards.nic(view, len(instance.nics), item.spec, place)))
        elif item.operation in REMOVING:
            kept[item.at] = None
        else:
            old = instance.nics[item.at]
            new = cards.nic(view, item.at, _changed_card(old, item.spec), place)
            kept[item.at] = msgspec.structs.replace(new, uuid=old.uuid)
    arranged = _arranged(kept, added)
    cards.require_apart(arranged)
    _cards_fit(view, instance, arranged)
    return arranged


def _changed_card(old: Nic, spec: Mapping[str, Any]) -> dict[str, Any]:
    """What an old card is to be. One that leaves its network keeps mode and link, and not the
    address."""
    base: dict[str, Any] = {"mac": old.mac, "ip": old.ip, "name": old.name, **old.params}
    network = spec.get("network", old.network)
    stays = network is not None and network not in wiring.NONE
    if stays:
        base = {key: base[key] for key in ("mac", "ip", "name")} | {"network": old.network}
    if old.network is not None and not stays:
        base["ip"] = None
    return {**base, **spec}


def _arranged(kept: Sequence[Any], added: Sequence[tuple[int, Any]]) -> tuple[Any, ...]:
    arranged: list[Any] = []
    for at in range(len(kept) + 1):
        arranged += [new for place, new in added if place == at]
        if at < len(kept) and kept[at] is not None:
            arranged.append(kept[at])
    return tuple(arranged)


def _cards_fit(view: View, instance: Instance, cards: Sequence[Nic]) -> None:
    """Not too many, no address twice in the cluster, and each bridge is there."""
    if len(cards) > MAX_NICS:
        raise Refused(f"{len(cards)} network cards asked for, at most {MAX_NICS}", "wrong_input")
    taken: set[str] = set()
    primary = view.primary(instance)
    observation = view.sight(primary).observation
    for card in cards:
        owner = view.configuration.owner_of_mac(card.mac)
        if card.mac and (card.mac in taken or owner not in (None, instance.uuid)):
            raise Refused(
                f"MAC address {card.mac} already in use in cluster", "resource_not_unique"
            )
        taken.add(card.mac)
        params = view.nicparams(card.params)
        link = str(params.get("link", ""))
        known = observation is None or link in observation.bridges
        if card not in instance.nics and params.get("mode") == "bridged" and not known:
            raise Refused(
                f"Bridge '{link}' does not exist on node {primary.name}", "environment_error"
            )


def disks(
    asked: Sequence[Any], view: View, instance: Instance, nodes: tuple[Node, ...]
) -> DiskChange:
    """What is asked of the disks; raises Refused."""
    free = iter(sorted(set(range(MAX_DISKS)) - {disk.number for disk in numbered(instance)}))
    added, modified, removed = [], [], []
    for item in items(asked, instance.disks, "Disk"):
        if item.operation in REMOVING:
            removed.append(item.at)
        elif item.operation in ADDING:
            added.append((item.at, _new_disk(view, instance, item, nodes, next(free, None))))
        else:
            modified.append((item.at, _disk_fields(item, instance.disks[item.at])))
    touched = [*removed, *(at for at, _ in modified)]
    if len(set(touched)) != len(touched):
        raise Refused("A disk is named twice", "wrong_input")
    templates = sorted({disk.template for _, disk in added}) or [instance.disk_template]
    if len(templates) > 1:
        raise Refused(
            f"The disks of an instance have one template, not {' and '.join(templates)}",
            "wrong_input",
        )
    return DiskChange(
        added=tuple(added),
        modified=tuple(modified),
        removed=tuple(sorted(removed)),
        template=templates[0],
    )


def _new_disk(
    view: View, instance: Instance, item: Item, nodes: tuple[Node, ...], number: int | None
) -> Disk:
    template = _template(view, instance, item.spec)
    if item.spec.get("adopt") or must_adopt(template):
        raise Refused("Data can only be adopted by a new instance", "wrong_input")
    if number is None:
        raise Refused(f"Instance '{instance.name}' has {MAX_DISKS} disks already", "wrong_input")
    draft = drafts.disk(view, number, item.spec, template, nodes)
    return msgspec.structs.replace(draft, number=number)


def _template(view: View, instance: Instance, spec: Mapping[str, Any]) -> str:
    """The template of a new disk: the instance's, or what is named for one that has no disks."""
    own, asked = instance.disk_template, str(spec.get("dev_type") or "")
    if own != DISKLESS:
        return own
    if not asked:
        raise Refused(
            f"Must specify disk type on diskless instance '{instance.name}': add dev_type=TEMPLATE",
            "wrong_input",
        )
    if asked == DISKLESS or asked not in view.configuration.cluster.enabled_disk_templates:
        raise Refused(f"Disk template '{asked}' is not enabled in cluster", "wrong_input")
    if has_mirror(asked):
        raise Refused(
            f"Instance '{instance.name}' has no secondary node: add a plain disk, then convert"
            f" (modify -t {asked} -n NODE)",
            "wrong_input",
        )
    return asked


def _disk_fields(item: Item, disk: Disk) -> dict[str, Any]:
    others = sorted(set(item.spec) - drafts.DISK_KEYS) if takes_any_parameter(disk.template) else []
    unknown = sorted(set(item.spec) - DISK_CHANGES - set(others))
    if unknown:
        hint = "; use grow-disk" if unknown[0] == "size" else ""
        raise Refused(f"Disk {item.at}: '{unknown[0]}' cannot be changed{hint}", "wrong_input")
    if not item.spec:
        raise Refused(f"Disk {item.at}: nothing to change", "wrong_input")
    fields: dict[str, Any] = {}
    if others:
        new = {**disk.params, **{key: item.spec[key] for key in others}}
        fields["params"] = {key: value for key, value in new.items() if value is not None}
    if "mode" in item.spec:
        if item.spec["mode"] not in ("rw", "ro"):
            raise Refused(
                f"Disk {item.at}: invalid access mode '{item.spec['mode']}', use rw or ro",
                "wrong_input",
            )
        fields["mode"] = item.spec["mode"]
    if "name" in item.spec:
        fields["name"] = drafts.item_name(f"Disk {item.at}", item.spec)
    return fields
