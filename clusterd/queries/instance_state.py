"""How an instance is: what the operator wants held against what its nodes see. Pure.

Invariant: a value that a node would have to tell is never guessed; an unreachable node makes it
``nodata``, a node marked offline ``offline``.
"""

from __future__ import annotations

from clusterd.model import AdminState, Instance
from clusterd.queries.console import console_of
from clusterd.queries.field import NODATA, OFFLINE, UNAVAILABLE, Cell, Field, normal, plain
from clusterd.queries.sources import Sources
from hypervisors.guest import GuestStatus

STATUSES = {
    "running": "should run and does",
    "ADMIN_down": "is stopped, as it should be",
    "ADMIN_offline": "is stopped and holds no memory or processors",
    "USER_down": "was stopped from inside the guest",
    "ERROR_up": "runs and should not",
    "ERROR_down": "should run and does not",
    "ERROR_wrongnode": "runs on another node than its primary one",
    "ERROR_nodedown": "its primary node does not answer",
    "ERROR_nodeoffline": "its primary node is marked offline",
}


def status(sources: Sources, instance: Instance) -> str:
    """The word for users; one of ``STATUSES``."""
    dark = _dark(sources, instance)
    if dark is not None:
        return "ERROR_nodeoffline" if dark == OFFLINE else "ERROR_nodedown"
    node, guest = sources.guest(instance)
    if node is None or guest is None:
        return _stopped(instance)
    if instance.admin_state is not AdminState.UP:
        return "ERROR_up"
    at_home = node.uuid in (instance.primary_node, instance.moving_to)
    return "running" if at_home else "ERROR_wrongnode"


def _stopped(instance: Instance) -> str:
    if instance.admin_state is AdminState.UP:
        return "ERROR_down"
    if instance.admin_state is AdminState.OFFLINE:
        return "ADMIN_offline"
    return "USER_down" if instance.admin_state_source == "user" else "ADMIN_down"


def _dark(sources: Sources, instance: Instance) -> Cell | None:
    """Why nothing is known of the guest, or None when something is."""
    primary = sources.view.primary(instance)
    if primary.offline:
        return OFFLINE
    observation = sources.view.sight(primary).observation
    if observation is None or not sources.view.reachable(primary):
        return NODATA
    if instance.hypervisor not in observation.guests:
        return NODATA
    return None


def _state(sources: Sources, instance: Instance) -> Cell:
    dark = _dark(sources, instance)
    return dark if dark is not None else normal(sources.guest(instance)[1] is not None)


def _alive(sources: Sources, instance: Instance) -> GuestStatus | Cell:
    dark = _dark(sources, instance)
    if dark is not None:
        return dark
    return sources.guest(instance)[1] or UNAVAILABLE


def _memory(sources: Sources, instance: Instance) -> Cell:
    found = _alive(sources, instance)
    return normal(found.memory_mib) if isinstance(found, GuestStatus) else found


def _processors(sources: Sources, instance: Instance) -> Cell:
    found = _alive(sources, instance)
    return normal(found.vcpus) if isinstance(found, GuestStatus) else found


def _console(sources: Sources, instance: Instance) -> Cell:
    dark = _dark(sources, instance)
    if dark is not None:
        return dark
    node, guest = sources.guest(instance)
    if node is None or guest is None:
        return UNAVAILABLE
    return normal(console_of(sources.view, instance, node))


FIELDS = (
    Field(
        "status",
        "Status",
        "text",
        "How the instance is: " + "; ".join(f'"{word}" {text}' for word, text in STATUSES.items()),
        lambda sources, instance: normal(status(sources, instance)),
    ),
    Field("oper_state", "Running", "bool", "Whether its guest runs", _state),
    Field("oper_ram", "Memory", "unit", "Memory that its guest has now", _memory),
    Field("oper_vcpus", "VCPUs", "number", "Processors that its guest has now", _processors),
    Field("console", "Console", "other", "How to reach its console", _console),
    Field(
        "admin_state",
        "InstanceState",
        "text",
        "What the operator wants: up, down or offline",
        plain(lambda i: str(i.admin_state)),
    ),
    Field(
        "admin_state_source",
        "InstanceStateSource",
        "text",
        "Who last set the wanted state: admin or user",
        plain(lambda i: i.admin_state_source),
    ),
    Field(
        "admin_up",
        "Autostart",
        "bool",
        "Whether the operator wants it up",
        plain(lambda i: i.admin_state is AdminState.UP),
    ),
    Field(
        "disks_active",
        "DisksActive",
        "bool",
        "Whether its disks should be usable on its nodes",
        plain(lambda i: i.disks_active),
    ),
)
