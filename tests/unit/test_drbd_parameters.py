"""Ganeti's disk parameters of template ``drbd``, one by one: name, default, what it does.

The table is Ganeti's (its names for users, its defaults, the options that it gives to drbdsetup);
where this project differs on purpose, the row says so.
"""

from __future__ import annotations

import msgspec
import pytest

from clusterd import parameters
from storage import errors
from storage.drbd_options import DrbdParameters, disk_options, net_options
from storage.plugin import checked_parameters
from tests.unit.test_storage_drbd import MIRROR, VOLUME

Value = str | int | bool

DEFAULTS: dict[str, Value] = {
    "resync-rate": 61440,
    "data-stripes": 1,
    "meta-stripes": 1,
    "disk-barriers": "n",
    "meta-barriers": False,
    "metavg": "xenvg",
    "disk-custom": "",
    "net-custom": "",
    "protocol": "C",
    "dynamic-resync": False,
    "c-plan-ahead": 20,
    "c-delay-target": 1,
    "c-fill-target": 0,
    "c-max-rate": 61440,
    "c-min-rate": 4096,
}
OURS = {"wipe"}
DYNAMIC = {"dynamic-resync": True}

DISK: list[tuple[dict[str, Value], set[str]]] = [
    # Ganeti leaves the controller on beside a static rate, which DRBD then does not obey
    ({}, {"--c-plan-ahead=0", "--resync-rate=61440"}),
    ({"resync-rate": 1024}, {"--c-plan-ahead=0", "--resync-rate=1024"}),
    (DYNAMIC, {"--c-plan-ahead=20", "--c-max-rate=61440"}),
    ({**DYNAMIC, "c-plan-ahead": 5}, {"--c-plan-ahead=5"}),
    ({**DYNAMIC, "c-delay-target": 3}, {"--c-delay-target=3"}),
    ({**DYNAMIC, "c-fill-target": 2048}, {"--c-fill-target=2048"}),
    ({**DYNAMIC, "c-max-rate": 9000}, {"--c-max-rate=9000"}),
    ({**DYNAMIC, "c-min-rate": 0}, {"--c-min-rate=0"}),
    ({"disk-barriers": "n"}, set()),
    ({"disk-barriers": "b"}, {"--disk-barrier=no"}),
    ({"disk-barriers": "bf"}, {"--disk-barrier=no", "--disk-flushes=no"}),
    ({"disk-barriers": "bd"}, {"--disk-barrier=no", "--disk-drain=no"}),
    ({"disk-barriers": "bfd"}, {"--disk-barrier=no", "--disk-flushes=no", "--disk-drain=no"}),
    ({"meta-barriers": True}, {"--md-flushes=no"}),
    ({"meta-barriers": "true"}, {"--md-flushes=no"}),
    ({"disk-custom": "--al-extents 1237"}, {"--al-extents=1237"}),
    ({"metavg": "meta", "data-stripes": 2, "meta-stripes": 3}, set()),
]
NET: list[tuple[dict[str, Value], set[str]]] = [
    (
        {},
        {
            "--protocol=C",
            "--after-sb-0pri=discard-zero-changes",
            "--after-sb-1pri=consensus",
            "--cram-hmac-alg=md5",
            "--shared-secret=abcdef",
        },
    ),
    ({"protocol": "A"}, {"--protocol=A"}),
    ({"protocol": "B"}, {"--protocol=B"}),
    ({"net-custom": "--max-buffers=8000 --ko-count 3"}, {"--max-buffers=8000", "--ko-count=3"}),
]
USUAL = {"--size": "50M", "--on-io-error": "detach"}
STATIC = {"--c-plan-ahead": "0", "--resync-rate": "61440"}
CONTROLLED = {
    "--c-plan-ahead": "20",
    "--c-delay-target": "1",
    "--c-fill-target": "0",
    "--c-max-rate": "61440",
    "--c-min-rate": "4096",
}


def checked(params: dict[str, Value]) -> DrbdParameters:
    volume = msgspec.structs.replace(VOLUME, params=params)
    return checked_parameters(volume, DrbdParameters)


def test_names_and_defaults_are_ganetis() -> None:
    found = parameters.disk_defaults("drbd")
    assert {name: found[name] for name in sorted(set(found) - OURS)} == DEFAULTS
    assert set(found) - set(DEFAULTS) == OURS


@pytest.mark.parametrize(("params", "options"), DISK, ids=[str(params) for params, _ in DISK])
def test_what_reaches_the_disk(params: dict[str, Value], options: set[str]) -> None:
    rates = CONTROLLED if params.get("dynamic-resync") else STATIC
    changed = dict(option.split("=") for option in options)
    found = dict(option.split("=") for option in disk_options(checked(params), 50))
    assert found == {**USUAL, **rates, **changed}


@pytest.mark.parametrize(("params", "options"), NET, ids=[str(params) for params, _ in NET])
def test_what_reaches_the_connection(params: dict[str, Value], options: set[str]) -> None:
    assert options < set(net_options(checked(params), MIRROR))


def test_every_parameter_has_a_row() -> None:
    rows = {name for params, _ in (*DISK, *NET) for name in params}
    assert rows == set(DEFAULTS)


def test_a_controller_that_would_do_nothing_is_refused() -> None:
    with pytest.raises(errors.BadParameter, match="dynamic-resync=False"):
        checked({"dynamic-resync": True, "c-plan-ahead": 0})
    checked({"c-plan-ahead": 0})
