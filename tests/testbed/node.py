"""One node host: its files, its power and commands run on it."""

from __future__ import annotations

import shlex
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from tests.testbed import processes, processors
from tests.testbed.network import Network
from tests.testbed.seed import Keys, node_files, write_seed
from tests.testbed.settings import Settings
from tests.testbed.shell import Completed, TestbedError, run

READY = "TESTBED-READY"
FAILED = "TESTBED-FAILED"


class Node:
    """A node host called n1, n2, ...; its disks stay over power-off and power-on.

    Invariant: at most one process group runs on the disks, and pid.json names it.
    """

    def __init__(self, settings: Settings, network: Network, number: int) -> None:
        self.number = number
        self.name = f"n{number}"
        self.fqdn = f"n{number}.tb"
        self.address = settings.address(number)
        self.directory = settings.directory / self.name
        self._settings = settings
        self._network = network
        self._pid_file = self.directory / "pid.json"

    # -- commands --------------------------------------------------------------------------------

    def run(
        self,
        argv: Sequence[str] | str,
        *,
        timeout_s: float = 60.0,
        check: bool = True,
        stdin: str = "",
    ) -> Completed:
        """Run a command as root on the node host; a string is given to the shell as it is.

        Raises CommandFailed if it answers something else than 0 (unless ``check`` is false) or does
        not end in time.
        """
        command = argv if isinstance(argv, str) else shlex.join(argv)
        shown = [argv] if isinstance(argv, str) else argv
        return run(
            self.ssh_command(command),
            where=self.name,
            shown=shown,
            timeout_s=timeout_s,
            check=check,
            stdin=stdin,
        )

    def ssh_command(self, *arguments: str, terminal: bool = False) -> list[str]:
        """The command of this machine that logs in to the node host."""
        options = {
            "BatchMode": "yes",
            "IdentityFile": self._settings.directory / "key",
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": self._settings.directory / "known_hosts",
            "StrictHostKeyChecking": "yes",
            "LogLevel": "ERROR",
            "ConnectTimeout": 10,
            "ServerAliveInterval": 5,
            "ServerAliveCountMax": 4,
            # one connection is kept open: a command costs 0.25 s instead of 1 s
            "ControlMaster": "auto",
            "ControlPersist": 600,
            "ControlPath": self._control,
        }
        flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        way = ["-t"] if terminal else []
        return self._network.inside(
            ["ssh", "-F", "none", *way, *flags, f"root@{self.address}", *arguments]
        )

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """Put a file on the node host, with the directories above it."""
        place = shlex.quote(path)
        parent = shlex.quote(str(Path(path).parent))
        self.run(f"mkdir -p {parent} && cat >{place} && chmod {mode:o} {place}", stdin=text)

    def read(self, path: str) -> str:
        """The text of a file on the node host."""
        return self.run(["cat", path]).stdout

    # -- power -----------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """True while the node host has power."""
        return processes.recorded(self._pid_file) is not None

    def create(self, keys: Keys) -> None:
        """Make fresh disks: a root with the node host's own files, and an empty data disk."""
        shutil.rmtree(self.directory, ignore_errors=True)
        seed = self.directory / "seed"
        write_seed(seed / "upper", node_files(self._settings, self.number, keys))
        (seed / "work").mkdir()
        self._console.touch()
        for image, size_gib in (
            (self._root, self._settings.root_gib),
            (self._data, self._settings.data_gib),
        ):
            run(["truncate", "-s", f"{size_gib}G", str(image)])
        extended = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
        mke2fs = ["mke2fs", "-q", "-t", "ext4", "-J", "size=8", "-E", extended]
        run([*mke2fs, "-d", str(seed), str(self._root)])
        shutil.rmtree(seed)

    def power_on(self) -> None:
        """Power on, without waiting for the node host to come up."""
        if not self._root.exists():
            raise TestbedError(f"{self.name}: no such node host in {self._settings.directory}")
        if self.running:
            raise TestbedError(f"{self.name} is running")
        self._network.ensure()
        tap = self._network.ensure_tap(self.number)
        state = self.directory / "state"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        self._console.write_text("")
        kernel = self._settings.kernel
        argv = [
            *["taskset", "--cpu-list", str(processors.quietest())],
            kernel.program,
            *kernel.words,
            f"umid={self.name}",
            f"uml_dir={state}",
            f"mem={self._settings.memory_mib}M",
            "rootfstype=hostfs",
            "rootflags=/",
            "ro",
            f"init={self._settings.directory}/stage1",
            f"testbed_modules={kernel.modules}",
            f"ubda={self._root}",
            f"ubdb={self._data}",
            f"vec0:transport=tap,ifname={tap},mac={self._settings.mac(self.number)}",
            *["con0=null,fd:1", "con=null", "ssl=null", "panic=-1", "quiet"],
        ]
        processes.spawn(
            self._network.inside(argv),
            pid_file=self._pid_file,
            log=self._console,
            environment={"TMPDIR": str(self._memory_directory())},
        )

    def wait(self) -> None:
        """Wait until the node host is up and lets root in. Raises TestbedError with the reason."""
        deadline = time.monotonic() + self._settings.boot_timeout_s
        while not self.run("true", check=False, timeout_s=30).ok:
            said = self._console.read_text(errors="replace")
            if FAILED in said:
                raise TestbedError(f"{self.name} came up broken: {said[-1500:].strip()}")
            if not self.running:
                raise TestbedError(f"{self.name} died while starting: {said[-1500:].strip()}")
            if time.monotonic() > deadline:
                raise TestbedError(f"{self.name} is not up: {said[-1500:].strip()}")
            time.sleep(0.2)
        if READY not in self._console.read_text(errors="replace"):
            raise TestbedError(f"{self.name} came up broken; see {self._console}")

    def start(self) -> None:
        """Power on with the disks as they are, and wait until the node host is up."""
        self.power_on()
        self.wait()

    def kill(self) -> None:
        """Cut the power: nothing is written out, nobody is told. Off already is success."""
        leader = processes.recorded(self._pid_file)
        if leader is not None:
            processes.kill_group(leader)
        self._disconnect()
        self._pid_file.unlink(missing_ok=True)

    def halt(self, timeout_s: float = 30.0) -> None:
        """Shut down in order and wait for the power to go off."""
        leader = processes.recorded(self._pid_file)
        if leader is None:
            return
        self.run("(sleep 0.2; busybox poweroff) >/dev/null 2>&1 </dev/null &")
        processes.wait_group_gone(leader, timeout_s)
        self.kill()

    def freeze(self) -> None:
        """Stop the machine without powering it off: it answers nothing and remembers all."""
        processes.freeze_group(self._leader())

    def thaw(self) -> None:
        """Let a frozen machine go on."""
        processes.send_group(self._leader(), signal.SIGCONT)

    def unplug(self) -> None:
        """Pull the network cable."""
        self._network.link(self.number, up=False)

    def plug(self) -> None:
        """Put the network cable back."""
        self._network.link(self.number, up=True)

    def _leader(self) -> processes.Leader:
        leader = processes.recorded(self._pid_file)
        if leader is None:
            raise TestbedError(f"{self.name} is off")
        return leader

    def _disconnect(self) -> None:
        if self._control.exists():
            argv = ["ssh", "-o", f"ControlPath={self._control}", "-O", "exit", "none"]
            run(argv, check=False)
            self._control.unlink(missing_ok=True)

    def _memory_directory(self) -> Path:
        """Where the kernel keeps the node host's memory: /dev/shm unless it is small."""
        shared = Path("/dev/shm")
        needed = self._settings.memory_mib * 2**20
        if shared.is_dir() and shutil.disk_usage(shared).free > needed:
            return shared
        own = self.directory / "memory"
        own.mkdir(exist_ok=True)
        return own

    @property
    def _root(self) -> Path:
        return self.directory / "root.img"

    @property
    def _data(self) -> Path:
        return self.directory / "data.img"

    @property
    def _console(self) -> Path:
        return self.directory / "console.log"

    @property
    def _control(self) -> Path:
        return self.directory / "ssh"
