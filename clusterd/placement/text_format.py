"""The text format of htools (``-t FILE``), both ways. Pure: text in, facts out.

Five sections separated by one empty line: groups, nodes, instances, cluster tags, policies; fields
separated by ``|``. Older files end their lines, or the file, earlier. A line that cannot be
understood is refused with its number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import msgspec

from clusterd.placement.errors import BadCluster
from clusterd.placement.facts import (
    ALLOC_POLICIES,
    DEFAULT_POLICY,
    TEMPLATES,
    ClusterFacts,
    GroupFacts,
    InstanceFacts,
    NodeFacts,
    PolicyFacts,
    Spec,
    Utilisation,
)
from clusterd.placement.validity import require_valid

UNKNOWN = "?"
BYTE_ORDER_MARK = "\ufeff"
WHOLE = re.compile(r" *-?[0-9]{1,40}", re.ASCII)
Line = tuple[int, list[str]]


def parse(text: str) -> ClusterFacts:
    """Read a whole file; raises BadCluster that names the line or the object."""
    groups, nodes, instances, tags, policies = _sections(text)
    rules = _policies(policies)
    known = {fields[0] for _, fields in groups}
    for owner in rules:
        if owner and owner not in known:
            raise BadCluster(f"There is a policy of a group {owner}, but no such group")
    facts = ClusterFacts(
        groups=tuple(
            msgspec.structs.replace(group, policy=rules.get(group.name, DEFAULT_POLICY))
            for group in _each(groups, _group)
        ),
        nodes=tuple(_each(nodes, _node)),
        instances=tuple(_each(instances, _instance)),
        tags=tuple("|".join(fields) for _, fields in tags),
        policy=rules.get("", DEFAULT_POLICY),
    )
    require_valid(facts)
    return facts


def _policies(lines: list[Line]) -> dict[str, PolicyFacts]:
    """By owner; raises BadCluster for two of one."""
    found: dict[str, PolicyFacts] = {}
    for (number, _fields), (owner, policy) in zip(lines, _each(lines, _policy), strict=True):
        if owner in found:
            whose = f"group {owner}" if owner else "the cluster"
            raise BadCluster(f"Line {number}: a second instance policy of {whose}")
        found[owner] = policy
    return found


def _sections(text: str) -> list[list[Line]]:
    found: list[list[Line]] = [[]]
    # only a line feed ends a line: what else could would make the numbers differ from an editor's
    lines = text.removeprefix(BYTE_ORDER_MARK).split("\n")
    if not lines[-1]:
        lines.pop()
    for number, ended in enumerate(lines, 1):
        if line := ended.removesuffix("\r"):
            found[-1].append((number, line.split("|")))
        else:
            found.append([])
    while len(found) > 5 and not found[-1]:
        found.pop()
    if len(found) not in (4, 5):
        raise BadCluster(
            f"The file has {len(found)} sections instead of 4 or 5 (groups, nodes, instances,"
            " cluster tags, policies): it is cut short or no such file"
        )
    return found + [[]] * (5 - len(found))


def _each(lines: list[Line], read: Callable[[list[str]], Any]) -> list[Any]:
    values = []
    for number, fields in lines:
        try:
            values.append(read(fields))
        except (ValueError, IndexError) as wrong:
            shown = "|".join(fields)
            raise BadCluster(f"Line {number} ({shown[:60]}): {wrong}") from None
    return values


def _count(fields: list[str], least: int, what: str) -> None:
    if len(fields) < least:
        article = "an" if what[0] in "aeiou" else "a"
        raise ValueError(f"{len(fields)} fields, but {article} {what} has at least {least}")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)


def _whole(field: str, text: str) -> int:
    # int() alone would take 65_536, +1 and digits of other scripts, too
    if WHOLE.fullmatch(text) is None:
        raise ValueError(f"{field} is {text[:60]!r}, not a whole number")
    return int(text)


def _real(field: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{field} is {text!r}, not a number") from None


def _choice(field: str, text: str, known: tuple[str, ...]) -> Any:
    if text not in known:
        raise ValueError(f"{field} {text!r} is unknown; known are {', '.join(known)}")
    return text


def _yes(field: str, text: str) -> bool:
    return bool(_choice(field, text, ("Y", "N")) == "Y")


def _group(fields: list[str]) -> GroupFacts:
    _count(fields, 3, "group")
    rest = [*fields[3:], "", ""]
    return GroupFacts(
        name=fields[0],
        uuid=fields[1],
        alloc_policy=_choice("allocation policy", fields[2], ALLOC_POLICIES),
        tags=_words(rest[0]),
        networks=_words(rest[1]),
    )


def _node(fields: list[str]) -> NodeFacts:
    _count(fields, 9, "node")
    name, *sizes = fields[:7]
    state, group = fields[7:9]
    defaults = ("1", "", "N", "0", "1", "1.0")
    spindles, tags, exclusive, spindles_free, cpus_node, speed = (
        *fields[9:15],
        *defaults[max(len(fields) - 9, 0) :],
    )
    _choice("state", state, ("Y", "N", "M"))
    if UNKNOWN in sizes:
        return NodeFacts(
            name=name, group=group, offline=True, spindles=0, cpus_node=0, tags=_words(tags)
        )
    words = ("total memory", "host memory", "free memory", "total disk", "free disk", "CPUs")
    total, host, free, disk, disk_free, cpus = map(_whole, words, sizes)
    return NodeFacts(
        name=name,
        group=group,
        memory_total_mib=total,
        memory_node_mib=host,
        memory_free_mib=free,
        disk_total_mib=disk,
        disk_free_mib=disk_free,
        cpus=cpus,
        cpus_node=_whole("host CPUs", cpus_node),
        cpu_speed=_real("CPU speed", speed),
        spindles=_whole("spindles", spindles),
        spindles_free=_whole("free spindles", spindles_free),
        exclusive_storage=_yes("exclusive storage", exclusive),
        offline=state == "Y",
        master=state == "M",
        tags=_words(tags),
    )


def _instance(fields: list[str]) -> InstanceFacts:
    _count(fields, 10, "instance")
    name, memory, disk, vcpus, status, balance, primary, secondary, template, tags = fields[:10]
    use, spindles, forthcoming = (*fields[10:13], *("1", "-", "N")[max(len(fields) - 10, 0) :])
    return InstanceFacts(
        name=name,
        memory_mib=_whole("memory", memory),
        disk_mib=_whole("disk", disk),
        vcpus=_whole("virtual CPUs", vcpus),
        status=status,
        auto_balance=_yes("auto-balance", balance),
        primary=primary,
        secondary=secondary,
        template=_choice("disk template", template, TEMPLATES),
        tags=_words(tags),
        spindle_use=_whole("spindle use", use),
        spindles=None if spindles in ("", "-") else _whole("spindles", spindles),
        forthcoming=_yes("forthcoming", forthcoming),
    )


def _spec(text: str) -> Spec:
    words = ("memory", "virtual CPUs", "disk", "disks", "NICs", "spindle use")
    values = text.split(",")
    if len(values) != len(words):
        raise ValueError(f"a specification has {len(words)} numbers, not {text!r}")
    memory, vcpus, disk, disks, nics, spindles = map(_whole, words, values)
    return Spec(
        memory_mib=memory, vcpus=vcpus, disk_mib=disk, disks=disks, nics=nics, spindles=spindles
    )


def _policy(fields: list[str]) -> tuple[str, PolicyFacts]:
    _count(fields, 6, "policy")
    owner, std, ranges, templates, vcpu, spindle = fields[:6]
    specs = [_spec(one) for one in ranges.split(";")]
    if len(specs) % 2:
        raise ValueError("smallest and largest sizes must come in pairs")
    return owner, PolicyFacts(
        std=_spec(std),
        ranges=tuple(zip(specs[::2], specs[1::2], strict=True)),
        templates=tuple(
            _choice("disk template", one, TEMPLATES) for one in templates.split(",") if one
        ),
        vcpu_ratio=_real("vcpu ratio", vcpu),
        spindle_ratio=_real("spindle ratio", spindle),
    )


def parse_utilisation(text: str) -> dict[str, Utilisation]:
    """The file of ``-U``: instance, then cpu, memory, disk and network load, by spaces."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, *values = line.split()
        try:
            cpu, memory, disk, network = (_load(one) for one in values)
        except ValueError:
            raise BadCluster(
                f"Line {number}: after the instance {name} come four numbers from 0 on, not"
                f" {' '.join(values)[:60]!r}"
            ) from None
        found[name] = Utilisation(cpu, memory, disk, network)
    return found


def _load(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(text)
    return value


def render(facts: ClusterFacts) -> str:
    """The file that says this; ``parse`` of it gives the same facts, but for single disks."""
    # a group without a line of its own would have the default policy, not the cluster's
    policies = [("", facts.policy)]
    policies += [(one.name, one.policy or facts.policy) for one in facts.groups]
    sections = [
        [_group_line(one) for one in facts.groups],
        [_node_line(one) for one in facts.nodes],
        [_instance_line(one) for one in facts.instances],
        list(facts.tags),
        [_policy_line(owner, policy) for owner, policy in policies],
    ]
    return "\n".join("".join(line + "\n" for line in lines) for lines in sections)


def _join(*values: object) -> str:
    return "|".join(str(one) for one in values)


def _group_line(one: GroupFacts) -> str:
    return _join(one.name, one.uuid, one.alloc_policy, ",".join(one.tags), ",".join(one.networks))


def _node_line(one: NodeFacts) -> str:
    unusable = one.offline or one.drained or not one.vm_capable
    state = "Y" if unusable else "M" if one.master else "N"
    sizes = (one.memory_total_mib, one.memory_node_mib, one.memory_free_mib)
    room = (one.disk_total_mib, one.disk_free_mib, one.cpus)
    tail = ("Y" if one.exclusive_storage else "N", one.spindles_free, one.cpus_node, one.cpu_speed)
    tags = ",".join(one.tags)
    return _join(one.name, *sizes, *room, state, one.group, one.spindles, tags, *tail)


def _instance_line(one: InstanceFacts) -> str:
    sizes = (one.memory_mib, one.disk_mib, one.vcpus, one.status)
    nodes = ("Y" if one.auto_balance else "N", one.primary, one.secondary, one.template)
    spindles = "-" if one.spindles is None else one.spindles
    tail = (one.spindle_use, spindles, "Y" if one.forthcoming else "N")
    return _join(one.name, *sizes, *nodes, ",".join(one.tags), *tail)


def _spec_text(spec: Spec) -> str:
    sizes = (spec.memory_mib, spec.vcpus, spec.disk_mib, spec.disks, spec.nics, spec.spindles)
    return ",".join(map(str, sizes))


def _policy_line(owner: str, policy: PolicyFacts) -> str:
    ranges = ";".join(_spec_text(one) for pair in policy.ranges for one in pair)
    templates = ",".join(policy.templates)
    ratios = (policy.vcpu_ratio, policy.spindle_ratio)
    return _join(owner, _spec_text(policy.std), ranges, templates, *ratios)
