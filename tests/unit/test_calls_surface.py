"""The calls are what the declarations say, on both sides."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

import msgspec
import pytest

from clusterd.calls.remote import Ids, RemoteCalls, RemoteNodes
from clusterd.calls.surface import (
    INTERFACES,
    READS,
    BadCall,
    Surface,
    UnknownVerb,
    abstract_names,
    decode_result,
)
from clusterd.verbs.declare import verb
from clusterd.verbs.host import Host
from clusterd.world import NodeWorld, OsRun
from hypervisors.guest import Guest
from storage.interface import Backend
from storage.volume import Template, VolumeStatus
from tests.unit.call_rig import volume
from tests.waiting import settled

SURFACE = Surface()
PLUGIN_VERBS = [
    (family, name) for family, interface in INTERFACES.items() for name in abstract_names(interface)
]
WORLD_VERBS = [
    name
    for name, value in vars(NodeWorld).items()
    if inspect.iscoroutinefunction(value) and not name.startswith("_")
]


class Tape:
    """A caller that remembers what it was asked; answers by verb, None to others."""

    def __init__(self, **values: Any) -> None:
        self.requests: list[Any] = []
        self._values = values

    async def call(self, request: Any) -> msgspec.Raw:
        self.requests.append(request)
        return msgspec.Raw(msgspec.msgpack.encode(self._values.get(request.verb)))


def remote(tape: Tape) -> Any:
    calls = RemoteCalls("n1", tape, Ids("f"), SURFACE, lambda node, seen: None)
    return RemoteNodes(SURFACE).node(calls)


@pytest.mark.parametrize(("family", "name"), PLUGIN_VERBS)
def test_each_abstract_method_is_a_call_with_a_proxy_of_the_same_signature(
    family: str, name: str
) -> None:
    interface = INTERFACES[family]
    node = remote(Tape())
    proxy = node.storage("drbd") if family == "storage" else node.hypervisor("kvm")
    assert isinstance(proxy, interface)
    declared = inspect.signature(getattr(interface, name))
    made = getattr(type(proxy), name)
    assert inspect.signature(made) == declared
    assert inspect.iscoroutinefunction(made)
    found = SURFACE.family(family)[name]
    assert [field.name for field in msgspec.structs.fields(found.arguments)] == [
        parameter for parameter in declared.parameters if parameter != "self"
    ]
    assert found.reads or found.subject_kind, "a change says what it changes"


def test_the_interfaces_have_no_other_public_coroutines() -> None:
    for family, interface in INTERFACES.items():
        coroutines = {
            name for name, value in vars(interface).items() if inspect.iscoroutinefunction(value)
        }
        assert coroutines == set(SURFACE.family(family))
        assert READS[family] <= coroutines


@pytest.mark.parametrize("name", WORLD_VERBS)
def test_the_verbs_of_nodes_are_those_of_the_world(name: str) -> None:
    found = SURFACE.family("node")[name]
    wanted = getattr(NodeWorld, name)
    hints = get_type_hints(wanted)
    parameters = [one for one in inspect.signature(wanted).parameters if one != "self"]
    assert [field.name for field in msgspec.structs.fields(found.arguments)] == parameters
    own = get_type_hints(found.function)
    assert {one: own[one] for one in parameters} == {one: hints[one] for one in parameters}
    assert found.result == hints["return"]


def test_every_path_is_found_again() -> None:
    assert "node.observe" in SURFACE.paths()
    assert "storage.*.ensure" in SURFACE.paths()
    for path in SURFACE.paths():
        found, plugin = SURFACE.find(path.replace("*", "x"))
        assert found.path(plugin) == path.replace("*", "x")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "node",
        "node.nothing",
        "node.kvm.observe",
        "storage.ensure",
        "storage.a.b.ensure",
        "x.y.z",
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(UnknownVerb):
        SURFACE.find(path)


def test_arguments_come_out_as_they_went_in() -> None:
    attach = SURFACE.family("storage")["attach"]
    assert attach.decode(attach.encode(volume(), clean=True)) == {
        "volume": volume(),
        "clean": True,
    }
    assert attach.decode(attach.encode(volume=volume())) == {"volume": volume(), "clean": False}
    with pytest.raises(TypeError):
        attach.encode(volume(), True)


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"volume": "v1"},
        {"volume": msgspec.to_builtins(volume()), "force": 1},
        {"volume": msgspec.to_builtins(volume()), "forse": True},
        {"volume": msgspec.to_builtins(volume()) | {"colour": "red"}},
        {"volume": msgspec.to_builtins(volume()) | {"size_mib": "1024"}},
        [1],
    ],
)
def test_arguments_of_another_shape_are_refused(args: Any) -> None:
    found = SURFACE.family("storage")["open"]
    with pytest.raises(BadCall):
        found.decode(msgspec.Raw(msgspec.msgpack.encode(args)))


def test_a_result_of_another_shape_is_refused() -> None:
    found = SURFACE.family("storage")["attach"]
    assert decode_result(found, msgspec.Raw(msgspec.msgpack.encode("/dev/x"))) == "/dev/x"
    with pytest.raises(BadCall):
        decode_result(found, msgspec.Raw(msgspec.msgpack.encode(None)))


def test_changes_name_their_subject_and_reads_have_none() -> None:
    storage, drivers, node = (SURFACE.family(name) for name in ("storage", "hypervisor", "node"))
    guest = Guest(name="inst1", uuid="i1", memory_mib=1, vcpus=1)
    run = OsRun(os="noop", action="create", instance="inst1", environment={})
    assert storage["ensure"].subject({"volume": volume("v7")}) == "volume:v7"
    assert drivers["start"].subject({"guest": guest}) == "guest:inst1"
    assert drivers["destroy"].subject({"name": "inst1"}) == "guest:inst1"
    assert node["run_os"].subject({"run": run}) == "guest:inst1"
    assert node["peers"].subject({"addresses": {}}) == "peers"
    assert storage["look"].subject({"volume": volume()}) == ""
    assert node["delay"].subject({"duration_s": 1.0}) == ""


def test_a_proxy_sends_what_it_was_called_with() -> None:
    status = VolumeStatus(uuid="v1", present=True)
    tape = Tape(**{"storage.drbd.look": status})
    backend: Backend = remote(tape).storage("drbd")
    assert backend.template is Template.DRBD
    assert settled(backend.look(volume())) == status
    (request,) = tape.requests
    assert request.verb == "storage.drbd.look"
    found = SURFACE.family("storage")["look"]
    assert found.decode(request.args) == {"volume": volume()}
    assert request.deadline_s == found.deadline_s


def test_ids_are_counted_within_their_scope_and_reads_get_fresh_ones() -> None:
    status = VolumeStatus(uuid="v1", present=False)
    tape = Tape(**{"node.link_disks": (), "storage.drbd.look": status})
    node = remote(tape)

    async def attempts() -> None:
        first = node.at("7.0.1.do.1")
        await first.link_disks("i", ())
        await first.storage("drbd").ensure(volume())
        await node.at("7.0.1.do.1").storage("drbd").forget(volume())
        await node.at("7.0.1.do.2").storage("drbd").ensure(volume())
        await node.storage("drbd").ensure(volume())
        await first.storage("drbd").look(volume())

    settled(attempts())
    assert [request.id for request in tape.requests] == [
        "7.0.1.do.1/1@f",
        "7.0.1.do.1/2@f",
        "7.0.1.do.1/3@f",
        "7.0.1.do.2/1@f",
        "f-1",
        "f-2",
    ]


def test_two_masters_give_no_id_twice() -> None:
    """Each counts its attempts from one."""
    given = [Ids(master).take("7.0.1.do.1", reads=False) for master in ("f", "g")]
    assert len(set(given)) == 2


def test_scopes_are_forgotten_only_long_after() -> None:
    ids = Ids("f")
    assert ids.take("a", reads=False) == "a/1@f"
    for number in range(9_999):
        ids.take(f"other-{number}", reads=False)
    assert ids.take("a", reads=False) == "a/2@f"


def test_the_voice_of_a_verb_does_not_travel() -> None:
    found = SURFACE.family("node")["run_hooks"]
    assert found.speaks
    assert "say" not in {field.name for field in msgspec.structs.fields(found.arguments)}


def test_a_changing_verb_without_a_mark_is_refused() -> None:
    async def unmarked(host: Host) -> None:
        """Not marked."""

    with pytest.raises(TypeError, match="not marked"):
        Surface({"unmarked": unmarked})

    @verb(subject="thing", named_by=("name",), deadline_s=3.0)
    async def marked(host: Host, name: str) -> None:
        """Marked."""

    found = Surface({"marked": marked}).family("node")["marked"]
    assert (found.deadline_s, found.subject({"name": "x"})) == (3.0, "thing:x")
