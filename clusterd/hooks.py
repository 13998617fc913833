"""Hooks: which scripts an operation runs, where, and with what environment. Pure.

The environments are Ganeti's. Running the scripts is a node's verb; deciding what a failure means
is the master's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from clusterd import address_pool
from clusterd.model import Instance
from clusterd.view import View
from clusterd.volumes import volume_on

HOOKS_VERSION = "2"

DRAWN = ("_UUID", "_MAC", "_IP")
"""Ends of the names of variables whose values a step may draw,"""
UNDRAWN = ("", address_pool.POOL)
"""and what they are before that."""

Nodes = Callable[[Any, View], Iterable[str]]
Environment = Callable[[Any, View], dict[str, str]]


def master_node(_opcode: Any, view: View) -> list[str]:
    """The master only."""
    return [view.configuration.node(view.configuration.cluster.master_node).name]


def all_nodes(_opcode: Any, view: View) -> list[str]:
    """Each node."""
    return [node.name for node in view.configuration.nodes()]


def instance_nodes(opcode: Any, view: View) -> list[str]:
    """The master, the instance's primary and secondary."""
    instance = view.configuration.find_instance(opcode.instance_name)
    own = [node.name for node in view.nodes_of(instance)] if instance is not None else []
    return list(dict.fromkeys([*master_node(opcode, view), *own]))


def nowhere(_opcode: Any, _view: View) -> list[str]:
    """No node."""
    return []


class HookPoint(msgspec.Struct, frozen=True):
    """Where an operation's hooks live. ``post`` None means: the same nodes as before."""

    path: str
    object_type: str
    environment: Environment
    pre: Nodes
    post: Nodes | None = None
    lasting: tuple[str, ...] = ()
    """Variables that keep their value from before the operation."""

    def afterwards(self, opcode: Any, view: View, before: dict[str, str]) -> dict[str, str]:
        """The environment once the operation is done."""
        kept = {key: before[key] for key in self.lasting if key in before}
        return {**self.environment(opcode, view), **kept}

    def nodes(self, phase: str, opcode: Any, view: View) -> list[str]:
        """Host names, in order, without those marked offline."""
        chosen = self.pre if phase == "pre" or self.post is None else self.post
        names = list(dict.fromkeys(chosen(opcode, view)))
        offline = {node.name for node in view.configuration.nodes() if node.offline}
        return [name for name in names if name not in offline]


def fixed_environment(point: HookPoint, op_id: str, phase: str, view: View) -> dict[str, str]:
    """The variables that are always there."""
    cluster = view.configuration.cluster
    return {
        "HOOKS_VERSION": HOOKS_VERSION,
        "OP_CODE": op_id,
        "DATA_DIR": "/var/lib/clusterd",
        "HOOKS_PHASE": phase,
        "HOOKS_PATH": point.path,
        "OBJECT_TYPE": point.object_type,
        "CLUSTER": cluster.name,
        "MASTER": view.configuration.node(cluster.master_node).name,
    }


def complete(
    fixed: dict[str, str], before: dict[str, str], after: dict[str, str] | None
) -> dict[str, str]:
    """All variables with their prefix; the post phase keeps the pre values and adds the new. What
    had yet to be drawn in the pre phase is told in the post phase."""
    drawn = {
        key: value
        for key, value in (after or {}).items()
        if key.endswith(DRAWN) and before.get(key) in UNDRAWN
    }
    env = {f"GANETI_{key}": value for key, value in {**fixed, **before, **drawn}.items()}
    if after is not None:
        env |= {f"GANETI_POST_{key}": value for key, value in after.items()}
    return env


def instance_environment(view: View, instance: Instance) -> dict[str, str]:
    """The block of variables that describes an instance."""
    backend = view.beparams(instance)
    secondary = view.secondary(instance)
    env = {
        "OP_TARGET": instance.name,
        "INSTANCE_NAME": instance.name,
        "INSTANCE_PRIMARY": view.primary(instance).name,
        "INSTANCE_SECONDARIES": secondary.name if secondary is not None else "",
        "INSTANCE_OS_TYPE": instance.os,
        "INSTANCE_STATUS": str(instance.admin_state),
        "INSTANCE_MINMEM": str(backend["minmem"]),
        "INSTANCE_MAXMEM": str(backend["maxmem"]),
        "INSTANCE_MEMORY": str(backend["maxmem"]),
        "INSTANCE_VCPUS": str(backend["vcpus"]),
        "INSTANCE_DISK_TEMPLATE": instance.disk_template,
        "INSTANCE_HYPERVISOR": instance.hypervisor,
        "INSTANCE_TAGS": " ".join(instance.tags),
    }
    env |= _nics(view, instance) | _disks(view, instance)
    env |= {f"INSTANCE_BE_{key}": str(value) for key, value in backend.items()}
    env |= {f"INSTANCE_HV_{key}": str(value) for key, value in view.hvparams(instance).items()}
    return env


def _nics(view: View, instance: Instance) -> dict[str, str]:
    env = {"INSTANCE_NIC_COUNT": str(len(instance.nics))}
    for index, nic in enumerate(instance.nics):
        params = view.nicparams(nic.params)
        prefix = f"INSTANCE_NIC{index}_"
        env |= {
            f"{prefix}UUID": nic.uuid,
            f"{prefix}MAC": nic.mac,
            f"{prefix}IP": nic.ip or "",
            f"{prefix}MODE": str(params.get("mode", "")),
            f"{prefix}LINK": str(params.get("link", "")),
            f"{prefix}VLAN": str(params.get("vlan", "")),
        }
        if nic.name:
            env[f"{prefix}NAME"] = nic.name
        if params.get("mode") in ("bridged", "openvswitch"):
            env[f"{prefix}BRIDGE"] = str(params.get("link", ""))
        network = view.network_of(nic)
        if network is not None:
            env[f"{prefix}NETWORK_UUID"] = network.uuid
            env |= address_pool.words(network, prefix)
    return env


_DRIVERS = {
    "rbd": ("rbd", "{}"),
    "gluster": ("loop", "ganeti/{}"),
    "blockdev": ("manual", "{}"),
}
"""Template -> driver, and how its volume is named."""


def _disks(view: View, instance: Instance) -> dict[str, str]:
    env = {"INSTANCE_DISK_COUNT": str(len(instance.disks))}
    primary = view.primary(instance)
    for index, disk in enumerate(instance.disks):
        prefix = f"INSTANCE_DISK{index}_"
        env |= {
            f"{prefix}UUID": disk.uuid,
            f"{prefix}SIZE": str(disk.size_mib),
            f"{prefix}MODE": disk.mode,
            f"{prefix}DEV_TYPE": disk.template,
        }
        if disk.name:
            env[f"{prefix}NAME"] = disk.name
        volume = volume_on(view, instance, disk, primary)
        if disk.template == "plain":
            env |= {f"{prefix}VG": volume.pool, f"{prefix}ID": volume.name}
        elif volume.mirror is not None:
            mirror = volume.mirror
            env |= {
                f"{prefix}PNODE": mirror.local_name,
                f"{prefix}SNODE": mirror.peer_name,
                f"{prefix}PORT": str(mirror.port),
                f"{prefix}PMINOR": str(mirror.minor),
                f"{prefix}SMINOR": str(mirror.peer_minor),
                f"{prefix}DATA_VG": volume.pool,
                f"{prefix}DATA_ID": volume.name,
                f"{prefix}META_VG": mirror.meta_pool,
                f"{prefix}META_ID": mirror.meta_name,
            }
        elif disk.template in ("file", "sharedfile"):
            env |= {f"{prefix}DRIVER": "loop", f"{prefix}ID": f"{volume.pool}/{volume.name}"}
        elif disk.template == "ext":
            env |= {f"{prefix}PROVIDER": volume.pool, f"{prefix}ID": volume.name}
        elif disk.template in _DRIVERS:
            driver, form = _DRIVERS[disk.template]
            env |= {f"{prefix}DRIVER": driver, f"{prefix}ID": form.format(volume.name)}
    return env
