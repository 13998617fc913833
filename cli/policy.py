"""Instance policies as nested text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.output import params

_RATIOS = ("spindle-ratio", "vcpu-ratio")


def policy_info(
    effective: Mapping[str, Any], own: Mapping[str, Any] | None = None
) -> list[tuple[str, Any]]:
    """Bounds, templates and ratios. With ``own``, what is not in it is shown as default."""
    group = own is not None
    mine = own or {}
    bounds = mine.get("minmax") or effective.get("minmax") or ()
    inherited = group and not mine.get("minmax")
    shown = []
    for index, pair in enumerate(bounds):
        item: list[tuple[str, Any]] = []
        for side in ("max", "min"):
            specs = dict(sorted(pair.get(side, {}).items()))
            item.append((f"{side}/{index}", params({}, specs) if inherited else specs))
        shown.append(item)
    rows: list[tuple[str, Any]] = [("bounds specs", shown)]
    if not group and effective.get("std"):
        rows.append(("std", dict(sorted(effective["std"].items()))))
    templates = mine.get("disk-templates") or effective.get("disk-templates") or ()
    rows.append(
        (
            "allowed disk templates",
            _shown(", ".join(templates), group and not _has(mine, "disk-templates")),
        )
    )
    for ratio in _RATIOS:
        if _has(mine, ratio) or _has(effective, ratio):
            value = mine[ratio] if _has(mine, ratio) else effective[ratio]
            rows.append((ratio, _shown(value, group and not _has(mine, ratio))))
    return rows


def _has(policy: Mapping[str, Any], key: str) -> bool:
    return policy.get(key) is not None


def _shown(value: Any, inherited: bool) -> Any:
    return f"default ({value})" if inherited else value


def policy_options(policy: Mapping[str, Any]) -> list[str]:
    """The options of commands that make the sizes of a policy: usual instances and bounds."""
    options = []
    if policy.get("std"):
        options.append(f"--ipolicy-std-specs {_specs(policy['std'])}")
    if policy.get("minmax"):
        pairs = (
            "/".join(f"{side}:{_specs(pair[side])}" for side in ("min", "max"))
            for pair in policy["minmax"]
        )
        options.append(f"--ipolicy-bounds-specs {'//'.join(pairs)}")
    return options


def _specs(specs: Mapping[str, Any]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(specs.items()))
