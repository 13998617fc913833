"""``gnt-cluster balance``, ``capacity``, ``check``, ``reboot-plan`` and ``squeeze``: their options.

What they do is in ``cli.planning`` and ``cli.outlook``, imported late: arithmetic costs more than
every other command together.
"""

from __future__ import annotations

from cli.command import Call, Command, Option
from cli.exits import CommandError
from cli.notation import integer, time_s
from cli.spelling import PRINT_JOBID, PRIORITY, SUBMIT


def _balance(call: Call) -> int:
    from cli import planning

    return planning.run_balance(call)


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise CommandError(f"'{text}' is not a number") from None


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
        Option(names=("--min-gain",), reads=_real, default=0.01, metavar="SCORE",
               words="A move must gain this much near the end"),
        Option(names=("--cost",), reads=_real, default=0.0, metavar="SCORE",
               words="Score that a move must gain for each GiB that it copies"),
        SUBMIT, PRINT_JOBID, PRIORITY,
    ),
)  # fmt: skip

COMMANDS = (BALANCE,)
