"""A cluster begins and ends on a machine: refused it changes nothing, cut off it is cleaned up."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli.founding import finished, open_store
from clusterd import bootstrap, certificates
from clusterd.bootstrap import Tools, check_master, destroy, initialise, recover
from clusterd.configuration import Configuration
from clusterd.errors import NoCluster, NotMaster, NotReady
from clusterd.founding import Founding
from clusterd.founding_checks import Known
from clusterd.master_address import AddressFailed, MasterAddress, address_of
from clusterd.services import Ended, ServiceFailed, Services
from clusterd.settings import NodeSection, Settings
from jobqueue.errors import Refused

FOUNDING = Founding(
    cluster_name="c.example.com",
    master_netdev="br0",
    enabled_disk_templates=("drbd", "plain"),
)
ADDRESS = "192.0.2.10"


class Cut(Exception):
    """The machine died here."""


class PretendedMachine:
    """A host with a bridge and a volume group. It dies at the command of number ``cut``, and then
    does nothing more; commands with ``fails`` in them fail."""

    def __init__(self) -> None:
        self.names = {"n1.example.com": "192.0.2.11", "c.example.com": ADDRESS}
        self.aliases: list[str] = []
        self.ran: list[str] = []
        self.slept_s = 0.0
        self.cut = -1
        self.fails = ""
        self._drawn = 0

    def run(self, command: Sequence[str], timeout_s: float) -> Ended:
        line = " ".join(command)
        self.ran.append(line)
        if 0 <= self.cut < len(self.ran):
            raise Cut(line)
        if self.fails and self.fails in line:
            return Ended(1, "it does not work")
        if line == "ip -j address":
            local = [{"local": text} for text in ("192.0.2.11", *self.aliases)]
            return Ended(0, json.dumps([{"ifname": "br0", "addr_info": local}]))
        if line.startswith("vgs "):
            return Ended(0, f"  xenvg|{64 * 1024**3}\n")
        if line.startswith("ip address replace "):
            self.aliases = [command[3].split("/")[0]]
        if line.startswith("ip address del "):
            if not self.aliases:
                return Ended(2, "RTNETLINK answers: Cannot assign requested address")
            self.aliases = []
        return Ended(0, "")

    def pause(self, duration_s: float) -> None:
        self.slept_s += duration_s

    def hostname(self) -> str:
        return "n1.example.com"

    def resolve(self, name: str, family: socket.AddressFamily) -> str | None:
        return self.names.get(name)

    def answers(self, address: str, port: int, timeout_s: float) -> bool:
        return False

    def now(self) -> float:
        return 1_800_000_000.0

    def uuid(self) -> str:
        self._drawn += 1
        return f"00000000-0000-4000-8000-{self._drawn:012d}"


class Place:
    """A prefix and the machine around it."""

    def __init__(self, directory: Path) -> None:
        self.settings = Settings(root=str(directory))
        self.machine = PretendedMachine()
        self.lines: list[str] = []
        self.door: Callable[[], bool] = lambda: True

    @property
    def tools(self) -> Tools:
        return Tools(
            machine=self.machine,
            services=lambda settings: Services(settings, Path("/opt/bin"), self.machine),
            open_store=open_store,
            door_answers=self.door,
            known=Known(hypervisors=("kvm",), disk_templates=("drbd", "plain", "file")),
            told=self.lines.append,
        )

    def init(self, **asked: Any) -> Settings:
        founding = msgspec.structs.replace(FOUNDING, **asked)
        return finished(initialise(founding, self.loaded(), self.tools))

    def loaded(self) -> Settings:
        """What a command finds."""
        try:
            return Settings.load(environment={"CLUSTERD_ROOT": self.settings.root})
        except NoCluster:
            return self.settings

    def files(self) -> list[str]:
        root = Path(self.settings.root)
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    def configuration(self) -> Configuration:
        store = open_store(self.settings.store_path)
        found = Configuration()
        finished(found.load(store))
        finished(store.close())
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_cluster_begins(place: Place) -> None:
    made = place.init()
    assert made.cluster.name == "c.example.com"
    loaded = place.loaded()
    assert (loaded.cluster, loaded.node, loaded.storage) == (made.cluster, made.node, made.storage)
    assert loaded.node.role == "master-candidate"
    assert loaded.storage.volume_groups == ("xenvg",)
    found = place.configuration()
    assert found.cluster.uuid == made.cluster.uuid
    (node,) = found.nodes()
    assert node.uuid == found.cluster.master_node
    assert [group.name for group in found.groups()] == ["default"]
    state = made.state_directory
    shown = certificates.describe(certificates.read_node(state).certificate)
    assert (shown.name, shown.role) == ("n1.example.com", "master-candidate")
    assert node.certificate == shown.fingerprint
    rapi = certificates.describe((state / "rapi.pem").read_bytes())
    assert (rapi.name, ADDRESS in rapi.addresses) == ("c.example.com", True)
    assert (state / "rapi" / "users").read_bytes() == b""
    assert (state / "ca.key").stat().st_mode & 0o777 == 0o600
    assert place.machine.aliases == [ADDRESS]
    started = [line for line in place.machine.ran if line.startswith("/opt/bin/")]
    assert started == [
        f"/opt/bin/{name}" for name in ("clusterd-node", "clusterd-master", "clusterd-rapi")
    ]
    assert bootstrap.MARKER not in " ".join(place.files())


def test_a_second_one_is_refused(place: Place) -> None:
    place.init()
    before = place.files()
    with pytest.raises(Refused, match="Cluster is already initialised") as caught:
        place.init()
    assert caught.value.reason == "wrong_state"
    assert place.files() == before


def test_what_is_refused_changed_nothing(place: Place) -> None:
    for asked in ({"master_netdev": "br9"}, {"vg_name": "vg9"}, {"cluster_name": "unknown"}):
        with pytest.raises(Refused):
            place.init(**asked)
    assert place.files() == []
    assert all(line.startswith(("ip -j", "vgs ")) for line in place.machine.ran)


@pytest.mark.parametrize("fails", ["clusterd-master", "clusterd-rapi", "ip address replace"])
def test_what_fails_is_taken_away(place: Place, fails: str) -> None:
    place.machine.fails = fails
    with pytest.raises((ServiceFailed, AddressFailed), match="it does not work"):
        place.init()
    assert place.files() == []
    assert place.machine.aliases == []
    place.machine.fails = ""
    place.init()


def test_a_master_that_does_not_answer_is_a_failure_in_bounded_time(place: Place) -> None:
    place.door = lambda: False
    with pytest.raises(NotReady, match="does not answer"):
        place.init()
    assert 59 < place.machine.slept_s < 61
    assert place.files() == []


def test_cut_off_anywhere_the_next_one_cleans_up_and_succeeds(tmp_path: Path) -> None:
    whole = Place(tmp_path / "whole")
    whole.init()
    files = whole.files()
    for number in range(2, len(whole.machine.ran)):
        place = Place(tmp_path / str(number))
        place.machine.cut = number
        with pytest.raises(Cut):
            place.init()
        left = place.files()
        assert f"var/lib/clusterd/{bootstrap.MARKER}" in left
        aliases = place.machine.aliases
        place.machine = PretendedMachine()
        place.machine.aliases = aliases
        place.init()
        assert "an earlier init did not finish; taking away what it made" in place.lines
        assert place.files() == files
        assert len(list(place.configuration().nodes())) == 1


def test_a_cluster_ends_and_the_operator_s_files_stay(place: Place) -> None:
    made = place.init()
    guest = made.state_directory / "guest" / "image"
    guest.parent.mkdir()
    guest.write_text("mine")
    (made.config_directory / "hooks").mkdir()
    found = place.configuration()
    destroy(place.loaded(), place.tools, address_of(found.cluster))
    assert place.files() == ["var/lib/clusterd/guest/image"]
    assert place.machine.aliases == []
    assert not recover(place.loaded(), place.tools)
    place.init()


def test_an_end_that_was_cut_off_goes_on(place: Place) -> None:
    place.init()
    address = address_of(place.configuration().cluster)
    place.machine.cut = len(place.machine.ran)
    with pytest.raises(Cut):
        destroy(place.loaded(), place.tools, address)
    aliases = place.machine.aliases
    place.machine = PretendedMachine()
    place.machine.aliases = aliases
    assert recover(place.loaded(), place.tools)
    assert place.files() == []
    assert place.machine.aliases == []


def test_ports_that_were_set_before_stay_when_the_cluster_ends(place: Place) -> None:
    own = Settings(node=NodeSection(port=2811))
    place.settings.path.parent.mkdir(parents=True)
    place.settings.path.write_text(own.to_toml())
    assert place.init().node.port == 2811
    destroy(place.loaded(), place.tools, MasterAddress())
    assert place.settings.path.read_text() == own.to_toml()


def test_only_the_master_may_be_master(place: Place) -> None:
    made = place.init()
    store = open_store(made.store_path)
    cluster, node = finished(check_master(store, made))
    assert (cluster.name, node.name) == ("c.example.com", "n1.example.com")
    other = msgspec.structs.replace(made.node, name="n2.example.com")
    with pytest.raises(NotMaster, match=r"the master is n1\.example\.com"):
        finished(check_master(store, msgspec.structs.replace(made, node=other)))
    plain = msgspec.structs.replace(made.node, role="node")
    with pytest.raises(NotMaster, match="not a candidate"):
        finished(check_master(store, msgspec.structs.replace(made, node=plain)))
    finished(store.close())
    empty = open_store(made.state_directory / "empty.sqlite")
    with pytest.raises(NoCluster):
        finished(check_master(empty, made))
    finished(empty.close())


def test_the_address_is_set_up_and_taken_down_again_and_again() -> None:
    machine = PretendedMachine()
    address = MasterAddress(ip=ADDRESS, netmask=32, netdev="br0")
    for _ in range(2):
        address.up(machine)
        assert machine.aliases == [ADDRESS]
    for _ in range(2):
        address.down(machine)
        assert machine.aliases == []
    MasterAddress().up(machine)
    assert machine.aliases == []
    assert f"arping -q -U -c 1 -w 1 -I br0 {ADDRESS}" in machine.ran
