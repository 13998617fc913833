"""A short proof on real processes: a few kills, one full disk, one take-over by a standby. ``make
prove`` is the long one.
"""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.real

KILLS = {"sqlite": 4, "etcd3": 1}
"""With three members the first that strikes is that the master's host is gone for good."""


@pytest.mark.parametrize("store", sorted(KILLS))
def test_nothing_is_lost_or_doubled_when_daemons_are_killed_and_disks_are_full(store: str) -> None:
    kills = KILLS[store]
    wanted = [f"--kills={kills}", f"--seed={int(time.time())}", f"--store={store}"]
    if store != "sqlite":
        wanted.append("--no-full-disk")
    command = [sys.executable, "-m", "tests.proof", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{store}: {kills} kills" in done.stdout
