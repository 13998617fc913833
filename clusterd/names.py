"""Names that others depend on: directories, ports, versions, limits. Nothing here decides."""

from __future__ import annotations

SOFTWARE_VERSION = "3.1.0"
"""What RAPI and ``gnt-cluster version`` say; the interface level of Ganeti that is served."""

PRODUCT_VERSION = "0.1.0"
PROTOCOL_VERSION = 3010000
CONFIG_VERSION = 3010000
OS_API_VERSION = 20
OS_API_VERSIONS = (20, 15, 10)
OS_PARAMETERS_FROM = 20
"""Definitions of this version list the parameters that they take."""
EXPORT_VERSION = 0
CALLS_VERSION = 1
"""Version of the frames between master and nodes."""

NODE_PORT = 1811
RAPI_PORT = 5080
STORE_PORT = 1812
STORE_PEER_PORT = 1813
"""Of the store's members; not etcd's own ports, so that another etcd may run on the host."""

CONFIG_DIRECTORY = "/etc/clusterd"
STATE_DIRECTORY = "/var/lib/clusterd"
RUN_DIRECTORY = "/run/clusterd"
LOG_DIRECTORY = "/var/log/clusterd"
SETTINGS_FILE = "clusterd.toml"

OS_SEARCH_PATH = (
    "/srv/ganeti/os",
    "/usr/local/lib/ganeti/os",
    "/usr/lib/ganeti/os",
    "/usr/share/ganeti/os",
    "/srv/clusterd/os",
    "/usr/local/lib/clusterd/os",
    "/usr/lib/clusterd/os",
    "/usr/share/clusterd/os",
)
"""Directories of OS definitions in order; the definitions shipped with the package come last."""

IALLOCATOR_VERSION = 2
DEFAULT_IALLOCATOR = "hail"
"""The built-in one; Ganeti's name for its own."""
IALLOCATOR_SEARCH_PATH = (
    "/usr/local/lib/ganeti/iallocators",
    "/usr/lib/ganeti/iallocators",
    "/usr/local/lib/clusterd/iallocators",
    "/usr/lib/clusterd/iallocators",
)

EXPORT_DIRECTORY = "/var/lib/clusterd/export"
FOREIGN_EXPORTS = ("/var/lib/ganeti/export",)
"""Where exports of Ganeti lie; they are listed, imported and removed, never written."""

HOOKS_DIRECTORIES = ("/etc/ganeti/hooks", "/etc/clusterd/hooks")
EXTSTORAGE_SEARCH_PATH = (
    "/srv/ganeti/extstorage",
    "/usr/local/lib/ganeti/extstorage",
    "/usr/lib/ganeti/extstorage",
    "/usr/share/ganeti/extstorage",
    "/usr/local/lib/clusterd/extstorage",
    "/usr/lib/clusterd/extstorage",
)

DEFAULT_VG = "xenvg"
FIRST_DRBD_PORT = 11000
LAST_DRBD_PORT = 14999
MAX_DRBD_MINORS = 255
MAX_DISKS = 16
MAX_NICS = 8

CANDIDATE_POOL_SIZE = 10
DEFAULT_SHUTDOWN_TIMEOUT_S = 120
MAC_PREFIX = "aa:00:00"
DEFAULT_GROUP = "default"

IMAGE_SNAPSHOT = "image"
"""The snapshot of an image's volume that disks are clones of."""
