"""Make a machine ready to become a node: looked at, given keys and settings, its daemon started.

Decided here: what must be true of the machine, in which order things are delivered, and what is
taken back when something fails. Not decided here: what the cluster says about the new node; that is
the opcode's matter and comes afterwards. The stages are told in ``docs/design/joining.md``.

Blocking, for the operator's command. Everything up to ``deliver`` changes nothing on the machine.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import shlex
from collections.abc import Callable
from typing import Any

import msgspec

from clusterd import certificates, names
from clusterd.certificates import KeyPair
from clusterd.errors import ClusterError
from clusterd.secure_shell import File, SecureShell
from clusterd.settings import BadSettings, Settings, root_of

MAX_CLOCK_SKEW_S = 150.0
"""What ``gnt-cluster verify`` also takes as the bound."""

STAGES = ("program", "hostname", "membership", "addresses", "clock", "deliver", "start", "greet")
DAEMON = "clusterd-node"
FORGOTTEN = ("node-epoch",)
"""State of a node that means nothing in another cluster, whose epochs may be lower."""

_VERSION = re.compile(r"^clusterd-node (\S+) \(calls (\d+)\)$", re.MULTILINE)

Report = Callable[[str], None]
Greet = Callable[[str, int], None]
"""Called with address and port when the daemon is said to run; returns once it was greeted over TLS
and answered as the node that it should be, else raises a ClusterError."""


class JoinFailed(ClusterError):
    """A machine cannot become a node."""

    code = "join_failed"

    def __init__(self, message: str, *, stage: str, subject: str) -> None:
        super().__init__(message, subject=subject)
        self.stage = stage


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted. ``settings`` are those of the new node, its name and addresses in them."""

    settings: Settings
    pair: KeyPair
    authority: bytes
    authority_key: bytes = b""
    """Only for a master candidate."""
    programs: str
    """Directory of the programs there."""
    environment: dict[str, str] = {}
    """For the programs there; ``CLUSTERD_ROOT`` and ``CLUSTERD_HOSTNAME`` are understood."""
    readd: bool = False
    force: bool = False


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at the machine found."""

    hostname: str
    time: float
    addresses: tuple[str, ...]


def look_command(environment: dict[str, str]) -> str:
    """The one line of shell whose output ``parse_facts`` reads."""
    own = shlex.quote(environment.get("CLUSTERD_HOSTNAME", ""))
    return (
        f"date +%s.%N; own={own}; echo ${{own:-$(hostname -f 2>/dev/null || hostname)}}; ip -j addr"
    )


def parse_facts(output: str) -> Facts:
    """Raises ValueError for output of another shape."""
    lines = output.splitlines()
    if len(lines) < 3:
        raise ValueError("the answer is too short")
    links: list[dict[str, Any]] = json.loads("\n".join(lines[2:]))
    return Facts(
        hostname=lines[1].strip(),
        time=float(lines[0]),
        addresses=tuple(row["local"] for link in links for row in link.get("addr_info", [])),
    )


def same_host(wanted: str, found: str) -> bool:
    """True for equal names; a machine may know itself by the first label only."""
    return wanted == found or ("." not in found and wanted.split(".", maxsplit=1)[0] == found)


def cluster_of(text: bytes) -> str:
    """The uuid of the cluster that settings name; empty for none, raises BadSettings."""
    return Settings.parse(text.decode(errors="replace"), source="settings").cluster.uuid


def membership_problem(join: Join, text: bytes | None) -> str:
    """Why the settings that were found there forbid joining; empty when they do not."""
    if text is None or join.force:
        return ""
    try:
        found = cluster_of(text)
    except BadSettings as problem:
        return f"it has unreadable settings of a cluster ({problem}); use --force-join"
    if found and found != join.settings.cluster.uuid:
        return f"it is part of another cluster ({found}); remove it there, or use --force-join"
    if found and not join.readd:
        return "it is already part of this cluster; to set it up again use --readd"
    return ""


def join_node(
    shell: SecureShell, join: Join, *, report: Report, greet: Greet, now: Callable[[], float]
) -> None:
    """Carry out all stages, telling each; on failure take back what was done, then raise."""
    joining = _Joining(shell, join, greet, now)
    name = join.settings.node.name
    try:
        for stage in STAGES:
            report(f"{name}: {joining.carry_out(stage)}")
    except BaseException:
        for line in joining.take_back():
            report(f"{name}: {line}")
        raise


class _Joining:
    """One machine on its way. ``_undo`` holds what to do, last first, to leave it as it was."""

    def __init__(
        self, shell: SecureShell, join: Join, greet: Greet, now: Callable[[], float]
    ) -> None:
        self._shell = shell
        self._join = join
        self._greet = greet
        self._now = now
        self._node = join.settings.node
        self._there = msgspec.structs.replace(join.settings, root=root_of(join.environment))
        self._skew_s = (0.0, 0.0)
        self._known = self._same = False
        self._undo: list[tuple[str, Callable[[], object]]] = []
        self._stages: dict[str, Callable[[], str]] = {
            "program": self._check_program,
            "hostname": self._check_hostname,
            "membership": self._check_membership,
            "addresses": self._check_addresses,
            "clock": self._check_clock,
            "deliver": self._deliver,
            "start": self._start,
            "greet": self._say_hello,
        }
        self._facts: Facts

    def carry_out(self, stage: str) -> str:
        """One stage; answers its line. Every refusal names the machine and the stage."""
        try:
            return self._stages[stage]()
        except JoinFailed:
            raise
        except ClusterError as error:
            raise self._fail(stage, str(error)) from error

    def take_back(self) -> list[str]:
        """Undo, last first; what cannot be undone is told, with what is left."""
        lines = []
        while self._undo:
            what, undo = self._undo.pop()
            try:
                undo()
                lines.append(f"taken back: {what}")
            except ClusterError as error:
                lines.append(f"could not be taken back: {what} ({error}); do it by hand")
        return lines

    # -- looking ---------------------------------------------------------------------------------

    def _check_program(self) -> str:
        ran = self._shell.run(self._command("--version"))
        if ran.code in (126, 127):
            raise self._fail(
                "program",
                f"clusterd is not installed in {self._join.programs} there; install the same"
                " package as on the master",
            )
        found = _VERSION.search(ran.output)
        if ran.code or found is None:
            raise self._fail("program", f"{DAEMON} --version there fails: {ran.last_words}")
        if int(found[2]) != names.CALLS_VERSION:
            raise self._fail(
                "program",
                f"it has version {found[1]}, which speaks calls {found[2]}; here is"
                f" {names.PRODUCT_VERSION} with calls {names.CALLS_VERSION}: install the same"
                " version on both",
            )
        differs = "" if found[1] == names.PRODUCT_VERSION else f" (here {names.PRODUCT_VERSION})"
        return f"has clusterd {found[1]}{differs}"

    def _check_hostname(self) -> str:
        before = self._now()
        output = self._shell.check(look_command(self._join.environment))
        try:
            self._facts = parse_facts(output)
        except (ValueError, KeyError, TypeError) as error:
            raise self._fail("hostname", f"cannot make sense of what it says: {error}") from error
        # its clock was read at some moment between
        self._skew_s = (self._facts.time - self._now(), self._facts.time - before)
        if not same_host(self._node.name, self._facts.hostname):
            raise self._fail(
                "hostname",
                f"it calls itself {self._facts.hostname}; set its host name to {self._node.name},"
                " or add it under the name that it has",
            )
        return f"is {self._facts.hostname}"

    def _check_membership(self) -> str:
        text = self._shell.read(str(self._there.path))
        self._known = text is not None
        problem = membership_problem(self._join, text)
        if problem:
            raise self._fail("membership", problem)
        with contextlib.suppress(BadSettings):
            self._same = text is not None and cluster_of(text) == self._join.settings.cluster.uuid
        return "is in no cluster" if text is None else "leaves what it was part of before"

    def _check_addresses(self) -> str:
        present = {ipaddress.ip_address(text) for text in self._facts.addresses}
        for word, address in (
            ("primary", self._node.primary_ip),
            ("secondary", self._node.secondary_ip or self._node.primary_ip),
        ):
            if ipaddress.ip_address(address) not in present:
                raise self._fail(
                    "addresses",
                    f"its {word} address {address} is not configured there; it has"
                    f" {', '.join(self._facts.addresses[:20])}",
                )
        return f"has its addresses {self._node.primary_ip}, {self._node.secondary_ip}"

    def _check_clock(self) -> str:
        least, most = self._skew_s
        if least > MAX_CLOCK_SKEW_S or most < -MAX_CLOCK_SKEW_S:
            off_s = least if least > 0 else most
            raise self._fail(
                "clock",
                f"its clock is {abs(off_s):.0f} s {'ahead' if off_s > 0 else 'behind'}; at most"
                f" {MAX_CLOCK_SKEW_S:.0f} s are allowed: synchronise it (NTP)",
            )
        return "has the right time"

    # -- changing --------------------------------------------------------------------------------

    def _deliver(self) -> str:
        if self._known and self._running():
            self._undo.append(("its old daemon ended", self._start_daemon))
            self._shell.check(self._command("--stop"))
        there = self._there
        self._make_directory(str(there.config_directory), 0o755)
        self._make_directory(str(there.state_directory), 0o711)
        state = str(there.state_directory)
        pair = self._join.pair
        files = [
            (f"{state}/{certificates.AUTHORITY_FILE}", self._join.authority),
            (f"{state}/{certificates.NODE_KEY_FILE}", pair.key),
            (f"{state}/{certificates.NODE_FILE}", pair.certificate),
        ]
        if self._join.authority_key:
            files.append((f"{state}/{certificates.AUTHORITY_KEY_FILE}", self._join.authority_key))
        for name in () if self._same else FORGOTTEN:
            if self._remember(f"{state}/{name}"):
                self._shell.remove(f"{state}/{name}")
        # the settings last: they are what makes a machine part of a cluster
        files.append((str(there.path), self._join.settings.to_toml().encode()))
        for path, _ in files:
            self._remember(path)
        secret = [File(path, data) for path, data in files[:-1]]
        self._shell.put(*secret, File(*files[-1], 0o644))
        return f"has {len(files)} files of keys and settings"

    def _make_directory(self, path: str, mode: int) -> None:
        if self._shell.mode(path) is not None:
            return
        quoted = shlex.quote(path)
        self._undo.append(
            (path, lambda: self._shell.run(f"rmdir --ignore-fail-on-non-empty {quoted}"))
        )
        self._shell.check(f"mkdir -p -m {mode:o} {quoted}")

    def _remember(self, path: str) -> bool:
        """Let the file be taken back to what it is now; True when there is one."""
        before = self._shell.read(path)
        if before is None:
            self._undo.append((path, lambda: self._shell.remove(path)))
            return False
        was = File(path, before, self._shell.mode(path) or 0o600)
        self._undo.append((path, lambda: self._shell.put(was)))
        return True

    def _start(self) -> str:
        self._undo.append(
            ("its daemon started", lambda: self._shell.check(self._command("--stop")))
        )
        self._start_daemon()
        return "runs its daemon"

    def _say_hello(self) -> str:
        self._greet(self._node.primary_ip, self._node.port)
        return f"answers on {self._node.primary_ip} port {self._node.port}"

    # -- its daemon ------------------------------------------------------------------------------

    def _running(self) -> bool:
        return self._shell.run(self._command("--status")).code == 0

    def _start_daemon(self) -> None:
        """The program itself knows whether systemd starts it there; it returns when it serves."""
        wait_s = self._join.settings.timeouts.start_s
        self._shell.check(self._command("--start"), timeout_s=wait_s)

    def _command(self, option: str) -> str:
        variables = "".join(
            f"{name}={shlex.quote(value)} " for name, value in self._join.environment.items()
        )
        return f"{variables}{shlex.quote(f'{self._join.programs}/{DAEMON}')} {option} </dev/null"

    def _fail(self, stage: str, problem: str) -> JoinFailed:
        return JoinFailed(
            f"{self._node.name} cannot join: {problem}", stage=stage, subject=self._node.name
        )
