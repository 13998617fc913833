"""Which locks the kinds of operations take. Pure."""

from __future__ import annotations

from typing import Any

from clusterd.model import Cluster, Group, Instance, Network, Node
from clusterd.view import View
from jobqueue.lock import BIG_LOCK_EXCLUSIVE, BIG_LOCK_SHARED, Level, Lock


def cluster_alone(_opcode: Any, _view: View) -> tuple[Lock, ...]:
    """Nothing else may run."""
    return (BIG_LOCK_EXCLUSIVE,)


def cluster_shared(_opcode: Any, _view: View) -> tuple[Lock, ...]:
    """Only operations that need the whole cluster are kept out."""
    return (BIG_LOCK_SHARED,)


def instance_lock(name: str, *, shared: bool = False) -> Lock:
    """Instances are locked by name, so that a name can be held before it exists."""
    return Lock(Level.INSTANCE, name, shared)


def image_lock(name: str, *, shared: bool = False) -> Lock:
    """Images are locked by name, so that a name can be held before it exists."""
    return Lock(Level.IMAGE, name, shared)


def node_lock(node: Node, *, shared: bool) -> Lock:
    """Nodes are locked by uuid."""
    return Lock(Level.NODE, node.uuid, shared)


def group_lock(name: str, *, shared: bool = False) -> Lock:
    """Node groups are locked by name, so that a name can be held before it exists."""
    return Lock(Level.NODEGROUP, name, shared)


def network_lock(name: str, *, shared: bool = False) -> Lock:
    """Networks are locked by name, so that a name can be held before it exists."""
    return Lock(Level.NETWORK, name, shared)


def whole(found: Cluster | Node | Instance | Group | Network) -> tuple[Lock, ...]:
    """The object alone. The cluster itself has no lock that would not stop everything."""
    match found:
        case Node():
            return (node_lock(found, shared=False),)
        case Instance():
            return (instance_lock(found.name),)
        case Group():
            return (group_lock(found.name),)
        case Network():
            return (network_lock(found.name),)
    return ()


def on_instance(view: View, instance: Instance, *others: Node) -> tuple[Lock, ...]:
    """Change one instance: it alone; its nodes must stay what they are."""
    nodes = {node.uuid: node for node in (*view.nodes_of(instance), *others)}
    return (
        BIG_LOCK_SHARED,
        instance_lock(instance.name),
        *(node_lock(nodes[uuid], shared=True) for uuid in sorted(nodes)),
    )


def the_instance(opcode: Any, view: View) -> tuple[Lock, ...]:
    """For opcodes with ``instance_name`` that concern that instance and its nodes."""
    return on_instance(view, view.configuration.instance(opcode.instance_name))


def look_at_instance(opcode: Any, view: View) -> tuple[Lock, ...]:
    """For opcodes that only read one instance."""
    instance = view.configuration.instance(opcode.instance_name)
    return (BIG_LOCK_SHARED, instance_lock(instance.name, shared=True))
