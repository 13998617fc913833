"""Stories of storage that lets a job down: full on one side, hung, or not there. What the job says
is what the operator has to go by; what it made is gone afterwards, and the same wish works later.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from clusterd.calls.wire import Call, Fault, Reply
from clusterd.opcodes.instance_grow_disk import InstanceGrowDisk
from jobqueue.job import Status
from storage.memory_faults import Trouble
from tests.stories.operator import REPAIRED_S, Operator


def a_side_has_no_room(operator: Operator) -> None:
    """The secondary's room went between check and act: neither adding nor growing leaves anything
    on either side, and the guest goes on."""
    disks = operator.cluster.hosts["node2"].disks
    disks.trouble = "full"
    operator.expect_refusal(operator.creates("web1", on="node1:node2"), "full in ensure")
    operator.expect(operator.stored() == [], "no volume is left")
    disks.trouble = ""
    operator.expect_success(operator.creates("web1", on="node1:node2"))
    grow = InstanceGrowDisk(instance_name="web1", disk=0, amount=512)
    disks.trouble = "full"
    operator.expect_refusal(operator.does(grow), "(node node2)")
    operator.expect(operator.stored() == [1024, 1024], "both copies have their old size")
    operator.expect_running("web1", "node1")
    disks.trouble = ""
    operator.expect_success(operator.does(grow))
    operator.expect(operator.stored() == [1536, 1536], "both copies are larger")
    operator.waits(REPAIRED_S)
    operator.expect(not operator.invariants.degraded(), "the mirror is whole")


def a_command_hangs(operator: Operator) -> None:
    """It is ended when its time is over. The job says which one, where, and what to look at; it
    waits with its way back for the node, and what it has made is gone in the end."""
    disks = operator.cluster.hosts["node2"].disks
    disks.trouble = "hung"
    number = operator.begins(operator.creation("web1", on="node1:node2"))
    operator.cluster.clock.run(70.0)
    job = operator.cluster.job(number) if number is not None else None
    operator.expect(not operator.ended(number, Status.ERROR), "the way back waits for node2")
    operator.cluster.clock.run(70.0)
    said = operator.logged(job)
    hung = "waiting: pretended-forget did not end within 60 s and was killed"
    operator.expect(hung in said, "the job says what it waits for")
    disks.trouble = ""
    operator.waits_for_jobs()
    operator.expect_refusal(job, "pretended-ensure did not end within 60 s and was killed; look at")
    operator.expect_refusal(job, "(node node2)")
    operator.expect(operator.stored() == [], "no volume is left")
    operator.expect_success(operator.creates("web1", on="node1:node2"))


class _Once:
    """Something happens just before a node is first asked this."""

    def __init__(self, verb: str, node: str, happens: Callable[[Call], None]) -> None:
        self._awaited = (verb, node)
        self._happens = happens
        self._over = False

    def before_call(self, host: str, call: Call) -> None:
        """See ``Attention``."""
        if (call.verb, host) == self._awaited and not self._over:
            self._over = True
            self._happens(call)

    def after_call(self, host: str, call: Call, answer: Reply | Fault) -> None:
        """See ``Attention``."""


def everywhere(operator: Operator, trouble: Trouble) -> None:
    """All nodes' storage is in this trouble, or in none."""
    for host in operator.cluster.hosts.values():
        host.disks.trouble = trouble


def ceph_has_no_quorum(operator: Operator) -> None:
    """What needs it is refused at once. If it goes in the middle, the job ends within its time when
    it is back, or waits for it with its way back; nothing unowned is left."""
    disk = {"disk_template": "rbd"}
    everywhere(operator, "down")
    job = operator.creates("web1", on="node1", **disk)
    operator.expect_refusal(job, "Storage 'rbd' does not answer on node node1")
    everywhere(operator, "")
    falls = _Once("storage.rbd.ensure", "node1", lambda _: everywhere(operator, "down"))
    operator.cluster.attention.members.append(falls)
    number = operator.begins(operator.creation("web1", on="node1", **disk))
    operator.cluster.clock.run(200.0)
    job = operator.cluster.job(number) if number is not None else None
    said = operator.logged(job)
    operator.expect("waiting: pretended storage does not answer to forget" in said, "it says so")
    everywhere(operator, "")
    operator.waits_for_jobs()
    operator.expect_refusal(job, "does not answer to ensure (node node1)")
    operator.expect(operator.stored() == [], "no volume is left")
    operator.expect_success(operator.creates("web1", on="node1", **disk))


def a_pool_fills_up(operator: Operator) -> None:
    """Ceph has no room left: what is known before is refused before, what is found out later is
    undone; and what is to go goes all the same."""
    disk = {"disk_template": "rbd"}
    operator.expect_success(operator.creates("web1", on="node1", **disk))
    for host in operator.cluster.hosts.values():
        host.shelf.pools["rbd"] = 1024
    job = operator.creates("web2", on="node1", **disk)
    operator.expect_refusal(job, "Not enough disk space on target node node1 in 'rbd'")
    for host in operator.cluster.hosts.values():
        host.shelf.pools["rbd"] = 1024 * 1024
    everywhere(operator, "full")
    operator.expect_refusal(operator.creates("web2", on="node1", **disk), "full in ensure")
    operator.expect(operator.stored() == [1024], "nothing is left of web2")
    operator.expect_success(operator.removes("web1"))
    operator.expect(operator.stored() == [], "web1 is gone")
    everywhere(operator, "")
    operator.expect_success(operator.creates("web2", on="node1", **disk))


def a_name_is_taken(operator: Operator) -> None:
    """Somebody else's volume has the name that the secondary's copy would get: it is left alone,
    and what was made of the instance goes."""
    shelf = operator.cluster.hosts["node2"].shelf
    theirs: list[tuple[str, str]] = []

    def squat(call: Call) -> None:
        volume = msgspec.msgpack.decode(call.args)["volume"]
        theirs.append((volume["pool"], volume["name"]))
        shelf.foreign[theirs[0]] = 8

    squats = _Once("storage.drbd.ensure", "node2", squat)
    operator.cluster.attention.members.append(squats)
    job = operator.creates("web1", on="node1:node2")
    operator.expect_refusal(job, "exists already and belongs to nobody known")
    operator.expect_refusal(job, "(node node2)")
    operator.expect(operator.stored() == [], "no volume of web1 is left")
    operator.expect([shelf.foreign.get(name) for name in theirs] == [8], "theirs is as it was")
    operator.expect_success(operator.creates("web1", on="node1:node2"))


FAULTS = (
    a_side_has_no_room,
    a_command_hangs,
    ceph_has_no_quorum,
    a_pool_fills_up,
    a_name_is_taken,
)
