"""The verbs of the backend on a node with DRBD 9: what is looked at, and what is told to it."""

from __future__ import annotations

import msgspec
import pytest

from storage import errors
from storage.drbd import DrbdBackend
from storage.drbd_plan import Argv
from storage.interface import Output
from storage.volume import Health, Link, Role, Volume, VolumeStatus
from tests.unit.driving import now
from tests.unit.test_storage_drbd import VOLUME
from tests.unit.test_storage_drbd_nine import PROC_NINE, Told
from tests.unit.test_storage_drbd_nine_states import SHOW, STATUS, SYNCING

STATUS_ASKED = ("drbdsetup", "status", "--json", "resource0")
SHOW_ASKED = ("drbdsetup", "show", "resource0")
GENERATION_ASKED = ("drbdsetup", "get-gi", "resource0", "1", "0")
SECONDARY = STATUS.replace('"role": "Primary"', '"role": "Secondary"')
ALONE = (
    SECONDARY.replace('"Connected"', '"StandAlone"')
    .replace("Established", "Off")
    .replace('"peer-role": "Secondary"', '"peer-role": "Unknown"')
    .replace('"peer-disk-state": "UpToDate"', '"peer-disk-state": "DUnknown"')
)
SPLIT = "1234567890ABCDE0:00000000000000AA:0000000000000000:0000000000000000:1:1:0:0:1:0:0:0\n"


class NineNode(Told):
    """A node with DRBD 9: what it tells is set, what it is told is kept and succeeds."""

    def __init__(self, status: str, show: str = SHOW) -> None:
        super().__init__(PROC_NINE)
        self.answers = {
            STATUS_ASKED: Output(code=0, stdout=status, stderr=""),
            SHOW_ASKED: Output(code=0, stdout=show, stderr=""),
            GENERATION_ASKED: Output(code=0, stdout=SPLIT, stderr=""),
        }

    def answer(self, argv: Argv) -> Output:
        return self.answers.get(argv, Output(code=0, stdout="", stderr=""))

    @property
    def told(self) -> list[Argv]:
        return [argv for argv in self.asked if argv not in self.answers]


def on(status: str, show: str = SHOW) -> tuple[DrbdBackend, NineNode]:
    node = NineNode(status, show)
    return DrbdBackend(node, ("xenvg",)), node


def test_look_takes_two_programs() -> None:
    backend, node = on(STATUS)
    assert now(backend.look(VOLUME)) == VolumeStatus(
        uuid="u",
        present=True,
        path="/dev/drbd0",
        size_mib=50,
        role=Role.PRIMARY,
        peer_role=Role.SECONDARY,
        link=Link.CONNECTED,
        health=Health.OK,
        peer_health=Health.OK,
    )
    assert node.asked == [STATUS_ASKED, SHOW_ASKED]


def test_a_secondary_is_opened_and_closed_by_the_resources_name() -> None:
    backend, node = on(SECONDARY)
    now(backend.open(VOLUME))
    now(backend.close(VOLUME))
    assert node.told == [("drbdsetup", "primary", "resource0")]
    backend, node = on(STATUS)
    now(backend.open(VOLUME))
    now(backend.close(VOLUME))
    assert node.told == [("drbdsetup", "secondary", "resource0")]


def test_nothing_bad_is_opened() -> None:
    backend, node = on(SYNCING)
    with pytest.raises(errors.SecondPrimary):
        now(backend.open(VOLUME, force=True))
    backend, node = on(SYNCING.replace('"peer-role": "Primary"', '"peer-role": "Secondary"'))
    with pytest.raises(errors.NotUpToDate):
        now(backend.open(VOLUME, force=True))
    backend, node = on(ALONE)
    with pytest.raises(errors.SplitBrain):
        now(backend.open(VOLUME))
    assert node.told == []
    now(backend.open(VOLUME, force=True))
    assert node.told == [("drbdsetup", "primary", "resource0")]


@pytest.mark.parametrize("discard", [False, True])
def test_a_split_brain_is_healed_on_order(discard: bool) -> None:
    show = SHOW.replace("        net {", "        _is_standalone;\n        net {")
    backend, node = on(ALONE, show)
    now(backend.reconnect(VOLUME, discard_local=discard))
    words = ("--discard-my-data",) if discard else ()
    assert node.told == [("drbdsetup", "connect", "resource0", "1", *words)]


def test_the_window_of_a_migration() -> None:
    backend, node = on(SECONDARY)
    now(backend.share(VOLUME, allowed=True))
    now(backend.share(VOLUME, allowed=False))
    yes = "--allow-two-primaries=yes"
    assert node.told == [("drbdsetup", "net-options", "resource0", "1", yes)]
    backend, _ = on(ALONE)
    with pytest.raises(errors.NotUpToDate):
        now(backend.share(VOLUME, allowed=True))


def test_a_larger_device_and_none() -> None:
    larger: Volume = msgspec.structs.replace(VOLUME, size_mib=80)
    backend, node = on(STATUS)
    now(backend.resize(VOLUME))
    now(backend.resize(larger))
    now(backend.detach(VOLUME))
    assert node.told == [
        ("drbdsetup", "resize", "0", "--size=80M"),
        ("drbdsetup", "down", "resource0"),
    ]


def test_the_minor_of_another_volume_is_left_alone() -> None:
    backend, node = on(STATUS, SHOW.replace("u.disk0_data", "x.disk0_data"))
    now(backend.detach(VOLUME))
    with pytest.raises(errors.VolumeBusy, match="holds /dev/xenvg/x"):
        now(backend.open(VOLUME))
    assert node.told == []
