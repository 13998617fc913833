"""A daemon with nothing of a cluster in it: it welcomes whoever shows a certificate of the cluster.

Run as a program by tests of what all daemons share (``python -m tests.unit.echo_daemon``). The
environment says how it shall misbehave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.daemons import Program, command

if TYPE_CHECKING:
    from cli.process import Service, Surroundings


def _build(around: Surroundings) -> Service:
    from tests.unit.echo_service import Echo

    return Echo(around)


if __name__ == "__main__":
    command(Program(name="clusterd-node", build=_build, section="node"))()
