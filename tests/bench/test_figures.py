"""The arithmetic of the figures."""

from __future__ import annotations

import msgspec
import pytest

from tests.bench.__main__ import number
from tests.bench.figures import Figure, from_samples, nearest


@pytest.mark.parametrize(
    ("samples", "p95"), [([7.0], 7.0), (list(range(1, 101)), 95), (list(range(1, 21)), 19)]
)
def test_p95_is_a_sample_that_95_percent_do_not_exceed(samples: list[float], p95: float) -> None:
    assert nearest(samples, 95) == p95


def test_a_figure_of_samples_is_their_median() -> None:
    assert from_samples("x_ms", "ms", [3.0, 1.0, 100.0]) == Figure(
        name="x_ms", value=3.0, unit="ms", p50=3.0, p95=100.0, n=3
    )
    with pytest.raises(ValueError, match="no samples"):
        from_samples("x_ms", "ms", [])


def test_the_stored_object_has_the_promised_keys() -> None:
    stored = msgspec.to_builtins(Figure(name="a", value=1.0, unit="s"))
    assert list(stored) == ["name", "value", "unit", "p50", "p95", "n", "group"]


def test_numbers_are_short() -> None:
    assert [number(value) for value in (None, 0.012341, 12.341, 1234.5)] == [
        "-",
        "0.01234",
        "12.34",
        "1,234",
    ]
