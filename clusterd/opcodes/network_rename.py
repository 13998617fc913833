"""Rename a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from clusterd.hooks import HookPoint
from clusterd.opcodes import addressing, locking
from clusterd.opcodes.fields import NetworkName, NewNetworkName
from clusterd.steps import objects
from clusterd.view import View
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class NetworkRename(Opcode, frozen=True, kw_only=True, tag="OP_NETWORK_RENAME"):
    """Rename a network."""

    network_name: NetworkName
    new_name: NewNetworkName


def locks(opcode: NetworkRename, view: View) -> Iterable[Lock]:
    """The network, and its new name."""
    names = {view.configuration.network(opcode.network_name).name, opcode.new_name}
    return (BIG_LOCK_SHARED, *(locking.network_lock(name) for name in sorted(names)))


def check(opcode: NetworkRename, view: View) -> None:
    """The new name is free."""
    addressing.require_free(view, opcode.new_name)


def plan(opcode: NetworkRename, view: View) -> Sequence[Step]:
    """One write."""
    return [objects.record(view.configuration.network(opcode.network_name), name=opcode.new_name)]


def result(opcode: NetworkRename, _view: View, _outputs: Sequence[Any]) -> Any:
    """The new name."""
    return opcode.new_name


def environment(opcode: NetworkRename, _view: View) -> dict[str, str]:
    """Both names."""
    return {"OLD_NAME": opcode.network_name, "NEW_NAME": opcode.new_name}


def hook_nodes(opcode: NetworkRename, view: View) -> list[str]:
    """The master and the nodes that reach it, whichever name it has by now."""
    found = view.configuration.find_network(opcode.network_name)
    return addressing.nodes_reached(view, found or view.configuration.find_network(opcode.new_name))


KIND = OpcodeKind(
    opcode=NetworkRename,
    locks=locks,
    check=check,
    plan=plan,
    result=result,
    summary_field="network_name",
    hooks=HookPoint("network-rename", "NETWORK", environment, hook_nodes),
)
