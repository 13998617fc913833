"""The options that several tools share.

Decided here: an option of htools that is not served is refused by name, never ignored.
"""

from __future__ import annotations

import argparse
import math

from clusterd.names import PRODUCT_VERSION, SOFTWARE_VERSION


def real(text: str) -> float:
    """A number, and a finite one; raises ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number")
    return value


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

    def cluster_source(self, *, simulate: bool = False) -> None:
        """The options that say where the cluster comes from, and which nodes count as offline."""
        self.add_argument("-t", "--text-data", metavar="FILE", help="read the cluster from a file")
        self.add_argument(
            "-L", "--luxi", metavar="SOCKET", nargs="?", const="", help="ask the master daemon here"
        )
        self.add_argument("-m", "--master", metavar="CLUSTER", help="ask a cluster's remote API")
        self.add_argument("-I", "--ialloc-src", metavar="FILE",
                          help="read the cluster from an iallocator's request")  # fmt: skip
        if simulate:
            self.simulate()
        self.static_memory()
        self.add_argument(
            "-O", "--offline", metavar="NODE", action="append", default=[],
            help="take this node as offline",
        )  # fmt: skip

    def simulate(self) -> None:
        """The option that makes an empty cluster up."""
        self.add_argument(
            "--simulate", metavar="SPEC", action="append", default=[],
            help="an empty group: alloc_policy,nodes,disk,ram,cpu[,spindles[,exclusive]]",
        )  # fmt: skip

    def static_memory(self) -> None:
        """The option that says what a host with KVM takes for itself."""
        self.add_argument(
            "--static-kvm-node-memory", type=int, metavar="N",
            help="MiB that hosts with KVM take, instead of what they report; 0: what they report",
        )  # fmt: skip

    def monitoring(self, *, data: bool = True, strict: bool = True, xen: bool = True) -> None:
        """The options that take load from monitoring daemons."""
        add = self.add_argument
        add("--mond", nargs="?", const="yes", default="no", choices=("yes", "no"),
            help="ask the monitoring daemons of all nodes")  # fmt: skip
        if data:
            add("--mond-data", metavar="FILE", help="what they answered, instead of asking")
        if xen:
            add("--mond-xen", action="store_true", help="the load of each instance, from Xen")
        if strict:
            add("--exit-on-missing-mond-data", action="store_true",
                help="end when some did not answer")  # fmt: skip

    def tables(self, instances: bool = True) -> None:
        """The options that show nodes and instances as they are and will be."""
        self.add_argument("-p", "--print-nodes", metavar="FIELDS", nargs="?", const="",
                          help="print the nodes; +a,b adds fields")  # fmt: skip
        if instances:
            self.add_argument("-P", "--print-instances", action="store_true",
                              help="print the instances")  # fmt: skip

    def tuning(self) -> None:
        """The options that change how the cluster is looked at."""
        self.add_argument(
            "-U",
            "--dynu-file",
            "--util-file",
            dest="util_file",
            metavar="FILE",
            help="measured load of instances",
        )
        self.add_argument("--ignore-dynu", action="store_true", help="ignore the load")
        self.add_argument("--exclusion-tags", metavar="TAG,...", default="",
                          help="further prefixes of exclusion tags")  # fmt: skip
        self.add_argument("--max-cpu", type=real, metavar="RATIO",
                          help="virtual CPUs a CPU")  # fmt: skip
        self.add_argument("--min-disk", type=real, metavar="RATIO", default=0.0,
                          help="share of disk to keep free")  # fmt: skip

    def balancing(self) -> None:
        """The options of balancing."""
        add = self.add_argument
        add("-l", "--max-length", type=int, metavar="N", help="at most so many moves")
        add("-e", "--min-score", type=real, default=1e-9, metavar="EPSILON", help="good enough")
        add(
            "-g",
            "--min-gain",
            type=real,
            default=0.01,
            metavar="DELTA",
            help="least gain of a move",
        )
        add("--min-gain-limit", type=real, default=0.1, metavar="SCORE",
                help="below this score a move must gain --min-gain")  # fmt: skip
        add("--no-disk-moves", action="store_true", help="only failovers and migrations")
        add("--no-instance-moves", action="store_true", help="only new secondaries")
        add("-E", "--evac-mode", action="store_true", help="only what is on offline nodes")
        add("--restricted-migration", action="store_true", help="no failover onto a new secondary")
        add("--select-instances", default="", metavar="NAME,...", help="move only these")
        add("--exclude-instances", default="", metavar="NAME,...", help="never move these")
        add("--ignore-soft-errors", action="store_true", help="overstep soft limits")
