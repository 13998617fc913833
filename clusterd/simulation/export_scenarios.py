"""The scenarios of exports and imports; see ``scenarios``."""

from __future__ import annotations

from typing import Any

from clusterd.opcodes.backup_export import BackupExport
from clusterd.opcodes.backup_prepare import BackupPrepare
from clusterd.opcodes.backup_remove import BackupRemove
from clusterd.opcodes.instance_create import InstanceCreate
from clusterd.opcodes.instance_remove import InstanceRemove
from clusterd.simulation.scenario import DOWN, NAME, PLAIN, RUNS, Scenario, create


def export(**fields: Any) -> BackupExport:
    """The instance, to the third node."""
    return BackupExport(instance_name=NAME, target_node="node3", **fields)


def imported(**fields: Any) -> InstanceCreate:
    """The instance again, from what was exported."""
    asked: Any = {"instance_name": NAME, "mode": "import", "disks": (), "nics": (), "start": False}
    return InstanceCreate(**{**asked, "pnode": "node2", **fields})


QCOW2 = ({"size": 1024, "format": "qcow2"}, {"size": 1024})
GONE = (*PLAIN, export(remove_instance=True))
EXPORTS = (
    Scenario(name="export", given=RUNS, act=(export(),)),
    Scenario(name="export-running", given=PLAIN, act=(export(shutdown=False),)),
    Scenario(name="export-stopped", given=DOWN, act=(export(compress="gzip"),)),
    Scenario(name="export-sleeping", given=(create("file"),), act=(export(long_sleep=True),)),
    Scenario(
        name="export-qcow2",
        given=(create("file", disks=QCOW2, no_install=True),),
        act=(export(long_sleep=True),),
    ),
    Scenario(
        name="export-and-remove",
        given=PLAIN,
        act=(export(remove_instance=True),),
        rest=(InstanceRemove(instance_name=NAME),),
    ),
    Scenario(
        name="export-elsewhere",
        given=(*PLAIN, export()),
        act=(BackupExport(instance_name=NAME, target_node="node1"),),
        # an older export stays where its node did not answer, and goes with the next one
        rest=(BackupExport(instance_name=NAME, target_node="node1"),),
    ),
    Scenario(
        name="export-prepare", given=PLAIN, act=(BackupPrepare(instance_name=NAME, mode="local"),)
    ),
    Scenario(
        name="export-remove",
        given=(*PLAIN, export(), InstanceRemove(instance_name=NAME)),
        act=(BackupRemove(instance_name=NAME),),
    ),
    Scenario(name="import", given=GONE, act=(imported(src_node="node3"),)),
    Scenario(
        name="import-as-another",
        given=(*PLAIN, export()),
        act=(
            imported(
                instance_name="web2",
                src_path=NAME,
                pnode="node1",
                snode="node2",
                disk_template="drbd",
                start=True,
                identify_defaults=True,
            ),
        ),
    ),
)
