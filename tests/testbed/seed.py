"""What a fresh node host has in its own root, above the packages that it shares with the machine.

Pure: settings and keys in, files out. Scripts that are the same on each node host are in share/.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import msgspec

from tests.testbed.settings import CHECKOUT, Settings

SHARE = Path(__file__).resolve().parent / "share"
INSTALLED = "/opt/clusterd"
"""Where docs/install.md puts the product; in a node host it leads to the checkout's."""
PATH = f"{INSTALLED}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SERVICE_USERS = {"clusterd-rapi": 64001}


class File(msgspec.Struct, frozen=True):
    """One file of the seed; ``link`` makes it a symbolic link."""

    text: str = ""
    mode: int = 0o644
    link: str = ""


class Keys(msgspec.Struct, frozen=True):
    """The keys of a testbed: root's one pair, and a host key pair for each node host."""

    root: str
    root_public: str
    host: str
    host_public: str
    all_public: dict[str, str]
    """Node name -> public host key."""


def known_hosts(settings: Settings, all_public: dict[str, str]) -> str:
    """The known_hosts file that lets root reach every node host and no impostor."""
    lines = []
    for name, key in sorted(all_public.items()):
        address = settings.address(int(name[1:]))
        lines.append(f"{name},{name}.tb,{address} {' '.join(key.split()[:2])}")
    return "".join(f"{line}\n" for line in lines)


def node_files(settings: Settings, number: int, keys: Keys) -> dict[str, File]:
    """Path below the root -> file, for node host ``number``."""
    name = f"n{number}"
    hosts = [f"{address} {names}" for address, names in settings.names().items()]
    files = {
        "etc/hostname": File(f"{name}.tb\n"),
        "etc/hosts": File("\n".join(["127.0.0.1 localhost", *hosts, ""])),
        "etc/resolv.conf": File("# no name servers: every name of a testbed is in /etc/hosts\n"),
        "etc/machine-id": File(f"{0x7B000 + number:032x}\n"),
        "etc/passwd": File(
            _with_users("/etc/passwd", "{0}:x:{1}:{1}::/nonexistent:/usr/sbin/nologin")
        ),
        "etc/group": File(_with_users("/etc/group", "{0}:x:{1}:")),
        "etc/inittab": File(_share("inittab")),
        "etc/ld.so.preload": File(f"{settings.preloaded}\n"),
        "etc/testbed/rc": File(_share("rc"), 0o755),
        "etc/testbed/node.env": File(_environment(settings, number)),
        "etc/testbed/sshd_config": File(_sshd_config()),
        "etc/testbed/host_key": File(keys.host, 0o600),
        "etc/testbed/host_key.pub": File(keys.host_public),
        "etc/lvm/lvmlocal.conf": File(_share("lvmlocal.conf")),
        "etc/libvirt/qemu.conf": File(_share("qemu.conf")),
        "etc/libvirt/libvirtd.conf": File(f'host_uuid = "{_host_uuid(number)}"\n'),
        "root/.ssh/id_ed25519": File(keys.root, 0o600),
        "root/.ssh/id_ed25519.pub": File(keys.root_public),
        "root/.ssh/authorized_keys": File(keys.root_public, 0o600),
        "root/.ssh/known_hosts": File(known_hosts(settings, keys.all_public), 0o600),
        INSTALLED[1:]: File(link=str(CHECKOUT / ".venv")),
    }
    # the machine's own may be slow, and run at every command; /etc/profile sets a PATH of its own
    files |= {"root/.bashrc": File(), "root/.bash_profile": File(f"export PATH={PATH}\n")}
    return files


def write_seed(target: Path, files: dict[str, File]) -> None:
    """Write the files below ``target``, in the shape that the root disk is filled from."""
    for path, file in files.items():
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if file.link:
            place.symlink_to(file.link)
            continue
        place.write_text(file.text)
        place.chmod(file.mode)
    for private in ("root", "root/.ssh"):
        (target / private).chmod(0o700)


def _share(name: str) -> str:
    return (SHARE / name).read_text()


def _host_uuid(number: int) -> str:
    # libvirt refuses to migrate between hosts of equal uuid, and may not make one up at each start
    return f"c0ffee00-0000-4000-8000-{number:012x}"


def _environment(settings: Settings, number: int) -> str:
    values = {
        "NAME": f"n{number}.tb",
        "ADDRESS": settings.address(number),
        "GATEWAY": settings.host_address,
        "BRIDGE_MAC": settings.mac(number, bridge=True),
        "CHECKOUT": str(CHECKOUT),
        "CAPABILITIES": str(settings.capabilities),
        "PATH": PATH,
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _sshd_config() -> str:
    return f"""\
HostKey /etc/testbed/host_key
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
UseDNS no
MaxStartups 100
MaxSessions 100
SetEnv PATH={PATH}
Subsystem sftp internal-sftp
"""


def _with_users(path: str, row: str) -> str:
    """The machine's account file with the product's service users added."""
    text = Path(path).read_text()
    present = {line.split(":")[0] for line in text.splitlines()}
    rows = [row.format(name, ident) for name, ident in SERVICE_USERS.items() if name not in present]
    return text + "".join(f"{line}\n" for line in rows)
