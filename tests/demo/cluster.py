"""The demo's hands: gnt-* commands on the master's host, and looking at the hosts behind them."""

from __future__ import annotations

import shlex
import subprocess
import time

from tests.demo.guest import COUNTER_BLOCK, COUNTER_OFFSET, COUNTER_SIZE, Counter, counter, ticks
from tests.demo.report import DemoFailed, Report
from tests.testbed import CommandFailed, Node, Testbed

MASTER = "n1"
CONSOLE_LOG = "/var/log/clusterd/console/{}.log"
COMMAND_LIMIT_S = 240.0
LOOK_S = 1.0
"""Between two looks at a console: each takes 0.1 s from the guest that boots there."""


class Cluster:
    """A cluster whose master runs on n1 of the testbed."""

    def __init__(self, testbed: Testbed, report: Report) -> None:
        self.testbed = testbed
        self.report = report

    def node(self, name: str) -> Node:
        """The node host ``name``, short or with its domain."""
        return self.testbed.node(name)

    def gnt(self, *argv: str, allowed: tuple[int, ...] = (0,)) -> str:
        """Run a command on the master and show what it says; answers its output.

        Raises DemoFailed when it answers a code that is not allowed or does not end in time.
        """
        command = self.node(MASTER).ssh_command(shlex.join(argv))
        lines: list[str] = []
        deadline = time.monotonic() + COMMAND_LIMIT_S
        with subprocess.Popen(
            ["timeout", "-k", "5", str(int(COMMAND_LIMIT_S)), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            if process.stdout is None:
                raise DemoFailed("no output to read")
            for line in process.stdout:
                lines.append(line)
                self.report.say(line)
        output = "".join(lines)
        if process.returncode not in allowed:
            late = " (no end in time)" if time.monotonic() > deadline else ""
            raise DemoFailed(
                f"'{' '.join(argv)}' answered {process.returncode}{late}:\n{output.strip()[-3000:]}"
            )
        return output

    def fields(self, kind: str, name: str, *wanted: str) -> list[str]:
        """Fields of one object as ``gnt-KIND list`` prints them."""
        options = ["--no-headers", "--separator=|", "-o", ",".join(wanted)]
        rows = self.gnt(f"gnt-{kind}", "list", *options, name).splitlines()
        found = rows[-1].split("|") if rows else []
        if len(found) != len(wanted):
            raise DemoFailed(f"gnt-{kind} list {name}: expected {len(wanted)} fields: {rows}")
        return found

    # -- the guest's console ---------------------------------------------------------------------

    def console(self, node: str, instance: str) -> str:
        """The console log of ``instance`` on ``node``; empty if it never ran there."""
        path = CONSOLE_LOG.format(instance)
        return self.node(node).run(f"cat {path} 2>/dev/null || true").stdout

    def wait_ticks(
        self, node: str, instance: str, count: int, *, offset: int = 0, timeout_s: float = 90.0
    ) -> str:
        """The console log after ``offset`` once it has ``count`` ticks. Raises DemoFailed."""
        deadline = time.monotonic() + timeout_s
        while len(ticks(console := self.console(node, instance)[offset:])) < count:
            if time.monotonic() > deadline:
                said = f"{console[-500:]!r}"
                raise DemoFailed(f"no {count} ticks on {node} within {timeout_s:g} s: {said}")
            self.report.say(f"waiting for {count} ticks on {node}'s console")
            time.sleep(LOOK_S)
        return console

    # -- the guest's disk ------------------------------------------------------------------------

    def data_volume(self, node: str) -> str:
        """The device of the one instance's data volume on ``node``."""
        argv = ["lvs", "--noheadings", "-o", "lv_name", "xenvg"]
        volumes = self.node(node).run(argv).stdout.split()
        data = [volume for volume in volumes if volume.endswith(".disk0_data")]
        if len(data) != 1:
            raise DemoFailed(f"{node}: expected one data volume in xenvg, found {volumes}")
        return f"/dev/xenvg/{data[0]}"

    def disk_counter(self, node: str) -> Counter:
        """The guest's counter on the volume below the mirror, past every cache."""
        volume = self.data_volume(node)
        block = self.node(node).run(
            f"dd if={volume} bs={COUNTER_SIZE} skip={COUNTER_BLOCK} count=1 iflag=direct"
            " status=none"
        )
        found = counter(block.stdout)
        if found is None:
            raise DemoFailed(f"{node}: no counter in {volume}: {block.stdout[:60]!r}")
        return found

    def checksum_beside_counter(self, node: str) -> str:
        """One checksum over the whole volume but the block that the running guest changes."""
        volume = self.data_volume(node)
        after = COUNTER_OFFSET + COUNTER_SIZE
        direct = f"dd if={volume} iflag=direct status=none bs={COUNTER_SIZE}"
        rest = f"dd if={volume} iflag=skip_bytes,direct status=none bs=1M skip={after}"
        command = f"({direct} count={COUNTER_BLOCK}; {rest}) | sha256sum"
        return self.node(node).run(command, timeout_s=120).stdout.split()[0]

    def running_on(self, instance: str) -> list[str]:
        """The hosts with power whose libvirt runs ``instance``."""
        found = []
        for node in self.testbed.nodes():
            if not node.running:
                continue
            argv = ["virsh", "-c", "qemu:///system", "list", "--name", "--state-running"]
            if instance in node.run(argv).stdout.split():
                found.append(node.name)
        return found


def last_words(cluster: Cluster) -> str:
    """The end of the daemons' logs on each host that answers; for a failure's report."""
    parts = []
    for node in cluster.testbed.nodes():
        if not node.running:
            parts.append(f"--- {node.name} is off")
            continue
        command = "tail -n 6 /var/log/clusterd/*.log 2>/dev/null | cut -c1-400"
        try:
            said = node.run(command, check=False, timeout_s=20).stdout.strip()
        except CommandFailed as error:
            said = str(error)
        parts.append(f"--- {node.name}\n{said}")
    return "\n".join(parts)
