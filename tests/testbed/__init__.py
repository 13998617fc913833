"""Node hosts for tests and for the demo: real kernels, LVM, DRBD, bridges, sshd and libvirt.

Each node host is one User-Mode Linux machine. Nothing here belongs to the product; see
docs/testbed.md for what a node host has and how to use one by hand.
"""

from tests.testbed.node import Node
from tests.testbed.settings import Settings
from tests.testbed.shell import CommandFailed, Completed, TestbedError
from tests.testbed.testbed import Testbed

__all__ = ["CommandFailed", "Completed", "Node", "Settings", "Testbed", "TestbedError"]
