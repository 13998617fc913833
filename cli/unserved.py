"""What Ganeti's tools can do and this version cannot: name, arguments, summary.

They are listed and have help, and refuse plainly. A row has no effect once an opcode or a
hand-written command of that name exists.
"""

from __future__ import annotations

UNSERVED: dict[str, tuple[tuple[str, str, str], ...]] = {
    "cluster": (
        ("activate-master-ip", "", "Bring up the address of the master"),
        ("command", "<command>...", "Run a command on nodes"),
        ("copyfile", "<file>", "Copy a file to nodes"),
        ("deactivate-master-ip", "", "Take down the address of the master"),
        ("epo", "[<name>...]", "Power nodes or groups off in an emergency, or on again"),
        ("rename", "<name>", "Rename the cluster"),
        ("upgrade", "", "Change to another version"),
    ),
    "node": (
        ("evacuate", "<node>", "Move instances away from a node"),
        ("failover", "<node>", "Fail over all primary instances of a node"),
        ("health", "[<node>...]", "Show the health of nodes"),
        ("list-drbd", "<node>", "List the mirrored disks of a node"),
        ("migrate", "<node>", "Migrate all primary instances of a node"),
        ("power", "on|off|cycle|status [<node>...]", "Change the power state of nodes"),
        ("powercycle", "<node>", "Restart a node at once"),
        ("restricted-command", "<command> [<node>...]", "Run a permitted command on nodes"),
    ),
    "instance": (
        ("batch-create", "<file>", "Create several instances from a file"),
        ("change-group", "<instance>", "Move an instance to another node group"),
        ("reinstall", "<instance>...", "Install the OS again"),
        ("rename", "<instance> <new-name>", "Rename an instance"),
    ),
    "job": (),
    "os": (("modify", "<os>", "Change parameters of an OS definition"),),
    "image": (),
    "group": (),
    "network": (),
    "backup": (),
    "storage": (),
    "debug": (
        ("iallocator", "<instance>...", "Run an allocator without an effect"),
        ("metad", "<command>...", "Talk to the metadata daemon"),
        ("test-jobqueue", "", "Test the job queue"),
        ("test-osparams", "", "Test the passing of secret parameters"),
        ("wconfd", "<command>...", "Talk to the configuration daemon"),
    ),
    "filter": (
        ("add", "", "Add a job filter"),
        ("delete", "<filter>", "Delete a job filter"),
        ("info", "[<filter>...]", "Show details of job filters"),
        ("replace", "<filter>", "Replace a job filter"),
    ),
}
