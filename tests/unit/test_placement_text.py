"""The text format, and what is refused in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterd.placement.errors import BadCluster
from clusterd.placement.facts import Utilisation
from clusterd.placement.text_format import parse, parse_utilisation, render
from tests.unit.placement_clusters import any_cluster

FIXTURE = """\
group-01|fake-uuid-01|preferred||

node-01|91552|0|91424|3100|1052|16|M|fake-uuid-01|1||N|1|0|1.0
node-02|91552|0|91296|3100|1052|16|N|fake-uuid-01|1||N|1|0|1.0

inst1|128|1024|1|running|Y|node-01|node-02|drbd||1|-|N
inst2|128|1024|1|running|Y|node-02|node-01|drbd||1|-|N


|128,1,1024,1,1,1|128,1,1024,1,1,1;32768,8,1048576,16,8,12|drbd,plain|4.0|32.0
"""


@given(st.integers(0, 10000))
def test_what_is_written_is_read_again(number: int) -> None:
    facts = any_cluster(number)
    assert parse(render(facts)) == facts


def test_older_files_end_their_lines_earlier() -> None:
    text = (
        "g|u|preferred\n\nn1|1000|10|900|500|400|4|N|u\nn2|?|?|?|?|?|?|N|u\n\n"
        "i|128|100|1|running|Y|n1||plain|\n\n"
    )
    facts = parse(text)
    assert [one.offline for one in facts.nodes] == [False, True]
    assert facts.nodes[0].spindles == 1
    assert facts.instances[0].spindle_use == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("node-02|91552", "node-02|many", "Line 4 .*total memory is 'many'"),
        ("|running|Y|node-01", "|running|Y|node-03", "Instance inst1: there is no node node-03"),
        ("node-01|node-02|drbd", "node-01|node-01|drbd", "inst1: its primary and secondary"),
        ("node-01|node-02|drbd", "node-01|node-02|plain", "inst1: its template is plain"),
        ("node-01|node-02|drbd", "node-01||drbd", "inst1: .*has no secondary"),
        ("node-01|node-02|drbd", "node-01|node-02|floppy", "Line 6 .*'floppy' is unknown"),
        ("inst2|", "inst1|", "The instance inst1 is there twice"),
        ("3100|1052|16|M", "3100|9999|16|M", "Node node-01: 9999 MiB of disk are free"),
        ("91552|0|91424", "91552|-4|91424", "Node node-01: memory_node_mib -4"),
        ("M|fake-uuid-01", "M|other", "Node node-01: there is no group other"),
        ("|running|Y|node-02", "|flying|Y|node-02", "inst2: unknown status 'flying'"),
        ("32768,8,1048576", "64,8,1048576", "contradicts itself: smallest memory_mib 128"),
        ("|128,1,1024,1,1,1|", "|64,1,1024,1,1,1|", "standard size fits none"),
        ("|4.0|32.0", "|0|32.0", "vcpu ratio of 0"),
        ("|preferred||", "|maybe||", "Line 1 .*allocation policy 'maybe'"),
        ("|4.0|32.0", "", "Line 10 .*4 fields, but a policy has at least 6"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, said: str) -> None:
    assert FIXTURE.count(old) >= 1
    with pytest.raises(BadCluster, match=said):
        parse(FIXTURE.replace(old, new, 1))


@given(st.integers(0, len(FIXTURE) - 1))
def test_a_file_that_is_cut_short_is_refused_or_whole_as_far_as_it_goes(end: int) -> None:
    try:
        facts = parse(FIXTURE[:end])
    except BadCluster:
        return
    assert len(facts.nodes) == 2


def test_a_file_without_all_sections_is_refused() -> None:
    with pytest.raises(BadCluster, match="2 sections instead of 4 or 5"):
        parse("g|u|preferred\n\nn1|1000|10|900|500|400|4|N|u\n")


def test_utilisation_has_four_numbers() -> None:
    assert parse_utilisation("i1 1 2 3 4.5\n\n") == {"i1": Utilisation(1, 2, 3, 4.5)}
    with pytest.raises(BadCluster, match=r"Line 1: after the instance i1 come four numbers"):
        parse_utilisation("i1 1 2 3\n")
