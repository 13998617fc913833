"""LVM's reports, as LVM 2.03 printed them, and the rounding of sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.lvm_report import (
    MIB,
    LogicalVolume,
    missing_groups,
    parse_groups,
    parse_volumes,
    size_fits,
    tags_for,
)

LVS = """
  {
      "report": [
          {
              "lv": [
                  {"vg_name":"xenvg", "lv_name":"d0", "lv_size":"54525952", "vg_extent_size":"4194304", "stripes":"1", "lv_tags":"clusterd.owner+abc,clusterd.unfinished,originstname+web1", "lv_active":"active", "lv_device_open":"open"},
                  {"vg_name":"xenvg", "lv_name":"c0", "lv_size":"134217728", "vg_extent_size":"4194304", "stripes":"2", "lv_tags":"", "lv_active":"", "lv_device_open":"unknown"},
                  {"vg_name":"xenvg", "lv_name":"c0", "lv_size":"134217728", "vg_extent_size":"4194304", "stripes":"1", "lv_tags":"", "lv_active":"", "lv_device_open":"unknown"}
              ]
          }
      ]
  }
"""  # noqa: E501
VGS = """
  {
      "report": [
          {
              "vg": [
                  {"vg_name":"xenvg", "vg_size":"6438256640", "vg_free":"6249512960"}
              ]
          }
      ]
  }
"""
NONE = """
  {
      "report": [
            {
              "lv": [
              ]
          }
      ]
  }
"""


def test_volumes_are_sorted_and_one_for_all_segments() -> None:
    first, second = parse_volumes(LVS)
    assert (first.name, first.active, first.opened, first.stripes) == ("c0", False, False, 2)
    assert (second.name, second.active, second.opened) == ("d0", True, True)
    assert (second.owner, second.unfinished, second.size_mib) == ("abc", True, 52)
    assert first.owner is None


def test_groups() -> None:
    (group,) = parse_groups(VGS)
    assert (group.name, group.size_bytes, group.free_bytes) == ("xenvg", 6438256640, 6249512960)


@pytest.mark.parametrize("report", ["", "\n", NONE])
def test_nothing_found(report: str) -> None:
    assert parse_volumes(report) == ()


def test_missing_groups_are_read_from_the_complaint() -> None:
    text = 'Volume group "b" not found\n  Cannot process volume group b\nVolume group "a" not found'
    assert missing_groups(text) == ("a", "b")
    assert missing_groups('  Failed to find logical volume "xenvg/nope"') == ()


def test_tags_fit_lvm() -> None:
    tags = tags_for("u-1", "büro 7.example.com")
    assert tags == ("clusterd.owner+u-1", "originstname+b_ro_7.example.com")
    assert tags_for("", "") == ()


@given(st.integers(1, 10_000), st.sampled_from([1, 4, 32, 64]), st.integers(1, 4))
def test_what_lvm_makes_of_a_size_always_fits_and_an_extent_less_never(
    size_mib: int, extent_mib: int, stripes: int
) -> None:
    step = extent_mib * stripes
    made_mib = -(-size_mib // step) * step
    for found_mib, fits in ((made_mib, True), (made_mib - step, False), (made_mib + step, False)):
        found = LogicalVolume(
            group="g",
            name="n",
            size_bytes=found_mib * MIB,
            extent_bytes=extent_mib * MIB,
            stripes=stripes,
        )
        assert size_fits(found, size_mib) is fits
