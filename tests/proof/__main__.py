"""``python -m tests.proof --kills 50 --seed 1``: run the drills, print what they found."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path

from tests.bench.figures import nearest
from tests.proof import drills
from tests.proof.daemons import Household
from tests.proof.house import house
from tests.proof.load import Load
from tests.proof.trio import trio

STATE_MIB = 16
MEMBER_MIB = 192
"""A member of etcd keeps two files of 64 MiB for its log, however little is in them."""
OWN_MOUNTS = "PROOF_HAS_ITS_OWN_MOUNTS"
STORES = ("sqlite", "etcd", "etcd3")
"""One machine with a file; one with an etcd of one member; three with an etcd of three."""


def household(store: str, root: Path) -> AbstractContextManager[Household]:
    """A cluster for a drill."""
    return trio(root) if store == "etcd3" else house(root, store)


def killed(kills: int, seed: int, store: str) -> list[str]:
    """The master, a member of the store or both are killed at random moments under load."""
    with (
        tempfile.TemporaryDirectory(prefix="proof-") as directory,
        household(store, Path(directory)) as cluster,
    ):
        load = Load(cluster.door, cluster.nodes, workers=drills.WORKERS, seed=seed)
        began = time.monotonic()
        recoveries = drills.kill_again_and_again(cluster, load, kills, seed)
        load.finish(drills.END_S)
        wrong = drills.judge(cluster, load)
        middle, late = (nearest(drills.all_of(recoveries), share) for share in (50, 95))
        print(
            f"{store}: {kills} kills in {time.monotonic() - began:.0f} s, {len(load.asked)} jobs "
            f"accepted and ended; answers again after {middle:.2f} s (p50), {late:.2f} s (p95)"
        )
        if len(recoveries) > 1:
            for blow, times in sorted(recoveries.items()):
                print(f"    {blow}: {len(times)} times, {nearest(times, 50):.2f} s (p50)")
        return wrong


def filled(seed: int) -> list[str]:
    """The disk with the state is full, and the master killed while it is."""
    with (
        tempfile.TemporaryDirectory(prefix="proof-") as directory,
        house(Path(directory), state_mib=STATE_MIB) as cluster,
    ):
        load = Load(cluster.door, cluster.nodes, workers=drills.WORKERS, seed=seed)
        wrong = drills.fill_and_kill(cluster, load, seed)
        load.finish(drills.END_S)
        wrong += drills.judge(cluster, load)
        refusals = sum(load.refusals.values())
        print(f"disk full: {refusals} requests refused, {len(load.asked)} jobs accepted and ended")
        return wrong


def filled_member(seed: int) -> list[str]:
    """The disk of the master and of its member of the store is full; two members go on."""
    with (
        tempfile.TemporaryDirectory(prefix="proof-") as directory,
        trio(Path(directory), state_mib=MEMBER_MIB) as cluster,
    ):
        load = Load(cluster.door, cluster.nodes, workers=drills.WORKERS, seed=seed)
        wrong = drills.fill_member(cluster, load)
        load.finish(drills.END_S)
        wrong += drills.judge(cluster, load)
        print(f"disk of a member full: {len(load.asked)} jobs accepted and ended")
        return wrong


def main() -> int:
    """The exit code: 1 when something was lost or doubled."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="how often something is killed")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of load and moments")
    parser.add_argument("--store", choices=(*STORES, "all"), default="all")
    parser.add_argument("--no-full-disk", action="store_true", help="kill only, fill no disk")
    wanted = parser.parse_args()
    if OWN_MOUNTS not in os.environ:
        # the small disk is seen by nobody else, and is gone with the last process
        command = ["unshare", "--mount", sys.executable, "-m", "tests.proof", *sys.argv[1:]]
        return subprocess.run(command, env={**os.environ, OWN_MOUNTS: "1"}, check=False).returncode
    again = f"python -m tests.proof --kills {wanted.kills} --seed {wanted.seed}"
    print(f"{again} --store {wanted.store}", flush=True)
    stores = STORES if wanted.store == "all" else (wanted.store,)
    wrong = []
    for store in stores:
        wrong += killed(wanted.kills, wanted.seed, store) if wanted.kills else []
    if "sqlite" in stores and not wanted.no_full_disk:
        wrong += filled(wanted.seed)
    if "etcd3" in stores and not wanted.no_full_disk:
        wrong += filled_member(wanted.seed)
    print(*wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
