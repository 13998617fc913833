"""Reading the demo guest's console and disk."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.demo.guest import Boot, Counter, boots, counter, gap, ticks

CONSOLE = """\
\x1bcSeaBIOS\r
BOOTED name=web1 boot=2 last=41 up=3.10 ip=none disks=vda mem_kib=80000\r
TICK 42 3.11\r
TICK 43 3.62\r
TICK 4"""


def test_the_console_tells_starts_and_counts_but_no_line_cut_short() -> None:
    assert ticks(CONSOLE) == [42, 43]
    assert boots(CONSOLE) == [Boot(2, 41)]


def test_the_counter_is_read_out_of_its_padded_block() -> None:
    assert counter("TICK 17 boot=3" + " " * 400 + "\n" + "\0" * 3000) == Counter(17, 3)
    assert counter("\0" * 4096) is None
    assert counter("TICK x") is None


@given(st.integers(0, 1000), st.integers(1, 50))
def test_consecutive_numbers_have_no_gap(start: int, length: int) -> None:
    assert gap(list(range(start, start + length))) == ""


@given(st.lists(st.integers(0, 50), min_size=2))
def test_anything_else_has_a_gap_that_is_named(counted: list[int]) -> None:
    whole = counted == list(range(counted[0], counted[0] + len(counted)))
    assert (gap(counted) == "") == whole


def test_a_repeated_and_a_lost_number_are_gaps() -> None:
    assert gap([4, 5, 5]) == "after 5 came 5"
    assert gap([4, 5, 7]) == "after 5 came 7"
