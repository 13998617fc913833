"""``gnt-network``: lists, info, and connecting to several node groups at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cli import jobs, readers
from cli.asking import list_tags_command
from cli.command import Arguments, Call, Command, Option
from cli.exits import Exit
from cli.listing import Kind, list_command, list_fields_command
from cli.notation import BadText
from cli.output import info
from cli.spelling import PRIORITY

KIND = Kind(
    what="network",
    plural="networks",
    columns=("name", "network", "gateway", "mac_prefix", "group_list", "tags"),
    formats={
        "group_list": lambda rows: ", ".join(
            row if isinstance(row, str) else f"{row[0]} ({', '.join(row[1:])})" for row in rows
        )
    },
)

MAP_COLUMNS = 64
"""Addresses in a line of the map."""

_INFO_FIELDS = (
    "name",
    "uuid",
    "serial_no",
    "network",
    "gateway",
    "network6",
    "gateway6",
    "mac_prefix",
    "free_count",
    "reserved_count",
    "map",
    "external_reservations",
    "group_list",
    "inst_list",
    "tags",
)
_CARD_FIELDS = ("nic.networks.names", "nic.ips")


def _info(call: Call) -> int:
    door = call.session.door
    rows = door.query_names("QueryNetworks", call.arguments, _INFO_FIELDS)
    shown = []
    for row in rows:
        network = dict(zip(_INFO_FIELDS, row, strict=True))
        names = network["inst_list"]
        cards = door.query_names("QueryInstances", names, _CARD_FIELDS) if names else []
        shown.append(network_info(network, dict(zip(names, cards, strict=True))))
    for line in info(shown):
        call.session.out(line)
    return Exit.SUCCESS


def network_info(network: dict[str, Any], cards: dict[str, Sequence[Any]]) -> list[tuple[str, Any]]:
    """What ``info`` shows of one network. ``cards``: instance -> networks and addresses of its
    cards."""
    size = network["free_count"] + network["reserved_count"]
    share = 100 * network["free_count"] / size
    return [
        ("Network name", network["name"]),
        ("UUID", network["uuid"]),
        ("Serial number", network["serial_no"]),
        ("Tags", ", ".join(network["tags"]) or "(none)"),
        ("Subnet", network["network"]),
        ("Gateway", network["gateway"]),
        ("IPv6 Subnet", network["network6"]),
        ("IPv6 Gateway", network["gateway6"]),
        ("Mac Prefix", network["mac_prefix"]),
        ("Size", size),
        ("Free", f"{network['free_count']} ({share:.2f}%)"),
        ("Usage map", _map(network["map"])),
        ("externally reserved IPs", network["external_reservations"]),
        (
            "connected to node groups",
            [
                f"{group} (mode:{mode} link:{link} vlan:{vlan})"
                for group, mode, link, vlan in network["group_list"]
            ],
        ),
        (
            "used by instances",
            [(name, _places(network["name"], *cards[name])) for name in sorted(cards)],
        ),
    ]


def _map(text: str | None) -> Any:
    if text is None:
        return None
    starts = range(0, len(text), MAP_COLUMNS)
    return [(str(start), text[start : start + MAP_COLUMNS]) for start in starts]


def _places(name: str, networks: Sequence[str | None], ips: Sequence[str | None]) -> str:
    pairs = enumerate(zip(networks, ips, strict=True))
    return ", ".join(f"{index}:{ip}" for index, (network, ip) in pairs if network == name)


def _groups(call: Call) -> list[str]:
    """The groups that were named, else all."""
    rows = call.session.door.query_names("QueryGroups", call.arguments[1:], ["name"])
    return [name for (name,) in rows]


def _connect(call: Call) -> int:
    cluster = call.session.door.call("QueryClusterInfo")
    given = call.given("nic_parameters") or {}
    unknown = sorted(set(given) - {"mode", "link", "vlan"})
    if unknown:
        raise BadText(f"'{unknown[0]}' is none of mode, link and vlan")
    wanted = {**cluster["nicparams"]["default"], **given}
    for group in _groups(call):
        body: dict[str, Any] = {
            "OP_ID": "OP_NETWORK_CONNECT",
            "group_name": group,
            "network_name": call.arguments[0],
            **{f"network_{key}": str(wanted.get(key) or "") for key in ("mode", "link", "vlan")},
        }
        if call.given("no_conflicts_check"):
            body["conflicts_check"] = False
        jobs.run(call, body)
    return Exit.SUCCESS


def _disconnect(call: Call) -> int:
    for group in _groups(call):
        body = {
            "OP_ID": "OP_NETWORK_DISCONNECT",
            "group_name": group,
            "network_name": call.arguments[0],
        }
        jobs.run(call, body)
    return Exit.SUCCESS


_TO_GROUPS = Arguments(shown="<network> [<group>...]", minimum=1, maximum=None, completes="network")

COMMANDS: tuple[Command, ...] = (
    list_command(KIND),
    list_fields_command(KIND),
    list_tags_command("network"),
    Command(
        name="info",
        summary="Show details of networks",
        run=_info,
        arguments=Arguments(shown="[<network>...]", maximum=None, completes="network"),
    ),
    Command(
        name="connect",
        summary="Connect a network to node groups",
        run=_connect,
        arguments=_TO_GROUPS,
        options=(
            Option(
                names=("-N", "--nic-parameters"),
                reads=readers.params,
                metavar="KEY=VALUE,...",
                words="Mode, link and VLAN of its network cards there; else the cluster's",
            ),
            Option(
                names=("--no-conflicts-check",),
                flag=True,
                words="Although cards that are not in the network have its addresses",
            ),
            PRIORITY,
        ),
        details="Without a group it is connected to all.",
    ),
    Command(
        name="disconnect",
        summary="Disconnect a network from node groups",
        run=_disconnect,
        arguments=_TO_GROUPS,
        options=(PRIORITY,),
        details="Without a group it is disconnected from all.",
    ),
)
