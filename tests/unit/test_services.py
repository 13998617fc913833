"""Who starts the daemons: systemd where it knows them, else the programs themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from clusterd.services import Ended, ServiceFailed, Services
from clusterd.settings import Directories, NodeSection, Settings


class PretendedMachine:
    """Remembers what is run; ``answers``: beginning of a command -> how it ends."""

    def __init__(self, answers: dict[str, Ended] | None = None) -> None:
        self.ran: list[str] = []
        self._answers = answers or {}

    def run(self, command: Sequence[str], timeout_s: float) -> Ended:
        line = " ".join(command)
        self.ran.append(line)
        found = [ended for begin, ended in self._answers.items() if line.startswith(begin)]
        return found[0] if found else Ended(0, "")

    def pause(self, duration_s: float) -> None:
        raise AssertionError("nothing to wait for")


def services(
    machine: PretendedMachine, directory: Path, *, systemd: bool, root: str = ""
) -> Services:
    place = directory / "systemd"
    if systemd:
        place.mkdir()
    settings = Settings(
        directories=Directories(run=str(directory / "run"), state=str(directory / "state")),
        node=NodeSection(role="master-candidate"),
        root=root,
    )
    return Services(settings, Path("/opt/clusterd/bin"), machine, systemd=place)


def test_systemd_starts_and_brings_up_after_a_reboot(tmp_path: Path) -> None:
    machine = PretendedMachine()
    services(machine, tmp_path, systemd=True).start("clusterd-node")
    assert machine.ran == [
        "systemctl cat clusterd-node.service",
        "systemctl enable --now clusterd-node.service",
    ]


def test_systemd_stops_for_good(tmp_path: Path) -> None:
    machine = PretendedMachine()
    services(machine, tmp_path, systemd=True).stop("clusterd-node")
    assert machine.ran[-1] == "systemctl disable --now clusterd-node.service"


@pytest.mark.parametrize("case", ["no systemd", "no unit", "prefix"])
def test_elsewhere_the_program_detaches_itself(tmp_path: Path, case: str) -> None:
    unknown = {"systemctl cat": Ended(1, "No files found")} if case == "no unit" else {}
    machine = PretendedMachine(unknown)
    root = str(tmp_path) if case == "prefix" else ""
    services(machine, tmp_path, systemd=case != "no systemd", root=root).start("clusterd-node")
    assert machine.ran[-1] == "/opt/clusterd/bin/clusterd-node"


def test_a_failure_is_told_with_the_daemon_s_own_words(tmp_path: Path) -> None:
    machine = PretendedMachine(
        {"/opt": Ended(1, "noise\nclusterd-node cannot start: the port is taken\n")}
    )
    with pytest.raises(ServiceFailed) as caught:
        services(machine, tmp_path, systemd=False).start("clusterd-node")
    assert str(caught.value).startswith("clusterd-node cannot start: noise / clusterd-node cannot")
    assert "/var/log/clusterd/clusterd-node.log" in str(caught.value)
    refuses = PretendedMachine({"systemctl disable": Ended(1, "Access denied")})
    with pytest.raises(ServiceFailed, match="cannot be stopped: Access denied"):
        services(refuses, tmp_path, systemd=True).stop("clusterd-node")


def test_all_are_started_and_stopped_in_order(tmp_path: Path) -> None:
    machine = PretendedMachine()
    told: list[str] = []
    every = services(machine, tmp_path, systemd=True)
    every.start_all(told.append)
    assert told == ["clusterd-node", "clusterd-master", "clusterd-rapi"]
    machine.ran.clear()
    every.stop_all()
    stopped = [line.split()[-1] for line in machine.ran if "disable" in line]
    assert stopped == [
        "clusterd-rapi.service",
        "clusterd-master.service",
        "clusterd-store.service",
        "clusterd-node.service",
    ]
