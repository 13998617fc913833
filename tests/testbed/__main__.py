"""The testbed by hand: ``python -m tests.testbed [--name NAME] up 3``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

from tests.testbed.shell import TestbedError
from tests.testbed.testbed import Testbed

Command = Callable[[Testbed, argparse.Namespace], int]


def up(testbed: Testbed, arguments: argparse.Namespace) -> int:
    """Fresh node hosts n1 to nCOUNT."""
    began = time.monotonic()
    testbed.up(arguments.count)
    status(testbed, arguments)
    print(f"up in {time.monotonic() - began:.1f} s")
    return 0


def down(testbed: Testbed, _arguments: argparse.Namespace) -> int:
    """Remove every process, namespace and file."""
    testbed.down()
    return 0


def status(testbed: Testbed, _arguments: argparse.Namespace) -> int:
    """The node hosts, their addresses and their power."""
    for node in testbed.nodes():
        print(node.name, node.address, "on" if node.running else "off")
    return 0


def refresh(testbed: Testbed, _arguments: argparse.Namespace) -> int:
    """Show changed files of this machine to running node hosts."""
    testbed.refresh()
    return 0


def execute(testbed: Testbed, arguments: argparse.Namespace) -> int:
    """Run a command on a node host, or a shell without one."""
    node = testbed.node(arguments.node)
    terminal = sys.stdin.isatty() and not arguments.command
    command = node.ssh_command(*arguments.command, terminal=terminal)
    return subprocess.run(command, check=False).returncode


def outside(testbed: Testbed, arguments: argparse.Namespace) -> int:
    """Run a command of this machine in the node hosts' network."""
    return subprocess.run(testbed.network.inside(arguments.command), check=False).returncode


POWER = {"kill", "start", "halt", "freeze", "thaw", "unplug", "plug"}


def power(testbed: Testbed, arguments: argparse.Namespace) -> int:
    """Change the power or the cable of a node host."""
    getattr(testbed.node(arguments.node), arguments.verb)()
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m tests.testbed", description=__doc__)
    top.add_argument("--name", default="hosts", help="several testbeds can be up at once")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    made = verbs.add_parser("up", help=up.__doc__)
    made.add_argument("count", type=int)
    made.set_defaults(act=up)
    for name, act in (("down", down), ("status", status), ("refresh", refresh)):
        verbs.add_parser(name, help=act.__doc__).set_defaults(act=act)
    for name in sorted(POWER):
        one = verbs.add_parser(name, help=f"{name} a node host")
        one.add_argument("node")
        one.set_defaults(act=power)
    inside = verbs.add_parser("exec", help=execute.__doc__)
    inside.add_argument("node")
    inside.set_defaults(act=execute)
    beside = verbs.add_parser("outside", help=outside.__doc__)
    beside.set_defaults(act=outside)
    for one in (inside, beside):
        one.add_argument("command", nargs=argparse.REMAINDER)
    return top


def main() -> int:
    """Run the command line; answers the exit code."""
    arguments = parser().parse_args()
    try:
        testbed = Testbed.named(arguments.name)
        act: Command = arguments.act
        return act(testbed, arguments)
    except (TestbedError, ValueError) as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
