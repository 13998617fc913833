"""``gnt-cluster simulate``: what would happen, played on a copy of this cluster.

Decided here: its words. The copy is made from what the master tells; nothing is changed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from cli.command import Call
from cli.exits import CommandError, Exit
from cli.tools import TOOLS
from clusterd.likeness import Likeness
from clusterd.simulation.complaints import Complaints
from clusterd.simulation.door import SimulatedDoor
from clusterd.simulation.live import Copy
from clusterd.simulation.script import parse
from clusterd.simulation.whatif import Played, Story, WhatIf

PATIENCE_S = 900.0
"""How long a command may take, in virtual time."""


class SimulatedSession:
    """The outside of a command in the simulation: whoever is asked says yes."""

    def __init__(self, door: SimulatedDoor, clock: Any, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.door = door
        self.live = False
        self.lines: list[str] = []
        self._clock = clock

    def out(self, text: str) -> None:
        """Kept."""
        self.lines += text.split("\n")

    err = out

    def ask(self, question: str) -> bool:
        """Yes."""
        return True

    def now_ns(self) -> int:
        """Virtual time."""
        return int(self._clock.seconds() * 1e9)

    def draw_name(self) -> str:
        """The same in each simulation."""
        return self.door.draw_name()

    def pause(self, duration_s: float) -> None:
        """Virtual time passes."""
        self._clock.run(duration_s)

    def read_input(self) -> str:
        """Nothing."""
        return ""

    def replace_process(self, argv: list[str]) -> int:
        """No program is run."""
        self.out(f"(would run {' '.join(argv)})")
        return 0


def simulate(call: Call) -> int:
    """The command."""
    events = parse(";".join(call.arguments))
    asked = call.session.door.call("QueryLikeness")
    likeness = msgspec.convert(asked, Likeness)
    with tempfile.TemporaryDirectory(prefix="simulate-") as directory:
        with Complaints().listening() as complaints:
            copy = Copy(likeness, Path(directory))
            cluster = copy.cluster()
            door = SimulatedDoor(cluster, PATIENCE_S)

            def run(words: tuple[str, ...]) -> tuple[int, list[str]]:
                door.begin()
                session = SimulatedSession(door, cluster.clock, call.session.environment)
                return _command(words, session)

            story = WhatIf(cluster, copy.notes, run).play(events, call.given("for"))
        story.wrong += complaints.heard
    if call.given("json"):
        call.session.out(msgspec.json.format(msgspec.json.encode(story)).decode())
    else:
        for line in told(story):
            call.session.out(line)
    return Exit.FAILURE if story.wrong else Exit.SUCCESS


def _command(words: tuple[str, ...], session: SimulatedSession) -> tuple[int, list[str]]:
    from cli.main import run

    tool = words[0].removeprefix("gnt-")
    if tool not in TOOLS:
        raise CommandError(f"there is no command '{words[0]}'")
    return run(tool, words[1:], session), session.lines


def told(story: Story) -> list[str]:
    """For people."""
    lines = [f"Note: {note}" for note in story.notes]
    for played in story.events:
        lines += _event(played)
    lines.append(f"{_clock(story.ended_s)} the end:")
    lines += ["    there is no master: no command is answered"] * (not story.serves)
    lines += [f"    should run and does not: {', '.join(story.down)}"] * bool(story.down)
    lines += [f"    on one copy of its disks: {', '.join(story.single)}"] * bool(story.single)
    for job in story.jobs:
        why = f": {job.reason}" if job.reason else ""
        lines.append(f"    job {job.id} {job.summary} ({job.submitter}) is {job.status}{why}")
    lines += [f"    WRONG: {text}" for text in story.wrong]
    if story.serves and not (story.down or story.single or story.jobs or story.wrong):
        lines.append("    everything that should run runs")
    return lines


def _event(played: Played) -> list[str]:
    lines = [f"{_clock(played.at_s)} {played.event}"]
    lines += [f"    | {line}" for line in played.output if line]
    if played.exit_code is not None:
        lines.append(f"    ends with exit code {played.exit_code} after {played.took_s:g} s")
    lines += [f"    {effect}" for effect in played.effects]
    if not played.effects and played.exit_code is None:
        lines.append("    nothing changes")
    return lines


def _clock(seconds: float) -> str:
    """``1:02:03``"""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
