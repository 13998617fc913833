"""Each node host runs on the processor that has the fewest of them."""

from __future__ import annotations

from tests.testbed.processors import emptiest


def test_processors_are_taken_in_turn() -> None:
    taken: list[int] = []
    for _ in range(5):
        taken.append(emptiest({2, 0, 5}, taken))
    assert taken == [0, 2, 5, 0, 2]


def test_a_processor_that_became_free_is_taken_next() -> None:
    assert emptiest({0, 1}, [0, 0, 1]) == 1


def test_hosts_on_processors_that_may_not_be_used_do_not_count() -> None:
    assert emptiest({3}, [0, 1, 3, 3]) == 3
