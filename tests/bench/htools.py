"""The real htools on the same data: how long they take, and to what score they come."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from clusterd.placement.facts import ClusterFacts, InstanceFacts, NodeFacts, Spec
from clusterd.placement.options import Request
from clusterd.placement.requests import disk_mib
from clusterd.placement.text_format import render

CUT_S = float(os.environ.get("PLACEMENT_HTOOLS_CUT_S", "200"))
"""Longer runs are stopped and not compared; 0 leaves htools out."""
KNOWN_CUT = frozenset(
    ("multi10_500_s", "balance_full_100_s", "first_move_500_s", "balance_100_moves_1000_s",
     "capacity_100_s")
)  # fmt: skip
"""What does not end in 200 s on any machine like ours: not run again and again, but told as cut
(``PLACEMENT_HTOOLS_ALL=1`` runs it all the same)."""
EVERYTHING = os.environ.get("PLACEMENT_HTOOLS_ALL", "0") == "1"
PLACES = "ganeti/*/usr/bin/htools"
SCORES = re.compile(r"score improved from (\S+) to (\S+)", re.IGNORECASE)


class Run(msgspec.Struct, frozen=True):
    """One that ended in time."""

    seconds: float
    out: str


def binary() -> Path:
    """The program; raises RuntimeError where the package ganeti-htools is not installed."""
    found = sorted(Path("/usr/lib").glob(PLACES))
    if not found:
        raise RuntimeError("htools are not installed: install ganeti-htools (make setup does)")
    return found[-1]


def run(name: str, arguments: Sequence[str], text: str) -> Run | None:
    """``name ARGUMENTS FILE-with-text``; None when it was cut."""
    if not CUT_S:
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".data") as file:
        file.write(text)
        file.flush()
        began = time.perf_counter()
        try:
            done = subprocess.run(
                [binary(), *arguments, file.name],
                env={"HTOOLS": name, "LC_ALL": "C.UTF-8"},
                capture_output=True,
                text=True,
                timeout=CUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
        seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr[-500:]} {done.stdout[-500:]}")
    return Run(seconds, done.stdout)


def hbal(facts: ClusterFacts, *options: str) -> tuple[Run, float] | None:
    """A run and the final score."""
    done = run("hbal", [*options, "-t"], render(facts))
    if done is None:
        return None
    scores = SCORES.search(done.out)
    if scores is None:
        raise RuntimeError(f"hbal found nothing to do: {done.out[-500:]}")
    return done, float(scores[2])


def hail(facts: ClusterFacts, requests: Sequence[Request]) -> tuple[Run, float | None] | None:
    """A run for one or several new instances, and the score if it says one."""
    done = run("hail", [], json.dumps(_asked(facts, _new(requests))))
    if done is None:
        return None
    answer = json.loads(done.out)
    if not answer["success"]:
        raise RuntimeError(f"hail: {answer['info']}")
    score = re.search(r"score: (\d+\.\d+)", answer["info"])
    return done, float(score[1]) if score else None


def hail_evacuates(
    facts: ClusterFacts, instances: Sequence[str]
) -> tuple[Run, dict[str, list[str]]] | None:
    """A run that gives mirrored instances new secondaries, and the nodes of each."""
    asked = {"type": "node-evacuate", "evac_mode": "secondary-only", "instances": list(instances)}
    done = run("hail", [], json.dumps(_asked(facts, asked)))
    if done is None:
        return None
    moved, failed, _jobs = json.loads(done.out)["result"]
    if failed:
        raise RuntimeError(f"hail: {failed[:3]}")
    return done, {name: nodes for name, _group, nodes in moved}


def hspace(facts: ClusterFacts) -> tuple[Run, int, int] | None:
    """A run, and how many standard and tiered instances fitted."""
    options = ["--machine-readable", "--disk-template", "drbd", "-t"]
    done = run("hspace", options, render(facts))
    if done is None:
        return None
    counts = dict(re.findall(r"^(HTS_\w+)='?(.*?)'?$", done.out, re.MULTILINE))
    tiers = sum(int(one.split("=")[1]) for one in counts["HTS_TSPEC"].split())
    return done, int(counts["HTS_ALLOC_INSTANCES"]), tiers


def _new(requests: Sequence[Request]) -> dict[str, Any]:
    wanted = [{"type": "allocate", **_request(one)} for one in requests]
    return wanted[0] if len(wanted) == 1 else {"type": "multi-allocate", "instances": wanted}


def _asked(facts: ClusterFacts, request: dict[str, Any]) -> dict[str, Any]:
    """What hail reads."""
    policy = _policy(facts)
    return {
        "version": 2,
        "cluster_name": "cluster",
        "cluster_tags": list(facts.tags),
        "enabled_hypervisors": ["kvm"],
        "ipolicy": policy,
        "nodegroups": {
            one.uuid: {
                "name": one.name,
                "alloc_policy": one.alloc_policy,
                "tags": [],
                "networks": [],
                "ipolicy": policy,
            }
            for one in facts.groups
        },
        "nodes": {one.name: _node(facts, one, row) for row, one in enumerate(facts.nodes)},
        "instances": {one.name: _instance(one) for one in facts.instances},
        "request": request,
    }


def _spec(spec: Spec) -> dict[str, int]:
    return {
        "memory-size": spec.memory_mib,
        "cpu-count": spec.vcpus,
        "disk-size": spec.disk_mib,
        "disk-count": spec.disks,
        "nic-count": spec.nics,
        "spindle-use": spec.spindles,
    }


def _policy(facts: ClusterFacts) -> dict[str, Any]:
    policy = facts.policy
    return {
        "std": _spec(policy.std),
        "minmax": [{"min": _spec(low), "max": _spec(high)} for low, high in policy.ranges],
        "vcpu-ratio": policy.vcpu_ratio,
        "spindle-ratio": policy.spindle_ratio,
        "disk-templates": list(policy.templates),
    }


def _node(facts: ClusterFacts, node: NodeFacts, row: int) -> dict[str, Any]:
    memory = node.memory_total_mib - node.memory_node_mib - node.memory_free_mib
    return {
        "total_disk": node.disk_total_mib,
        "free_disk": node.disk_free_mib,
        "total_memory": node.memory_total_mib,
        "free_memory": node.memory_free_mib,
        "reserved_memory": node.memory_node_mib,
        "reserved_cpus": node.cpus_node,
        "total_cpus": node.cpus,
        "group": node.group,
        "primary_ip": f"10.0.{row // 250}.{row % 250 + 1}",
        "secondary_ip": f"10.1.{row // 250}.{row % 250 + 1}",
        "tags": [],
        "i_pri_memory": memory,
        "i_pri_up_memory": memory,
        "ndparams": {
            "spindle_count": node.spindles,
            "oob_program": None,
            "exclusive_storage": False,
            "cpu_speed": node.cpu_speed,
        },
        "master_candidate": row < 10,
        "master_capable": True,
        "vm_capable": True,
        "drained": False,
        "offline": False,
        "free_spindles": 0,
        "total_spindles": node.spindles,
    }


def _instance(one: InstanceFacts) -> dict[str, Any]:
    return {
        "disks": [{"mode": "rw", "size": one.disk_mib, "spindles": 1}],
        "disk_space_total": one.disk_mib,
        "disk_template": one.template,
        "hypervisor": "kvm",
        "memory": one.memory_mib,
        "vcpus": one.vcpus,
        "spindle_use": one.spindle_use,
        "tags": [],
        "nics": [],
        "admin_state": "up" if one.status == "running" else "down",
        "admin_state_source": "admin",
        "nodes": [one.primary, one.secondary],
        "os": "noop",
    }


def _request(one: Request) -> dict[str, Any]:
    return {
        "name": one.name,
        "memory": one.memory_mib,
        "vcpus": one.vcpus,
        "spindle_use": one.spindle_use,
        "disk_space_total": disk_mib(one),
        "disk_template": one.template,
        "disks": [{"mode": "rw", "size": size, "spindles": 1} for size in one.disk_sizes_mib],
        "nics": [],
        "os": "noop",
        "hypervisor": "kvm",
        "tags": [],
        "required_nodes": 2,
    }
