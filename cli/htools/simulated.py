"""``--simulate SPEC``: an empty cluster made up from a few numbers, a group a specification. Pure.

``alloc_policy,nodes,disk,ram,cpu[,spindles[,exclusive storage]]``
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from msgspec.structs import replace

from clusterd.placement.errors import BadRequest
from clusterd.placement.facts import (
    ALLOC_POLICIES,
    DEFAULT_POLICY,
    AllocPolicy,
    ClusterFacts,
    GroupFacts,
    NodeFacts,
)

POLICIES: dict[str, AllocPolicy] = {
    "p": "preferred",
    "a": "last_resort",
    "u": "unallocable",
    **{name: name for name in ALLOC_POLICIES},
}
MAX_NODES = 10_000
_KIB = Fraction(1024)
_SI = Fraction(1000, 1024) ** 2
UNITS = {"": Fraction(1), "m": Fraction(1), "mib": Fraction(1), "g": _KIB, "gib": _KIB,
         "t": _KIB**2, "tib": _KIB**2}  # fmt: skip
SI_UNITS = {"M": _SI, "MB": _SI, "G": _SI * 1000, "GB": _SI * 1000,
            "T": _SI * 1000**2, "TB": _SI * 1000**2}  # fmt: skip
"""As Ganeti's: one capital letter is decimal, one small letter is binary."""


def size_mib(text: str) -> int:
    """``10g`` in MiB; raises BadRequest."""
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    unit = text[len(number) :].strip(" ")
    factor = SI_UNITS.get(unit if len(unit) == 1 else unit.upper(), UNITS.get(unit))
    if factor is None and len(unit) > 1:
        factor = UNITS.get(unit.lower())
    if factor is None or not (number.isascii() and number.isdecimal()):
        raise BadRequest(f"'{text}' is no size: give a number of MiB, or 10g, 2t")
    return int(int(number) * factor)


def facts(specs: Sequence[str]) -> ClusterFacts:
    """The cluster; raises BadRequest that names what is wrong. The last one given is the first
    group, as in the original."""
    made = [_group(number, spec) for number, spec in enumerate(reversed(specs), 1)]
    return ClusterFacts(
        groups=tuple(group for group, _nodes in made),
        nodes=tuple(node for _group, nodes in made for node in nodes),
        policy=DEFAULT_POLICY,
    )


def _group(number: int, spec: str) -> tuple[GroupFacts, Iterable[NodeFacts]]:
    parts = spec.split(",")
    if not 5 <= len(parts) <= 7:
        raise BadRequest(
            f"Invalid cluster specification '{spec}': expected alloc_policy,nodes,disk,ram,cpu"
            f"[,spindles[,exclusive storage]] but got {len(parts)} sections"
        )
    policy, nodes, disk, memory, cpus, spindles, exclusive = (
        *parts, *("1", "False")[len(parts) - 5 :],
    )  # fmt: skip
    if policy not in POLICIES:
        raise BadRequest(f"'{spec}': unknown allocation policy '{policy}': give p, a or u")
    if exclusive not in ("True", "False"):
        raise BadRequest(f"'{spec}': exclusive storage is '{exclusive}', not True or False")
    count = _number(spec, "number of nodes", nodes, MAX_NODES)
    uuid = f"fake-uuid-{number:02d}"
    memory_mib, disk_mib = size_mib(memory), size_mib(disk)
    like = NodeFacts(
        name="",
        group=uuid,
        memory_total_mib=memory_mib,
        memory_free_mib=memory_mib,
        disk_total_mib=disk_mib,
        disk_free_mib=disk_mib,
        cpus=_number(spec, "number of CPUs", cpus, 1_000_000),
        spindles=_number(spec, "number of spindles", spindles, 1_000_000),
        exclusive_storage=exclusive == "True",
    )
    return (
        GroupFacts(name=f"group-{number:02d}", uuid=uuid, alloc_policy=POLICIES[policy]),
        [
            replace(like, name=f"node-{number:02d}-{place:03d}", master=number == place == 1)
            for place in range(1, count + 1)
        ],
    )


def _number(spec: str, what: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > most:
        raise BadRequest(f"'{spec}': the {what} is '{text}', not a number up to {most}")
    return int(text)
