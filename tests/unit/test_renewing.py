"""Keys and certificates: renewed, told of before they end, spread among candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clusterd import certificates
from clusterd.certificates import issue_rapi, make_authority, write_authority, write_rapi
from clusterd.master.outfit import RealOutfit
from clusterd.model import Cluster, Node
from clusterd.settings import ClusterSection, NodeSection, Settings
from clusterd.verification import DAY_S, RENEWED_BY, certificates_last
from tests.unit.cli_stage import Stage, job_answers, stage_in
from tests.unit.driving import now as at_once
from tests.unit.small_cluster import SmallCluster

NOW = 1_800_000_000.0
NODE = Node(
    uuid="n1", name="n1.tb", primary_ip="192.0.2.1", secondary_ip="192.0.2.1", group="g",
    master_candidate=True,
)  # fmt: skip
CLUSTER = Cluster(
    uuid="c", name="c.tb", master_node="n1", master_netdev="lo", mac_prefix="aa:00:00"
)


def master(root: Path) -> tuple[RealOutfit, Path]:
    """A master's files; what it gives candidates."""
    settings = Settings(root=str(root))
    state = settings.state_directory
    state.mkdir(parents=True)
    write_authority(state, make_authority("c.tb", NOW))
    return RealOutfit(settings, None, lambda: NOW), state


def test_each_candidate_has_a_certificate_of_its_own_unless_the_site_brought_one(
    tmp_path: Path,
) -> None:
    outfit, state = master(tmp_path)
    authority = certificates.read_authority(state)

    def given() -> bytes:
        return at_once(outfit.of_candidate(NODE, CLUSTER))["rapi.pem"]

    first = given()
    assert certificates.issued(authority.certificate, first)
    assert certificates.describe(first).name == "c.tb"
    (state / "rapi.pem").write_bytes(first)
    assert given() != first
    foreign = make_authority("elsewhere", NOW)
    write_rapi(state, issue_rapi(foreign, ("c.tb",), NOW), foreign.certificate)
    own = (state / "rapi.pem").read_bytes()
    assert not certificates.issued(authority.certificate, own)
    assert given() == own
    anew = at_once(outfit.of_rapi(NODE, CLUSTER, anew=True))["rapi.pem"]
    assert certificates.issued(authority.certificate, anew)


def test_what_is_shared_is_what_the_operator_wrote(tmp_path: Path) -> None:
    outfit, state = master(tmp_path)
    assert at_once(outfit.shared()) == {}
    (state / "rapi").mkdir()
    (state / "rapi" / "users").write_text("jack secret write\n")
    assert at_once(outfit.shared()) == {"rapi/users": b"jack secret write\n"}


def test_an_authority_takes_the_place_of_another_one_in_three_acts(tmp_path: Path) -> None:
    outfit, state = master(tmp_path)
    old = certificates.read_authority(state)
    assert at_once(outfit.trusting("alone")) == {}
    drawn = at_once(outfit.next_authority(CLUSTER))
    assert at_once(outfit.next_authority(CLUSTER)) == drawn
    new = drawn["ca.next.pem"]

    def put(files: dict[str, bytes]) -> None:
        for name, content in files.items():
            (state / name).write_bytes(content)

    for _ in range(2):  # each act may be repeated
        put(at_once(outfit.trusting("both")))
        assert certificates.split((state / "ca.pem").read_bytes()) == [old.certificate, new]
    assert certificates.issued(old.certificate, at_once(outfit.of_node(NODE))["node.pem"])
    for _ in range(2):
        put(at_once(outfit.trusting("next")))
        assert certificates.split((state / "ca.pem").read_bytes()) == [new, old.certificate]
    pair = at_once(outfit.of_node(NODE))["node.pem"]
    assert certificates.issued(new, pair)
    assert not certificates.issued(old.certificate, pair)
    # who reads what the master gives meanwhile believes both
    given = at_once(outfit.of_candidate(NODE, CLUSTER))
    assert certificates.split(given["ca.pem"]) == [new, old.certificate]
    put(at_once(outfit.trusting("alone")))
    assert (state / "ca.pem").read_bytes() == new
    assert at_once(outfit.trusting("alone")) == {"ca.pem": new}
    again = at_once(outfit.next_authority(CLUSTER))
    assert again["ca.next.pem"] != new


@pytest.mark.parametrize(
    ("days", "line"),
    [
        (31.0, None),
        (29.0, "WARNING: node n1.example.com: certificate node.pem ends in 29 days: renew it with"),
        (6.0, "ERROR: node n1.example.com: certificate node.pem ends in 6 days: renew it with"),
        (-1.0, "ERROR: node n1.example.com: certificate node.pem has ended: renew it with"),
    ],
)
def test_a_certificate_that_ends_soon_is_told(days: float, line: str | None) -> None:
    view = SmallCluster().view()
    node = view.configuration.node("n1.example.com")
    answers: dict[str, Any] = {node.name: {"certificates": {"node.pem": view.now + days * DAY_S}}}
    found = [one.line(codes=False) for one in certificates_last(view, [node], answers)]
    if line is None:
        assert found == []
    else:
        assert found == [f"  - {line} 'gnt-cluster renew-crypto --new-node-certificates'"]


def test_for_each_certificate_it_is_told_what_renews_it() -> None:
    assert set(RENEWED_BY) == set(certificates.WITH_END)
    view = SmallCluster().view()
    node = view.configuration.node("n1.example.com")
    answers: dict[str, Any] = {node.name: {"certificates": {"store-ca.pem": view.now + DAY_S}}}
    (found,) = certificates_last(view, [node], answers)
    assert "'gnt-cluster store migrate --to=sqlite' and then '--to=etcd'" in found.text


def test_a_node_without_the_check_is_not_judged() -> None:
    view = SmallCluster().view()
    nodes = list(view.configuration.nodes())
    silent: dict[str, Any] = {nodes[0].name: {"certificates": {"error": "OSError: x"}}}
    assert list(certificates_last(view, nodes, silent)) == []


def staged(root: Path, stage: Stage) -> Path:
    """A master's machine; the place of its remote API's certificate."""
    settings = Settings(
        root=str(root),
        cluster=ClusterSection(name="c", uuid="u"),
        node=NodeSection(name="n1", role="master-candidate"),
    )
    settings.path.parent.mkdir(parents=True, exist_ok=True)
    settings.path.write_text(settings.to_toml())
    settings.state_directory.mkdir(parents=True)
    stage.answer(QueryClusterInfo={}, **job_answers())
    return settings.state_directory / "rapi.pem"


def test_a_certificate_of_the_site_is_put_in_place_and_spread(tmp_path: Path) -> None:
    authority = make_authority("elsewhere", NOW)
    write_rapi(tmp_path, issue_rapi(authority, ("c",), NOW), authority.certificate)
    with stage_in(tmp_path) as stage:
        place = staged(tmp_path, stage)
        ended = stage.run("cluster", "renew-crypto", f"--rapi-certificate={tmp_path}/rapi.pem")
        assert ended.code == 0, ended.err
        assert stage.submitted()["rapi_certificate"] == "spread"
        assert place.read_bytes() == (tmp_path / "rapi.pem").read_bytes()


def test_a_file_that_is_no_certificate_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with stage_in(tmp_path) as stage:
        place = staged(tmp_path, stage)
        ended = stage.run("cluster", "renew-crypto", f"--rapi-certificate={tmp_path}/x")
        assert ended.code == 1
        assert "cannot use this certificate" in "".join(ended.err)
        assert not place.exists()
        both = [f"--rapi-certificate={tmp_path}/x", "--new-rapi-certificate"]
        assert "Only one of" in "".join(stage.run("cluster", "renew-crypto", *both).err)
        assert stage.responder.of("SubmitJob") == []


def test_what_ganeti_has_beside_is_told_or_refused(tmp_path: Path) -> None:
    with stage_in(tmp_path) as stage:
        staged(tmp_path, stage)
        words = ("--new-cluster-certificate", "--new-confd-hmac-key", "-f")
        ended = stage.run("cluster", "renew-crypto", *words)
        assert (ended.code, len(ended.err)) == (0, 1)
        assert "--new-confd-hmac-key changes nothing" in ended.err[0]
        assert stage.submitted()["cluster_certificate"] is True
        ended = stage.run("cluster", "renew-crypto", "--new-spice-certificate")
        assert ended.code == 1
        assert "does not serve certificates of SPICE" in "".join(ended.err)
