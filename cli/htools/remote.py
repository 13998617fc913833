"""A cluster read from its remote API (``-m``), ours or Ganeti's: host, host:port or URL.

As in htools the certificate is not checked: it is the cluster's own, and nothing is changed.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

import msgspec

from clusterd.iallocator.live import policy_facts
from clusterd.iallocator.reading import STATIC_KVM_MIB, hosts_take
from clusterd.model import Policy
from clusterd.names import RAPI_PORT
from clusterd.placement.errors import BadCluster, BadRequest
from clusterd.placement.facts import (
    LOCAL,
    TEMPLATES,
    ClusterFacts,
    GroupFacts,
    InstanceFacts,
    NodeFacts,
)

TIMEOUT_S = 60.0
Row = dict[str, Any]


def facts(address: str, static_mib: int | None = None) -> ClusterFacts:
    """The cluster; raises BadRequest when it cannot be reached, BadCluster for odd answers.
    ``static_mib``: what hosts with KVM take, 0 what they report; None is htools' default."""
    base = url_of(address)
    info = _get(base, "/2/info")
    try:
        found = facts_from(
            info,
            _get(base, "/2/tags"),
            _get(base, "/2/groups?bulk=1"),
            _get(base, "/2/nodes?bulk=1"),
            _get(base, "/2/instances?bulk=1"),
        )
        static = STATIC_KVM_MIB if static_mib is None else static_mib
        kvm = info.get("default_hypervisor") == "kvm"
        return hosts_take(found, static) if static and kvm else found
    except (KeyError, TypeError, ValueError, msgspec.ValidationError) as error:
        raise BadCluster(f"{base} answers what cannot be understood: {error!r}") from None


def url_of(address: str) -> str:
    """Where the API is."""
    if address.startswith(("http://", "https://")):
        return address.rstrip("/")
    host, _, port = address.partition(":")
    return f"https://{host}:{port or RAPI_PORT}"


def facts_from(
    info: Row, tags: list[str], groups: list[Row], nodes: list[Row], instances: list[Row]
) -> ClusterFacts:
    """The cluster from the API's answers."""
    return ClusterFacts(
        groups=tuple(
            GroupFacts(
                name=one["name"],
                uuid=one["uuid"],
                alloc_policy=one["alloc_policy"],
                tags=tuple(one["tags"]),
                policy=policy_facts(msgspec.convert(one["ipolicy"], type=Policy)),
            )
            for one in groups
        ),
        nodes=tuple(_node(one, info["master"]) for one in nodes),
        instances=tuple(_instance(one) for one in instances),
        tags=tuple(tags),
        policy=policy_facts(msgspec.convert(info["ipolicy"], type=Policy)),
    )


def _node(one: Row, master: str) -> NodeFacts:
    params = one.get("ndparams") or {}
    known = NodeFacts(
        name=one["name"],
        group=one["group.uuid"],
        offline=one["offline"] or one["mtotal"] is None,
        drained=one["drained"],
        vm_capable=one["vm_capable"],
        master=one["name"] == master,
        spindles=int(params.get("spindle_count") or 1),
        cpu_speed=float(params.get("cpu_speed") or 1.0),
        exclusive_storage=bool(params.get("exclusive_storage")),
        tags=tuple(one["tags"]),
    )
    if known.offline:
        return known
    return msgspec.structs.replace(
        known,
        memory_total_mib=int(one["mtotal"]),
        memory_node_mib=int(one["mnode"] or 0),
        memory_free_mib=max(int(one["mfree"] or 0), 0),
        disk_total_mib=int(one["dtotal"] or 0),
        disk_free_mib=max(int(one["dfree"] or 0), 0),
        spindles_free=int(one.get("spfree") or 0),
        cpus=int(one["ctotal"] or 0),
        cpus_node=int(one.get("cnos") or 1),
    )


def _instance(one: Row) -> InstanceFacts:
    backend, template = one["beparams"], one["disk_template"]
    sizes = tuple(int(size) for size in one["disk.sizes"])
    return InstanceFacts(
        name=one["name"],
        memory_mib=int(one["oper_ram"] or backend["maxmem"]),
        disk_mib=int(one["disk_usage"] or 0) if template in LOCAL else sum(sizes),
        vcpus=int(backend["vcpus"]),
        primary=one["pnode"],
        secondary=one["snodes"][0] if one["snodes"] else "",
        template=template if template in TEMPLATES else "file",
        status=one["status"],
        auto_balance=bool(backend.get("auto_balance", True)),
        tags=tuple(one["tags"]),
        spindle_use=int(backend.get("spindle_use", 1)),
        disk_sizes_mib=sizes,
        nics=len(one["nic.macs"]),
    )


def _get(base: str, path: str) -> Any:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    usable = context if base.startswith("https:") else None
    try:
        with urllib.request.urlopen(base + path, timeout=TIMEOUT_S, context=usable) as answer:
            return json.load(answer)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise BadRequest(f"Cannot read {base}{path}: {error}") from None
