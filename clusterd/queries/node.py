"""Nodes as they are queried."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from clusterd.defaults import NDPARAMS
from clusterd.model import Instance, Node
from clusterd.observation import Observation
from clusterd.queries.field import (
    NODATA,
    OFFLINE,
    UNAVAILABLE,
    Cell,
    Field,
    Resource,
    Value,
    by_name,
    normal,
    plain,
    present,
    stored_fields,
)
from clusterd.queries.sources import Sources
from hypervisors.guest import NodeHardware
from jobqueue.errors import Refused
from storage.volume import Capacity

LVM_TEMPLATES = ("drbd", "plain")

NDP_FIELDS = (
    ("cpu_speed", "ndp/cpu_speed", "float"),
    ("exclusive_storage", "ExclusiveStorage", "bool"),
    ("oob_program", "OutOfBandProgram", "other"),
    ("ovs", "OpenvSwitch", "bool"),
    ("ovs_link", "OpenvSwitchLink", "other"),
    ("ovs_name", "OpenvSwitchName", "other"),
    ("spindle_count", "SpindleCount", "number"),
    ("ssh_port", "ndp/ssh_port", "number"),
)
"""(parameter, title, kind); groups have the same."""

assert {name for name, _, _ in NDP_FIELDS} == set(NDPARAMS)


def role(sources: Sources, node: Node) -> str:
    """M, O, D, C or R; the first that holds."""
    if node.uuid == sources.configuration.cluster.master_node:
        return "M"
    if node.offline:
        return "O"
    if node.drained:
        return "D"
    return "C" if node.master_candidate else "R"


def _instances(sources: Sources, node: Node, *, primary: bool) -> list[str]:
    def counts(instance: Instance) -> bool:
        return instance.made_by is None and (instance.primary_node == node.uuid) == primary

    return [i.name for i in sources.configuration.instances_on(node.uuid) if counts(i)]


def _placing(show: Callable[[list[str]], Any], *, primary: bool) -> Value:
    return lambda sources, node: normal(show(_instances(sources, node, primary=primary)))


def _seen(sources: Sources, node: Node) -> Observation | Cell:
    """The node's own sight, or why there is none."""
    if node.offline:
        return OFFLINE
    if not node.vm_capable:
        return UNAVAILABLE
    observation = sources.view.sight(node).observation
    if observation is None or not sources.view.reachable(node):
        return NODATA
    return observation


def _observed(get: Callable[[Observation], Any]) -> Value:
    def value(sources: Sources, node: Node) -> Cell:
        seen = _seen(sources, node)
        return present(get(seen)) if isinstance(seen, Observation) else seen

    return value


def _hardware(get: Callable[[NodeHardware], int]) -> Value:
    def value(sources: Sources, node: Node) -> Cell:
        seen = _seen(sources, node)
        if not isinstance(seen, Observation):
            return seen
        return normal(get(seen.hardware)) if seen.hardware is not None else NODATA

    return value


def main_storage(sources: Sources, capacity: tuple[Capacity, ...]) -> Capacity | None:
    """The pool that instances go to by default: that of the first enabled template."""
    cluster = sources.configuration.cluster
    for template in cluster.enabled_disk_templates:
        family = LVM_TEMPLATES if template in LVM_TEMPLATES else (template,)
        fitting = [pool for pool in capacity if pool.template in family]
        if family is LVM_TEMPLATES and cluster.volume_group_name:
            fitting = [pool for pool in fitting if pool.pool == cluster.volume_group_name]
        if fitting:
            return fitting[0]
    return None


def _storage(get: Callable[[Capacity], int]) -> Value:
    def value(sources: Sources, node: Node) -> Cell:
        seen = _seen(sources, node)
        if not isinstance(seen, Observation):
            return seen
        pool = main_storage(sources, seen.capacity)
        return normal(get(pool)) if pool is not None else UNAVAILABLE

    return value


def _powered(sources: Sources, node: Node) -> Cell:
    if not sources.view.ndparams(node).get("oob_program"):
        return UNAVAILABLE
    return normal(not node.offline)


def _ndp(name: str) -> Value:
    return lambda sources, node: present(sources.view.ndparams(node).get(name))


def _unavailable(_sources: Sources, _node: Node) -> Cell:
    return UNAVAILABLE


def _stored() -> Iterable[Field]:
    yield Field("name", "Node", "text", "Name", plain(lambda n: n.name), hostname=True)
    yield Field("pip", "PrimaryIP", "text", "Address for calls", plain(lambda n: n.primary_ip))
    yield Field(
        "sip",
        "SecondaryIP",
        "text",
        "Address for mirrors and migrations",
        plain(lambda n: n.secondary_ip),
    )
    for name, title, doc in (
        ("offline", "Offline", "Whether it is marked offline"),
        ("drained", "Drained", "Whether it gets no new instances"),
        ("master_candidate", "MasterC", "Whether it is a master candidate"),
        ("master_capable", "MasterCapable", "Whether it may become a master candidate"),
        ("vm_capable", "VMCapable", "Whether it may hold instances"),
    ):
        yield Field(name, title, "bool", doc, plain(attrgetter(name)))
    yield Field(
        "group",
        "Group",
        "text",
        "Node group",
        lambda s, n: normal(s.configuration.group(n.group).name),
    )
    yield Field("group.uuid", "GroupUUID", "text", "Its group's UUID", plain(lambda n: n.group))
    yield Field(
        "master",
        "IsMaster",
        "bool",
        "Whether it is the master",
        lambda s, n: normal(n.uuid == s.configuration.cluster.master_node),
    )
    yield Field(
        "role",
        "Role",
        "text",
        'Role: "M" master, "C" master candidate, "R" regular, "D" drained, "O" offline',
        lambda s, n: normal(role(s, n)),
    )
    yield Field("powered", "Powered", "bool", "Whether it should have power", _powered)
    yield Field("hv_state", "HypervisorState", "other", "Hypervisor state", _unavailable)
    yield Field("disk_state", "DiskState", "other", "Disk state", _unavailable)


def _placed() -> Iterable[Field]:
    for letter, title, words, primary in (
        ("p", "Pri", "primary", True),
        ("s", "Sec", "secondary", False),
    ):
        yield Field(
            f"{letter}inst_list",
            f"{title}Instances",
            "other",
            f"Instances that have it as {words} node",
            _placing(list, primary=primary),
        )
        yield Field(
            f"{letter}inst_cnt",
            f"{letter.upper()}inst",
            "number",
            f"How many instances have it as {words} node",
            _placing(len, primary=primary),
        )


def _parameters() -> Iterable[Field]:
    yield Field(
        "ndparams",
        "NodeParameters",
        "other",
        "Effective node parameters",
        lambda s, n: normal(s.view.ndparams(n)),
    )
    yield Field(
        "custom_ndparams",
        "CustomNodeParameters",
        "other",
        "Node parameters set for the node itself",
        plain(lambda n: n.ndparams),
    )
    for name, title, kind in NDP_FIELDS:
        yield Field(f"ndp/{name}", title, kind, f'Node parameter "{name}"', _ndp(name))


LIVE = (
    Field("mtotal", "MTotal", "unit", "Memory", _hardware(lambda h: h.memory_total_mib)),
    Field("mfree", "MFree", "unit", "Memory for guests", _hardware(lambda h: h.memory_free_mib)),
    Field("mnode", "MNode", "unit", "Memory of the host", _hardware(lambda h: h.memory_host_mib)),
    Field("ctotal", "CTotal", "number", "Logical processors", _hardware(lambda h: h.cpus)),
    Field("cnos", "CNOs", "number", "Processors of the host", _hardware(lambda h: h.host_cpus)),
    Field("cnodes", "CNodes", "number", "NUMA nodes", _hardware(lambda h: h.cpu_nodes)),
    Field("csockets", "CSockets", "number", "Sockets", _hardware(lambda h: h.cpu_sockets)),
    Field("dtotal", "DTotal", "unit", "Main storage", _storage(lambda pool: pool.total_mib)),
    Field("dfree", "DFree", "unit", "Free main storage", _storage(lambda pool: pool.free_mib)),
    Field("sptotal", "SpTotal", "number", "Spindles (exclusive storage)", _unavailable),
    Field("spfree", "SpFree", "number", "Free spindles (exclusive storage)", _unavailable),
    Field(
        "bootid",
        "BootID",
        "text",
        "Differs after each start of the host",
        _observed(lambda seen: seen.boot_id or None),
    ),
)


def find(sources: Sources, name: Any) -> Node | None:
    """A node by name, its leading components, or uuid."""
    try:
        return sources.configuration.node(str(name))
    except Refused:
        return None


RESOURCE = Resource(
    what="node",
    word="Node",
    key="name",
    fields=by_name(
        stored_fields("node"), tuple(_stored()), tuple(_placed()), tuple(_parameters()), LIVE
    ),
    all=lambda sources: sources.configuration.nodes(),
    find=find,
    name_of=lambda node: node.name,
)
