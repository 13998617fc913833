"""``python -m tests.demo up``: run the demo and leave it up; ``down``: remove all of it."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.panel import Panel

from tests.demo.cluster import Cluster, last_words
from tests.demo.report import DemoFailed, Report
from tests.demo.steps import INSTANCE, run_steps
from tests.testbed import Testbed, TestbedError

NAME = "demo"
USE = f"""\
The cluster is up: n1 (master) and n3 run, n2 is off and marked offline, {INSTANCE} runs on n3.

  make demo-shell NODE=n1              a shell on the master; try there:
      gnt-instance list                gnt-node list          gnt-job list
      gnt-instance info {INSTANCE}        gnt-instance console {INSTANCE}
      tail -f /var/log/clusterd/clusterd-master.log
  .venv/bin/python -m tests.testbed --name demo start n2   power n2 on again
  make demo-down                       remove every process, namespace and file of it"""


def up() -> int:
    """The whole demo; answers the exit code."""
    console = Console(highlight=False)
    report = Report(console)
    testbed = Testbed.named(NAME)
    cluster = Cluster(testbed, report)
    try:
        if testbed.nodes():
            console.print("Removing the demo that was up before.")
            testbed.down()
        run_steps(cluster)
    except (DemoFailed, TestbedError) as error:
        console.print("\n[bold red]The demo failed:[/]", end=" ")
        console.print(str(error), markup=False, soft_wrap=True)
        console.print(last_words(cluster), style="dim", markup=False, soft_wrap=True)
        console.print("The node hosts are left as they are; 'make demo-down' removes them.")
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped. 'make demo-down' removes what is there.")
        return 130
    console.print(Panel(USE, title=f"done in {report.total_s():.0f} s", expand=False))
    return 0


def down() -> int:
    """Remove the demo; answers the exit code."""
    try:
        Testbed.named(NAME).down()
    except TestbedError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


def main() -> int:
    """Run the command line; answers the exit code."""
    verbs = {"up": up, "down": down}
    if len(sys.argv) != 2 or sys.argv[1] not in verbs:
        print("usage: python -m tests.demo up|down", file=sys.stderr)
        return 2
    return verbs[sys.argv[1]]()


if __name__ == "__main__":
    sys.exit(main())
