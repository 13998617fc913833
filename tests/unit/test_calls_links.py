"""Links between a master and nodes: what each side does with whatever the other one sends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from clusterd.calls.client import Request
from clusterd.calls.surface import Surface
from clusterd.errors import CallFailed, NodeAway, OldEpoch
from clusterd.world import ScriptResult
from storage.errors import VolumeBusy
from tests.unit.call_rig import MASTER, POLICY, CallRig, Listener, volume

SURFACE = Surface()


@pytest.fixture
def rig(tmp_path: Path) -> CallRig:
    return CallRig(tmp_path)


def ensuring(call_id: str, uuid: str = "v1", deadline_s: float = 60.0) -> Request:
    args = SURFACE.family("storage")["ensure"].encode(volume(uuid))
    return Request(id=call_id, verb="storage.memory.ensure", args=args, deadline_s=deadline_s)


# -- a good link -----------------------------------------------------------------------------------


def test_a_call_reaches_the_plugin_and_its_value_comes_back(rig: CallRig) -> None:
    rig.add("n1")
    backend = rig.links.node("n1").storage("memory")
    rig.wait(backend.ensure(volume()))
    assert rig.wait(backend.attach(volume())).startswith("/dev/")
    assert rig.wait(backend.look(volume())).size_mib == 1024
    assert [one.name for one in rig.wait(backend.list())] == ["v1.disk0"]


def test_many_calls_run_on_one_link_and_answers_may_overtake(rig: CallRig) -> None:
    node = rig.add("n1")
    node.storage.shut = True
    slow = [rig.begin(rig.links.node("n1").storage("memory").ensure(volume(f"v{n}"))) for n in "12"]
    assert rig.wait(rig.links.node("n1").greet("cl"))["name"] == "n1"
    assert slow == [[], []]
    node.storage.go()
    node.storage.go()
    rig.clock.run(1)
    assert slow == [[None], [None]]


def test_progress_is_heard_while_the_call_runs(rig: CallRig, tmp_path: Path) -> None:
    rig.add("n1")
    hooks = tmp_path / "n1" / "hooks-a" / "instance-start-pre.d"
    hooks.mkdir(parents=True)
    (hooks / "20one").write_text("#!/bin/sh\n")
    (hooks / "20one").chmod(0o755)
    heard: list[str] = []
    node = rig.links.node("n1").at("scope", heard.append)
    found = rig.wait(node.run_hooks("instance-start", "pre", {"GANETI_OP_CODE": "X"}))
    assert found == (ScriptResult(name="instance-start-pre.d/20one", status="success"),)
    assert heard == ["running hook instance-start-pre.d/20one"]


def test_what_the_node_sees_comes_up_by_itself(rig: CallRig) -> None:
    node = rig.add("n1")
    assert [seen.node for seen in rig.listener.observations] == ["n1"]
    rig.clock.run(12)
    assert len(rig.listener.observations) == 1, "nothing new, nothing told"
    rig.wait(rig.links.node("n1").storage("memory").ensure(volume()))
    rig.clock.run(1)
    assert [one.name for one in rig.listener.observations[-1].stored] == ["v1.disk0"]
    before = len(rig.listener.observations)
    rig.clock.run(90)
    assert 2 <= len(rig.listener.observations) - before <= 4, "at least every half minute"
    node.storage.shut = False


def test_looking_now_is_also_a_sighting(rig: CallRig) -> None:
    rig.add("n1")
    before = len(rig.listener.observations)
    seen = rig.wait(rig.links.node("n1").observe())
    assert rig.listener.observations[before] == seen
    assert seen.boot_id == "boot-1"


def test_watched_volumes_are_reported(rig: CallRig) -> None:
    rig.add("n1")
    rig.wait(rig.links.node("n1").storage("memory").ensure(volume()))
    rig.wait(rig.links.node("n1").watch((volume(), volume("gone"))))  # type: ignore[attr-defined]
    seen = rig.wait(rig.links.node("n1").observe())
    assert [(one.uuid, one.present) for one in seen.volumes] == [("v1", True), ("gone", False)]


# -- errors ----------------------------------------------------------------------------------------


def test_an_error_of_a_plugin_crosses_with_its_code(rig: CallRig) -> None:
    node = rig.add("n1")
    node.storage.trouble = VolumeBusy("v1 is in use", subject="v1")
    with pytest.raises(CallFailed) as caught:
        rig.wait(rig.links.node("n1").storage("memory").ensure(volume()))
    error = caught.value
    assert (error.kind, error.node, error.subject, error.retryable, error.message) == (
        "volume_busy",
        "n1",
        "v1",
        True,
        "v1 is in use (node n1)",
    )


def test_an_undeclared_error_crosses_as_internal_and_is_logged_there(rig: CallRig) -> None:
    node = rig.add("n1")
    node.storage.trouble = ZeroDivisionError("secret detail")
    with pytest.raises(CallFailed) as caught:
        rig.wait(rig.links.node("n1").at("job7").storage("memory").ensure(volume()))
    assert (caught.value.kind, caught.value.retryable) == ("internal", False)
    assert "secret" not in caught.value.message
    assert "reference job7/1@fresh-m1" in caught.value.message
    (entry,) = [one for one in node.log.entries if one["log_level"] == "error"]
    assert entry["call"] == "job7/1@fresh-m1"
    assert isinstance(entry["exc_info"], ZeroDivisionError)


@pytest.mark.parametrize(
    ("verb", "args", "kind"),
    [
        ("storage.memory.ensure", {"volume": {"uuid": "v1"}}, "bad_call"),
        ("node.delay", {"duration_s": 1.0, "loud": True}, "bad_call"),
        ("node.delay", {"duration_s": -1.0}, "wrong_input"),
        ("storage.memory.explode", {}, "unknown_verb"),
        ("storage.rbd.list", {}, "no_plugin"),
    ],
)
def test_a_call_that_cannot_be_understood_is_refused(
    rig: CallRig, verb: str, args: dict[str, Any], kind: str
) -> None:
    rig.add("n1")
    raw = msgspec.Raw(msgspec.msgpack.encode(args))
    caller = rig.links.node("n1")._calls._caller
    with pytest.raises(CallFailed) as caught:
        rig.wait(caller.call(Request(id="c1", verb=verb, args=raw, deadline_s=9.0)))
    assert caught.value.kind == kind


def test_another_cluster_is_not_greeted(rig: CallRig) -> None:
    rig.add("n1")
    with pytest.raises(CallFailed) as caught:
        rig.wait(rig.links.node("n1").greet("other"))
    assert caught.value.kind == "wrong_cluster"
    assert rig.wait(rig.links.node("n1").greet("cluster-uuid"))["calls_version"] == 1


# -- epochs ----------------------------------------------------------------------------------------


def test_a_node_that_has_seen_a_newer_master_refuses_the_old_one(rig: CallRig) -> None:
    node = rig.add("n1")
    newer = rig.master("m2", lambda: 6, Listener())
    newer.connect("n1", "n1")
    rig.clock.run(1)
    assert node.keep.values["node-epoch"] == b"6"
    assert ("deposed", "n1", "a master of epoch 6 has taken over") in rig.listener.events
    with pytest.raises(OldEpoch):
        rig.wait(rig.links.node("n1").storage("memory").ensure(volume()))
    assert node.storage.begun == []
    rig.wait(newer.node("n1").storage("memory").ensure(volume()))


def test_a_deposed_masters_link_is_not_tried_again_by_itself(rig: CallRig) -> None:
    node = rig.add("n1")
    newer = rig.master("m2", lambda: 6, Listener())
    newer.connect("n1", "n1")
    rig.clock.run(60)
    assert [event[0] for event in rig.listener.events] == ["up", "down", "deposed"]
    assert len(node.factory.links) == 1
    rig.epoch = 7
    assert rig.wait(rig.links.node("n1").greet("cl"))["name"] == "n1"


def test_reads_and_remembered_answers_are_refused_too(rig: CallRig) -> None:
    node = rig.add("n1")
    caller = rig.links.node("n1")._calls._caller
    rig.wait(caller.call(ensuring("a/1")))
    node.service.epochs.admit(9)
    for asked in (rig.links.node("n1").observe(), caller.call(ensuring("a/1"))):
        with pytest.raises(OldEpoch):
            rig.wait(asked)


def test_the_epoch_is_remembered_over_a_restart_of_the_node(rig: CallRig) -> None:
    node = rig.add("n1")
    newer = rig.master("m2", lambda: 6, Listener())
    newer.connect("n1", "n1")
    rig.clock.run(1)
    newer.close()
    node.die()
    node.boot()
    rig.clock.run(20)
    with pytest.raises(OldEpoch):
        rig.wait(rig.links.node("n1").storage("memory").ensure(volume()))


def test_an_epoch_that_passes_on_a_standing_link_is_refused_by_the_call(rig: CallRig) -> None:
    node = rig.add("n1")
    node.service.epochs.admit(9)
    with pytest.raises(OldEpoch):
        rig.wait(rig.links.node("n1").storage("memory").ensure(volume()))
    assert node.storage.begun == []
    assert rig.listener.events[-1][:2] == ("deposed", "n1")


def test_a_call_that_waited_for_its_turn_under_an_old_epoch_is_not_begun(rig: CallRig) -> None:
    node = rig.add("n1")
    node.storage.shut = True
    first = rig.begin(rig.links.node("n1").storage("memory").ensure(volume()))
    second = rig.begin(rig.links.node("n1").storage("memory").ensure(volume(size_mib=2048)))
    rig.clock.run(1)
    newer = rig.master("m2", lambda: 6, Listener())
    newer.connect("n1", "n1")
    rig.clock.run(1)
    third = rig.begin(newer.node("n1").storage("memory").ensure(volume()))
    rig.clock.run(1)
    assert node.storage.begun == ["v1"], "one at a time on one volume, whoever asks"
    node.storage.shut = False
    node.storage.go()
    rig.clock.run(1)
    assert node.storage.begun == ["v1", "v1"], "the second call of the old master was dropped"
    assert isinstance(first[0], NodeAway)
    assert isinstance(second[0], NodeAway)
    assert third == [None]


def test_a_master_that_is_master_again_goes_on_over_its_old_link(rig: CallRig) -> None:
    node = rig.add("n1")
    rig.epoch = 8
    rig.wait(rig.links.node("n1").storage("memory").ensure(volume()))
    assert node.keep.values["node-epoch"] == b"8"
    assert [event[0] for event in rig.listener.events] == ["up"]


# -- call ids --------------------------------------------------------------------------------------


def test_the_same_id_gets_the_same_answer_and_nothing_is_done_again(rig: CallRig) -> None:
    node = rig.add("n1")
    caller = rig.links.node("n1")._calls._caller
    first = rig.wait(caller.call(ensuring("a/1")))
    assert bytes(rig.wait(caller.call(ensuring("a/1")))) == bytes(first)
    assert node.storage.begun == ["v1"]
    node.storage.trouble = VolumeBusy("busy")
    for _ in range(2):
        with pytest.raises(CallFailed, match="busy"):
            rig.wait(caller.call(ensuring("a/2", "v2")))
    assert node.storage.begun == ["v1", "v2"]


def test_the_same_id_gets_the_same_answer_over_a_lost_link(rig: CallRig) -> None:
    node = rig.add("n1")
    node.storage.shut = True
    caller = rig.links.node("n1")._calls._caller
    first = rig.begin(caller.call(ensuring("a/1")))
    rig.clock.run(1)
    rig.network.cut(MASTER, "n1")
    rig.clock.run(12)
    assert isinstance(first[0], NodeAway)
    rig.network.mend(MASTER, "n1")
    rig.clock.run(15)
    joined = rig.begin(caller.call(ensuring("a/1")))
    rig.clock.run(1)
    assert (joined, node.storage.begun) == ([], ["v1"])
    node.storage.go()
    rig.clock.run(1)
    assert [bytes(value) for value in joined] == [b"\xc0"]
    assert bytes(rig.wait(caller.call(ensuring("a/1")))) == b"\xc0"
    assert node.storage.begun == ["v1"]


def test_an_id_is_not_taken_for_another_call(rig: CallRig) -> None:
    node = rig.add("n1")
    caller = rig.links.node("n1")._calls._caller
    rig.wait(caller.call(ensuring("a/1")))
    with pytest.raises(CallFailed) as caught:
        rig.wait(caller.call(ensuring("a/1", "v2")))
    assert caught.value.kind == "call_id_reused"
    assert node.storage.begun == ["v1"]


# -- time ------------------------------------------------------------------------------------------


def test_a_call_that_is_late_is_given_up_and_still_runs_to_its_end(rig: CallRig) -> None:
    node = rig.add("n1")
    node.storage.shut = True
    caller = rig.links.node("n1")._calls._caller
    late = rig.begin(caller.call(ensuring("a/1", deadline_s=7.0)))
    rig.clock.run(6.9)
    assert late == []
    rig.clock.run(0.2)
    assert isinstance(late[0], NodeAway)
    assert late[0].retryable
    node.storage.go()
    rig.clock.run(1)
    assert bytes(rig.wait(caller.call(ensuring("a/1")))) == b"\xc0"


def test_a_call_whose_turn_does_not_come_in_time_is_never_begun(rig: CallRig) -> None:
    node = rig.add("n1")
    node.storage.shut = True
    caller = rig.links.node("n1")._calls._caller
    rig.begin(caller.call(ensuring("a/1", deadline_s=60.0)))
    waiting = rig.begin(caller.call(ensuring("b/1", deadline_s=5.0)))
    rig.clock.run(10)
    assert isinstance(waiting[0], CallFailed)
    node.storage.go()
    rig.clock.run(5)
    assert node.storage.begun == ["v1"]


def test_a_dead_peer_is_noticed_on_both_sides(rig: CallRig) -> None:
    node = rig.add("n1")
    node.storage.shut = True
    asked = rig.begin(rig.links.node("n1").storage("memory").ensure(volume()))
    rig.clock.run(60)
    assert asked == [], "pulses keep a silent link"
    rig.network.cut(MASTER, "n1")
    rig.clock.run(POLICY.dead_s + POLICY.ping_s)
    assert isinstance(asked[0], NodeAway)
    assert not rig.links.up("n1")
    assert rig.listener.events[-1] == ("down", "n1", "nothing was heard for 10 s")
    assert not node.factory.links


def test_a_call_to_a_node_that_is_away_fails_soon(rig: CallRig) -> None:
    node = rig.add("n1")
    node.die()
    rig.clock.run(1)
    with pytest.raises(NodeAway):
        rig.wait(rig.links.node("n1").greet("cl"), for_s=0.1)
    rig.network.cut(MASTER, "n1")
    rig.clock.run(30)
    asked = rig.begin(rig.links.node("n1").greet("cl"))
    rig.clock.run(POLICY.connect_s + 0.1)
    assert isinstance(asked[0], NodeAway)


def test_a_node_that_comes_back_is_connected_again_by_itself(rig: CallRig) -> None:
    node = rig.add("n1")
    node.die()
    rig.clock.run(120)
    assert not rig.links.up("n1")
    node.boot()
    rig.clock.run(POLICY.longest_pause_s + 1)
    assert rig.links.up("n1")
    assert [event[0] for event in rig.listener.events] == ["up", "down", "up"]


def test_a_call_does_not_wait_for_the_pause_between_attempts(rig: CallRig) -> None:
    node = rig.add("n1")
    node.die()
    rig.clock.run(300)
    node.boot()
    assert rig.wait(rig.links.node("n1").greet("cl"), for_s=0.1)["name"] == "n1"


def test_a_forgotten_node_is_let_go(rig: CallRig) -> None:
    node = rig.add("n1")
    node.storage.shut = True
    asked = rig.begin(rig.links.node("n1").storage("memory").ensure(volume()))
    rig.clock.run(1)
    rig.links.forget("n1")
    rig.clock.run(1)
    assert isinstance(asked[0], NodeAway)
    assert rig.links.names() == ()
    assert not node.factory.links
    with pytest.raises(NodeAway, match="keeps no link"):
        rig.wait(rig.links.node("n1").greet("cl"))


def test_another_address_replaces_the_link(rig: CallRig) -> None:
    rig.add("n1")
    rig.links.connect("n1", "n1")
    assert [event[0] for event in rig.listener.events] == ["up"]
    rig.links.connect("n1", "elsewhere")
    rig.clock.run(1)
    assert not rig.links.up("n1")


def test_leaving_is_answered_before_the_daemon_ends(rig: CallRig, tmp_path: Path) -> None:
    node = rig.add("n1")
    (tmp_path / "n1" / "lib").mkdir(parents=True)
    key = tmp_path / "n1" / "lib" / "node.key"
    key.write_text("secret")
    rig.wait(rig.links.node("n1").leave())
    assert (node.ended, key.exists()) == (True, False)
    rig.wait(rig.links.node("n1").leave())
