"""Input that is wrong in an unusual way is refused; it never ends a daemon."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from clusterd import parameters
from clusterd.doorway.protocol import BadMessage, decode_request
from clusterd.opcodes import drafts, instance_set_params, requirements
from clusterd.opcodes.instance_create import InstanceCreate
from clusterd.opcodes.instance_set_params import InstanceSetParams
from clusterd.queries.job import number_of
from jobqueue.errors import JournalBroken, Refused
from jobqueue.job import Status
from jobqueue.step import Steps
from rapi.errors import NotFound
from rapi.resources.table import routes
from rapi.routes import Table
from tests.unit.door_house import House, refusal
from tests.unit.small_cluster import SmallCluster, instance
from tests.unit.test_executor import Play
from tests.unit.toy_cluster import Put, PutAll

LONG = "9" * 5000
"""More digits than Python turns into a number."""


@pytest.mark.parametrize("name", [5, {"a": 1}, ["x"], False])
def test_a_name_of_a_disk_or_card_is_text(name: Any) -> None:
    with pytest.raises(Refused, match="Disk 0: the name is not text"):
        drafts.item_name("Disk 0", {"name": name})


@pytest.mark.parametrize(("name", "kept"), [("", None), (None, None), ("data", "data")])
def test_an_empty_name_is_none(name: Any, kept: str | None) -> None:
    assert drafts.item_name("Disk 0", {"name": name}) == kept


def test_a_step_that_cannot_be_read_back_refuses_its_job_and_no_other() -> None:
    play = Play()
    bad, good = play.submit([PutAll(names=("unspeakable",))], [PutAll(names=("a",))])
    play.settle()
    assert not play.master.failures
    assert (play.status(bad), play.status(good)) == (Status.ERROR, Status.SUCCESS)
    assert play.result(bad)[0] == "OpExecError"
    assert play.toys.things == {"a"}


def test_a_stored_step_of_another_shape_is_a_broken_journal() -> None:
    steps = Steps((Put,))
    with pytest.raises(JournalBroken, match="unreadable step"):
        steps.decode(msgspec.json.encode({"step": "toy.put", "name": 5}))


def test_deep_nesting_is_no_request() -> None:
    with pytest.raises(BadMessage, match="Not a LUXI request"):
        decode_request(b'{"method":"Query","args":' + b"[" * 5000 + b"]" * 5000 + b"}")


def test_a_long_number_is_no_job() -> None:
    assert "is not a job number" in refusal(House(), "CancelJob", LONG)[1]
    assert number_of(LONG) is None
    assert number_of("12") == 12


@pytest.mark.parametrize("job", [LONG, "\u0663", "1\n"])
def test_paths_of_jobs_are_plain_numbers(job: str) -> None:
    with pytest.raises(NotFound):
        Table(routes()).find("GET", f"/2/jobs/{job}")


@pytest.mark.parametrize("name", ["web1\n", "a/b", "", "-x"])
def test_names_of_instances_end_where_they_end(name: str) -> None:
    body = {"OP_ID": "OP_INSTANCE_CREATE", "instance_name": name, "disks": [], "nics": []}
    with pytest.raises(msgspec.ValidationError, match="instance_name"):
        msgspec.convert(body, type=InstanceCreate)
    assert msgspec.convert({**body, "instance_name": "web1"}, type=InstanceCreate)


def test_tags_and_addresses_end_where_they_end() -> None:
    requirements.tags_valid(("ab",))
    with pytest.raises(Refused, match="Invalid tag"):
        requirements.tags_valid(("ab\n",))
    assert drafts.MAC.match("aa:00:00:00:00:01")
    assert not drafts.MAC.match("aa:00:00:00:00:01\n")


@pytest.mark.parametrize(
    ("cards", "said"),
    [
        (9, "9 network cards asked for, at most 8"),
        (2, "MAC address aa:00:00:00:77:77 already in use"),
    ],
)
def test_cards_that_are_added_are_few_and_differ(cards: int, said: str) -> None:
    mac = {} if cards > 8 else {"mac": "aa:00:00:00:77:77"}
    card = {"mode": "routed", "ip": "10.0.0.9", **mac}
    cluster = SmallCluster(instance("cards.example.com"))
    opcode = InstanceSetParams(
        instance_name="cards.example.com", nics=tuple(("add", -1, card) for _ in range(cards))
    )
    with pytest.raises(Refused, match=said):
        instance_set_params.check(opcode, cluster.view())
    one = msgspec.structs.replace(opcode, nics=opcode.nics[:1])
    instance_set_params.check(one, cluster.view())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"maxmem": 2**60}, "must be between"),
        ({"vcpus": "1e400"}, "not a number"),
        ({"vcpus": "-" + LONG[:30]}, "must be between"),
    ],
)
def test_a_backend_parameter_has_a_bound(given: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        parameters.beparams(given, {})


@pytest.mark.parametrize("value", ["a\0b", "a\nb", "x" * 5000])
def test_a_parameter_is_printable_text(value: str) -> None:
    with pytest.raises(Refused, match="printable text"):
        parameters.hypervisor("kvm", {"kernel_path": value}, {})


@pytest.mark.parametrize("name", ["noop\0", "../noop", "noop variant", ""])
def test_names_of_operating_systems_are_plain(name: str) -> None:
    body = {"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": "web1", "os_name": name}
    with pytest.raises(msgspec.ValidationError, match="os_name"):
        msgspec.convert(body, type=InstanceSetParams)
    body["os_name"] = "debootstrap+default"
    assert msgspec.convert(body, type=InstanceSetParams)
