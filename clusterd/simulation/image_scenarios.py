"""The scenarios of images, clones and snapshots; see ``scenarios``."""

from __future__ import annotations

from typing import Any

from clusterd.opcodes.image_add import ImageAdd
from clusterd.opcodes.image_cache import ImageCache
from clusterd.opcodes.image_remove import ImageRemove
from clusterd.opcodes.image_set_params import ImageSetParams
from clusterd.opcodes.instance_create import InstanceCreate
from clusterd.opcodes.instance_flatten import InstanceFlatten
from clusterd.opcodes.instance_grow_disk import InstanceGrowDisk
from clusterd.opcodes.instance_migrate import InstanceMigrate
from clusterd.opcodes.instance_set_params import InstanceSetParams
from clusterd.opcodes.instance_shutdown import InstanceShutdown
from clusterd.opcodes.instance_snapshot_add import InstanceSnapshotAdd
from clusterd.opcodes.instance_snapshot_clone import InstanceSnapshotClone
from clusterd.opcodes.instance_snapshot_remove import InstanceSnapshotRemove
from clusterd.opcodes.instance_snapshot_revert import InstanceSnapshotRevert
from clusterd.simulation.hosts import IMAGE_FILE, IMAGE_FILE_MIB
from clusterd.simulation.scenario import DISK_MIB, NAME, NETWORKED, Scenario, create
from jobqueue.job import Status

IMAGE = "debian-12"
SSH_KEYS = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8 me@home",)
THIN: dict[str, Any] = {"thin-pool": "thin"}


def image(template: str, **fields: Any) -> ImageAdd:
    """An image from the file that each pretended node has."""
    asked: Any = {"image_name": IMAGE, "disk_template": template, "path": IMAGE_FILE}
    return ImageAdd(**{**asked, "nodes": ("node1",), **fields})


def from_image(template: str, **fields: Any) -> InstanceCreate:
    """The instance, begun as the image; no scripts run."""
    return create(template, image=IMAGE, os_type=None, **fields)


SNAPSHOT = "before"
TAKEN = (*NETWORKED, InstanceSnapshotAdd(instance_name=NAME, snapshot=SNAPSHOT))
CLONED = (
    *TAKEN,
    InstanceSnapshotClone(instance_name=NAME, snapshot=SNAPSHOT, new_name="web2"),
)
TAKEN_THIN = (
    create("plain", disks=({"size": DISK_MIB, **THIN},)),
    InstanceSnapshotAdd(instance_name=NAME, snapshot="before"),
)
_ON: Any = {"instance_name": NAME, "snapshot": SNAPSHOT}
IMAGES = (
    Scenario(name="image-add", act=(image("rbd"),)),
    Scenario(
        name="image-add-local",
        act=(image("plain", nodes=("node1", "node2"), checksum=f"sha256:{IMAGE_FILE_MIB:064x}"),),
    ),
    Scenario(
        name="image-add-damaged",
        act=(image("rbd", checksum=f"sha256:{7:064x}"),),
        ends=Status.ERROR,
    ),
    Scenario(name="image-remove", given=(image("rbd"),), act=(ImageRemove(image_name=IMAGE),)),
    Scenario(
        name="image-remove-needed",
        given=(image("rbd"), from_image("rbd")),
        act=(ImageRemove(image_name=IMAGE),),
        ends=Status.ERROR,
    ),
    Scenario(
        name="image-modify",
        given=(image("rbd"),),
        act=(ImageSetParams(image_name=IMAGE, new_name="debian", properties={"os": "debian"}),),
    ),
    Scenario(name="create-clone", given=(image("rbd"),), act=(from_image("rbd"),)),
    Scenario(
        name="image-cache",
        given=(image("plain", diskparams=THIN),),
        act=(ImageCache(image_name=IMAGE, group_name="default"),),
    ),
    Scenario(
        name="create-where-the-image-is-not",
        given=(image("file", diskparams={"format": "qcow2"}),),
        act=(from_image("file", pnode="node2"), ImageRemove(image_name=IMAGE)),
        ends=Status.ERROR,
    ),
    Scenario(
        name="grow-in-use-in-files",
        given=(
            create("sharedfile", disks=({"size": DISK_MIB, "format": "qcow2"},), no_install=True),
        ),
        act=(InstanceGrowDisk(instance_name=NAME, disk=0, amount=512),),
    ),
    Scenario(
        name="create-seeded",
        act=(
            create(
                "sharedfile",
                ssh_keys=SSH_KEYS,
                user_data="#cloud-config\n",
                network_config="version: 2\n",
            ),
        ),
    ),
    Scenario(
        name="migrate-seeded",
        given=(create("sharedfile", ssh_keys=SSH_KEYS),),
        act=(InstanceMigrate(instance_name=NAME, target_node="node2"),),
    ),
    Scenario(
        name="migrate-seeded-with-disks",
        given=(create("file", cloud_init=True),),
        act=(InstanceMigrate(instance_name=NAME, target_node="node2"),),
    ),
    Scenario(
        name="modify-seed",
        given=(create("sharedfile", cloud_init=True),),
        act=(InstanceSetParams(instance_name=NAME, user_data="#cloud-config\n"),),
    ),
    Scenario(
        name="create-clone-thin",
        given=(image("plain", diskparams=THIN),),
        act=(from_image("plain"),),
    ),
    Scenario(
        name="snapshot-clone-thin",
        given=TAKEN_THIN,
        act=(InstanceSnapshotClone(instance_name=NAME, snapshot="before", new_name="web2"),),
    ),
    Scenario(
        name="snapshot-remove-thin",
        given=(
            *TAKEN_THIN,
            InstanceSnapshotClone(instance_name=NAME, snapshot="before", new_name="web2"),
        ),
        act=(InstanceSnapshotRemove(instance_name=NAME, snapshot="before"),),
    ),
    Scenario(
        name="create-clone-in-files",
        given=(image("sharedfile", diskparams={"format": "qcow2"}),),
        act=(from_image("sharedfile"),),
    ),
    Scenario(name="create-copy", given=(image("rbd"),), act=(from_image("drbd"),)),
    Scenario(name="snapshot-add", given=NETWORKED, act=(InstanceSnapshotAdd(**_ON),)),
    Scenario(name="snapshot-remove", given=TAKEN, act=(InstanceSnapshotRemove(**_ON),)),
    Scenario(
        name="snapshot-remove-needed",
        given=CLONED,
        act=(InstanceSnapshotRemove(**_ON),),
        ends=Status.ERROR,
    ),
    Scenario(
        name="snapshot-revert",
        given=(*TAKEN, InstanceShutdown(instance_name=NAME)),
        act=(InstanceSnapshotRevert(**_ON),),
    ),
    Scenario(
        name="snapshot-clone",
        given=TAKEN,
        act=(InstanceSnapshotClone(**_ON, new_name="web2", pnode="node2", start=True),),
    ),
    Scenario(name="flatten", given=CLONED, act=(InstanceFlatten(instance_name="web2"),)),
)
