"""``gnt-cluster balance``, ``capacity``, ``check``, ``reboot-plan`` and ``squeeze``: their options.

What they do is in ``cli.planning``, ``cli.outlook`` and ``cli.health``, imported late: arithmetic
costs more than every other command together.
"""

from __future__ import annotations

import math
from typing import Any

from cli.command import Call, Command, Option
from cli.exits import CommandError
from cli.notation import integer, split, time_s
from cli.spelling import PRINT_JOBID, PRIORITY, SUBMIT


def _balance(call: Call) -> int:
    from cli import planning

    return planning.run_balance(call)


def _capacity(call: Call) -> int:
    from cli import outlook

    return outlook.run_capacity(call)


def _check(call: Call) -> int:
    from cli import health

    return health.run_check(call)


def _reboot_plan(call: Call) -> int:
    from cli import health

    return health.run_reboot_plan(call)


def _squeeze(call: Call) -> int:
    from cli import health

    return health.run_squeeze(call)


def _flavour(text: str) -> Any:
    from cli import outlook

    return outlook.flavour(text)


def _real(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise CommandError(f"'{text}' is not a number")
    return value


BALANCE = Command(
    name="balance",
    summary="Plan moves that make the cluster even, or carry them out",
    run=_balance,
    options=(
        Option(names=("--plan",), flag=True, words="Only show the plan; the default"),
        Option(names=("--apply",), flag=True, words="Carry it out"),
        Option(names=("-f", "--force"), flag=True, words="Do not ask"),
        Option(names=("-g", "--node-group"), metavar="GROUP", completes="group",
               words="Only this node group"),
        Option(names=("--no-disk-moves",), flag=True, words="Copy no disks"),
        Option(names=("--no-instance-moves",), flag=True,
               words="Move no running instances, only mirrors"),
        Option(names=("--evac-mode",), flag=True,
               words="Move only what is on offline or drained nodes"),
        Option(names=("--max-moves",), reads=integer, metavar="N", words="At most so many moves"),
        Option(names=("--max-time",), reads=time_s, metavar="TIME",
               words="Look for moves no longer than this, such as 20s"),
        Option(names=("--min-gain",), reads=_real, metavar="SCORE",
               words="A move must gain this much near the end; 0.01 by default"),
        Option(names=("--cost",), reads=_real, metavar="SCORE",
               words="Score that a move must gain for each GiB that it copies; 0 by default"),
        Option(names=("--auto",), choices=("on", "off", "status"), metavar="on|off|status",
               words="Whether the master keeps the cluster even by itself, and by which rules"),
        Option(names=("--history",), flag=True,
               words="Show what the master has done to keep the cluster even"),
        Option(names=("--begin-gain",), reads=_real, metavar="SCORE",
               words="With --auto: work begins when a round gains this much"),
        Option(names=("--end-gain",), reads=_real, metavar="SCORE",
               words="With --auto: it goes on while a round gains this much"),
        Option(names=("--round-pause",), reads=time_s, metavar="TIME",
               words="With --auto: time between two rounds, such as 15m"),
        Option(names=("--instance-pause",), reads=time_s, metavar="TIME",
               words="With --auto: time before the same instance moves again, such as 6h"),
        Option(names=("--quiet-hours",), metavar="HH:MM-HH:MM,...|none",
               words="With --auto: no round begins in these hours"),
        Option(names=("--timezone",), metavar="ZONE",
               words="With --auto: time zone of the quiet hours, such as Europe/Berlin"),
        Option(names=("--disk-moves",), flag=True,
               words="With --auto: disks are copied again, after --no-disk-moves"),
        SUBMIT, PRINT_JOBID, PRIORITY,
    ),
)  # fmt: skip

CAPACITY = Command(
    name="capacity",
    summary="Show how many more instances fit, also after losses or with more nodes",
    run=_capacity,
    options=(
        Option(names=("-t", "--disk-template"), metavar="TEMPLATE",
               words="How their disks are stored; the first that the policy allows by default"),
        Option(names=("--without-node",), many=True, reads=list, metavar="NODE", completes="node",
               words="As if this node were lost"),
        Option(names=("--without-rack",), many=True, reads=list, metavar="TAG",
               words="As if all nodes with this tag were lost"),
        Option(names=("--without-group",), many=True, reads=list, metavar="GROUP",
               completes="group", words="As if this node group were lost"),
        Option(names=("--add-nodes",), reads=integer, metavar="N",
               words="As if there were so many more nodes"),
        Option(names=("--add",), reads=_flavour, metavar="N:memory=SIZE,disk=SIZE,vcpus=N",
               words="Whether so many of this flavour fit, and where"),
        Option(names=("--limit",), reads=integer, metavar="N", words="Count no further"),
        Option(names=("--max-time",), reads=time_s, metavar="TIME",
               words="Count no longer than this, such as 20s"),
    ),
)  # fmt: skip

CHECK = Command(
    name="check",
    summary="Show whether instances would survive the loss of a node, and what is out of order",
    run=_check,
    options=(
        Option(names=("--no-simulation",), flag=True,
               words="Do not look for moves that would help"),
        Option(names=("--max-time",), reads=time_s, metavar="TIME",
               words="Look for moves no longer than this, such as 20s"),
    ),
)  # fmt: skip

REBOOT_PLAN = Command(
    name="reboot-plan",
    summary="Show which nodes may be down together, batch by batch, the master last",
    run=_reboot_plan,
    options=(
        Option(names=("-g", "--node-group"), metavar="GROUP", completes="group",
               words="Only this node group"),
        Option(names=("--node-tags",), reads=split, metavar="TAG,...",
               words="Only nodes with one of these tags"),
        Option(names=("--skip-non-redundant",), flag=True,
               words="Leave out nodes whose instances cannot run elsewhere"),
        Option(names=("--ignore-non-redundant",), flag=True,
               words="Such instances may be down"),
        Option(names=("--offline-maintenance",), flag=True,
               words="All instances are shut down; only mirrors are kept apart"),
        Option(names=("--full-evacuation",), flag=True,
               words="Mirrors leave the nodes too"),
        Option(names=("--one-step-only",), flag=True, words="Only the first batch"),
        Option(names=("--print-moves",), flag=True, words="Show what must move before"),
    ),
)  # fmt: skip

SQUEEZE = Command(
    name="squeeze",
    summary="Show which standby nodes could be powered down, or must be powered up",
    run=_squeeze,
    options=(
        Option(names=("--minimal-resources",), reads=_real, default=2.0, metavar="N",
               words="Power up when there is room for fewer standard instances a node"),
        Option(names=("--target-resources",), reads=_real, default=4.0, metavar="N",
               words="Leave room for so many standard instances a node"),
    ),
)  # fmt: skip

COMMANDS = (BALANCE, CAPACITY, CHECK, REBOOT_PLAN, SQUEEZE)
