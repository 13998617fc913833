"""The real htools and ours, run as programs, and the clusters of the tests that compare them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

REAL = Path("/usr/lib/ganeti/3.0/usr/bin/htools")
SHAPES = [(6, 30, 1, 0), (8, 60, 2, 1), (10, 50, 3, 0)]


def ours(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; from cli.htools.{name} import main; sys.exit(main())"
    return _run([sys.executable, "-c", code, *words])


def theirs(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return _run([str(REAL), *words], {"HTOOLS": name, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})


def _run(argv: list[str], env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120, env=env)


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.strip()]


def answered(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found
