"""The drills: a cluster of real daemons under load; its masters are killed, or have no room."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence

from clusterd.doorway.protocol import RequestFailed
from tests.proof import daemons, verdict
from tests.proof.daemons import MASTER, Household
from tests.proof.house import House, fill
from tests.proof.load import Load
from tests.proof.trio import Trio

WORKERS = 8
END_S = 120.0
LONGEST_LIFE_S = 1.5
"""A master is killed within this time after it serves."""

FULL_S = 4.0
"""How long the disk stays full, with a master, and with none that could start."""

FULL_AT_LAST_S = 60.0
LONG_WORDS = 10_000
MEMBER_BACK_S = 30.0
SIGHT_S = 20.0
"""So long after a take-over all nodes have been seen again."""

Recoveries = dict[str, list[float]]
"""What struck -> seconds until a question was answered again."""


def kill_again_and_again(household: Household, load: Load, kills: int, seed: int) -> Recoveries:
    """The load runs while something is killed and comes back."""
    draw = random.Random(seed)
    recoveries: Recoveries = {}

    def kill() -> None:
        for _ in range(kills):
            time.sleep(draw.uniform(0.0, LONGEST_LIFE_S))
            began = time.monotonic()
            blow = household.strike(draw)
            household.await_answer(load)
            recoveries.setdefault(blow, []).append(time.monotonic() - began)
            household.mend()

    while_under_load(load, kill)
    return recoveries


def while_under_load(load: Load, act: Callable[[], None]) -> None:
    """The load runs as long as this does; what it raises is raised."""
    broken: list[BaseException] = []

    def acting() -> None:
        try:
            act()
        # told to the thread that waits
        except BaseException as error:  # noqa: BLE001
            broken.append(error)

    thread = threading.Thread(target=acting)
    thread.start()
    while thread.is_alive():
        load.round(more=True)
    if broken:
        raise broken[0]


def judge(household: Household, load: Load) -> list[str]:
    """What is wrong once the load has ended; the masters are stopped for it."""
    deadline = time.monotonic() + SIGHT_S
    while (wrong := wrong_to_see(household, load)) and time.monotonic() < deadline:
        time.sleep(0.5)
    wrong += verdict.wrong_on_disk(household.files, load)
    household.door.close()

    return wrong + household.judged(lambda store: verdict.wrong_in_store(store, load))


def wrong_to_see(household: Household, load: Load) -> list[str]:
    """What the master shows that should not be."""
    rows = household.door.query_names("QueryInstances", [], ["name", "oper_state", "admin_state"])
    wrong = [
        f"instance {name} should be {admin} and runs: {runs}"
        for name, runs, admin in rows
        if runs is not (admin == "up")
    ]
    wrong += verdict.differences("instances that are shown", (row[0] for row in rows), load)
    return wrong


def fill_and_kill(house: House, load: Load, seed: int) -> list[str]:
    """The disk with the state is full for a while, and the master is killed in that time; what
    is wrong with how it bore that."""
    draw = random.Random(seed)
    wrong = []
    _rounds(load, draw.uniform(1.0, 2.0))
    filler = house.own.state_directory / "filler"
    before = load.answered
    fill(filler)
    pid = daemons.pid(house, MASTER)
    refusal = _refused(house, load)
    _rounds(load, FULL_S)
    if daemons.pid(house, MASTER) != pid:
        wrong.append("the master ended when its disk was full")
    if load.answered == before:
        wrong.append("the master answered nothing while its disk was full")
    if "full" not in refusal:
        wrong.append(f"nobody was told that the disk is full: {refusal}")
    daemons.kill(house, MASTER)
    starting = threading.Thread(target=daemons.start, args=(house, MASTER))
    starting.start()
    _rounds(load, FULL_S)
    filler.unlink()
    starting.join()
    _rounds(load, 1.0)
    return wrong


def fill_member(trio: Trio, load: Load) -> list[str]:
    """The disk of the last node, which is master, is full until its member of the store gives up;
    what is wrong with how the others bore that, and whether it comes back by itself."""
    full = trio.hosts[-1]
    filler = full.own.state_directory / "filler"
    wrong: list[str] = []

    def act() -> None:
        trio.become_master(full)
        fill(filler)
        if not until(lambda: not trio.member_answers(full), FULL_AT_LAST_S):
            wrong.append("the member with the full disk took all that was written")
        ended = sum(1 for asked in load.asked if asked.status)
        time.sleep(FULL_S)
        if sum(1 for asked in load.asked if asked.status) == ended:
            wrong.append("no job ended while one of three members had a full disk")
        daemons.kill(trio.master(), MASTER)
        trio.await_answer(load)
        filler.unlink()
        if not until(lambda: trio.member_answers(full), MEMBER_BACK_S):
            wrong.append("the member does not come back though there is room again")
        for host in trio.hosts:
            daemons.start(host, MASTER)

    while_under_load(load, act)
    return wrong


def until(true: Callable[[], bool], for_s: float) -> bool:
    """Whether it became true in time."""
    deadline = time.monotonic() + for_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _refused(house: House, load: Load) -> str:
    """What is said to who asks for a job; what the store's files have room for is still taken."""
    deadline = time.monotonic() + FULL_AT_LAST_S
    # a long word of its own, so that pages that were freed are soon used up
    reason = [["proof", "full " * LONG_WORDS, 0]]
    while time.monotonic() < deadline:
        load.round(more=True)
        try:
            house.door.submit_job([{"OP_ID": "OP_TEST_DELAY", "duration": 0.0, "reason": reason}])
        except RequestFailed as error:
            return str(error)
    return "it still takes jobs"


def _rounds(load: Load, for_s: float) -> None:
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        load.round(more=True)


def all_of(recoveries: Recoveries) -> Sequence[float]:
    """Whatever struck."""
    return [one for some in recoveries.values() for one in some]
