"""LVM's reports, as LVM 2.03 printed them, and the rounding of sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import NoSpace
from storage.lvm_report import (
    MIB,
    LogicalVolume,
    missing_groups,
    parse_groups,
    parse_volumes,
    size_fits,
    tags_for,
)
from storage.thin_pools import capacities, check_not_full, check_room, kept_name, pool_of

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


THIN = """
  {
      "report": [
          {
              "lv": [
                  {"vg_name":"xenvg", "lv_name":"thin", "lv_size":"268435456", "vg_extent_size":"4194304", "stripes":"1", "lv_tags":"", "lv_active":"active", "lv_device_open":"", "segtype":"thin-pool", "pool_lv":"", "data_percent":"96.50", "metadata_percent":"11.62", "lv_time":"1795259000"},
                  {"vg_name":"xenvg", "lv_name":"d0+a+b", "lv_size":"33554432", "vg_extent_size":"4194304", "stripes":"0", "lv_tags":"clusterd.snapshot+a_b,clusterd.owner+abc", "lv_active":"", "lv_device_open":"unknown", "segtype":"thin", "pool_lv":"thin", "data_percent":"", "metadata_percent":"", "lv_time":"1795259001"}
              ]
          }
      ]
  }
"""  # noqa: E501


def test_thin_pools_and_snapshots() -> None:
    kept, pool = parse_volumes(THIN)
    assert (kept.snapshot, kept.thin_pool, kept.owner) == ("a_b", "thin", "abc")
    assert kept.name == kept_name("d0", "a_b")
    state = pool_of(pool)
    assert state is not None
    assert (state.free_mib, pool_of(kept)) == (8, None)
    said = "xenvg/thin has 256 MiB, 248 MiB of them in use .96 %; metadata 12 %"
    for check in (lambda: check_not_full(state), lambda: check_room(state, 1)):
        with pytest.raises(NoSpace, match=said):
            check()
    assert [one.pool for one in capacities((kept, pool), ("xenvg",))] == ["xenvg/thin"]
    assert capacities((kept, pool), ("other",)) == []


def test_volumes_are_sorted_and_one_for_all_segments() -> None:
    first, second = parse_volumes(LVS)
    assert (first.name, first.active, first.opened, first.stripes) == ("c0", False, False, 2)
    assert (second.name, second.active, second.opened) == ("d0", True, True)
    assert (second.owner, second.unfinished, second.size_mib) == ("abc", True, 52)
    assert first.owner is None


def test_groups() -> None:
    (group,) = parse_groups(VGS)
    assert (group.name, group.size_bytes, group.free_bytes) == ("xenvg", 6438256640, 6249512960)


def test_groups_come_with_the_logical_volumes() -> None:
    report = LVS.replace('"stripes"', '"vg_size":"6438256640", "vg_free":"6249512960", "stripes"')
    assert parse_groups(report) == parse_groups(VGS)
    assert len(parse_volumes(report)) == 2


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
