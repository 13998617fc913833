"""The instance policy: defaults, what an instance counts as, and its violations. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

import storage.plugin
from clusterd.defaults import IPOLICY
from clusterd.model import Instance, MinMax, Node, Policy, Specs
from clusterd.parameters import MAX_NUMBER
from clusterd.view import View
from jobqueue.errors import Refused

DEFAULT = msgspec.convert(IPOLICY, Policy)
"""Ganeti's defaults."""
SPECS = tuple(sorted(DEFAULT.std or {}))
"""What instances are measured by."""


def changed(given: Mapping[str, Any], old: Policy) -> Policy:
    """``old`` with what is given; None and "default" take a value back. Raises Refused."""
    known = [field.encode_name for field in msgspec.structs.fields(Policy)]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise _wrong(f"'{unknown[0]}' is no part of it; there are {', '.join(known)}")
    values = {key: None if value == "default" else value for key, value in given.items()}
    try:
        policy = msgspec.convert({**msgspec.to_builtins(old), **values}, Policy)
    except msgspec.ValidationError as error:
        raise _wrong(str(error)) from None
    _check(policy)
    return policy


def _check(policy: Policy) -> None:
    templates = [str(template) for template in storage.plugin.built_in()]
    for template in policy.disk_templates or ():
        if template not in templates:
            raise _wrong(f"unknown disk template '{template}': served are {', '.join(templates)}")
    for word, ratio in (("vcpu", policy.vcpu_ratio), ("spindle", policy.spindle_ratio)):
        if ratio is not None and not 0 < ratio < math.inf:
            raise _wrong(f"{word}-ratio {ratio} is not a positive number")
    for bounds in policy.minmax or ():
        for name, least in bounds.min.items():
            most = bounds.max.get(name, least)
            if least > most:
                raise _wrong(f"{name}: the minimum {least} is above the maximum {most}")
        _check_specs(bounds.min)
        _check_specs(bounds.max)
    _check_specs(policy.std or {})


def _check_specs(specs: Specs) -> None:
    for name, value in specs.items():
        if name not in SPECS:
            raise _wrong(f"'{name}' is no size of instances; there are {', '.join(SPECS)}")
        if not 0 <= value <= MAX_NUMBER:
            raise _wrong(f"{name} {value} is not between 0 and {MAX_NUMBER}")


def _wrong(why: str) -> Refused:
    return Refused(f"Instance policy: {why}", "wrong_input")


def effective(view: View, group_uuid: str, own: Policy | None = None) -> Policy:
    """The policy of a group: its own values, else the cluster's, else the defaults. ``own``: as if
    the group had these."""
    cluster = view.configuration.cluster.ipolicy
    group = own or view.configuration.group(group_uuid).ipolicy
    return Policy(
        minmax=group.minmax or cluster.minmax or DEFAULT.minmax,
        std=cluster.std or DEFAULT.std,
        disk_templates=group.disk_templates or cluster.disk_templates or DEFAULT.disk_templates,
        vcpu_ratio=group.vcpu_ratio or cluster.vcpu_ratio or DEFAULT.vcpu_ratio,
        spindle_ratio=group.spindle_ratio or cluster.spindle_ratio or DEFAULT.spindle_ratio,
    )


def cluster_policy(view: View) -> Policy:
    """The cluster's own policy, with the defaults for what it leaves open."""
    own = view.configuration.cluster.ipolicy
    return Policy(
        minmax=own.minmax or DEFAULT.minmax,
        std=own.std or DEFAULT.std,
        disk_templates=own.disk_templates or DEFAULT.disk_templates,
        vcpu_ratio=own.vcpu_ratio or DEFAULT.vcpu_ratio,
        spindle_ratio=own.spindle_ratio or DEFAULT.spindle_ratio,
    )


def violations(
    view: View, instance: Instance, group: str | None = None, own: Policy | None = None
) -> list[str]:
    """What is wrong, as sentences; an instance must fit one of the alternatives. ``group`` is the
    uuid of the node group that it is to be in, its own if not given; ``own``: as if that group had
    these values of its own."""
    policy = effective(view, group or view.primary(instance).group, own)
    wrong = []
    if policy.disk_templates is not None and instance.disk_template not in policy.disk_templates:
        wrong.append(f"Disk template {instance.disk_template} is not allowed")
    alternatives = [_outside(view, instance, bounds) for bounds in policy.minmax or ()]
    if alternatives and all(alternatives):
        wrong += sorted(alternatives, key=len)[0]
    return wrong


def require(view: View, instance: Instance) -> None:
    """Raise Refused for an instance that violates the policy."""
    wrong = violations(view, instance)
    if wrong:
        group = view.configuration.group(view.primary(instance).group)
        raise Refused(
            f"Instance allocation to group {group.name} violates policy: {'; '.join(wrong)}",
            "wrong_input",
        )


def require_still(view: View, before: Instance, after: Instance) -> None:
    """Raise Refused for a change by which an instance comes to violate the policy. What it violated
    before was accepted."""
    group = view.primary(before).group
    wrong = sorted(set(violations(view, after, group)) - set(violations(view, before, group)))
    if wrong:
        raise Refused(
            f"Instance '{before.name}' would violate the policy of group "
            f"{view.configuration.group(group).name}: {'; '.join(wrong)}; use --ignore-ipolicy to "
            "change it nevertheless",
            "wrong_input",
        )


def require_on(view: View, instance: Instance, target: Node) -> None:
    """Raise Refused for an instance that violates the policy of the group that it would move to.
    Within its group it moves freely: its policy was accepted when it came there."""
    if target.group == view.primary(instance).group:
        return
    wrong = violations(view, instance, target.group)
    if wrong:
        group = view.configuration.group(target.group)
        raise Refused(
            f"Instance '{instance.name}' does not meet the policy of group {group.name}, to which "
            f"node {target.name} belongs: {'; '.join(wrong)}; use --ignore-ipolicy to move it "
            f"nevertheless",
            "wrong_state",
        )


def _outside(view: View, instance: Instance, bounds: MinMax) -> list[str]:
    backend = view.beparams(instance)
    wrong = []
    for value, name, key in (
        (int(backend["minmem"]), "memory-size", "min"),
        (int(backend["maxmem"]), "memory-size", "max"),
        (int(backend["vcpus"]), "cpu-count", "both"),
        (len(instance.nics), "nic-count", "both"),
        (int(backend["spindle_use"]), "spindle-use", "both"),
        *((len(instance.disks), "disk-count", "both") for _ in (0,) if instance.disks),
        *((disk.size_mib, "disk-size", "both") for disk in instance.disks),
    ):
        low, high = bounds.min.get(name, 0), bounds.max.get(name, value)
        if (key != "max" and value < low) or (key != "min" and value > high):
            wrong.append(f"{name} value {value} is not in range [{low}, {high}]")
    return wrong
