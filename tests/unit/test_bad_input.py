"""Input that is wrong in an unusual way is refused; it never ends a daemon."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from clusterd import ipolicy, parameters, tags
from clusterd.doorway.protocol import BadMessage, decode_request
from clusterd.model import Policy
from clusterd.opcodes import (
    cards,
    cluster_set_params,
    drafts,
    guest_os,
    instance_set_params,
    registry,
    requirements,
    roles,
)
from clusterd.opcodes.cluster_set_params import ClusterSetParams
from clusterd.opcodes.instance_create import InstanceCreate
from clusterd.opcodes.instance_set_params import InstanceSetParams
from clusterd.opcodes.node_set_params import NodeSetParams
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

REGISTRY = registry()
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
    tags.require_valid(("ab",))
    with pytest.raises(Refused, match="Invalid tag"):
        tags.require_valid(("ab\n",))
    assert cards.MAC.match("aa:00:00:00:00:01")
    assert not cards.MAC.match("aa:00:00:00:00:01\n")


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


def said(opcode: str, **fields: Any) -> str:
    """Why an opcode from outside is refused."""
    with pytest.raises(Refused) as refused:
        REGISTRY.decode({"OP_ID": opcode, **fields})
    assert refused.value.reason == "wrong_input"
    return str(refused.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "'instance_name' is missing"),
        (
            {"instance_name": "a b"},
            "'instance_name' cannot be 'a b': use letters, digits, '.', '_' and '-', the first a "
            "letter or a digit",
        ),
        ({"instance_name": 5}, "'instance_name' cannot be 5: expected text, got a whole number"),
        ({"instance_name": "x" * 300}, "expected text of length <= 255"),
        ({"instance_name": "x", "timeout": -5}, "'timeout' cannot be -5: expected a whole number"),
    ],
)
def test_what_is_wrong_with_a_field_is_said_in_words(fields: dict[str, Any], words: str) -> None:
    told = said("OP_INSTANCE_SHUTDOWN", **fields)
    assert told.startswith("OP_INSTANCE_SHUTDOWN: ")
    assert words in told
    assert "regex" not in told


def test_what_is_wrong_tells_the_values_that_are_right() -> None:
    told = said("OP_INSTANCE_REBOOT", instance_name="x", reboot_type="side")
    assert told.endswith("'reboot_type' cannot be 'side': use one of soft, hard, full")
    assert "cannot be 'x': expected a whole number or nothing, got text" in said(
        "OP_CLUSTER_SET_PARAMS", candidate_pool_size="x"
    )


def test_nothing_is_counted_beyond_what_can_be() -> None:
    for field in ("candidate_pool_size", "max_running_jobs", "max_tracked_jobs"):
        assert "<= 2147483647" in said("OP_CLUSTER_SET_PARAMS", **{field: 10**30})
    assert "<= 128" in said("OP_CLUSTER_SET_PARAMS", master_netmask=500)


BOUNDS = {"memory-size": 4096, "cpu-count": 1}


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"nosuch": 1}, "'nosuch' is no part of it; there are minmax, std"),
        ({"disk-templates": ["nosuch"]}, "unknown disk template 'nosuch'"),
        ({"vcpu-ratio": 0}, "vcpu-ratio 0.0 is not a positive number"),
        ({"spindle-ratio": "much"}, "Instance policy: "),
        ({"std": {"nosuch": 1}}, "'nosuch' is no size of instances"),
        ({"std": {"cpu-count": -1}}, "cpu-count -1 is not between 0 and"),
        (
            {"minmax": [{"min": BOUNDS, "max": {**BOUNDS, "memory-size": 1024}}]},
            "memory-size: the minimum 4096 is above the maximum 1024",
        ),
    ],
)
def test_an_instance_policy_makes_sense(policy: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        cluster_set_params.check(ClusterSetParams(ipolicy=policy), SmallCluster().view())


def test_values_of_an_instance_policy_are_taken_back() -> None:
    own = ipolicy.changed({"vcpu-ratio": 2.0, "disk-templates": ["plain"]}, Policy())
    assert own.vcpu_ratio == 2.0
    assert ipolicy.changed({"vcpu-ratio": "default", "disk-templates": None}, own) == Policy()


def test_a_change_may_not_break_the_policy() -> None:
    cluster = SmallCluster(instance("much.example.com"))
    opcode = InstanceSetParams(instance_name="much.example.com", beparams={"maxmem": 999_999})
    with pytest.raises(Refused, match="memory-size value 999999 is not in range"):
        instance_set_params.check(opcode, cluster.view())
    instance_set_params.check(msgspec.structs.replace(opcode, ignore_ipolicy=True), cluster.view())


def test_the_name_of_an_allocator_leads_nowhere() -> None:
    opcode = ClusterSetParams(default_iallocator="../x")
    with pytest.raises(Refused, match=r"'\.\./x' cannot be the name of an iallocator"):
        cluster_set_params.check(opcode, SmallCluster().view())


def test_addresses_of_nodes_are_addresses_and_theirs_alone() -> None:
    view = SmallCluster().view()
    first, second = list(view.configuration.nodes())[:2]
    requirements.addresses_free(view, first.name, first.secondary_ip, None, "")
    with pytest.raises(Refused, match="is not an IP address"):
        requirements.valid_address("300.1.1.1")
    with pytest.raises(Refused, match=f"conflicts with node {second.name}"):
        requirements.addresses_free(view, first.name, second.secondary_ip)
    opcode = NodeSetParams(node_name=first.name, secondary_ip="node2")
    with pytest.raises(Refused, match="'node2' is not an IP address"):
        roles.check(opcode, view)


def test_an_operating_system_takes_the_parameters_that_it_lists() -> None:
    view = SmallCluster().view()
    node = next(
        node
        for node in view.configuration.nodes()
        if view.sight(node).observation.oses  # type: ignore[union-attr]
    )
    guest_os.parameters_known(view, node, "noop+tiny", ["colour"])
    with pytest.raises(Refused, match="OS 'noop' has no parameter 'nosuch': it takes colour"):
        guest_os.parameters_known(view, node, "noop+tiny", ["nosuch", "colour"])
