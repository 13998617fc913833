"""Three candidates on a real etcd: everything of the master's host is killed at once, as a power
failure would, and another one goes on. (On node hosts: ``test_failover``.)
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from clusterd.pidfile import holder
from clusterd.settings import DAEMONS
from tests.three_candidates import PATIENCE_S, USERS, Host, accepted, master_of, three_candidates

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Host]]:
    """Three candidates, the first is master."""
    with three_candidates(tmp_path_factory.mktemp("three")) as made:
        yield made


def test_all_are_candidates_and_members(hosts: list[Host]) -> None:
    rows = hosts[0].run("gnt-node", "list", "--no-headers", "--separator=|", "-o", "name,role")
    assert [row.split("|")[1] for row in rows.split()] == ["M", "C", "C"]
    deadline = time.monotonic() + PATIENCE_S
    while len(hosts[2].members()) < 3:
        assert time.monotonic() < deadline, hosts[2].members()
        time.sleep(0.2)
    info = hosts[2].ask("/2/info")
    assert isinstance(info, dict)
    assert info["master"] == hosts[0].name
    said = hosts[1].run("gnt-node", "list", code=11)
    assert f"please connect to node '{hosts[0].name}'" in said
    assert hosts[1].run("gnt-cluster", "getmaster").strip() == hosts[0].name


def test_users_and_certificates_are_spread_while_everything_runs(hosts: list[Host]) -> None:
    one, two, three = hosts
    assert two.run("gnt-cluster", "master-ping", code=1) == ""
    one.own.users_path.write_text(USERS + "jill secret\n")
    one.run("gnt-cluster", "redist-conf")
    assert [host.own.users_path.read_text() for host in (two, three)] == [
        USERS + "jill secret\n"
    ] * 2
    files = ("ca.pem", "ca.key", "node.pem", "node.key", "store.pem", "store.key", "rapi.pem")
    before = {(host.name, file): read(host, file) for host in hosts for file in files}
    one.run("gnt-cluster", "renew-crypto", "--new-cluster-certificate")
    assert [place for place, old in before.items() if read(*_at(hosts, place)) == old] == []
    assert len({read(host, "ca.pem") for host in hosts}) == 1
    assert read(one, "ca.pem").count(b"BEGIN CERTIFICATE") == 1
    # what begins a connection now shows the new ones; what stands is not cut
    for daemon in ("clusterd-node", "clusterd-rapi"):
        two.run(daemon, "--stop")
        two.run(daemon, "--start")
    one.run("gnt-debug", "delay", "--no-master", "-n", two.name, "0.1")
    assert isinstance(two.ask("/2/info"), dict)
    said = one.run("gnt-cluster", "verify", "--error-codes", code=None)
    assert "ECLUSTERCERT" not in said


def read(host: Host, file: str) -> bytes:
    return (host.own.state_directory / file).read_bytes()


def _at(hosts: list[Host], place: tuple[str, str]) -> tuple[Host, str]:
    name, file = place
    return next(host for host in hosts if host.name == name), file


def test_another_one_goes_on_when_the_master_s_host_is_gone(hosts: list[Host]) -> None:
    one, two, three = hosts
    delay = ("gnt-debug", "delay", "--submit", "--no-master", "-n", two.name)
    numbers = [one.run(*delay, "6").split("JobID: ")[1].split()[0] for _ in range(3)]
    before = one.statuses()
    assert [before[number] for number in numbers] == ["running", "waiting", "waiting"]
    begun = time.monotonic()
    one.power_off()
    _host, number = accepted([two, three])
    print(f"master_recovery_s={time.monotonic() - begun:.2f}")
    now = master_of([two, three])
    deadline = time.monotonic() + PATIENCE_S
    while {"running", "queued", "waiting"} & set((found := now.statuses()).values()):
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    assert found == {**before, **dict.fromkeys([*numbers, number], "success")}


def test_the_former_master_comes_back_and_is_chosen(hosts: list[Host]) -> None:
    one = hosts[0]
    for daemon in DAEMONS:
        one.run(daemon, "--start")
    assert "please connect to node" in one.run("gnt-node", "list", code=11)
    assert f"{one.name} is the master now" in one.run("gnt-cluster", "master-failover")
    assert "master already" in one.run("gnt-cluster", "master-failover", code=1)
    one.run("gnt-debug", "delay", "0.1")


def test_who_is_candidate_no_more_has_no_secrets_and_no_vote(hosts: list[Host]) -> None:
    one, _, three = hosts
    one.run("gnt-node", "modify", "--master-candidate=no", "--force", three.name)
    left = {path.name for path in three.own.state_directory.iterdir()}
    assert not {"ca.key", "store.key", "store-ca.key", "rapi.pem", "etcd"} & left
    assert [holder(three.own.pid_path(daemon)) for daemon in DAEMONS[1:]] == [None] * 3
    deadline = time.monotonic() + PATIENCE_S
    while one.members() != [one.name]:
        assert time.monotonic() < deadline, one.members()
        time.sleep(0.2)
    assert one.run("gnt-cluster", "getmaster").strip() == one.name


def test_a_larger_pool_of_candidates_is_filled(hosts: list[Host]) -> None:
    one, _, three = hosts
    one.run("gnt-cluster", "modify", "--candidate-pool-size=11")
    rows = one.run("gnt-node", "list", "--no-headers", "--separator=|", "-o", "name,role")
    assert f"{three.name}|C" in rows.split()
    deadline = time.monotonic() + PATIENCE_S
    while len(one.members()) < 3:
        assert time.monotonic() < deadline, one.members()
        time.sleep(0.2)
    assert three.run("gnt-cluster", "getmaster").strip() == one.name
