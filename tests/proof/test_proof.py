"""A short proof on real processes: a few kills, one full disk. ``make prove`` is the long one."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.real

KILLS = 4


@pytest.mark.parametrize("engine", ["sqlite", "etcd"])
def test_nothing_is_lost_or_doubled_when_daemons_are_killed_and_disks_are_full(
    engine: str,
) -> None:
    wanted = [f"--kills={KILLS}", f"--seed={int(time.time())}", f"--store={engine}"]
    command = [sys.executable, "-m", "tests.proof", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{engine}: {KILLS} kills" in done.stdout
