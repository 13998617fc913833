"""Lives in which random mishaps once found something wrong: in the product, in a twin, or in how
they were judged. Each is played from its line."""

from __future__ import annotations

import pytest

from clusterd.simulation.faults import parse
from clusterd.simulation.trial import attempt

LINES = (
    # a disk stayed open on two nodes, as closing it was given up while its storage was in trouble
    "one-after-the-other disk-broken@55,disk-slow@4,storage-down@35+",
    "one-after-the-other cut-mirror@54+,disk-broken@51,storage-down@33+,migration-unreleased@66",
    "migrate cut-master@31+,disk-hung@9",
    "evacuate-primary cut-master@5,disk-hung@26,cut-to-node@34+,disk-slow@8",
    # a copy that its source had outlived was let run, on disks as they had been
    "migrate-local migration-cut-late@0,guest-ends@21",
    "migrate migration-cut-late@0,guest-ends@29",
    "migrate-local-cut-late guest-crashes@23,kill-daemon@23+,kill-master@13+",
    # a shared disk stayed attached on the old node, and nobody said so
    "migrate-ext disk-broken@33,scripts-fail@5,clock-behind@6,storage-down@17",
    "migrate-rbd store-unsure@7+,later-answers@31+,disk-broken@16,migration-unreleased@21+",
    # nothing real stays on a node of a disk in a shared file
    "migrate-seeded storage-down@13+,later-answers@28+",
    # the third master gave a call the id that the second had given to another one
    "create-where-the-image-is-not second-master@5+,second-master@12",
    # a node whose clock was set back did not look around for an hour
    "chosen-side-by-side migration-fails@13+,storage-down@3+,disk-torn@4+,clock-behind@3",
    # the twin's mirror lost its connection when data were attached again
    "replace-on-primary stop-service@19,late-answers@11+,store-full@14,disk-fails@4+",
    # two jobs that draw addresses may come in either order
    "addresses-side-by-side cut-mirror@8+,store-full@2",
    "addresses-side-by-side second-master@0,migration-unreleased@6,scripts-fail@3,cut-to-node@0",
    # what a canceled job had done before is not to be asked for again
    "networks cancel@4+,no-space@1+,guest-ends@14,migration-fails@14+",
    # nobody is there to freeze file systems when the guest has ended
    "snapshot-add guest-ends@0,crash@11+,guest-crashes@4,clock-ahead@3",
    "snapshot-add stop-service@1,guest-deaf@7",
    # what a guest wrote since its disk was replaced was on the node that is lost
    "replace-on-primary power-lost@16+,kill-master@5+,kill-master@9",
    # an undo waited for a node for days, although it was marked offline by then
    "replace-on-secondary power-lost@5",
    # a migration that was canceled too late goes on
    "migrate-unreleased later-answers@24,cancel@24+",
    # an older export stays where its node did not answer
    "export-elsewhere clock-ahead@2+,cut-to-node@21,store-full@9",
    # the clock was set ahead while an undo was tried again, which left no patience
    "migrate-cut stop-service@28,store-unsure@24+,clock-ahead@33",
    # an export is left on a node that does not answer, and the job says so
    "export-remove kill-daemon@2,cut-from-node@2+,storage-down@8,cut-master@1+",
    # the export is complete when the removal fails, and cannot be made once more
    "export-and-remove disk-torn@15+,cut-mirror@24+,no-space@18+,migration-cut@4+",
)


@pytest.mark.parametrize("line", LINES)
def test_it_is_well_now(line: str) -> None:
    name, faults = line.split()
    verdict = attempt(name, tuple(parse(text) for text in faults.split(",")))
    assert verdict.struck
    assert verdict.wrong == []
