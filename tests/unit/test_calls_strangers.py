"""What either end of a link does with a peer that does not keep to the rules."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Factory
from twisted.internet.testing import StringTransport

from clusterd.calls import wire
from clusterd.calls.client import Commander, Link
from clusterd.calls.server import MAX_UNGREETED
from clusterd.calls.surface import Surface
from clusterd.calls.wire import Call, Farewell, Fault, FrameLink, Frames, Hello, Reply, Welcome
from clusterd.errors import CallFailed
from clusterd.world import OsRun
from tests.unit.call_rig import MASTER, POLICY, CallRig

SURFACE = Surface()


@pytest.fixture
def rig(tmp_path: Path) -> CallRig:
    return CallRig(tmp_path)


class Stranger(FrameLink):
    """Says what the test wants, and keeps what it hears."""

    def __init__(self, rig: CallRig, *first: wire.Frame) -> None:
        super().__init__(rig.clock, POLICY)
        self._first = first
        self.heard: list[Frames] = []
        self.over = ""

    def begun(self) -> None:
        for frame in self._first:
            self.send(frame)

    def received(self, frame: Frames) -> None:
        self.heard.append(frame)

    def ended(self, why: str) -> None:
        self.over = why


def stranger(rig: CallRig, node: str, *first: wire.Frame) -> Stranger:
    made = Stranger(rig, *first)
    rig.network.endpoint(MASTER, node, lambda: True).connect(Factory.forProtocol(lambda: made))
    rig.clock.run(0.5)
    return made


def stranger_at_once(rig: CallRig, node: str) -> Stranger:
    made = Stranger(rig)
    rig.network.endpoint(MASTER, node, lambda: True).connect(Factory.forProtocol(lambda: made))
    rig.clock.run(0.01)
    return made


def hello(node: str = "n1", **changes: Any) -> Hello:
    return msgspec.structs.replace(
        Hello(purpose="command", name=MASTER, node=node, epoch=5), **changes
    )


def farewells(made: Stranger) -> list[str]:
    return [frame.code for frame in made.heard if isinstance(frame, Farewell)]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"version": 99}, "wrong_version"),
        ({"node": "n2"}, "wrong_peer"),
        ({"name": "m2"}, "not_permitted"),
        ({"epoch": 4}, "old_epoch"),
        ({"purpose": "relay", "service": "ssh"}, "not_permitted"),
    ],
)
def test_a_hello_that_does_not_fit_is_refused(
    rig: CallRig, change: dict[str, Any], code: str
) -> None:
    rig.add("n1")
    made = stranger(rig, "n1", hello(**change))
    assert farewells(made) == [code]
    assert made.over


@pytest.mark.parametrize("role", ["node", "rapi", ""])
def test_only_a_master_candidate_commands(rig: CallRig, role: str) -> None:
    node = rig.add("n1")
    node.role = role
    call = Call(id="c1", verb="node.leave", args=msgspec.Raw(b"\x80"), epoch=5, deadline_s=1.0)
    made = stranger(rig, "n1", hello(), call)
    assert farewells(made) == ["not_permitted"]
    assert not node.ended


def test_calls_before_hello_are_not_taken(rig: CallRig) -> None:
    node = rig.add("n1")
    call = Call(id="c1", verb="node.leave", args=msgspec.Raw(b"\x80"), epoch=5, deadline_s=1.0)
    made = stranger(rig, "n1", call)
    assert farewells(made) == ["bad_frame"]
    assert not node.ended


def test_a_second_hello_ends_the_link(rig: CallRig) -> None:
    rig.add("n1")
    made = stranger(rig, "n1", hello(), hello(epoch=6))
    assert isinstance(made.heard[0], Welcome)
    assert farewells(made) == ["bad_frame"]


def test_who_says_nothing_is_sent_away(rig: CallRig) -> None:
    rig.add("n1")
    made = stranger(rig, "n1")
    rig.clock.run(POLICY.connect_s)
    assert farewells(made) == ["bad_frame"]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00\x00\x00\x03abc",
        b"\x00\x00\x00\x01\x80",
        b"\x7f\xff\xff\xff",
        (wire.MAX_FRAME_BYTES + 1).to_bytes(4, "big"),
    ],
)
def test_bytes_that_are_no_frames_end_the_link(rig: CallRig, data: bytes) -> None:
    rig.add("n1")
    made = stranger(rig, "n1", hello())
    made.transport.write(data)
    rig.clock.run(1)
    assert farewells(made) == ["bad_frame"]
    assert made.over


def test_a_frame_with_an_unknown_field_is_refused() -> None:
    good = {"frame": "ping"}
    assert wire.decode(msgspec.msgpack.encode(good)) == wire.Ping()
    for bad in ({"frame": "ping", "louder": 1}, {"frame": "pong"}, {}, {"frame": "reply", "id": 3}):
        with pytest.raises(wire.BadFrame):
            wire.decode(msgspec.msgpack.encode(bad))


def test_a_call_that_is_too_long_is_not_sent(rig: CallRig) -> None:
    rig.add("n1")
    run = OsRun(
        os="x", action="create", instance="i", environment={"A": "a" * wire.MAX_FRAME_BYTES}
    )
    with pytest.raises(CallFailed) as caught:
        rig.wait(rig.links.node("n1").run_os(run))
    assert caught.value.kind == "call_too_long"
    assert rig.links.up("n1")


def test_an_answer_that_is_too_long_is_a_fault(rig: CallRig, tmp_path: Path) -> None:
    node = rig.add("n1")
    hooks = tmp_path / "n1" / "hooks-b" / "node-add-post.d"
    hooks.mkdir(parents=True)
    (hooks / "big").write_text("#!/bin/sh\n")
    (hooks / "big").chmod(0o755)
    node.quiet.end = msgspec.structs.replace(
        node.quiet.end, output="x" * (wire.MAX_FRAME_BYTES + 1)
    )
    with pytest.raises(CallFailed) as caught:
        rig.wait(rig.links.node("n1").run_hooks("node-add", "post", {}))
    assert caught.value.kind == "answer_too_long"
    assert rig.links.up("n1")


def test_a_master_is_not_fooled_by_another_node_or_odd_answers(rig: CallRig) -> None:
    """The node at the other end says Welcome under a wrong name, or answers nobody's calls."""
    served: list[Stranger] = []
    first: list[wire.Frame] = [Welcome(node="n2")]

    def serve() -> Stranger:
        served.append(Stranger(rig, *first))
        return served[-1]

    rig.network.listen("n1", Factory.forProtocol(serve), lambda: True)
    rig.links.connect("n1", "n1")
    rig.clock.run(0.1)
    assert not rig.links.up("n1")
    first[:] = [
        Welcome(node="n1"),
        Reply(id="nobody", value=msgspec.Raw(b"\xc0")),
        Fault(id="nobody", code="x", message=""),
    ]
    rig.clock.run(1)
    assert rig.links.up("n1")
    asked = rig.begin(rig.links.node("n1").greet("cl"))
    rig.clock.run(0.1)
    (call,) = [frame for frame in served[-1].heard if isinstance(frame, Call)]
    served[-1].send(Reply(id=call.id, value=msgspec.Raw(msgspec.msgpack.encode(3))))
    rig.clock.run(0.1)
    assert asked[0].kind == "bad_answer"
    served[-1].send(hello())
    rig.clock.run(0.1)
    assert not rig.links.up("n1")


def test_a_node_takes_a_bounded_number_of_links(rig: CallRig) -> None:
    node = rig.add("n1")
    made = [stranger(rig, "n1", hello()) for _ in range(64)]
    assert [farewells(one) for one in made[-1:]] == [["busy"]]
    assert len(node.factory.links) == 64


def test_strangers_who_say_nothing_cannot_keep_the_master_out(rig: CallRig) -> None:
    node = rig.add("n1")
    silent = [stranger_at_once(rig, "n1") for _ in range(3 * MAX_UNGREETED)]
    master = stranger(rig, "n1", hello())
    assert isinstance(master.heard[0], Welcome)
    assert len(node.factory.links) == 2
    assert [bool(one.over) for one in silent].count(False) < MAX_UNGREETED
    rig.clock.run(2 * POLICY.dead_s)
    assert all(one.over for one in silent)
    assert not master.over


def test_attempts_become_rare(rig: CallRig) -> None:
    tried: list[float] = []

    class Nowhere:
        def connect(self, protocol_factory: Any) -> Deferred[Any]:
            tried.append(rig.clock.seconds())
            refused: Deferred[Any] = Deferred()
            refused.errback(ConnectionLost("nobody there"))
            return refused

    link = Link(
        "n9",
        Nowhere,
        Commander(MASTER, lambda: 0),
        rig.clock,
        POLICY,
        rig.listener,
    )
    link.start()
    rig.clock.run(60)
    pauses = [round(later - sooner, 3) for sooner, later in itertools.pairwise(tried)]
    assert pauses[:6] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0]
    assert set(pauses[6:]) == {10.0}
    link.stop()
    count = len(tried)
    rig.clock.run(60)
    assert len(tried) == count


def test_a_peer_that_does_not_let_go_is_cut_off(rig: CallRig) -> None:
    transport = StringTransport()
    made = Stranger(rig)
    made.makeConnection(transport)
    made.close("ending", "the daemon ends")
    assert (transport.disconnecting, transport.disconnected) == (True, False)
    rig.clock.run(POLICY.dead_s)
    assert transport.disconnected
