"""The demo's guest image: built once here, copied to where the OS definition looks."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.demo.report import Report
from tests.testbed import CommandFailed, Node
from tests.testbed.settings import CHECKOUT
from tests.testbed.shell import run

BUILD = CHECKOUT / "build" / "guest"
RECIPE = CHECKOUT / "clusterd" / "share" / "guest"
PLACE = "/var/lib/clusterd/guest/guest.img"


def build_image(report: Report) -> Path:
    """The image, built again only when its recipe changed since."""
    image = BUILD / "guest.img"
    recipe = [path for path in RECIPE.iterdir() if path.is_file()]
    if image.exists() and image.stat().st_mtime > max(path.stat().st_mtime for path in recipe):
        report.say("built before")
        return image
    BUILD.mkdir(parents=True, exist_ok=True)
    argv = ["sh", str(RECIPE / "build-guest.sh"), str(BUILD / "packages"), str(image)]
    try:
        run(argv, timeout_s=300)
    except CommandFailed:
        # apt's lists are missing or older than the mirror
        report.say("apt-get update")
        run(["apt-get", "-qq", "update"], timeout_s=300)
        shutil.rmtree(BUILD / "packages", ignore_errors=True)
        run(argv, timeout_s=300)
    return image


def deliver_image(node: Node) -> None:
    """The image lies where the OS definition demo-guest looks on this node host."""
    parent = str(Path(PLACE).parent)
    node.run(f"mkdir -p {parent} && cp --sparse=always {BUILD / 'guest.img'} {PLACE}")
