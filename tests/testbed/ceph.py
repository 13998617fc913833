"""A real Ceph cluster in user space: one monitor, one manager, OSDs with sparse files as disks.

Everything is below one directory: configuration, keyrings, data, logs. Each daemon stays in the
foreground in a process group of its own, so that it can be stopped, frozen and killed by its
record. It listens on one address of this machine, loopback unless told otherwise, on ports that
follow from the number of the cluster.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.testbed.processes import Leader, freeze_group, kill_group, recorded, send_group, spawn
from tests.testbed.settings import FILES
from tests.testbed.shell import Completed, TestbedError, run

PREFIX = "clusterd-ceph-"
FIRST_PORT = 16800
PORTS_EACH = 60
SLOTS = 200
READY_S = 60.0
OSD_GIB = 60
"""Sparse; an OSD that runs full would end itself."""
POOL = "rbd"
CONFIGURATION = """\
[global]
fsid = {fsid}
mon_initial_members = a
mon_host = [v2:{address}:{port2}/0,v1:{address}:{port1}/0]
public_addr = {address}
cluster_addr = {address}
ms_bind_ipv6 = false
ms_bind_port_min = {low}
ms_bind_port_max = {high}
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
keyring = {base}/keyring
admin_socket = {base}/run/$name.$pid.asok
run_dir = {base}/run
log_file = {base}/log/$name.log
crash_dir = {base}/log/crash
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 16
osd_pool_default_pgp_num = 16
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_warn_on_pool_no_redundancy = false
mon_warn_on_pool_no_app = false
mon_warn_on_insecure_global_id_reclaim_allowed = false
mon_data_avail_warn = 1
mon_data_avail_crit = 1
mon_max_pg_per_osd = 1000
osd_crush_chooseleaf_type = 0
rbd_default_features = 61
[client]
log_file = /dev/null
admin_socket = ""
[mon]
mon_data = {base}/mon.a
mon_cluster_log_file = {base}/log/cluster.log
rocksdb_cache_size = 8388608
[mgr]
mgr_data = {base}/mgr.x
mgr_initial_modules =
mgr_disabled_modules = {unwanted}
[osd]
osd_data = {base}/osd.$id
osd_objectstore = {store}
osd_memory_target = 939524096
osd_memory_target_autotune = false
bluestore_cache_autotune = false
bluestore_cache_size = 67108864
bluestore_block_size = {size}
bluestore_block_wal_create = false
bluestore_block_db_create = false
bluestore_fsck_on_mount = false
memstore_device_bytes = 17179869184
osd_op_num_shards = 2
osd_op_num_threads_per_shard = 1
osd_class_load_list = *
osd_class_default_list = *
osd_op_queue = wpq
osd_heartbeat_grace = 60
"""
UNWANTED = (
    "dashboard diskprediction_local restful rook cephadm prometheus telegraf influx zabbix insights"
    " test_orchestrator selftest osd_perf_query osd_support snap_schedule stats iostat nfs"
    " mirroring mds_autoscaler alerts localpool"
)


class Ceph:
    """One cluster. ``up`` and ``down`` may be repeated."""

    def __init__(
        self,
        directory: Path,
        slot: int,
        address: str = "127.0.0.1",
        inside: tuple[str, ...] = (),
    ) -> None:
        """``inside``: words before each command, that take it to another network."""
        self.directory = directory
        self._inside = inside
        self.address = address
        self._low = FIRST_PORT + slot * PORTS_EACH
        self.config = directory / "ceph.conf"
        self.keyring = directory / "keyring"

    def up(self, *, store: str = "memstore") -> None:
        """A fresh cluster with one OSD and the pool ``rbd``, ready for images."""
        self.down()
        for name in ("run", "log", "mon.a", "mgr.x", "osd.0"):
            (self.directory / name).mkdir(parents=True)
        self._write_configuration(store)
        self._start_monitor()
        self._start_mgr()
        self._start_osd()
        self.make_pool(POOL)

    def down(self) -> None:
        """No daemon and no file is left."""
        for name in ("osd.0", "mgr.x", "mon.a"):
            self.kill(name)
        shutil.rmtree(self.directory, ignore_errors=True)

    def make_pool(self, name: str) -> None:
        """A pool for images exists."""
        self.ceph("osd", "pool", "create", name, "16", "16")
        self.ceph("osd", "pool", "application", "enable", name, "rbd")
        self.rbd("pool", "init", name)

    def make_user(self, name: str, *caps: str) -> Path:
        """The user ``client.NAME`` exists; answers the file with its key."""
        path = self.directory / f"ceph.client.{name}.keyring"
        wanted = caps or ("mon", "profile rbd", "osd", "profile rbd", "mgr", "profile rbd")
        path.write_text(self.ceph("auth", "get-or-create", f"client.{name}", *wanted).stdout)
        return path

    def ceph(self, *words: str, check: bool = True) -> Completed:
        """Run ``ceph`` as its administrator."""
        argv = [*self._inside, "ceph", "--connect-timeout", "30", "-c", str(self.config), *words]
        return run(argv, check=check)

    def rbd(self, *words: str, check: bool = True) -> Completed:
        """Run ``rbd`` as the administrator."""
        return run([*self._inside, "rbd", "-c", str(self.config), *words], check=check)

    def freeze(self, name: str) -> None:
        """The daemon ``mon.a``, ``osd.0`` or ``mgr.x`` answers nothing more."""
        freeze_group(self._leader(name))

    def thaw(self, name: str) -> None:
        """It goes on."""
        send_group(self._leader(name), signal.SIGCONT)

    def fill(self) -> None:
        """The OSD says that it is full, and the cluster goes by that."""
        self.ceph("tell", "osd.0", "injectfull", "full")
        self._wait_full(True)

    def empty(self) -> None:
        """There is room again."""
        self.ceph("tell", "osd.0", "injectfull", "none")
        self._wait_full(False)

    def limit(self, quota_bytes: int) -> None:
        """The pool may hold so much; 0: any."""
        self.ceph("osd", "pool", "set-quota", POOL, "max_bytes", str(quota_bytes))

    def _wait_full(self, wanted: bool) -> None:
        deadline = time.monotonic() + READY_S
        while True:
            told = self.ceph("osd", "pool", "ls", "detail", "-f", "json").stdout
            pool = next(one for one in json.loads(told) if one["pool_name"] == POOL)
            if ("full" in pool["flags_names"].split(",")) is wanted:
                return
            if time.monotonic() > deadline:
                raise TestbedError(f"the pool is {pool['flags_names']}; see {self.directory}/log")
            time.sleep(0.5)

    def kill(self, name: str) -> None:
        """It is gone; its data stay."""
        leader = recorded(self._pid_file(name))
        if leader is not None:
            kill_group(leader)

    def _pid_file(self, name: str) -> Path:
        return self.directory / "run" / f"{name}.pid"

    def _leader(self, name: str) -> Leader:
        leader = recorded(self._pid_file(name))
        if leader is None:
            raise TestbedError(f"{name} does not run; see {self.directory}/log")
        return leader

    def _write_configuration(self, store: str) -> None:
        text = CONFIGURATION.format(
            fsid=Path("/proc/sys/kernel/random/uuid").read_text().strip(),
            address=self.address,
            port1=self._low,
            port2=self._low + 1,
            low=self._low + 2,
            high=self._low + PORTS_EACH - 1,
            base=self.directory,
            unwanted=UNWANTED,
            store=store,
            size=OSD_GIB * 1024**3,
        )
        self.config.write_text(text)

    def _start(self, program: str, kind: str, identity: str, *words: str) -> None:
        name = f"{kind}.{identity}"
        argv = [*self._inside, program, "-c", str(self.config), "-f", "-i", identity, *words]
        log = self.directory / "log" / f"{name}.out"
        spawn(argv, pid_file=self._pid_file(name), log=log, environment={})

    def _start_monitor(self) -> None:
        base, keys = self.directory, str(self.keyring)
        tool = ["ceph-authtool", keys, "--gen-key"]
        run([*tool, "--create-keyring", "-n", "mon.", "--cap", "mon", "allow *"])
        caps = [
            word for kind in ("mon", "osd", "mgr", "mds") for word in ("--cap", kind, "allow *")
        ]
        run([*tool, "-n", "client.admin", *caps])
        monmap = str(base / "monmap")
        where = f"[v2:{self.address}:{self._low + 1},v1:{self.address}:{self._low}]"
        fsid = self.config.read_text().split("fsid = ")[1].split()[0]
        run(["monmaptool", "--create", "--addv", "a", where, "--fsid", fsid, monmap])
        seed = [*self._inside, "ceph-mon", "-c", str(self.config), "--mkfs", "-i", "a"]
        run([*seed, "--monmap", monmap, "--keyring", keys])
        shutil.copy(keys, base / "mon.a" / "keyring")
        self._start("ceph-mon", "mon", "a")
        self.ceph("-s")

    def _start_mgr(self) -> None:
        keys = self.directory / "mgr.x" / "keyring"
        caps = ("mon", "allow profile mgr", "osd", "allow *", "mds", "allow *")
        keys.write_text(self.ceph("auth", "get-or-create", "mgr.x", *caps).stdout)
        self._start("ceph-mgr", "mgr", "x", "--keyring", str(keys))

    def _start_osd(self) -> None:
        home = self.directory / "osd.0"
        uuid = Path("/proc/sys/kernel/random/uuid").read_text().strip()
        key = run(["ceph-authtool", "--gen-print-key"]).stdout.strip()
        secrets = json.dumps({"cephx_secret": key})
        run(
            [*self._inside, "ceph", "-c", str(self.config), "osd", "new", uuid, "0", "-i", "-"],
            stdin=secrets,
        )
        keys = str(home / "keyring")
        run(["ceph-authtool", "--create-keyring", keys, "-n", "osd.0", "--add-key", key])
        seed = [
            *self._inside,
            "ceph-osd",
            "-c",
            str(self.config),
            "-i",
            "0",
            "--mkfs",
            "--osd-uuid",
            uuid,
        ]
        run([*seed, "--keyring", keys])
        self._start("ceph-osd", "osd", "0", "--keyring", keys)
        deadline = time.monotonic() + READY_S
        while json.loads(self.ceph("osd", "stat", "-f", "json").stdout)["num_up_osds"] != 1:
            if time.monotonic() > deadline:
                raise TestbedError(f"the OSD does not come up; see {self.directory}/log")
            time.sleep(0.2)


@contextlib.contextmanager
def fresh_ceph(
    slot: int = 0,
    *,
    store: str = "memstore",
    address: str = "127.0.0.1",
    inside: tuple[str, ...] = (),
) -> Iterator[Ceph]:
    """A cluster of this process, gone afterwards; what killed processes left is removed first."""
    for left in FILES.glob(f"{PREFIX}*"):
        if not Path(f"/proc/{left.name.removeprefix(PREFIX).split('-')[0]}").exists():
            Ceph(left, 0).down()
    number = os.getpid() % SLOTS
    directory = FILES / f"{PREFIX}{os.getpid()}-{slot}"
    cluster = Ceph(directory, (number + slot) % SLOTS, address, inside)
    try:
        cluster.up(store=store)
        yield cluster
    finally:
        cluster.down()
