"""Verification: what is wrong with the cluster, as findings with Ganeti's codes. Pure.

One function a matter, each reads a view and yields findings; a table lists them in the order in
which they are shown. Nothing here asks a node: what nodes saw is in the view, what they answered to
the verify call is handed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from clusterd import ipolicy
from clusterd.certificates import (
    AUTHORITY_FILE,
    NODE_FILE,
    RAPI_FILE,
    STORE_AUTHORITY_FILE,
    STORE_FILE,
)
from clusterd.left_open import left_attached, left_open
from clusterd.model import AdminState, Cluster, Instance, Node
from clusterd.names import PRODUCT_VERSION, PROTOCOL_VERSION
from clusterd.view import View
from clusterd.volumes import has_mirror, is_shared, labels_on, lists_all, volume_on
from hypervisors.guest import GuestState, GuestStatus
from storage.volume import Health, Link, Stored

MAX_SKEW_S = 150.0
"""Difference between a node's clock and the master's that is reported (Ganeti's bound)."""

DRBD_HELPER = "/bin/true"
"""Where the cluster names none. A helper that acts would do so without the cluster."""
WARN_DAYS, ERROR_DAYS = 30, 7
"""Before a certificate ends (Ganeti's bounds)."""
DAY_S = 86400.0
RENEWED_BY = {
    NODE_FILE: "'gnt-cluster renew-crypto --new-node-certificates'",
    STORE_FILE: "'gnt-cluster renew-crypto --new-node-certificates'",
    RAPI_FILE: "'gnt-cluster renew-crypto --new-rapi-certificate'",
    AUTHORITY_FILE: "'gnt-cluster renew-crypto --new-cluster-certificate'",
    # etcd reads its authority only when it starts; a new etcd has a new one
    STORE_AUTHORITY_FILE: (
        "'gnt-cluster store migrate --to=sqlite' and then '--to=etcd', which stop no instance"
    ),
}
"""All that nodes tell of (``WITH_END``)."""

ALONE = (
    ": it does not meet its other copy; if both were written separately (split brain), choose which"
    " to keep with 'gnt-instance repair-disks --keep NODE"
)


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong. ``item`` is cluster, node, group or instance."""

    code: str
    item: str
    name: str
    text: str
    warning: bool = False

    def line(self, *, codes: bool, ignored: tuple[str, ...] = ()) -> str:
        """As it is shown."""
        level = "WARNING" if self.warning or self.code in ignored else "ERROR"
        if codes:
            return f"  - {level}:{self.code}:{self.item}:{self.name}:{self.text}"
        where = f"{self.item} {self.name}" if self.name else self.item
        return f"  - {level}: {where}: {self.text}"


Answers = dict[str, dict[str, Any]]
"""By node name: what the verify call answered; a missing node did not answer."""

REFUSAL = "refusal"
"""Key of the reason why a node answered without looking."""

Check = Callable[[View, list[Node], Answers], Iterator[Finding]]


# -- the configuration ----------------------------------------------------------------------------


def dangling(view: View) -> Iterator[Finding]:
    """Objects that refer to nodes or groups that are not there."""
    groups = {group.uuid for group in view.configuration.groups()}
    nodes = {node.uuid for node in view.configuration.nodes()}
    for node in view.configuration.nodes():
        if node.group not in groups:
            text = "belongs to a node group that does not exist"
            yield Finding("ECLUSTERDANGLINGNODES", "node", node.name, text)
    for instance in view.configuration.instances(unfinished=True):
        for uuid in (instance.primary_node, instance.secondary_node):
            if uuid is not None and uuid not in nodes:
                text = f"refers to node {uuid}, which does not exist"
                yield Finding("ECLUSTERDANGLINGINST", "instance", instance.name, text)


def duplicates(view: View) -> Iterator[Finding]:
    """Identities that two objects claim."""
    seen: dict[str, str] = {}
    for instance in view.configuration.instances(unfinished=True):
        claims = [f"MAC address {nic.mac}" for nic in instance.nics]
        claims += [
            f"address {nic.ip} of network {nic.network}"
            for nic in instance.nics
            if nic.network is not None and nic.ip is not None
        ]
        claims += [f"TCP port {d.drbd.port}" for d in instance.disks if d.drbd is not None]
        for disk in instance.disks:
            if disk.drbd is not None:
                pairs = zip(disk.drbd.nodes, disk.drbd.minors, strict=True)
                claims += [f"DRBD minor {minor} of node {node}" for node, minor in pairs]
        for claim in claims:
            if claim in seen:
                text = f"{claim} is also used by instance {seen[claim]}"
                yield Finding("ECLUSTERCFG", "instance", instance.name, text)
            seen[claim] = instance.name


# -- nodes ----------------------------------------------------------------------------------------


def nodes_answer(view: View, nodes: list[Node], answers: Answers) -> Iterator[Finding]:
    """Each node that is not offline answers, with our version and about our time."""
    for node in nodes:
        if node.offline:
            continue
        answer = answers.get(node.name)
        if answer is None:
            yield Finding("ENODERPC", "node", node.name, "the node does not answer")
            continue
        if REFUSAL in answer:
            text = f"the node cannot be looked at: {answer[REFUSAL]}"
            yield Finding("ENODERPC", "node", node.name, text)
            continue
        version = answer.get("version")
        ours = [PROTOCOL_VERSION, PRODUCT_VERSION]
        if version != ours:
            text = f"software version differs: master {ours}, node {version}"
            yield Finding("ENODEVERSION", "node", node.name, text)
        for peer, why in sorted(_unreached(answer).items()):
            yield Finding("ENODENET", "node", node.name, f"node {peer} cannot be reached: {why}")
        skew = abs(float(answer.get("time", view.now)) - view.now)
        if skew > MAX_SKEW_S:
            text = f"node's clock differs by {skew:.0f} s from the master's"
            yield Finding("ENODETIME", "node", node.name, text)


def certificates_last(view: View, nodes: list[Node], answers: Answers) -> Iterator[Finding]:
    """No certificate of a node has ended or ends soon."""
    for node in nodes:
        ends = answers.get(node.name, {}).get("certificates", {})
        for file, end in sorted(ends.items()):
            if not isinstance(end, int | float) or end - view.now > WARN_DAYS * DAY_S:
                continue
            days = (end - view.now) / DAY_S
            text = f"certificate {file} has ended" if days < 0 else _soon(file, days)
            text += f": renew it with {RENEWED_BY.get(file, 'gnt-cluster renew-crypto')}"
            mild = days > ERROR_DAYS
            yield Finding("ECLUSTERCERT", "node", node.name, text, warning=mild)


def _soon(file: str, days: float) -> str:
    return f"certificate {file} ends in {days:.0f} days"


def _unreached(answer: dict[str, Any]) -> dict[str, str]:
    reach = answer.get("node-net-test", {})
    return {str(peer): str(why) for peer, why in reach.items()} if isinstance(reach, dict) else {}


def node_parts(view: View, nodes: list[Node], answers: Answers) -> Iterator[Finding]:
    """Hypervisors, volume groups and other parts of each node work."""
    cluster = view.configuration.cluster
    wanted = cluster.drbd_usermode_helper or DRBD_HELPER
    for node in nodes:
        observation = view.sight(node).observation
        if node.offline or observation is None:
            continue
        for name in cluster.enabled_hypervisors:
            if name not in observation.guests:
                reason = observation.hypervisor_errors.get(name, "not set up")
                text = f"hypervisor {name} does not answer: {reason}"
                yield Finding("ENODEHV", "node", node.name, text)
        pools = {capacity.pool for capacity in observation.capacity}
        group = cluster.volume_group_name
        if group and "plain" in cluster.enabled_disk_templates and group not in pools:
            yield Finding("ENODELVM", "node", node.name, f"volume group '{group}' missing")
        helper = answers.get(node.name, {}).get("drbd-helper")
        if isinstance(helper, str) and helper != wanted:
            text = f"DRBD is loaded with usermode_helper={helper}, wanted {wanted}"
            yield Finding("ENODEDRBDHELPER", "node", node.name, text)
        for problem in observation.problems:
            yield Finding("ENODESETUP", "node", node.name, problem, warning=True)


def definitions_agree(view: View, nodes: list[Node], _answers: Answers) -> Iterator[Finding]:
    """OS definitions are valid, and the same on each node."""
    seen: dict[str, tuple[str, tuple[str, ...]]] = {}
    for node in nodes:
        observation = view.sight(node).observation
        if node.offline or observation is None:
            continue
        for found in observation.oses:
            if not found.valid:
                text = f"invalid OS {found.name}: {found.message}"
                yield Finding("ENODEOS", "node", node.name, text)
                continue
            first = seen.setdefault(found.name, (node.name, found.variants))
            if first[1] != found.variants:
                text = f"OS {found.name} has other variants than on node {first[0]}"
                yield Finding("ENODEOS", "node", node.name, text)


def orphan_volumes(view: View, nodes: list[Node], _answers: Answers) -> Iterator[Finding]:
    """Storage with a shape of ours that nobody owns; what is shared is seen on each node."""
    everywhere = _labels(view.configuration.instances(unfinished=True))
    images = {image.uuid for image in view.configuration.images(unfinished=True)}
    for node in nodes:
        observation = view.sight(node).observation
        if node.offline or observation is None:
            continue
        labels = {
            label
            for instance in view.configuration.instances_on(node.uuid)
            for label in labels_on(instance, node.uuid)
        }
        for stored in observation.stored:
            if is_reserved(view.configuration.cluster, stored):
                continue
            if not (stored.attached or lists_all(stored.template)):
                continue
            known = (everywhere if is_shared(str(stored.template)) else labels) | images
            if stored.name.split(".", maxsplit=1)[0] not in known:
                text = f"volume {stored.pool}/{stored.name} is unknown"
                yield Finding("ENODEORPHANLV", "node", node.name, text)


def is_reserved(cluster: Cluster, stored: Stored) -> bool:
    """Whether the operator said that it is none of the cluster's: by a regular expression for
    ``group/volume``, or the volume's whole name."""
    place = f"{stored.pool}/{stored.name}"
    return any(
        stored.name == one or re.fullmatch(one, place) is not None for one in cluster.reserved_lvs
    )


def _labels(instances: Iterable[Instance]) -> set[str]:
    """What names of shared volumes may begin with."""
    found: set[str] = set()
    for instance in instances:
        found |= {instance.uuid, *(disk.label for disk in (*instance.disks, *instance.drafted))}
    return found


def orphan_guests(view: View, nodes: list[Node], _answers: Answers) -> Iterator[Finding]:
    """Guests that no instance of the cluster accounts for."""
    for node in nodes:
        observation = view.sight(node).observation
        if node.offline or observation is None:
            continue
        for guests in observation.guests.values():
            for guest in guests:
                if view.configuration.find_instance(guest.name) is None:
                    text = f"guest {guest.name} runs here and is unknown"
                    yield Finding("ENODEORPHANINSTANCE", "node", node.name, text)


# -- instances -------------------------------------------------------------------------------------


def guests_where_wanted(view: View, nodes: list[Node], _answers: Answers) -> Iterator[Finding]:
    """Each instance runs on its primary node and nowhere else, exactly when it should."""
    for instance in _instances(view, nodes):
        primary = view.primary(instance)
        if primary.offline:
            text = f"instance lives on offline node {primary.name}"
            yield Finding("EINSTANCEBADNODE", "instance", instance.name, text)
            continue
        guest = view.guest(instance, primary)
        running = _alive(guest)
        if running and guest and guest.state is GuestState.PAUSED and instance.moving_to is None:
            text = f"instance is paused on {primary.name}: its disks failed, or somebody did it"
            yield Finding("EINSTANCEDOWN", "instance", instance.name, text, warning=True)
        if instance.admin_state is AdminState.UP and not running:
            text = f"instance not running on its primary node {primary.name}"
            yield Finding("EINSTANCEDOWN", "instance", instance.name, text)
        if instance.admin_state is not AdminState.UP and running:
            text = f"instance is marked {instance.admin_state} but runs on {primary.name}"
            yield Finding("EINSTANCEDOWN", "instance", instance.name, text, warning=True)
        for node in view.configuration.nodes():
            if node.uuid != primary.uuid and _alive(view.guest(instance, node)):
                text = f"instance should not run on node {node.name}"
                yield Finding("EINSTANCEWRONGNODE", "instance", instance.name, text)


def disks_healthy(view: View, nodes: list[Node], _answers: Answers) -> Iterator[Finding]:
    """Disks of each instance exist on its nodes, and are usable nowhere else; active mirrors are
    complete."""
    left = list(left_attached(view))
    for instance in _instances(view, nodes):
        elsewhere = [text for one, _, text in left if one.uuid == instance.uuid]
        for text in (*left_open(view, instance), *elsewhere):
            yield Finding("EINSTANCEFAULTYDISK", "instance", instance.name, text)
        for node in view.nodes_of(instance):
            observation = view.sight(node).observation
            if node.offline or observation is None:
                continue
            stored = {entry.name for entry in observation.stored}
            status = {volume.uuid: volume for volume in observation.volumes}
            for index, disk in enumerate(instance.disks):
                volume = volume_on(view, instance, disk, node)
                if volume.name not in stored and lists_all(disk.template):
                    text = f"disk/{index} on {node.name} is missing ({volume.name})"
                    yield Finding("EINSTANCEMISSINGDISK", "instance", instance.name, text)
                seen = status.get(disk.uuid)
                if seen is None or not has_mirror(disk.template) or not instance.disks_active:
                    continue
                if seen.health is Health.FAULTY or seen.link is Link.STANDALONE:
                    text = f"disk/{index} on {node.name} is {seen.health}, {seen.link}"
                    if seen.link is Link.STANDALONE:
                        text += f"{ALONE} {instance.name}'"
                    yield Finding("EINSTANCEFAULTYDISK", "instance", instance.name, text)
                elif seen.sync_stalled:
                    done = f" at {seen.sync_percent:.0f} %" if seen.sync_percent else ""
                    text = (
                        f"disk/{index} on {node.name}: its synchronisation stands still{done}; look"
                        " at the network between the nodes and at their disks"
                    )
                    yield Finding("EINSTANCEFAULTYDISK", "instance", instance.name, text)
                elif seen.degraded:
                    text = f"disk/{index} on {node.name} is degraded ({seen.link})"
                    yield Finding(
                        "EINSTANCEFAULTYDISK", "instance", instance.name, text, warning=True
                    )


def policies_kept(view: View, nodes: list[Node], _answers: Answers) -> Iterator[Finding]:
    """Instances obey their group's policy."""
    for instance in _instances(view, nodes):
        for text in ipolicy.violations(view, instance):
            yield Finding("EINSTANCEPOLICY", "instance", instance.name, text, warning=True)


def memory_redundancy(view: View, nodes: list[Node], _answers: Answers) -> Iterator[Finding]:
    """Each node can take over what any one other node would fail over to it."""
    for node in nodes:
        observation = view.sight(node).observation
        if node.offline or observation is None or observation.hardware is None:
            continue
        needed: dict[str, int] = {}
        for instance in view.configuration.instances_on(node.uuid):
            if instance.secondary_node == node.uuid and instance.admin_state is AdminState.UP:
                memory = int(view.beparams(instance)["maxmem"])
                needed[instance.primary_node] = needed.get(instance.primary_node, 0) + memory
        for other, memory in sorted(needed.items()):
            if memory > observation.hardware.memory_free_mib:
                name = view.configuration.node(other).name
                text = (
                    f"not enough memory to accommodate instance failovers should node {name} fail "
                    f"({memory} MiB needed, {observation.hardware.memory_free_mib} MiB available)"
                )
                yield Finding("ENODEN1", "node", node.name, text)


def _instances(view: View, nodes: list[Node]) -> Iterator[Instance]:
    uuids = {node.uuid for node in nodes}
    return (i for i in view.configuration.instances() if i.primary_node in uuids)


def _alive(guest: GuestStatus | None) -> bool:
    return guest is not None and guest.alive


GROUP_CHECKS: tuple[tuple[str, str, tuple[Check, ...]], ...] = (
    ("", "Verifying node status", (nodes_answer, certificates_last, node_parts, definitions_agree)),
    ("", "Verifying instance status", (guests_where_wanted, disks_healthy, policies_kept)),
    ("", "Verifying orphan volumes", (orphan_volumes,)),
    ("", "Verifying orphan instances", (orphan_guests,)),
    ("nplusone_mem", "Verifying N+1 Memory redundancy", (memory_redundancy,)),
)
"""(name by which it can be skipped, heading, checks)"""
