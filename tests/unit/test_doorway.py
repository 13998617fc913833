"""The local door over in-memory transports, on a real queue."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor

from clusterd.doorway import methods
from clusterd.doorway.async_client import CALL_TIMEOUT_S, Door, DoorTimeout
from clusterd.doorway.desk import Desk
from clusterd.doorway.protocol import (
    END,
    BadMessage,
    Frames,
    RequestFailed,
    decode_reply,
    encode_request,
)
from clusterd.doorway.server import DoorFactory, listen, peer_of
from clusterd.doorway.submissions import settle
from clusterd.doorway.waiting import NO_CHANGE
from clusterd.errors import DoorAway
from jobqueue.job import Status
from jobqueue.journal import Event, Kind
from jobqueue.live import Job
from jobqueue.opcode import Opcode, OpcodeKind, Registry
from jobqueue.queue import JobQueue
from jobqueue.store.memory import MemoryStore
from tests.unit.driving import now
from tests.unit.wires import Endpoint, Network


class Sleep(Opcode, frozen=True, kw_only=True, tag="OP_SLEEP"):
    """Sleep."""

    duration: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class PlainAnswers:
    """Answers that say what they were asked, and the values of jobs that these tests need."""

    def __init__(self, queue: JobQueue) -> None:
        self.queue = queue

    def query(self, what: str, fields: Any, qfilter: Any) -> dict[str, Any]:
        if what == "broken":
            raise ZeroDivisionError("secret")
        return {"what": what, "fields": list(fields), "qfilter": qfilter}

    def query_fields(self, what: str, fields: Any) -> dict[str, Any]:
        return {"what": what, "fields": fields}

    def rows(self, what: str, names: Any, fields: Any) -> list[Any]:
        return [what, names, list(fields)]

    def job_rows(self, ids: Any, fields: Any) -> list[Any]:
        jobs = self.queue.jobs() if ids is None else [self.queue.job(i) for i in ids]
        return [None if job is None else self.job_values(job, fields) for job in jobs]

    def job_values(self, job: Job, fields: Any) -> list[Any]:
        return [str(job.status) if field == "status" else job.id for field in fields]

    def cluster_info(self) -> dict[str, Any]:
        return {"name": "c1"}

    def config_values(self, names: Any) -> list[Any]:
        return list(names)

    def tags(self, kind: str, name: str | None) -> list[str]:
        return [kind, str(name)]


class Control:
    """What the scheduler answers."""

    async def cancel(self, job_id: int) -> tuple[bool, str]:
        return True, f"Job {job_id} canceled"

    async def change_priority(self, job_id: int, priority: int) -> tuple[bool, str]:
        return job_id == 1, f"priority {priority}"


class House:
    """A door with clients on in-memory transports."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.25)
        registry = Registry([OpcodeKind(opcode=Sleep, plan=lambda _o, _v: ())])
        self.queue = JobQueue(MemoryStore(), registry, self.clock.seconds)
        self.pauses: list[float | None] = []
        desk = Desk(
            jobs=self.queue,
            running=Control(),
            registry=registry,
            answers=PlainAnswers(self.queue),
            clock=self.clock,
            set_watcher_pause=self._pause,
        )
        self.factory = DoorFactory(desk, who=lambda _transport: "uid:7")
        self.endpoint = Endpoint(Network(), self.factory)
        self.door = Door(self.endpoint, self.clock)

    async def _pause(self, until: float | None) -> None:
        self.pauses.append(until)

    def ask(self, method: str, *args: Any) -> Any:
        return now(self.door.call(method, *args))

    def begin(self, method: str, *args: Any) -> list[Any]:
        """A call whose answer appears in the list that is returned."""
        answers: list[Any] = []
        Deferred.fromCoroutine(self.door.call(method, *args)).addBoth(answers.append)
        return answers

    def raw(self) -> Raw:
        raw = Raw()
        self.endpoint.connect(raw)
        return raw

    def end(self, job_id: int) -> None:
        """The job succeeds."""
        job = self.queue.job(job_id)
        assert job is not None
        event = Event(kind=Kind.END, opcode=0, time=1001.0, status=Status.SUCCESS, output="fine")
        now(self.queue.append(job, [event]))


class Raw(Protocol):
    """A client that says anything; also its own factory."""

    def __init__(self) -> None:
        self.heard = b""
        self.lost = False

    def buildProtocol(self, _address: Any) -> Raw:
        return self

    def say(self, data: bytes) -> bytes:
        self.heard = b""
        self.transport.write(data)  # type: ignore[union-attr,call-arg]
        return self.heard

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


def sleep(**fields: Any) -> dict[str, Any]:
    return {"OP_ID": "OP_SLEEP", **fields}


def refusal(house: House, method: str, *args: Any) -> tuple[str, str, str]:
    with pytest.raises(RequestFailed) as caught:
        house.ask(method, *args)
    return caught.value.kind, caught.value.message, caught.value.reason


# -- jobs ---------------------------------------------------------------------------------------


def test_a_job_is_stored_before_its_number_is_answered_and_says_who_asked() -> None:
    house = House()
    assert house.ask("SubmitJob", [sleep(duration=1.5)]) == 1
    job = house.queue.job(1)
    assert job is not None
    assert job.submitter == "uid:7"
    assert isinstance(job.opcodes[0], Sleep)
    assert job.opcodes[0].duration == 1.5


def test_the_rapi_says_on_whose_behalf() -> None:
    house = House()
    house.ask("SubmitJobFor", [sleep()], "rapi:jack")
    job = house.queue.job(1)
    assert job is not None
    assert job.submitter == "rapi:jack"
    assert refusal(house, "SubmitJobFor", [sleep()], "uid:0")[2] == "wrong_input"


@pytest.mark.parametrize(
    ("opcode", "words"),
    [
        ({"OP_ID": "OP_NONE"}, "There is no opcode 'OP_NONE'"),
        ({"OP_ID": "OP_SLEEP", "colour": 1}, "colour"),
        ({"OP_ID": "OP_SLEEP", "duration": "x"}, "duration"),
        ({"OP_ID": "OP_SLEEP", "duration": -1}, "duration"),
        ({"OP_ID": "OP_SLEEP", "priority": 3}, "priority 3"),
        ("sleep", "An opcode is an object"),
        (7, "An opcode is an object"),
    ],
)
def test_a_bad_opcode_is_refused_by_name_and_nothing_is_stored(opcode: Any, words: str) -> None:
    house = House()
    kind, message, reason = refusal(house, "SubmitJob", [opcode])
    assert (kind, reason) == ("OpPrereqError", "wrong_input")
    assert words in message
    assert house.queue.jobs() == []


def test_a_drained_queue_refuses_and_the_upgrade_path_does_not() -> None:
    house = House()
    assert house.ask("SetDrainFlag", True) is True
    assert refusal(house, "SubmitJob", [sleep()])[0] == "JobQueueDrainError"
    assert refusal(house, "SubmitManyJobs", [[sleep()]])[0] == "JobQueueDrainError"
    assert house.ask("SubmitJobToDrainedQueue", [sleep()]) == 1


def test_many_jobs_have_a_verdict_each() -> None:
    house = House()
    verdicts = house.ask("SubmitManyJobs", [[sleep()], [{"OP_ID": "OP_NO"}], [sleep()], []])
    assert verdicts == [
        [True, 1],
        [False, "There is no opcode 'OP_NO'"],
        [True, 2],
        [False, "A job needs at least one opcode"],
    ]


def test_offsets_are_counted_without_refused_jobs() -> None:
    house = House()
    after_first = sleep(depends=[[-2, []]])
    after_refused = sleep(depends=[[-2, ["success"]]])
    too_far = sleep(depends=[[-9, []]])
    answer = house.ask(
        "SubmitManyJobs", [[sleep()], [{"OP_ID": "X"}], [after_first], [after_refused], [too_far]]
    )
    assert [ok for ok, _ in answer] == [True, False, True, False, False]
    job = house.queue.job(2)
    assert job is not None
    assert job.opcodes[0].depends == ((1, ()),)


@given(st.lists(st.tuples(st.booleans(), st.integers(-4, -1)), max_size=8))
def test_offsets_never_point_at_another_job(jobs: list[tuple[bool, int]]) -> None:
    decoded: list[Any] = []
    for at, (good, target) in enumerate(jobs):
        depends = ((target, ()),) if at + target >= 0 else None
        decoded.append([Sleep(depends=depends, comment=str(at))] if good else "refused")
    verdicts = settle(decoded)
    accepted = [verdict for verdict in verdicts if not isinstance(verdict, str)]
    for place, (opcode,) in enumerate(accepted):
        for target, _ in opcode.depends or ():
            own = int(opcode.comment or "")
            assert int(accepted[place + target][0].comment or "") == own + jobs[own][1]


def test_cancel_priority_archive() -> None:
    house = House()
    house.ask("SubmitJob", [sleep()])
    assert house.ask("CancelJob", 1) == [True, "Job 1 canceled"]
    assert house.ask("CancelJob", "1") == [True, "Job 1 canceled"]
    assert refusal(house, "CancelJob", 1, True)[2] == "wrong_input"
    assert refusal(house, "CancelJob", "x1")[1] == "'x1' is not a job number"
    assert house.ask("ChangeJobPriority", 1, -20) == [True, "priority -20"]
    assert "Priority 20" in refusal(house, "ChangeJobPriority", 1, 20)[1]
    assert house.ask("ArchiveJob", 1) is False
    house.end(1)
    assert house.ask("AutoArchiveJobs", 10**9, 30) == [0, 1]
    assert house.ask("AutoArchiveJobs", -1, 30) == [1, 0]
    assert house.ask("QueryJobs", [1], ["id"]) == [None]


# -- waiting ------------------------------------------------------------------------------------


def test_a_wait_ends_with_the_change_and_asks_nobody_in_between() -> None:
    house = House()
    house.ask("SubmitJob", [sleep()])
    answers = house.begin("WaitForJobChange", 1, ["status"], ["queued"], None, 60)
    assert answers == []
    job = house.queue.job(1)
    assert job is not None
    house.queue.say(job, 0, "hello")
    assert answers == [[["queued"], [[1, [1000, 250000], "message", "hello"]]]]
    again = house.begin("WaitForJobChange", 1, ["status"], ["queued"], 1, 60)
    assert again == []
    house.end(1)
    assert again == [[["success"], []]]
    assert house.ask("WaitForJobChange", 1, ["status"], ["success"], 1, 60) == [["success"], []]


def test_a_wait_is_answered_at_once_when_nothing_was_seen_yet() -> None:
    house = House()
    house.ask("SubmitJob", [sleep()])
    assert house.ask("WaitForJobChange", "1", ["id", "status"], None, None, 5) == [
        [1, "queued"],
        [],
    ]
    assert house.ask("WaitForJobChange", 2, ["id"], None, None, 5) is None


@pytest.mark.parametrize(("asked_s", "given_s"), [(10, 10), (600, 89), (-5, 0)])
def test_a_wait_is_bounded(asked_s: float, given_s: float) -> None:
    house = House()
    house.ask("SubmitJob", [sleep()])
    answers = house.begin("WaitForJobChange", 1, ["status"], ["queued"], 0, asked_s)
    house.clock.advance(max(given_s - 0.5, 0))
    assert answers == [] or given_s == 0
    house.clock.advance(1)
    assert answers == [NO_CHANGE]
    assert len(house.factory.waiting) == 0


def test_who_goes_away_is_forgotten() -> None:
    house = House()
    house.ask("SubmitJob", [sleep()])
    raw = house.raw()
    raw.say(encode_request("WaitForJobChange", [1, ["status"], ["queued"], 0, 60]))
    assert len(house.factory.waiting) == 1
    raw.transport.loseConnection()  # type: ignore[union-attr,misc]
    assert len(house.factory.waiting) == 0
    assert [call for call in house.clock.getDelayedCalls() if call.active()] == []


def test_many_wait_and_each_is_told_once() -> None:
    house = House()
    house.ask("SubmitManyJobs", [[sleep()], [sleep()]])
    first = [house.begin("WaitForJobChange", 1, ["status"], ["queued"], 0, 60) for _ in range(20)]
    second = house.begin("WaitForJobChange", 2, ["status"], ["queued"], 0, 60)
    house.end(1)
    assert first == [[[["success"], []]]] * 20
    assert second == []
    house.factory.close()
    assert second == [NO_CHANGE]


# -- the wire -----------------------------------------------------------------------------------


def test_answers_come_in_the_order_of_the_requests_of_a_connection() -> None:
    house = House()
    house.ask("SubmitJob", [sleep()])
    raw = house.raw()
    wait = encode_request("WaitForJobChange", [1, ["status"], ["queued"], 0, 60])
    assert raw.say(wait + encode_request("QueryTags", ["node", "n1"])) == b""
    house.end(1)
    first, second, rest = raw.heard.split(END)
    assert decode_reply(first) == [["success"], []]
    assert decode_reply(second) == ["node", "n1"]
    assert rest == b""


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"method": 5, "args": []}',
        b'{"method": "QueryTags", "args": ["a"], "version": 2000000}',
    ],
)
def test_what_is_no_request_gets_an_error_and_the_conversation_goes_on(data: bytes) -> None:
    house = House()
    raw = house.raw()
    heard = raw.say(data + END)
    with pytest.raises(RequestFailed) as caught:
        decode_reply(heard.rstrip(END))
    assert caught.value.kind == "GenericError"
    assert decode_reply(raw.say(encode_request("QueryTags", ["x"])).rstrip(END)) == ["x", "None"]


def test_an_endless_message_ends_the_conversation() -> None:
    house = House()
    raw = house.raw()
    for _ in range(40):
        raw.say(b"x" * (1 << 20))
    assert raw.lost
    assert len(house.raw().say(encode_request("QueryTags", ["x"]))) > 0


def test_requests_without_end_are_bounded() -> None:
    house = House()
    house.ask("SubmitJob", [sleep()])
    raw = house.raw()
    raw.say(encode_request("WaitForJobChange", [1, ["status"], ["queued"], 0, 60]))
    raw.say(encode_request("QueryTags", ["x"]) * 200)
    assert raw.lost


def test_an_unexpected_error_tells_the_client_nothing_of_the_inside() -> None:
    house = House()
    kind, message, _ = refusal(house, "Query", "broken", [], None)
    assert kind == "GenericError"
    assert "secret" not in message
    assert "ZeroDivisionError" in message


def test_unknown_and_unserved_methods() -> None:
    house = House()
    assert refusal(house, "Dance")[1] == "There is no LUXI method 'Dance'"
    for name in methods.UNSERVED:
        assert refusal(house, name)[2] == "wrong_input"
    assert refusal(house, "QueryInstances", [], ["name"], True)[1] == (
        "Sync queries are not allowed"
    )


@pytest.mark.parametrize("name", sorted(methods.METHODS))
def test_each_method_refuses_arguments_of_another_shape(name: str) -> None:
    assert refusal(House(), name, {"a": 1}, {}, {}, {}, {}, {}, {})[2] == "wrong_input"


def test_reads_are_handed_on() -> None:
    house = House()
    assert house.ask("Query", "node", ["name"], ["=", "a", 1]) == {
        "what": "node",
        "fields": ["name"],
        "qfilter": ["=", "a", 1],
    }
    assert house.ask("QueryFields", "node", None) == {"what": "node", "fields": None}
    assert house.ask("QueryNodes", [], ["name"], False) == ["node", None, ["name"]]
    assert house.ask("QueryInstances", ["a"], ["name"], False) == ["instance", ["a"], ["name"]]
    assert house.ask("QueryFilters", None, ["uuid"]) == ["filter", None, ["uuid"]]
    assert house.ask("QueryClusterInfo") == {"name": "c1"}
    assert house.ask("QueryConfigValues", ["a"]) == ["a"]
    assert house.ask("SetWatcherPause", 12.5) == 12.5
    assert house.ask("SetWatcherPause", None) is None
    assert house.pauses == [12.5, None]


@given(st.lists(st.binary(max_size=20)), st.integers(1, 7))
def test_frames_do_not_depend_on_how_the_bytes_arrive(parts: list[bytes], step: int) -> None:
    messages = [part.replace(END, b"") for part in parts]
    stream = b"".join(message + END for message in messages)
    frames = Frames(1000)
    seen = []
    for at in range(0, len(stream), step):
        seen += frames.feed(stream[at : at + step])
    assert seen == messages


# -- the client ---------------------------------------------------------------------------------


def test_a_client_without_a_master_says_so() -> None:
    house = House()
    house.endpoint.up = False
    with pytest.raises(DoorAway, match="cannot be reached"):
        house.ask("QueryTags", "x")


def test_a_master_that_goes_away_in_the_middle() -> None:
    house = House()
    house.ask("SubmitJob", [sleep()])
    answers = house.begin("WaitForJobChange", 1, ["status"], ["queued"], 0, 60)
    house.endpoint.cut()
    assert isinstance(answers[0].value, DoorAway)


def test_a_master_that_does_not_answer() -> None:
    house = House()
    silent = Door(Endpoint(Network(), Raw()), house.clock)
    answers: list[Any] = []
    Deferred.fromCoroutine(silent.call("QueryTags", "x")).addBoth(answers.append)
    house.clock.advance(CALL_TIMEOUT_S + 1)
    assert isinstance(answers[0].value, DoorTimeout)


def test_connections_are_used_again_and_a_broken_one_is_not() -> None:
    house = House()
    for _ in range(5):
        house.ask("QueryTags", "x")
    assert len(house.endpoint.wires) == 1
    house.endpoint.cut()
    house.endpoint.up = True
    assert house.ask("QueryTags", "x") == ["x", "None"]
    assert len(house.endpoint.wires) == 2


def test_the_error_classes_cross_the_door() -> None:
    with pytest.raises(BadMessage):
        decode_reply(b"x")
    for text, kind in [
        (b'{"success": false, "result": ["OpPrereqError", ["m", "wrong_state"]]}', "OpPrereqError"),
        (b'{"success": false, "result": ["JobLost", "m"]}', "JobLost"),
        (b'{"success": false, "result": "m"}', "GenericError"),
    ]:
        with pytest.raises(RequestFailed) as caught:
            decode_reply(text)
        assert (caught.value.kind, caught.value.message) == (kind, "m")


def test_the_kernel_says_who_is_at_the_other_end() -> None:
    class Transport:
        def __init__(self, handle: socket.socket) -> None:
            self.getHandle = lambda: handle

    one, two = socket.socketpair(socket.AF_UNIX)
    with one, two:
        assert peer_of(Transport(one)) == f"uid:{os.getuid()}"


def test_the_door_has_both_names_and_is_closed_to_others(tmp_path: Path) -> None:
    reactor = MemoryReactor()
    house = House()
    left = tmp_path / "socket" / "ganeti-master"
    left.parent.mkdir()
    left.touch()
    listen(reactor, house.factory, str(tmp_path / "socket"))
    assert [(Path(path).name, mode) for path, _, _, mode, _ in reactor.unixServers] == [
        ("ganeti-master", 0o660),
        ("ganeti-query", 0o660),
    ]
    # what a killed daemon left is out of the way
    assert not left.exists()
