"""Two libvirt hosts on one machine, for tests: namespaces with a libvirtd and a bridge each.

A host is one process group: its first process is the init of a PID namespace, so that killing it
ends libvirtd and every guest at once, as a power cut does. The bridges are joined by a cable.
Between the hosts nothing is reachable but what the cable carries; a ``Relay`` stands for the
cluster's own link between node daemons.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

START_S = 30.0
FILES = Path("/var/tmp")
PREFIX = "libvirt-hosts-"
LIBVIRTD_CONF = """\
auth_unix_rw = "none"
host_uuid = "c0ffee00-0000-4000-8000-0000000000{number:02d}"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
"""
QEMU_CONF = """\
user = "root"
group = "root"
security_driver = "none"
dynamic_ownership = 0
remember_owner = 0
namespaces = []
cgroup_controllers = []
seccomp_sandbox = 0
stdio_handler = "file"
"""
# A bridge without an address of its own may take that of a guest's tap. The tap of the same guest
# on the other host has it too during a migration, and the hosts would not hear each other.
INIT = """\
mount --make-rprivate /
hostname n{number}.test
mount -t proc proc /proc
umount -l /sys && mount -t sysfs sysfs /sys
mkdir -p /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt
mount --bind {base}/etc /etc/libvirt
mount --bind {base}/lib /var/lib/libvirt
mount --bind {base}/log /var/log/libvirt
mount --bind {base}/cache /var/cache/libvirt
mount --bind {base}/run /run
ip link set lo up
ip link add br0 address 52:54:00:99:00:1{number} type bridge forward_delay 0
ip addr add 10.99.0.1{number}/24 dev br0
ip link set br0 up
touch /run/ready
while :; do sleep 3600 & wait $!; done
"""


class LibvirtHost:
    """One host. ``start`` and ``power_off`` may be repeated; files survive."""

    def __init__(self, directory: Path, number: int) -> None:
        self.number = number
        self.name = f"n{number}"
        self.base = directory / self.name
        self._launcher: subprocess.Popen[bytes] | None = None
        self._libvirtd: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """libvirtd's socket, as everybody on the machine sees it."""
        return self.base / "run" / "libvirt" / "libvirt-sock"

    @property
    def init_pid(self) -> int:
        """The host's first process, seen from outside."""
        assert self._launcher is not None
        children = Path(f"/proc/{self._launcher.pid}/task/{self._launcher.pid}/children")
        return int(children.read_text().split()[0])

    @property
    def root(self) -> Path:
        """The host's file system, seen from outside; the path stays the same over power cuts."""
        return self.base / "root"

    def start(self) -> None:
        """Power on, and libvirtd answers."""
        for name in ("etc", "lib", "log", "cache", "run"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.base / "run")
        (self.base / "run").mkdir()
        (self.base / "etc" / "libvirtd.conf").write_text(LIBVIRTD_CONF.format(number=self.number))
        (self.base / "etc" / "qemu.conf").write_text(QEMU_CONF)
        script = INIT.format(number=self.number, base=self.base)
        spaces = ("--mount", "--net", "--uts", "--pid", "--ipc")
        # whatever happens to the test, nothing of the host outlives it
        leash = ["setpriv", "--pdeathsig", "KILL"]
        init = [*leash, "unshare", *spaces, "--fork", "--kill-child", "bash", "-ec", script]
        self._launcher = self._spawn("init", init)
        self._wait_for(self.base / "run" / "ready")
        self.root.unlink(missing_ok=True)
        self.root.symlink_to(f"/proc/{self.init_pid}/root")
        self.start_libvirtd()

    def start_libvirtd(self) -> None:
        """libvirtd runs and answers."""
        self.socket.unlink(missing_ok=True)
        self._libvirtd = self._spawn("libvirtd", [*self._inside(), "/usr/sbin/libvirtd"])
        self._wait_for(self.socket)

    def kill_libvirtd(self) -> None:
        """libvirtd is gone; the guests go on."""
        assert self._libvirtd is not None
        pid_file = self.base / "run" / "libvirtd.pid"
        subprocess.run([*self._inside(), "kill", "-9", pid_file.read_text().strip()], check=True)
        self._libvirtd.wait()

    def power_off(self) -> None:
        """Everything that runs here ends now."""
        if self._launcher is None:
            return
        with contextlib.suppress(ProcessLookupError, IndexError, FileNotFoundError):
            os.kill(self.init_pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._launcher.pid, signal.SIGKILL)
        self._launcher.wait()
        if self._libvirtd is not None:
            self._libvirtd.wait()
        self._launcher = None

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program on the host."""
        command = [*self._inside(), *argv]
        return subprocess.run(command, capture_output=True, text=True, check=check)

    def _inside(self) -> list[str]:
        spaces = ("--mount", "--net", "--uts", "--pid", "--ipc")
        return ["nsenter", "-t", str(self.init_pid), *spaces]

    def _spawn(self, name: str, argv: list[str]) -> subprocess.Popen[bytes]:
        with (self.base / "log" / f"{name}.out").open("ab") as log:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait_for(self, path: Path) -> None:
        deadline = time.monotonic() + START_S
        while not path.exists():
            log = self.base / "log"
            assert time.monotonic() < deadline, f"host {self.name} does not start; see {log}"
            time.sleep(0.05)


class Relay:
    """A socket on one host whose bytes come out at libvirtd's socket on the other."""

    def __init__(self, path: Path, target: Path) -> None:
        self.path = path
        self.carried_bytes = 0
        self._target = target
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        path.unlink(missing_ok=True)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """The link breaks; a new one may be made."""
        ends, self._open = self._open, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """No link and no socket are left."""
        self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                try:
                    far.connect(str(self._target))
                except OSError:
                    near.close()
                    far.close()
                    continue
                self._open += [near, far]
                threading.Thread(target=self._serve, args=(near, far), daemon=True).start()

    def _serve(self, near: socket.socket, far: socket.socket) -> None:
        with near, far:
            back = threading.Thread(target=self._carry, args=(far, near), daemon=True)
            back.start()
            self._carry(near, far)
            back.join()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.carried_bytes += len(data)
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


class LibvirtHosts:
    """Two hosts, the cable and the relays between them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.hosts = (LibvirtHost(directory, 1), LibvirtHost(directory, 2))
        self.relays: dict[tuple[str, str], Relay] = {}

    def start(self) -> None:
        """Both hosts run and reach each other."""
        for host in self.hosts:
            host.start()
        self.plug()
        for near, far in (self.hosts, self.hosts[::-1]):
            path = self.directory / f"{near.name}-to-{far.name}.sock"
            self.relays[near.name, far.name] = Relay(path, far.socket)

    def plug(self) -> None:
        """The cable joins the two bridges.

        The kernel clears the network of a host that lost its power away in the background, so
        the other host's end of the former cable may still be there.
        """
        for host in self.hosts:
            host.run("ip", "link", "delete", "uplink", check=False)
        first, second = (str(host.init_pid) for host in self.hosts)
        veth = ["type", "veth", "peer", "name", "uplink", "netns", second]
        subprocess.run(["ip", "link", "add", "uplink", "netns", first, *veth], check=True)
        for host in self.hosts:
            host.run("ip", "link", "set", "uplink", "master", "br0", "up")

    def stop(self) -> None:
        """Nothing of the hosts runs any more."""
        for relay in self.relays.values():
            relay.close()
        for host in self.hosts:
            host.power_off()


@contextlib.contextmanager
def libvirt_hosts() -> Iterator[LibvirtHosts]:
    """Two fresh hosts; all that they made is gone afterwards."""
    for left in FILES.glob(f"{PREFIX}*"):
        if not Path(f"/proc/{left.name.removeprefix(PREFIX).split('-')[0]}").exists():
            shutil.rmtree(left, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=FILES))
    hosts = LibvirtHosts(directory)
    try:
        hosts.start()
        yield hosts
    finally:
        hosts.stop()
        shutil.rmtree(directory, ignore_errors=True)
