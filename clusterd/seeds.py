"""From an instance to what cloud-init finds at its first boot (data source NoCloud). Pure.

Decided here: the host name is the instance's, the identity its uuid, so that a clone is a new
machine to cloud-init. A network card with an address from a network of the cluster is set up with
it, all others ask by DHCP, unless the operator's own network configuration says otherwise.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec

from clusterd.model import Instance, Nic
from clusterd.view import View

EMPTY_USER_DATA = "#cloud-config\n"
"""cloud-init takes no seed without user data."""


def seed_files(view: View, instance: Instance) -> dict[str, str] | None:
    """File name -> contents; None for an instance that is not seeded."""
    wanted = instance.cloud_init
    if wanted is None:
        return None
    files = {
        "meta-data": _meta_data(instance, wanted.ssh_keys),
        "user-data": wanted.user_data or EMPTY_USER_DATA,
    }
    if wanted.network_config:
        files["network-config"] = wanted.network_config
    elif instance.nics:
        files["network-config"] = _network_config(view, instance)
    return files


def _meta_data(instance: Instance, keys: tuple[str, ...]) -> str:
    lines = [f"instance-id: {instance.uuid}", f"local-hostname: {instance.name}"]
    if keys:
        lines.append("public-keys:")
        lines += [f"  - {msgspec.json.encode(key).decode()}" for key in keys]
    return "\n".join(lines) + "\n"


def _network_config(view: View, instance: Instance) -> str:
    """As JSON, which is YAML, too."""
    cards = {f"nic{index}": _card(view, nic) for index, nic in enumerate(instance.nics)}
    text = msgspec.json.encode({"version": 2, "ethernets": cards})
    return msgspec.json.format(text, indent=2).decode() + "\n"


def _card(view: View, nic: Nic) -> dict[str, Any]:
    match = {"match": {"macaddress": nic.mac}}
    found = [
        network
        for network in view.configuration.networks()
        if nic.network and nic.network in (network.uuid, network.name)
    ]
    if not found or nic.ip is None:
        return {**match, "dhcp4": True}
    network = ipaddress.ip_network(found[0].network, strict=False)
    card: dict[str, Any] = {**match, "addresses": [f"{nic.ip}/{network.prefixlen}"]}
    if found[0].gateway:
        anywhere = "0.0.0.0/0" if network.version == 4 else "::/0"
        card["routes"] = [{"to": anywhere, "via": found[0].gateway}]
    return card
