"""How the console of a running guest is reached. Pure.

The order is Ganeti's: the serial line, then VNC, then SPICE, else a sentence.
"""

from __future__ import annotations

from typing import Any

from clusterd.model import Instance, Node, Params
from clusterd.view import View

FIRST_VNC_PORT = 5900
LIBVIRT = {"kvm": "qemu:///system", "xen-hvm": "xen:///system", "xen-pvm": "xen:///system"}


def console_of(view: View, instance: Instance, node: Node) -> dict[str, Any]:
    """Ganeti's console description of a guest on ``node``."""
    params = view.hvparams(instance)
    if instance.hypervisor in LIBVIRT and params.get("serial_console", True):
        return _serial(instance, node)
    if instance.hypervisor in LIBVIRT and instance.network_port is not None:
        graphical = _graphical(instance, node, params)
        if graphical is not None:
            return graphical
    return {
        "instance": instance.name,
        "kind": "msg",
        "message": f"No console for instance '{instance.name}' on {instance.hypervisor}",
    }


def _serial(instance: Instance, node: Node) -> dict[str, Any]:
    link = LIBVIRT[instance.hypervisor]
    return {
        "instance": instance.name,
        "kind": "ssh",
        "host": node.name,
        "user": "root",
        "command": ["virsh", "-c", link, "console", instance.name],
    }


def _graphical(instance: Instance, node: Node, params: Params) -> dict[str, Any] | None:
    port = instance.network_port
    assert port is not None
    for kind, setting in (("vnc", "vnc_bind_address"), ("spice", "spice_bind")):
        address = str(params.get(setting) or "")
        if not address:
            continue
        host = node.primary_ip if address in ("0.0.0.0", "::") else address
        answer: dict[str, Any] = {
            "instance": instance.name,
            "kind": kind,
            "host": host,
            "port": port,
        }
        if kind == "vnc" and port >= FIRST_VNC_PORT:
            answer["display"] = port - FIRST_VNC_PORT
        return answer
    return None
