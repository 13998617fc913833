"""Ganeti's own RAPI client, unmodified: fetched from Debian, unpacked into the build directory.

It is never part of this repository. ``load`` imports it from there.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
PLACE = CHECKOUT / "build" / "ganeti-client"
ROOT = PLACE / "usr" / "share" / "ganeti" / "3.0"
PACKAGE = "ganeti-3.0"


def fetch() -> Path:
    """The directory that holds the package ``ganeti``; raises when it cannot be had."""
    if (ROOT / "ganeti" / "rapi" / "client.py").exists():
        return ROOT
    PLACE.mkdir(parents=True, exist_ok=True)
    try:
        _run("apt-get", "-q", "download", PACKAGE)
    except RuntimeError:
        _run("apt-get", "-q", "update")
        _run("apt-get", "-q", "download", PACKAGE)
    (archive, *_) = sorted(PLACE.glob(f"{PACKAGE}_*.deb"))
    _run("dpkg-deb", "-x", archive.name, ".")
    return ROOT


def load() -> Any:
    """The module ``ganeti.rapi.client``."""
    path = str(fetch())
    if path not in sys.path:
        sys.path.append(path)
    return importlib.import_module("ganeti.rapi.client")


def client(port: int, user: str, password: str, cafile: Path) -> Any:
    """A client that believes only ``cafile``, and looks at the server's name."""
    module = load()
    module.pycurl.global_init(module.pycurl.GLOBAL_ALL)
    config = module.GenericCurlConfig(
        cafile=str(cafile), verify_hostname=True, proxy="", timeout=60, connect_timeout=10
    )
    return module.GanetiRapiClient(
        "localhost", port=port, username=user, password=password, curl_config_fn=config
    )


def _run(*words: str) -> None:
    done = subprocess.run(
        words, cwd=PLACE, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)} failed: {done.stderr.strip()}")
