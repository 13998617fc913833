"""The demo's guest image: built once here, copied to where the OS definition looks."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.testbed import CommandFailed, Node
from tests.testbed.settings import CHECKOUT
from tests.testbed.shell import run

BUILD = CHECKOUT / "build" / "guest"
RECIPE = CHECKOUT / "clusterd" / "share" / "guest"
PLACE = "/var/lib/clusterd/guest/guest.img"
OWN_DISK = ("-H", "kvm:kernel_path=,initrd_path=")
"""Options with which a guest starts from its disk, whatever the cluster says."""


def build_image(say: Callable[[str], None]) -> Path:
    """The image, built again only when its recipe changed since; by one process at a time."""
    image = BUILD / "guest.img"
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        recipe = [path for path in RECIPE.iterdir() if path.is_file()]
        if image.exists() and image.stat().st_mtime > max(path.stat().st_mtime for path in recipe):
            say("built before")
        else:
            _build(image, say)
    return image


def _build(image: Path, say: Callable[[str], None]) -> None:
    argv = ["sh", str(RECIPE / "build-guest.sh"), str(BUILD / "packages"), str(image)]
    try:
        run(argv, timeout_s=300)
    except CommandFailed:
        # apt's lists are missing or older than the mirror
        say("apt-get update")
        run(["apt-get", "-qq", "update"], timeout_s=300)
        shutil.rmtree(BUILD / "packages", ignore_errors=True)
        run(argv, timeout_s=300)


def deliver_image(node: Node) -> None:
    """The image lies where the OS definition demo-guest looks on this node host."""
    parent = str(Path(PLACE).parent)
    node.run(f"mkdir -p {parent} && cp --sparse=always {BUILD / 'guest.img'} {PLACE}")


def deliver_kernel(node: Node) -> None:
    """The image's kernel and initial file system lie on this node host, beside the image."""
    copies = [f"cp {BUILD}/guest.img.{kind} {PLACE}.{kind}" for kind in ("kernel", "initrd")]
    node.run(" && ".join([f"mkdir -p {Path(PLACE).parent}", *copies]))


def kernel_parameters(image: str = PLACE) -> dict[str, str]:
    """Hypervisor parameters with which guests start from the kernel beside their image, without a
    boot loader that reads it from an emulated disk piece by piece; the guest's disk is the same."""
    return {
        "kernel_path": f"{image}.kernel",
        "initrd_path": f"{image}.initrd",
        "kernel_args": (BUILD / "guest.img.words").read_text().strip(),
        "root_path": "",
    }
