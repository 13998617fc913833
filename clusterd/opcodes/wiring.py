"""Network cards in networks: what a card takes from the network it is in, and what addresses it may
have. Pure; raises Refused naming the card.

Decided here: a card in a network has the mode, link and VLAN of the network's connection to the
node group of its primary node, and none of its own; its address is one of the network's or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from clusterd import address_pool
from clusterd.model import Group, Instance, Network, Node, Params
from clusterd.opcodes import locking
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.lock import Lock

NONE = ("", "none", "None")
OWN = ("mode", "link", "vlan", "bridge")
"""What a card in a network cannot be told."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a card will be."""

    group: str | None
    """uuid of the node group; None while no node is chosen."""
    conflicts_check: bool = True
    """Refuse addresses that are reserved, or belong to a network that the card is not in."""
    owner: str | None = None
    """uuid of the instance, once it has one."""


def network_of(view: View, spec: Mapping[str, Any]) -> Network | None:
    """The network that is asked for."""
    asked = spec.get("network")
    if asked is None or asked in NONE:
        return None
    return view.configuration.network(str(asked))


def locks(view: View, specs: Iterable[Any]) -> tuple[Lock, ...]:
    """The networks that cards are put into must stay what they are, and connected as they are."""
    found = [network_of(view, spec) for spec in specs if isinstance(spec, Mapping)]
    names = sorted({network.name for network in found if network is not None})
    return tuple(locking.network_lock(name, shared=True) for name in names)


def kept(view: View, instance: Instance) -> tuple[Lock, ...]:
    """The networks that its cards are in: where it goes, they must stay connected."""
    return locks(view, [{"network": nic.network} for nic in instance.nics])


def require_connected(view: View, instance: Instance, node: Node) -> None:
    """The instance's cards find their networks on a node; raises Refused."""
    group = view.configuration.group(node.group)
    for nic in instance.nics:
        if nic.network is None or nic.network in group.networks:
            continue
        name = view.configuration.network(nic.network).name
        raise Refused(
            f"Instance '{instance.name}' has a card in network '{name}', which is not connected to"
            f" node group '{group.name}' of node {node.name}: connect it with 'gnt-network connect"
            f" {name} {group.name}'",
            "wrong_state",
        )


def params(
    view: View, index: int, spec: Mapping[str, Any], network: Network, place: Place
) -> Params:
    """The card's parameters: those of the network's connection."""
    given = [key for key in OWN if spec.get(key) not in (None, "", "default")]
    if given:
        raise Refused(
            f"Network card {index}: in a network it has the network's mode and link; leave out "
            f"{', '.join(given)}",
            "wrong_input",
        )
    if place.group is None:
        return {}
    group = view.configuration.group(place.group)
    found = group.networks.get(network.uuid)
    if found is None:
        raise Refused(
            f"Network card {index}: network '{network.name}' is not connected to node group "
            f"'{group.name}': connect it with 'gnt-network connect {network.name} {group.name}'",
            "wrong_input",
        )
    return dict(found)


def check_address(
    view: View, index: int, ip: str | None, network: Network | None, place: Place
) -> None:
    """The card may have this address, a valid one; ``pool`` stands for any free one."""
    if ip is None:
        return
    if network is None:
        if ip == address_pool.POOL:
            raise Refused(
                f"Network card {index}: if ip=pool, parameter network must be given too",
                "wrong_input",
            )
        _elsewhere(view, index, ip, place)
        return
    if ip == address_pool.POOL:
        _some_free(view, index, network)
        return
    number = address_pool.place(network, ip)
    if number is None:
        raise Refused(
            f"Network card {index}: IP address {ip} does not belong to network '{network.name}' "
            f"({network.network})",
            "resource_not_unique",
        )
    present = view.configuration.addresses_in(network.uuid)
    had_by = present.get(address_pool.as_number(ip))
    if had_by not in (None, place.owner):
        name = had_by and view.configuration.instance(had_by).name
        raise Refused(
            f"Network card {index}: IP address {ip} already in use by instance {name}",
            "resource_not_unique",
        )
    # an address that the instance has stays usable when it is reserved afterwards
    if had_by is None and place.conflicts_check and address_pool.is_reserved(network, number):
        raise Refused(
            f"Network card {index}: IP address {ip} is reserved in network '{network.name}'; "
            "--no-conflicts-check takes it nevertheless",
            "resource_not_unique",
        )


def _some_free(view: View, index: int, network: Network) -> None:
    if address_pool.lowest_free(network, view.configuration.addresses_in(network.uuid)) is None:
        raise Refused(
            f"Network card {index}: network '{network.name}' has no free address left",
            "insufficient_resources",
        )


def _elsewhere(view: View, index: int, ip: str, place: Place) -> None:
    """The address is none of a network's that the card's node group is connected to."""
    if not place.conflicts_check or place.group is None:
        return
    for network in connected(view, view.configuration.group(place.group)):
        if address_pool.place(network, ip) is not None:
            raise Refused(
                f"Network card {index}: the requested IP address ({ip}) belongs to network "
                f"{network.name}, but the card does not; --no-conflicts-check allows it",
                "wrong_state",
            )


def connected(view: View, group: Group) -> list[Network]:
    """The networks that a group is connected to, by name."""
    return [one for one in view.configuration.networks() if one.uuid in group.networks]
