"""From what an operator asks for to drafts of network cards. Pure.

A draft is complete but for the identities that a step draws. Raises Refused naming the card.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from clusterd import address_pool
from clusterd.model import Nic, Params
from clusterd.names import MAX_NICS
from clusterd.opcodes import wiring
from clusterd.opcodes.drafts import item_name
from clusterd.opcodes.wiring import NONE, Place
from clusterd.view import View
from jobqueue.errors import Refused

MAC = re.compile(r"^([0-9a-f]{2}:){5}[0-9a-f]{2}\Z")
NIC_KEYS = frozenset({"mac", "ip", "mode", "link", "vlan", "name", "bridge", "network"})
NIC_MODES = ("bridged", "routed", "openvswitch")


def nics(
    view: View,
    specs: tuple[dict[str, Any], ...],
    bridges: tuple[str, ...] | None,
    node: str,
    place: Place,
) -> tuple[Nic, ...]:
    """Drafts of the network cards; ``bridges`` are those of ``node``, None when unknown."""
    if len(specs) > MAX_NICS:
        raise Refused(f"{len(specs)} network cards asked for, at most {MAX_NICS}", "wrong_input")
    drafts = tuple(nic(view, index, spec, place) for index, spec in enumerate(specs))
    owner = view.configuration.owner_of_mac
    seen: set[str] = set()
    require_apart(drafts)
    for draft in drafts:
        if draft.mac and (draft.mac in seen or owner(draft.mac) is not None):
            raise Refused(
                f"MAC address {draft.mac} already in use in cluster", "resource_not_unique"
            )
        seen.add(draft.mac)
        params = view.nicparams(draft.params)
        link = str(params.get("link", ""))
        if params.get("mode") == "bridged" and bridges is not None and link not in bridges:
            raise Refused(f"Bridge '{link}' does not exist on node {node}", "environment_error")
    return drafts


def nic(view: View, index: int, spec: Mapping[str, Any], place: Place) -> Nic:
    """The draft of one network card; its MAC address is empty where one must be drawn."""
    unknown = sorted(set(spec) - NIC_KEYS)
    if unknown:
        raise Refused(f"Network card {index}: unknown parameter '{unknown[0]}'", "wrong_input")
    network = wiring.network_of(view, spec)
    params = _own_params(spec)
    if network is not None:
        params = wiring.params(view, index, spec, network, place)
    mode = view.nicparams(params).get("mode", "bridged")
    if mode not in NIC_MODES:
        raise Refused(f"Network card {index}: mode '{mode}' is not served", "wrong_input")
    ip = _address(index, spec.get("ip"))
    wiring.check_address(view, index, ip, network, place)
    if mode == "routed" and ip is None:
        raise Refused(f"Network card {index}: required ip missing for mode routed", "wrong_input")
    return Nic(
        uuid="",
        mac=_mac(index, spec.get("mac")),
        ip=ip,
        name=item_name(f"Network card {index}", spec),
        network=network.uuid if network is not None else None,
        params=params,
    )


def _own_params(spec: Mapping[str, Any]) -> Params:
    params: Params = {
        key: str(spec[key])
        for key in ("mode", "link", "vlan")
        if spec.get(key) not in (None, "", "default")
    }
    if spec.get("bridge"):
        params["link"] = str(spec["bridge"])
    return params


def require_apart(cards: Sequence[Nic]) -> None:
    """No two cards of an instance have one address of a network."""
    seen: set[tuple[str, str]] = set()
    for card in cards:
        if card.network is None or card.ip in (None, address_pool.POOL):
            continue
        identity = (card.network, str(card.ip))
        if identity in seen:
            raise Refused(f"IP address {card.ip} is given to two cards", "resource_not_unique")
        seen.add(identity)


def _address(index: int, text: Any) -> str | None:
    if text is None or text in NONE:
        return None
    if text == address_pool.POOL:
        return address_pool.POOL
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise Refused(f"Network card {index}: invalid IP address '{text}'", "wrong_input") from None


def _mac(index: int, text: Any) -> str:
    if text in (None, "auto", "generate", ""):
        return ""
    mac = str(text).lower()
    if not MAC.match(mac) or int(mac[:2], 16) & 1:
        raise Refused(f"Network card {index}: invalid MAC address '{text}'", "wrong_input")
    return mac
