"""Where a tool's cluster comes from, and how failures end.

Decided here: one of ``-t FILE``, ``-L [SOCKET]``, ``-m CLUSTER``, ``-I FILE`` and
``--simulate SPEC`` must be given, as in htools.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from cli.htools import mond, simulated, tables
from cli.htools.parser import Parser
from cli.session import RealSession
from clusterd.errors import ClusterError
from clusterd.iallocator import reading
from clusterd.iallocator.reading import hosts_take
from clusterd.placement import model, text_format
from clusterd.placement.errors import BadRequest
from clusterd.placement.facts import ClusterFacts
from clusterd.placement.options import BalanceOptions
from jobqueue.errors import JobQueueError, Refused

Run = Callable[[argparse.Namespace], int]


def balancing(asked: argparse.Namespace, group: str) -> BalanceOptions:
    """What the options of balancing ask for."""
    limit = asked.max_length
    return BalanceOptions(
        group=group,
        max_moves=None if limit is None or limit < 0 else limit,
        min_score=asked.min_score,
        min_gain=asked.min_gain,
        min_gain_limit=asked.min_gain_limit,
        disk_moves=not asked.no_disk_moves,
        instance_moves=not asked.no_instance_moves,
        evac_mode=asked.evac_mode,
        restricted_migration=asked.restricted_migration,
        select=tuple(one for one in asked.select_instances.split(",") if one),
        exclude=tuple(one for one in asked.exclude_instances.split(",") if one),
        ignore_soft_errors=asked.ignore_soft_errors,
    )


def facts_of(asked: argparse.Namespace) -> ClusterFacts:
    """The cluster; raises Refused for none or a broken one."""
    given = [key for key in ("text_data", "luxi", "master") if _given(asked, key) is not None]
    if len(given) > 1:
        raise BadRequest("Only one of the rapi, luxi, and data files options should be given.")
    if _given(asked, "master") is not None:
        from cli.htools import remote

        return remote.facts(asked.master, _given(asked, "static_kvm_node_memory"))
    if _given(asked, "luxi") is not None:
        return _asked_here(asked)
    if _given(asked, "simulate"):
        return simulated.facts(asked.simulate)
    if asked.text_data is not None:
        return text_format.parse(text(asked.text_data))
    if _given(asked, "ialloc_src") is not None:
        return reading.read(text(asked.ialloc_src), _given(asked, "static_kvm_node_memory"))[0]
    raise BadRequest("No backend selected: give one of -t FILE, -L, -m CLUSTER or -I FILE")


def _given(asked: argparse.Namespace, key: str) -> Any:
    return getattr(asked, key, None)


def _asked_here(asked: argparse.Namespace) -> ClusterFacts:
    if asked.luxi:
        os.environ["FORCE_LUXI_SOCKET"] = asked.luxi
    session = RealSession()
    try:
        facts = msgspec.convert(session.door.call("QueryPlacement"), type=ClusterFacts)
    finally:
        session.close()
    # what our nodes report of themselves is right: only what is asked for replaces it
    return (
        facts
        if not asked.static_kvm_node_memory
        else hosts_take(facts, asked.static_kvm_node_memory)
    )


def cluster_of(asked: argparse.Namespace, *, exclusive_mirrors: bool = False) -> model.Cluster:
    """The model of the cluster; raises Refused."""
    facts = facts_of(asked)
    load = {}
    if getattr(asked, "util_file", None):
        load = text_format.parse_utilisation(text(asked.util_file))
    prefixes = tuple(one for one in getattr(asked, "exclusion_tags", "").split(",") if one)
    tuning = model.Tuning(
        exclusion_prefixes=prefixes,
        utilisation=load,
        ignore_utilisation=bool(getattr(asked, "ignore_dynu", False)),
        max_cpu=getattr(asked, "max_cpu", None),
        min_disk=getattr(asked, "min_disk", 0.0),
        offline=tuple(asked.offline),
        exclusive_mirrors=exclusive_mirrors,
    )
    return model.build(facts, monitored(asked, facts, tuning))


def monitored(asked: argparse.Namespace, facts: ClusterFacts, tuning: model.Tuning) -> model.Tuning:
    """With what monitoring daemons tell, if they are to be asked; raises BadRequest."""
    if getattr(asked, "mond", "no") == "no":
        return tuning
    path = getattr(asked, "mond_data", None)
    told = mond.parse(text(path)) if path else None
    found = mond.applied(facts, tuning, told, xen=bool(_given(asked, "mond_xen")))
    if isinstance(found, model.Tuning):
        return found
    print(found, file=sys.stderr)
    if _given(asked, "exit_on_missing_mond_data"):
        raise BadRequest("Not all required data available")
    return tuning


def text(path: str) -> str:
    """Of a file; raises BadRequest."""
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"Cannot read {path}: {error}") from None


def group_of(cluster: model.Cluster, asked: str | None) -> int:
    """The number of the group to work on; raises BadRequest when that is not clear."""
    if asked is None and len(cluster.facts.groups) > 1:
        names = ", ".join(group.name for group in cluster.facts.groups)
        raise BadRequest(
            f"Found multiple node groups: {names}. Please specify one with the -G option"
        )
    if asked is None:
        return 0
    return cluster.group_number(asked)


def ended(parser: Parser, run: Run) -> int:
    """Run a tool on the words of its process; failures are told as htools tells them."""
    asked = parser.parse_args()
    asked.verbose -= asked.quiet
    try:
        code = run(asked)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Refused, JobQueueError, ClusterError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def show_tables(asked: argparse.Namespace, state: tables.State, when: str) -> None:
    """What ``-p`` and ``--print-instances`` ask for, beside the answer as in htools."""
    if getattr(asked, "print_instances", False):
        lines = tables.instance_table(state)
        print("", f"{when} instance map:" if when else "Instances instance map:", *lines,
              sep="\n", file=sys.stderr)  # fmt: skip
    if asked.print_nodes is not None:
        title = f"{when} cluster status:" if when else "Cluster status:"
        lines = tables.node_table(state, asked.print_nodes)
        print("", title, *lines, "", sep="\n", file=sys.stderr)
