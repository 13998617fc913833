"""``python -m tests.proof --kills 50 --seed 1``: run the drills, print what they found."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.figures import nearest
from tests.proof import drills
from tests.proof.load import Load

STATE_MIB = 16
OWN_MOUNTS = "PROOF_HAS_ITS_OWN_MOUNTS"


def killed(kills: int, seed: int, engine: str) -> list[str]:
    """The master (on etcd also its member) is killed at random moments under load."""
    with (
        tempfile.TemporaryDirectory(prefix="proof-") as directory,
        drills.house(Path(directory), engine) as house,
    ):
        load = Load(house.door, drills.NODE, workers=drills.WORKERS, seed=seed)
        began = time.monotonic()
        recoveries = drills.kill_again_and_again(house, load, kills, seed)
        load.finish(drills.END_S)
        wrong = drills.judge(house, load)
        middle, late = nearest(recoveries, 50), nearest(recoveries, 95)
        print(
            f"{engine}: {kills} kills in {time.monotonic() - began:.0f} s, {len(load.asked)} jobs "
            f"accepted and ended; answers again after {middle:.2f} s (p50), {late:.2f} s (p95)"
        )
        return wrong


def filled(seed: int) -> list[str]:
    """The disk with the state is full, and the master killed while it is."""
    with (
        tempfile.TemporaryDirectory(prefix="proof-") as directory,
        drills.house(Path(directory), state_mib=STATE_MIB) as house,
    ):
        load = Load(house.door, drills.NODE, workers=drills.WORKERS, seed=seed)
        wrong = drills.fill_and_kill(house, load, seed)
        load.finish(drills.END_S)
        wrong += drills.judge(house, load)
        refusals = sum(load.refusals.values())
        print(f"disk full: {refusals} requests refused, {len(load.asked)} jobs accepted and ended")
        return wrong


def main() -> int:
    """The exit code: 1 when something was lost or doubled."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="how often the master is killed")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of load and moments")
    parser.add_argument("--store", choices=(*drills.VICTIMS, "both"), default="both")
    wanted = parser.parse_args()
    if OWN_MOUNTS not in os.environ:
        # the small disk is seen by nobody else, and is gone with the last process
        command = ["unshare", "--mount", sys.executable, "-m", "tests.proof", *sys.argv[1:]]
        return subprocess.run(command, env={**os.environ, OWN_MOUNTS: "1"}, check=False).returncode
    again = f"python -m tests.proof --kills {wanted.kills} --seed {wanted.seed}"
    print(f"{again} --store {wanted.store}", flush=True)
    engines = tuple(drills.VICTIMS) if wanted.store == "both" else (wanted.store,)
    wrong = []
    for engine in engines:
        wrong += killed(wanted.kills, wanted.seed, engine)
    if "sqlite" in engines:
        wrong += filled(wanted.seed)
    print(*wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
