"""What a node remembers, whose turn it is, and what crosses."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet.defer import Deferred

from clusterd.calls.wire import Call, Fault, Reply
from clusterd.node.compose import build_node
from clusterd.node.epochs import EpochPassed, Epochs, EpochUnreadable
from clusterd.node.faults import fault_of
from clusterd.node.keep import FileKeep, Keep, MemoryKeep
from clusterd.node.relay import PeerBook, UnknownPeer
from clusterd.node.replies import IdReused, Replies
from clusterd.node.turns import TurnNotReached, Turns
from clusterd.simulation.clock import Clock
from hypervisors.errors import HypervisorDown
from tests.unit.call_rig import CallRig, PretendedNode, volume
from tests.waiting import settled

# -- epochs ----------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "file"])
def keep(request: pytest.FixtureRequest, tmp_path: Path) -> Keep:
    return MemoryKeep() if request.param == "memory" else FileKeep(tmp_path)


def test_epochs_only_rise_and_are_kept(keep: Keep) -> None:
    epochs = Epochs(keep)
    assert epochs.highest == 0
    assert epochs.admit(3)
    assert not epochs.admit(3)
    with pytest.raises(EpochPassed, match="epoch 2 has passed"):
        epochs.admit(2)
    assert Epochs(keep).highest == 3
    with pytest.raises(EpochPassed):
        Epochs(keep).admit(1)


def test_an_epoch_counts_only_once_it_is_stored() -> None:
    class Full(MemoryKeep):
        def write(self, name: str, value: bytes) -> None:
            raise OSError("no space left")

    epochs = Epochs(Full())
    with pytest.raises(OSError, match="no space"):
        epochs.admit(3)
    assert epochs.highest == 0


def test_a_damaged_epoch_stops_the_daemon(keep: Keep) -> None:
    keep.write("node-epoch", b"3 or so")
    with pytest.raises(EpochUnreadable):
        Epochs(keep)


def test_peers_are_kept(keep: Keep) -> None:
    PeerBook("n1", keep).tell({"n2": "192.0.2.2"})
    book = PeerBook("n1", keep)
    assert book.address("n2") == "192.0.2.2"
    book.tell({})
    with pytest.raises(UnknownPeer):
        PeerBook("n1", keep).address("n2")


# -- replies ---------------------------------------------------------------------------------------


def call(call_id: str, args: bytes = b"\x80") -> Call:
    return Call(id=call_id, verb="node.x", args=msgspec.Raw(args), epoch=1, deadline_s=1.0)


class Acts:
    """Answers with a text, at once or when the test says so."""

    def __init__(self) -> None:
        self.count = 0
        self.said: list[str] = []
        self.gate: Deferred[None] | None = None

    async def act(self, say: Any) -> Reply:
        self.count += 1
        number = self.count
        if self.gate is not None:
            await self.gate
        say("nearly there")
        return Reply(id="x", value=msgspec.Raw(msgspec.msgpack.encode(f"answer {number}" * 10)))


def ask(replies: Replies, acts: Acts, call_id: str) -> Any:
    return settled(replies.once(call(call_id), acts.said.append, acts.act))


def test_old_replies_are_forgotten_by_number_and_by_size() -> None:
    few, small, acts = Replies(most=2), Replies(most_bytes=250), Acts()
    for replies in (few, small):
        first = [ask(replies, acts, name) for name in "abc"]
        count = acts.count
        assert ask(replies, acts, "c") == first[2]
        assert acts.count == count
        ask(replies, acts, "a")
        assert acts.count == count + 1, "the oldest was forgotten"


def test_a_running_call_is_joined_and_all_hear_of_it() -> None:
    replies, acts = Replies(), Acts()
    acts.gate = Deferred()
    answers: list[Any] = []
    for name in ("first", "second"):
        coroutine = replies.once(call("a"), lambda text, n=name: acts.said.append(n), acts.act)
        Deferred.fromCoroutine(coroutine).addBoth(answers.append)
    assert (replies.running, acts.count, answers) == (1, 1, [])
    acts.gate.callback(None)
    assert (replies.running, acts.count) == (0, 1)
    assert len(answers) == 2
    assert answers[0] == answers[1]
    assert acts.said == ["first", "second"]


def test_a_running_id_is_not_taken_for_another_call() -> None:
    replies, acts = Replies(), Acts()
    acts.gate = Deferred()
    Deferred.fromCoroutine(replies.once(call("a"), print, acts.act))
    with pytest.raises(IdReused):
        settled(replies.once(call("a", b"\x81\xa1x\x01"), print, acts.act))
    acts.gate.callback(None)


# -- turns -----------------------------------------------------------------------------------------


def test_turns_come_in_order_and_leave_nothing() -> None:
    clock = Clock()
    turns, log, gates = Turns(clock), list[str](), dict[str, Deferred[None]]()

    async def work(name: str, subject: str) -> None:
        async with turns.turn(subject, 5.0):
            log.append(name)
            gates[name] = Deferred()
            await gates[name]

    results: dict[str, Any] = {}
    for name, subject in (("a", "v1"), ("b", "v1"), ("c", "v2"), ("d", ""), ("e", "")):
        Deferred.fromCoroutine(work(name, subject)).addBoth(
            lambda result, n=name: results.__setitem__(n, result)
        )
    assert log == ["a", "c", "d", "e"]
    clock.run(4)
    gates["a"].callback(None)
    assert log[-1] == "b"
    late = Deferred.fromCoroutine(work("f", "v1"))
    late.addErrback(lambda failure: results.__setitem__("f", failure.value))
    clock.run(6)
    assert isinstance(results["f"], TurnNotReached)
    for name in "bcde":
        gates[name].callback(None)
    assert [results[name] for name in "abcde"] == [None] * 5
    assert turns._locks == {}


def test_an_error_inside_a_turn_gives_it_back() -> None:
    turns = Turns(Clock())

    async def fails() -> None:
        async with turns.turn("v1", 1.0):
            raise ValueError("broken")

    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            settled(fails())
    assert turns._locks == {}


# -- faults ----------------------------------------------------------------------------------------


def test_only_errors_that_declare_themselves_show_their_text() -> None:
    declared = fault_of("c1", HypervisorDown("libvirtd does not answer", subject="kvm"))
    assert declared == Fault(
        id="c1",
        code="hypervisor_down",
        message="libvirtd does not answer",
        subject="kvm",
        retryable=True,
    )

    class Odd(Exception):
        code = 7
        message = "secret"

    class Shout(Exception):
        code = "Not A Code"
        message = "secret"

    unknown = FileNotFoundError(errno.ENOENT, "secret", "/secret")
    for error in (Odd(), Shout(), KeyError("secret"), SystemExit("secret"), unknown):
        fault = fault_of("c1", error)
        assert (fault.code, fault.reference) == ("internal", "c1")
        assert "secret" not in fault.message


def test_what_ails_the_machine_is_told() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/var/lib/clusterd/export/web1.new")
    assert fault_of("c1", full) == Fault(
        id="c1",
        code="system_error",
        message="No space left on device: /var/lib/clusterd/export/web1.new",
        reference="c1",
    )
    nameless = OSError(errno.EIO, "Input/output error")
    assert fault_of("c1", nameless).message == "Input/output error"


# -- the whole ------------------------------------------------------------------------------------


def test_too_many_calls_are_refused(tmp_path: Path) -> None:
    rig = CallRig(tmp_path)
    node = rig.add("n1")
    node.storage.shut = True
    backend = rig.links.node("n1").storage("memory")
    for number in range(1000):
        rig.begin(backend.ensure(volume(f"v{number}")))
    rig.clock.run(1)
    refused = rig.begin(backend.ensure(volume("last")))
    rig.clock.run(1)
    assert refused[0].kind == "too_many_calls"
    assert refused[0].retryable
    node.storage.go()
    rig.clock.run(1)
    assert rig.wait(rig.links.node("n1").greet("cl"))["name"] == "n1"


def test_building_a_node_begins_nothing(tmp_path: Path) -> None:
    clock = Clock()
    rig = CallRig(tmp_path)
    node = PretendedNode("n1", clock, rig.network, tmp_path)
    node.service.stop()
    before = len([one for one in clock._heap if not one[2].cancelled])
    equipment = node.equipment()
    made = build_node(equipment, {}, {})
    assert made.latest() is None
    assert len([one for one in clock._heap if not one[2].cancelled]) == before
