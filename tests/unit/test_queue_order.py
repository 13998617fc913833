"""Which job runs when: filters, limits, ageing, names of requests, the archive; and for any jobs:
nobody waits for ever."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from jobqueue.ageing import POINT_S
from jobqueue.errors import Refused
from jobqueue.filters import Rule, new_rule
from jobqueue.job import Status
from tests.unit.driving import now
from tests.unit.test_executor import Play
from tests.unit.toy_cluster import PutAll


def put(*names: str, **more: Any) -> list[PutAll]:
    return [PutAll(names=names, **more)]


def rule(action: Any, *predicates: Any, priority: int = 0, uuid: str = "r") -> Rule:
    return new_rule(
        Rule(uuid=uuid, watermark=0, priority=priority, predicates=predicates, action=action)
    )


def about(name: str) -> list[Any]:
    return ["opcode", ["=[]", "names", name]]


def begun(play: Play) -> list[str]:
    return [act.removeprefix("put ") for act in play.toys.acts]


# -- filters ------------------------------------------------------------------------------------


def test_a_paused_job_runs_when_its_filter_is_gone() -> None:
    play = Play()
    now(play.master.queue.put_rule(rule("PAUSE", about("a"))))
    first, second = play.submit(put("a"), put("b"))
    play.settle()
    assert (play.status(first), play.status(second)) == (Status.QUEUED, Status.SUCCESS)
    play.begin()
    play.settle()
    assert play.status(first) is Status.QUEUED
    now(play.master.queue.delete_rule("r"))
    play.settle()
    assert play.status(first) is Status.SUCCESS


def test_a_rejected_job_is_canceled_also_when_it_waits_for_another() -> None:
    play = Play()
    play.toys.busy["slow"] = 20
    slow, dependent = play.submit(put("slow"), put("a", depends=((-1, ()),)))
    now(play.master.queue.put_rule(rule("REJECT", about("a"))))
    (later,) = play.submit(put("a"))
    play.clock.run(0.1)
    assert [play.status(job) for job in (slow, dependent, later)] == [
        Status.RUNNING,
        Status.CANCELED,
        Status.CANCELED,
    ]


def test_the_first_rule_that_does_not_say_continue_decides() -> None:
    play = Play()
    for one in (
        rule("CONTINUE", priority=0, uuid="c"),
        rule("ACCEPT", about("a"), priority=1, uuid="a"),
        rule("REJECT", priority=2, uuid="z"),
    ):
        now(play.master.queue.put_rule(one))
    accepted, rejected = play.submit(put("a"), put("b"))
    play.settle()
    assert (play.status(accepted), play.status(rejected)) == (Status.SUCCESS, Status.CANCELED)


@pytest.mark.parametrize("how", ["rule", "reason"])
def test_so_many_of_a_kind_run_at_once_and_each_end_lets_the_next_one_begin(how: str) -> None:
    play = Play()
    reason = (("gnt:user", "rate-limit:2:nightly", 1),) if how == "reason" else ()
    if how == "rule":
        now(play.master.queue.put_rule(rule(["RATE_LIMIT", 2])))
    for name in "abcde":
        play.toys.busy[name] = 2
    jobs = play.submit(*(put(name, reason=reason) for name in "abcde"))
    most = 0
    for _ in range(100):
        play.clock.run(0.1)
        most = max(most, sum(play.status(job) is Status.RUNNING for job in jobs))
    assert most == 2
    assert {play.status(job) for job in jobs} == {Status.SUCCESS}


def test_filters_know_numbers_and_reasons() -> None:
    play = Play()
    play.submit(put("x"))
    now(play.master.queue.put_rule(rule("PAUSE", ["jobid", ["<=", "id", 2]], uuid="n")))
    wanted = ["reason", ["&", ["=", "source", "gnt:user"], ["=~", "reason", "^night"]]]
    now(play.master.queue.put_rule(rule("REJECT", wanted, uuid="w")))
    low, night, free = play.submit(
        put("a"), put("b", reason=(("gnt:user", "nightly", 1),)), put("c")
    )
    play.settle()
    assert [play.status(job) for job in (low, night, free)] == [
        Status.QUEUED,
        Status.CANCELED,
        Status.SUCCESS,
    ]


# -- order --------------------------------------------------------------------------------------


def test_priority_decides_until_waiting_has_made_up_for_it() -> None:
    play = Play()
    play.master.limit = 0
    play.submit(put("low", priority=10), put("normal"), put("best", priority=-10))
    play.clock.run(10 * POINT_S + 1)
    play.submit(put("late"), put("high", priority=-10))
    play.master.limit = 1
    play.settle()
    play.submit(put("wakes"))
    play.settle()
    # half an hour of waiting is worth ten points
    assert begun(play)[:5] == ["best", "normal", "high", "low", "late"]


def test_who_waits_for_a_lock_leaves_its_place_to_others_and_the_limit_holds() -> None:
    play = Play()
    play.master.limit = 2
    play.toys.busy.update(holder=4, other=8, third=8)
    jobs = play.submit(put("holder", lock="x"), put("waiter", lock="x"), put("other"), put("third"))
    play.clock.run(0.1)
    statuses = [Status.RUNNING, Status.WAITING, Status.RUNNING, Status.QUEUED]
    assert [play.status(job) for job in jobs] == statuses
    most = 0
    for _ in range(1000):
        play.clock.run(0.1)
        most = max(most, sum(play.status(job) is Status.RUNNING for job in jobs))
    assert most == 2
    assert {play.status(job) for job in jobs} == {Status.SUCCESS}


def test_jobs_that_wait_behind_a_stuck_one_are_in_nobodys_way() -> None:
    play = Play()
    play.master.limit = 2
    play.toys.broken.add("b")
    play.toys.unremovable.add("a")
    (stuck,) = play.submit(put("a", "b", lock="x"))
    play.settle()
    assert play.status(stuck) is Status.STUCK
    waiting = play.submit(*(put(f"w{n}", lock="x") for n in range(30)))
    (free,) = play.submit(put("free"))
    play.settle()
    assert play.status(free) is Status.SUCCESS
    assert {play.status(job) for job in waiting} <= {Status.WAITING, Status.QUEUED}
    Deferred.fromCoroutine(play.master.scheduler.abandon(stuck, "test"))
    play.settle()
    assert {play.status(job) for job in waiting} == {Status.SUCCESS}


JOBS = st.lists(
    st.tuples(
        st.lists(
            st.sampled_from(
                [
                    f"{level}/{name}{mode}"
                    for level in ("instance", "node", "network")
                    for name in ("a", "b", "[lockset]")
                    for mode in ("", " shared")
                ]
            ),
            max_size=4,
        ),
        st.sampled_from([-10, 0, 10]),
        st.integers(0, 3),
        st.booleans(),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@given(jobs=JOBS, limit=st.integers(1, 4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_job_ends_whatever_it_locks_and_whoever_is_canceled(
    jobs: list[Any], limit: int
) -> None:
    """No deadlock: neither locks nor places are waited for in a circle."""
    play = Play()
    play.master.limit = limit
    ids = []
    for at, (locks, priority, busy, depends, cancel) in enumerate(jobs):
        play.toys.busy[str(at)] = busy
        before = ((ids[-1], ("success", "error", "canceled")),) if depends and ids else None
        (job,) = play.submit(
            put(str(at), locks=tuple(locks), priority=priority, depends=before)
            + put(f"{at}+", locks=tuple(reversed(locks)))
        )
        ids.append(job)
        if cancel and at:
            Deferred.fromCoroutine(play.master.scheduler.cancel(ids[at // 2]))
        play.clock.run(0.3)
    play.settle()
    assert {play.status(job) for job in ids} <= {Status.SUCCESS, Status.CANCELED}
    assert play.master.queue.locks.rows() == ()
    assert play.master.scheduler.running == 0


@given(
    stream=st.sampled_from([-10, 0]),
    lock=st.sampled_from(["", "node/a", "node/a shared", "node/[lockset]"]),
    limit=st.integers(1, 3),
)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_endless_stream_of_better_jobs_starves_nobody(
    stream: int, lock: str, limit: int
) -> None:
    """One job with low priority against a new one with a better one every time one ends."""
    play = Play()
    play.master.limit = limit
    locks = (lock,) if lock else ()
    play.toys.busy["first"] = 3
    play.submit(put("first", locks=("node/a",)))
    (victim,) = play.submit(put("victim", priority=10, locks=("node/a",)))
    bound_s = 1.3 * (10 - stream) * POINT_S + 600
    pause_s, passed, count = 26.0, 0.0, 0
    while play.status(victim) is not Status.SUCCESS and passed < bound_s:
        for _ in range(limit):
            play.toys.busy[f"s{count}"] = 8
            play.submit(put(f"s{count}", priority=stream, locks=locks))
            count += 1
        play.clock.run(pause_s)
        passed += pause_s
    assert play.status(victim) is Status.SUCCESS, f"starved for {passed:.0f} s"
    play.settle(1e6)


# -- names and the archive ----------------------------------------------------------------------


def test_the_same_name_submits_once_over_lives_and_archive() -> None:
    play = Play()
    queue = play.master.queue
    (job,) = now(queue.submit([put("a")], "me", name="k"))
    assert now(queue.submit([put("a")], "me", name="k")) == [job]
    assert now(queue.submit([put("a")], "you", name="k")) == [job + 1]
    with pytest.raises(Refused, match="another request"):
        now(queue.submit([put("b")], "me", name="k"))
    play.settle()
    assert now(queue.archive(job))
    play.begin()
    again = put("a", reason=(("x", "later", 5),))
    assert now(play.master.queue.submit([again], "me", name="k")) == [job]


def test_a_named_submission_of_many_goes_on_where_it_was_broken_off() -> None:
    play = Play()
    jobs = [put(str(at), depends=((-1, ()),) if at else None) for at in range(50)]
    play.begin(die_at=1)
    Deferred.fromCoroutine(play.master.queue.submit(jobs, "me", name="k"))
    play.begin()
    numbers = now(play.master.queue.submit(jobs, "me", name="k"))
    assert len(set(numbers)) == 50
    assert now(play.master.queue.submit(jobs, "me", name="k")) == numbers
    play.settle()
    assert {play.status(job) for job in numbers} == {Status.SUCCESS}


def test_archived_jobs_are_not_loaded_and_still_found_and_depended_on() -> None:
    play = Play()
    first, second = play.submit(put("a"), put("forbidden"))
    play.settle()
    assert now(play.master.queue.auto_archive(None)) == (2, 0)
    play.begin()
    queue = play.master.queue
    assert (queue.jobs(), len(queue)) == ([], 0)
    found = now(queue.archived(second))
    assert (found.status, found.archived, found.summary) == (
        Status.ERROR, True, ["PUT_ALL(forbidden)"],
    )  # fmt: skip
    third, fourth = play.submit(
        put("c", depends=((first, ("success",)),)), put("d", depends=((second, ("success",)),))
    )
    play.settle()
    assert (third, play.status(third), play.status(fourth)) == (
        second + 1, Status.SUCCESS, Status.ERROR,
    )  # fmt: skip


def test_an_ended_job_is_one_value_in_the_store() -> None:
    play = Play()
    (job,) = play.submit(put(*"abcdef"))
    play.settle()
    keys = [key for key in play.disk.keys if f"{job:012d}" in key]
    assert [key.split("/")[0] for key in keys] == ["finished"]
    play.begin()
    assert play.status(job) is Status.SUCCESS
    assert play.result(job) == list("abcdef")
