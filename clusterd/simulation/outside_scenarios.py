"""The scenarios of disks that something outside keeps: ext-storage providers, Gluster, devices and
logical volumes that were there before; see ``scenarios``."""

from __future__ import annotations

from clusterd.opcodes.instance_failover import InstanceFailover
from clusterd.opcodes.instance_grow_disk import InstanceGrowDisk
from clusterd.opcodes.instance_migrate import InstanceMigrate
from clusterd.opcodes.instance_remove import InstanceRemove
from clusterd.opcodes.instance_set_params import InstanceSetParams
from clusterd.simulation.hosts import FOREIGN
from clusterd.simulation.pretended_site import PROVIDER
from clusterd.simulation.scenario import NAME, Scenario, create

ADOPTED = tuple({"adopt": name} for _, name in FOREIGN)
TEMPLATES = ("ext", "gluster", "blockdev")
OUTSIDE = (
    *(Scenario(name=f"create-{one}", act=(create(one),)) for one in TEMPLATES),
    *(
        Scenario(
            name=f"remove-{one}", given=(create(one),), act=(InstanceRemove(instance_name=NAME),)
        )
        for one in TEMPLATES
    ),
    *(
        Scenario(
            name=f"grow-{one}",
            given=(create(one),),
            act=(InstanceGrowDisk(instance_name=NAME, disk=0, amount=512),),
        )
        for one in ("ext", "gluster")
    ),
    Scenario(
        name="migrate-ext",
        given=(create("ext"),),
        act=(InstanceMigrate(instance_name=NAME, target_node="node2"),),
    ),
    Scenario(
        name="failover-blockdev",
        given=(create("blockdev"),),
        act=(InstanceFailover(instance_name=NAME, target_node="node3"),),
    ),
    Scenario(
        name="disk-add-ext",
        given=(create("ext"),),
        act=(
            InstanceSetParams(
                instance_name=NAME,
                disks=(("add", -1, {"size": 1024, "provider": PROVIDER}),),
            ),
        ),
    ),
    Scenario(name="create-adopted", act=(create("plain", disks=ADOPTED),)),
)
