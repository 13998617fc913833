"""Where a tool's cluster comes from, the options that all tools share, and how failures end.

Decided here: one of ``-t FILE``, ``-L [SOCKET]`` and ``-m CLUSTER`` must be given, as in htools; an
option of htools that is not served is refused by name, never ignored.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from cli.htools import tables
from cli.session import RealSession
from clusterd.errors import ClusterError
from clusterd.names import PRODUCT_VERSION, SOFTWARE_VERSION
from clusterd.placement import model, text_format
from clusterd.placement.errors import BadRequest
from clusterd.placement.facts import ClusterFacts
from clusterd.placement.options import BalanceOptions
from jobqueue.errors import JobQueueError, Refused

Run = Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """Options as htools has them: no abbreviations that could mean something else later."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__(prog=name, description=words, allow_abbrev=False)
        self.add_argument(
            "-V", "--version", action="version",
            version=f"{name} (clusterd {PRODUCT_VERSION}) version {SOFTWARE_VERSION}",
        )  # fmt: skip
        self.add_argument("-v", "--verbose", action="count", default=1, help="say more")
        self.add_argument("-q", "--quiet", action="count", default=0, help="say less")

    def cluster_source(self) -> None:
        """The options that say where the cluster comes from, and which nodes count as offline."""
        self.add_argument("-t", "--text-data", metavar="FILE", help="read the cluster from a file")
        self.add_argument(
            "-L", "--luxi", metavar="SOCKET", nargs="?", const="", help="ask the master daemon here"
        )
        self.add_argument("-m", "--master", metavar="CLUSTER", help="ask a cluster's remote API")
        self.add_argument(
            "-O", "--offline", metavar="NODE", action="append", default=[],
            help="take this node as offline",
        )  # fmt: skip

    def tables(self, instances: bool = True) -> None:
        """The options that show nodes and instances as they are and will be."""
        self.add_argument("-p", "--print-nodes", metavar="FIELDS", nargs="?", const="",
                          help="print the nodes; +a,b adds fields")  # fmt: skip
        if instances:
            self.add_argument("-P", "--print-instances", action="store_true",
                              help="print the instances")  # fmt: skip

    def tuning(self) -> None:
        """The options that change how the cluster is looked at."""
        self.add_argument("-U", "--util-file", metavar="FILE", help="measured load of instances")
        self.add_argument("--ignore-dynu", action="store_true", help="ignore the load")
        self.add_argument("--exclusion-tags", metavar="TAG,...", default="",
                          help="further prefixes of exclusion tags")  # fmt: skip
        self.add_argument("--max-cpu", type=float, metavar="RATIO",
                          help="virtual CPUs a CPU")  # fmt: skip
        self.add_argument("--min-disk", type=float, metavar="RATIO", default=0.0,
                          help="share of disk to keep free")  # fmt: skip

    def balancing(self) -> None:
        """The options of balancing."""
        add = self.add_argument
        add("-l", "--max-length", type=int, metavar="N", help="at most so many moves")
        add("-e", "--min-score", type=float, default=1e-9, metavar="EPSILON", help="good enough")
        add(
            "-g",
            "--min-gain",
            type=float,
            default=0.01,
            metavar="DELTA",
            help="least gain of a move",
        )
        add("--min-gain-limit", type=float, default=0.1, metavar="SCORE",
            help="below this score a move must gain --min-gain")  # fmt: skip
        add("--no-disk-moves", action="store_true", help="only failovers and migrations")
        add("--no-instance-moves", action="store_true", help="only new secondaries")
        add("-E", "--evac-mode", action="store_true", help="only what is on offline nodes")
        add("--restricted-migration", action="store_true", help="no failover onto a new secondary")
        add("--select-instances", default="", metavar="NAME,...", help="move only these")
        add("--exclude-instances", default="", metavar="NAME,...", help="never move these")
        add("--ignore-soft-errors", action="store_true", help="overstep soft limits")


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
    given = [key for key in ("text_data", "luxi", "master") if getattr(asked, key) is not None]
    if len(given) != 1:
        raise BadRequest(
            "Only one of the rapi, luxi, and data files options should be given."
            if given
            else "Please give one of -t FILE, -L or -m CLUSTER"
        )
    if asked.text_data is not None:
        return text_format.parse(_text(asked.text_data))
    if asked.master is not None:
        from cli.htools import remote

        return remote.facts(asked.master)
    if asked.luxi:
        os.environ["FORCE_LUXI_SOCKET"] = asked.luxi
    session = RealSession()
    try:
        return msgspec.convert(session.door.call("QueryPlacement"), type=ClusterFacts)
    finally:
        session.close()


def cluster_of(asked: argparse.Namespace) -> model.Cluster:
    """The model of the cluster; raises Refused."""
    facts = facts_of(asked)
    load = {}
    if getattr(asked, "util_file", None):
        load = text_format.parse_utilisation(_text(asked.util_file))
    prefixes = tuple(one for one in getattr(asked, "exclusion_tags", "").split(",") if one)
    return model.build(
        facts,
        model.Tuning(
            exclusion_prefixes=prefixes,
            utilisation=load,
            ignore_utilisation=bool(getattr(asked, "ignore_dynu", False)),
            max_cpu=getattr(asked, "max_cpu", None),
            min_disk=getattr(asked, "min_disk", 0.0),
            offline=tuple(asked.offline),
        ),
    )


def _text(path: str) -> str:
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
    except (Refused, JobQueueError, ClusterError) as error:
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
