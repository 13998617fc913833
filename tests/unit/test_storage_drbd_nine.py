"""What DRBD 9 is told, and how the version is found."""

from __future__ import annotations

import msgspec
import pytest

from storage import errors
from storage.commands import command_failed
from storage.drbd_errors import refusal_of
from storage.drbd_kernel import LOAD, PROC, Eight, Nine, find_kernel, load_kernel
from storage.drbd_options import DrbdParameters
from storage.drbd_plan import Argv, clean_generation, exchange
from storage.drbd_plan_nine import (
    allow_two_primaries,
    bring_up,
    connect,
    create_metadata,
    live_generation,
    primary,
    secondary,
    start_clean,
)
from storage.drbd_state import Resource
from storage.interface import USUAL, Output, Surroundings
from tests.unit import driving
from tests.unit.test_storage_drbd import DEFAULTS, MIRROR, VOLUME, other_side
from tests.unit.test_storage_drbd_nine_states import FOUND, PARTED, SHOW, STATUS

PROC_NINE = (
    "version: 9.2.14 (api:2/proto:118-122)\nGIT-hash: 5a1b\nTransports (api:21): tcp (9.2.14)\n"
)


class Told:
    """A machine that answers from a table; what is not in it fails."""

    def __init__(self, proc: str, answers: dict[Argv, Output] | None = None) -> None:
        self.proc = proc
        self.answers = answers or {}
        self.asked: list[Argv] = []

    async def run(
        self,
        *argv: str,
        timeout_s: float = 60.0,
        check: bool = True,
        stdin: str | None = None,
        around: Surroundings = USUAL,
    ) -> Output:
        self.asked.append(argv)
        output = self.answer(argv)
        if check and output.code != 0:
            raise command_failed(argv, output)
        return output

    async def read(self, path: str) -> str:
        return self.proc if path == PROC else ""

    def answer(self, argv: Argv) -> Output:
        """What a program says."""
        return self.answers.get(argv, Output(code=20, stdout="", stderr="not in the table"))


def verbs(commands: tuple[Argv, ...]) -> list[str]:
    return [command[1] if command[0] == "drbdsetup" else command[-1] for command in commands]


def test_nothing_there_is_brought_up_whole() -> None:
    commands = bring_up(VOLUME, MIRROR, DEFAULTS, None)
    assert verbs(commands) == [
        "new-resource",
        "new-minor",
        "apply-al",
        "attach",
        "new-peer",
        "peer-device-options",
        "new-path",
        "connect",
    ]
    # QEMU's opening of the device must not make it primary
    assert commands[0] == ("drbdsetup", "new-resource", "resource0", "0", "--auto-promote=no")
    assert commands[3][2:6] == (
        "0",
        "/dev/xenvg/u.disk0_data",
        "/dev/xenvg/u.disk0_meta",
        "flexible",
    )
    assert set(commands[3][6:]) == {"--size=50M", "--on-io-error=detach"}
    assert commands[4][2:4] == ("resource0", "1")
    assert {"--_name=n2", "--protocol=C", "--shared-secret=abcdef"} < set(commands[4])
    assert commands[5][2:] == ("resource0", "1", "0", "--c-plan-ahead=0", "--resync-rate=61440")
    assert commands[6][2:] == (
        "resource0",
        "1",
        "ipv4:192.0.2.1:11000",
        "ipv4:192.0.2.2:11000",
    )
    assert commands[7][2:] == ("resource0", "1")


def test_the_two_sides_have_each_others_ids() -> None:
    mine = bring_up(VOLUME, MIRROR, DEFAULTS, None)
    theirs = bring_up(VOLUME, other_side(MIRROR), DEFAULTS, None)
    assert (mine[0][3], mine[-1][3]) == ("0", "1")
    assert (theirs[0][3], theirs[-1][3]) == ("1", "0")


PEER = ["new-peer", "peer-device-options", "new-path", "connect"]


@pytest.mark.parametrize(
    ("found", "missing"),
    [
        (Resource(name="resource0"), ["new-minor", "apply-al", "attach", *PEER]),
        (Resource(name="resource0", minor=0), ["apply-al", "attach", *PEER]),
        (msgspec.structs.replace(FOUND, local=None, peer=None, peer_id=None), PEER),
        (
            # killed between new-peer and new-path
            msgspec.structs.replace(PARTED, local=None, peer=None),
            ["del-peer", *PEER],
        ),
        (PARTED, ["connect"]),
        (msgspec.structs.replace(FOUND, data=None, meta=None), ["apply-al", "attach"]),
        (
            msgspec.structs.replace(FOUND, peer="ipv4:192.0.2.9:11000"),
            ["disconnect", "del-peer", *PEER],
        ),
        (msgspec.structs.replace(FOUND, secret="old"), ["disconnect", "del-peer", *PEER]),
        (msgspec.structs.replace(PARTED, peer_id=7), ["del-peer", *PEER]),
        (FOUND, []),
    ],
)
def test_half_done_is_finished(found: Resource, missing: list[str]) -> None:
    commands = bring_up(VOLUME, MIRROR, DEFAULTS, found)
    assert verbs(commands) == missing
    for command in commands:
        if command[1] in ("disconnect", "del-peer"):
            assert command[3] == str(found.peer_id)


def test_giving_up_changes_needs_a_new_connection() -> None:
    old, new = connect(MIRROR, DEFAULTS, FOUND, discard_local=True)
    assert old == ("drbdsetup", "disconnect", "resource0", "1")
    assert new == ("drbdsetup", "connect", "resource0", "1", "--discard-my-data")
    (new,) = connect(MIRROR, DEFAULTS, PARTED, discard_local=True)
    assert new[-1] == "--discard-my-data"


def test_other_data_are_put_under_an_attached_device() -> None:
    commands = exchange(Nine.plan, VOLUME, MIRROR, DEFAULTS, FOUND)
    assert verbs(commands) == ["resource-options", "detach", "apply-al", "attach"]


def test_roles_and_the_window_go_by_the_resource() -> None:
    assert primary(MIRROR, FOUND, overwrite=False) == ("drbdsetup", "primary", "resource0")
    assert primary(MIRROR, FOUND, overwrite=True)[-1] == "--force"
    assert secondary(MIRROR, FOUND) == ("drbdsetup", "secondary", "resource0")
    window = allow_two_primaries(MIRROR, FOUND, "B", allowed=True)
    assert window[1:4] == ("net-options", "resource0", "1")
    assert window[4:] == ("--protocol=C", "--allow-two-primaries=yes")
    assert live_generation(MIRROR)[2:] == ("resource0", "1", "0")


def test_metadata_have_room_for_the_peer_and_start_equal() -> None:
    assert create_metadata(MIRROR)[-2:] == ("create-md", "1")
    assert create_metadata(MIRROR)[3] == "v09"
    argv, text = start_clean(VOLUME, MIRROR)
    assert text is None
    assert argv[-4:-1] == ("set-gi", "--node-id", "1")
    assert argv[-1] == f"{clean_generation(VOLUME, MIRROR):016X}:0:0:0:1:1"
    theirs, _ = start_clean(VOLUME, other_side(MIRROR))
    assert (theirs[-2], theirs[-1]) == ("0", argv[-1])


def test_options_of_the_disk_go_where_nine_keeps_them() -> None:
    parameters = DrbdParameters(
        dynamic_resync=True,
        disk_barriers="bf",
        disk_custom="--al-extents=1237 --fencing=resource-only --c-max-rate=9000",
        net_custom="--ping-int=9",
    )
    commands = {command[1]: command for command in bring_up(VOLUME, MIRROR, parameters, None)}
    assert set(commands["attach"][6:]) == {
        "--size=50M",
        "--on-io-error=detach",
        "--disk-barrier=no",
        "--disk-flushes=no",
        "--al-extents=1237",
    }
    assert set(commands["peer-device-options"][5:]) == {
        "--c-plan-ahead=20",
        "--c-delay-target=1",
        "--c-fill-target=0",
        "--c-max-rate=9000",
        "--c-min-rate=4096",
    }
    assert {"--fencing=resource-only", "--ping-int=9"} < set(commands["new-peer"])


# -- which one runs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proc", "kernel"),
    [
        ("", None),
        ("version: 8.4.11 (api:1/proto:86-101)\n", Eight),
        (PROC_NINE, Nine),
        ("version: 9.1.23 (api:2/proto:110-121)\n", Nine),
    ],
)
def test_the_version_is_found(proc: str, kernel: type | None) -> None:
    found = driving.now(find_kernel(Told(proc)))
    assert (type(found) if found else None) is kernel


@pytest.mark.parametrize("proc", ["version: 8.3.11 (api:88)\n", "version: 10.0.0\n", "?\n"])
def test_other_versions_are_refused(proc: str) -> None:
    with pytest.raises(errors.BadParameter, match=r"8\.4 or 9"):
        driving.now(load_kernel(Told(proc)))


def test_a_kernel_without_drbd_is_refused() -> None:
    machine = Told("", {LOAD: Output(code=0, stdout="", stderr="")})
    with pytest.raises(errors.BadParameter, match="none"):
        driving.now(load_kernel(machine))
    assert machine.asked == [LOAD]


def test_what_nine_is_asked() -> None:
    status = ("drbdsetup", "status", "--json", "resource0")
    show = ("drbdsetup", "show", "resource0")
    gone = Output(code=10, stdout="", stderr="resource0: No such resource\n")
    machine = Told(
        PROC_NINE,
        {
            status: Output(code=0, stdout=STATUS, stderr=""),
            show: Output(code=0, stdout=SHOW, stderr=""),
        },
    )
    kernel = driving.now(load_kernel(machine))
    state = driving.now(kernel.state(MIRROR))
    assert state is not None
    assert state.role == "Primary"
    assert driving.now(kernel.shown(MIRROR)) == FOUND
    machine.answers[status] = gone
    assert driving.now(kernel.state(MIRROR)) is None
    machine.answers[status] = Output(code=0, stdout="?", stderr="")
    with pytest.raises(errors.CommandFailed, match="cannot be read"):
        driving.now(kernel.state(MIRROR))
    machine.answers[status] = Output(code=20, stdout="", stderr="netlink error")
    with pytest.raises(errors.CommandFailed, match="netlink error"):
        driving.now(kernel.state(MIRROR))


@pytest.mark.parametrize(
    ("complaint", "error"),
    [
        ("State change failed: (-1) Multiple primaries not allowed", errors.SecondPrimary),
        ("State change failed: (-2) Need access to UpToDate data", errors.NotUpToDate),
        ("State change failed: (-7) Refusing to be Primary while", errors.NotUpToDate),
        ("State change failed: (-12) Device is held open by someone", errors.VolumeBusy),
        ("State change failed: (-19) Concurrent state changes", errors.VolumeBusy),
        ("State change failed: (-23) Timeout in operation", errors.VolumeBusy),
        ("Failure: (161) Minor or volume exists already", errors.VolumeBusy),
        ("Failure: (119) No valid meta-data signature found.", errors.CommandFailed),
    ],
)
def test_what_its_refusals_mean(complaint: str, error: type[Exception]) -> None:
    output = Output(code=11, stdout="", stderr=f"resource0: {complaint}\n")
    assert type(refusal_of(("drbdsetup", "primary"), output, "u.disk0_data")) is error
