"""``--mond``: the load of nodes or instances as monitoring daemons measured it.

Decided here: what is measured of a node is shared among its primaries by their virtual CPUs; when
one node's report is missing, none is taken, as in htools.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from clusterd.placement.errors import BadRequest
from clusterd.placement.facts import ClusterFacts, Utilisation
from clusterd.placement.model import Tuning

NODE_LOAD, XEN_LOAD = "cpu-avg-load", "xen-cpu-avg-load"
PORT = 1815
TIMEOUT_S = 10.0


class Report(msgspec.Struct, frozen=True):
    """What one collector of a daemon answers."""

    name: str
    data: Any


class Told(msgspec.Struct, frozen=True):
    """All reports of a node."""

    node: str
    reports: tuple[Report, ...]


class _Load(msgspec.Struct, frozen=True):
    cpu_total: float


def parse(text: str) -> dict[str, tuple[Report, ...]]:
    """A file of reports by node; raises BadRequest."""
    try:
        found = msgspec.json.decode(text, type=tuple[Told, ...])
    except msgspec.DecodeError as error:
        raise BadRequest(f"can't parse MonD data: {error}") from None
    return {one.node: one.reports for one in found}


def applied(
    facts: ClusterFacts,
    tuning: Tuning,
    told: Mapping[str, tuple[Report, ...]] | None,
    *,
    xen: bool,
) -> Tuning | str:
    """With the load of every instance; or what is missing. ``told`` None: the nodes are asked."""
    if tuning.ignore_utilisation:
        return tuning
    collector = XEN_LOAD if xen else NODE_LOAD
    found = {}
    for node in facts.nodes:
        data = (
            _asked(node.name, collector) if told is None else _reported(told, node.name, collector)
        )
        if data is not None:
            found[node.name] = data
    load = _by_instance if xen else _by_node
    try:
        loads = load(found)
    except msgspec.ValidationError:
        loads = {}
    if len(loads) < len(facts.nodes):
        return f"Didn't receive an answer by all MonDs, {collector}'s data will be ignored."
    return (_from_xen if xen else _from_nodes)(facts, tuning, loads)


def _reported(told: Mapping[str, tuple[Report, ...]], node: str, collector: str) -> Any:
    return next((one.data for one in told.get(node, ()) if one.name == collector), None)


def _asked(node: str, collector: str) -> Any:
    url = f"http://{node}:{PORT}/1/report/default/{collector}"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            return msgspec.json.decode(answer.read(), type=Report).data
    except (urllib.error.URLError, OSError, ValueError):
        return None


def _by_node(found: dict[str, Any]) -> dict[str, Any]:
    return {name: msgspec.convert(data, type=_Load).cpu_total for name, data in found.items()}


def _by_instance(found: dict[str, Any]) -> dict[str, Any]:
    return {name: msgspec.convert(data, type=dict[str, float]) for name, data in found.items()}


def _with_cpu(tuning: Tuning, facts: ClusterFacts, cpu: Callable[[Any], float]) -> Tuning:
    loads = {}
    for one in facts.instances:
        known = tuning.utilisation.get(one.name) or one.utilisation or Utilisation()
        loads[one.name] = msgspec.structs.replace(known, cpu=cpu(one))
    return msgspec.structs.replace(tuning, utilisation=loads)


def _from_nodes(facts: ClusterFacts, tuning: Tuning, loads: dict[str, float]) -> Tuning:
    vcpus = {node.name: float(node.cpus_node) for node in facts.nodes}
    there = dict.fromkeys(vcpus, 0.0)
    for one in facts.instances:
        if one.status != "ADMIN_offline" and not one.forthcoming:
            vcpus[one.primary] += one.vcpus
            there[one.primary] += one.vcpus

    def share(one: Any) -> float:
        total = vcpus[one.primary]
        return loads[one.primary] / total * one.vcpus if total else 0.0

    rest = {
        name: load - (load / vcpus[name] * there[name] if vcpus[name] else 0.0)
        for name, load in loads.items()
    }
    found = _with_cpu(tuning, facts, share)
    return msgspec.structs.replace(found, node_cpu_load=rest)


def _from_xen(
    facts: ClusterFacts, tuning: Tuning, loads: dict[str, dict[str, float]]
) -> Tuning | str:
    known = {name: load for one in loads.values() for name, load in one.items()}
    missing = sorted(one.name for one in facts.instances if one.name not in known)
    if missing:
        names = ",".join(f'"{name}"' for name in missing)
        return f"No CPU information available for [{names}]"
    return _with_cpu(tuning, facts, lambda one: known[one.name])
