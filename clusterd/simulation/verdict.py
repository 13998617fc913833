"""What came of a trial, and the line that repeats it."""

from __future__ import annotations

import msgspec

from clusterd.simulation.faults import Fault
from clusterd.simulation.portrait import Portrait
from jobqueue.job import Status


class Verdict(msgspec.Struct, kw_only=True):
    """What came of a trial."""

    scenario: str
    faults: tuple[Fault, ...]
    wrong: list[str]
    calls: int
    commits: int
    status: Status | None
    """Of the job; None when nobody was told of it."""
    struck: tuple[str, ...] = ()
    """The faults that came to pass, each with its node."""
    after: Portrait = ()
    """The end, of a trial without faults."""

    @property
    def again(self) -> str:
        """The line that repeats it."""
        line = f"python -m clusterd.simulation.explore --scenario {self.scenario}"
        chosen = ",".join(map(str, self.faults))
        return f"{line} --faults {chosen}" if chosen else line


def broken(name: str, faults: tuple[Fault, ...], error: Exception) -> Verdict:
    """Of a trial that raised."""
    text = f"the trial broke: {type(error).__name__}: {error}"
    return Verdict(scenario=name, faults=faults, wrong=[text], calls=0, commits=0, status=None)
