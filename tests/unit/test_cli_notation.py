"""Sizes, times, parameters and composite values as people write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import notation, readers
from cli.abbreviations import written_out
from cli.notation import BadText


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("512", 512),
        ("512m", 512),
        ("512M", 512),
        ("512MiB", 512),
        ("1g", 1024),
        ("1.5G", 1536),
        ("2t", 2 * 1024 * 1024),
        ("513", 516),
        ("1", 4),
        ("0", 0),
        ("0.001g", 4),
        (" 8 m ", 8),
    ],
)
def test_sizes_are_binary_and_rounded_up_to_four_mib(text: str, mib: int) -> None:
    assert notation.size_mib(text) == mib


@pytest.mark.parametrize("text", ["", "x", "1k", "1.2.3g", "-5", "5 5", "1e3", "."])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(BadText, match="is not a size"):
        notation.size_mib(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86400), ("2w", 1209600)],
)
def test_times(text: str, seconds: int) -> None:
    assert notation.time_s(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1y", "-5", "1.5h", "soon"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadText, match="is not a time"):
        notation.time_s(text)


def test_parameters() -> None:
    assert notation.pairs("a=1,b,no_c,-d,e=x=y") == {
        "a": "1",
        "b": True,
        "c": False,
        "d": None,
        "e": "x=y",
    }
    assert notation.pairs("args=console=ttyS0\\,9600,b=2") == {
        "args": "console=ttyS0,9600",
        "b": "2",
    }
    assert notation.pairs("a=") == {"a": ""}
    assert notation.pairs("") == {}
    assert notation.pairs("a=c:\\dir") == {"a": "c:\\dir"}


@pytest.mark.parametrize("text", ["a=1,a=2", "=1", ",", "a,,b", "no_", "-"])
def test_unclear_parameters_are_refused(text: str) -> None:
    with pytest.raises(BadText):
        notation.pairs(text)


def test_some_parameters_need_a_value() -> None:
    with pytest.raises(BadText, match="write a=VALUE"):
        notation.pairs("a", prefixes=False)


@given(st.lists(st.text(max_size=6), min_size=1, max_size=5))
def test_what_is_escaped_survives_splitting(parts: list[str]) -> None:
    text = ",".join(part.replace("\\", "\\\\").replace(",", "\\,") for part in parts)
    assert notation.split(text) == ([] if parts == [""] else parts)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0:size=1g,mode=rw", ("0", {"size": "1g", "mode": "rw"})),
        ("add", ("add", {})),
        ("no_kvm", ("kvm", False)),
        ("-kvm", ("kvm", None)),
        ("-1:remove", ("-1", {"remove": True})),
    ],
)
def test_identified_parameters(text: str, found: tuple[str, Any]) -> None:
    assert notation.identified(text) == found


@pytest.mark.parametrize("text", ["no_kvm:a=1", "-kvm:a=1", ":a=1"])
def test_unclear_identified_parameters_are_refused(text: str) -> None:
    with pytest.raises(BadText):
        notation.identified(text)


BAD_VALUES: list[tuple[Callable[[Any], Any], Any]] = [
    (notation.boolean, "perhaps"),
    (notation.integer, "1.5"),
    (notation.number, "nan"),
    (notation.number, "x"),
    (readers.node_pair, ":n2"),
    (readers.node_pair, "n1:"),
    (readers.hypervisor, "no_kvm"),
    (readers.nested_params, ["-kvm"]),
    (readers.sequence("disk"), ["x:size=1"]),
    (readers.sequence("disk"), ["-1:size=1"]),
    (readers.modifications, ["no_x"]),
    (readers.modifications, ["0:add,modify"]),
    (readers.modifications, ["remove:a=1"]),
    (readers.disk_modifications, ["add:mode=rw"]),
    (readers.disk_modifications, ["add:size=big"]),
    (readers.policy_specs, "shoe-size=42"),
    (readers.policy_bounds, "min:cpu-count=1"),
    (readers.policy_bounds, "min:cpu-count=1/min:cpu-count=1"),
    (readers.policy_bounds, "least:cpu-count=1/max:cpu-count=2"),
    (readers.policy_ratio, "0"),
]


@pytest.mark.parametrize(("read", "text"), BAD_VALUES)
def test_values_that_cannot_be_read_are_refused(read: Callable[[Any], Any], text: Any) -> None:
    with pytest.raises(BadText):
        read(text)


def test_policy_bounds_with_an_alternative() -> None:
    assert readers.policy_bounds(
        "min:memory-size=1g/max:memory-size=2g//max:cpu-count=4/min:cpu-count=2"
    ) == [
        {"min": {"memory-size": 1024}, "max": {"memory-size": 2048}},
        {"max": {"cpu-count": 4}, "min": {"cpu-count": 2}},
    ]


def test_defaults_are_null_and_unknown_parameters_stay_text() -> None:
    assert readers.backend("maxmem=default,minmem=1g,vcpus=2,odd=x") == {
        "maxmem": None,
        "minmem": 1024,
        "vcpus": "2",
        "odd": "x",
    }
    with pytest.raises(BadText, match="parameter 'maxmem' needs a value"):
        readers.backend("maxmem")


NAMES = {"--force": False, "--from": True, "-f": False, "--node": True, "-n": True, "--no": False}


@pytest.mark.parametrize(
    ("line", "whole"),
    [
        ("--forc x", "--force x"),
        ("--nod=a", "--node=a"),
        ("--nod --forc --forc", "--node --forc --force"),
        ("-n --forc --forc", "-n --forc --force"),
        ("-fn --forc --forc", "-fn --forc --force"),
        ("-nf --forc", "-nf --force"),
        ("--no a", "--no a"),
        ("x --forc", "x --forc"),
        ("-- --forc", "-- --forc"),
        ("- --forc", "- --forc"),
        ("--nosuch", "--nosuch"),
        ("--node", "--node"),
    ],
)
def test_abbreviated_options_are_written_out(line: str, whole: str) -> None:
    assert written_out(line.split(), NAMES) == whole.split()


def test_ambiguous_abbreviations_are_refused() -> None:
    with pytest.raises(BadText, match=r"ambiguous option: --f \(--force, --from\?\)"):
        written_out(["--f"], NAMES)
