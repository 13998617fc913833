"""What is checked and decided on the node before a guest starts or is received here.

Decided here: the accelerator, and that everything that is missing is said by its own error before
QEMU is started.
"""

from __future__ import annotations

from typing import Literal

from hypervisors.domain_xml import Decided
from hypervisors.errors import BadParameter, DeviceMissing, HypervisorError, NotEnoughMemory
from hypervisors.guest import Guest
from hypervisors.host import Host
from hypervisors.kvm_parameters import DEFAULT_KVM_PATH, KvmParameters, wanted_accelerator

_FILES = (
    "kernel_path",
    "initrd_path",
    "cdrom_image_path",
    "cdrom2_image_path",
    "floppy_image_path",
    "mem_path",
    "vnc_password_file",
    "spice_password_file",
)


class Preparation:
    """Checks against one host. Blocking, as it reads files."""

    def __init__(self, host: Host, console_directory: str) -> None:
        self._host = host
        self._console_directory = console_directory.rstrip("/")

    def check_parameters(self, parameters: KvmParameters) -> None:
        """The parameters can be honoured on this node. Raises BadParameter."""
        self._accelerator(parameters)
        paths = [(name, getattr(parameters, name)) for name in _FILES]
        if parameters.kvm_path != DEFAULT_KVM_PATH:
            paths.append(("kvm_path", parameters.kvm_path))
        for name, path in paths:
            if path and not self._host.exists(path):
                raise BadParameter(
                    f"hypervisor parameter {name}: {path} does not exist on this node",
                    subject=name,
                )

    def prepare(self, guest: Guest, parameters: KvmParameters) -> Decided:
        """The guest may come. Raises BadParameter, DeviceMissing, NotEnoughMemory."""
        self.check_parameters(parameters)
        self.check_devices(guest)
        free_mib = self._host.memory().free_mib
        if free_mib < guest.memory_mib:
            raise NotEnoughMemory(
                f"guest {guest.name} needs {guest.memory_mib} MiB of memory, "
                f"this node has {free_mib} MiB free",
                subject=guest.name,
            )
        return Decided(
            accelerator=self._accelerator(parameters),
            console_log=self._console_log(guest, parameters),
            password=self._password(parameters),
        )

    def _accelerator(self, parameters: KvmParameters) -> Literal["kvm", "tcg"]:
        wanted = wanted_accelerator(parameters)
        if wanted == "tcg":
            return "tcg"
        if self._host.kvm_usable():
            return "kvm"
        if wanted == "kvm":
            raise BadParameter(
                "hypervisor parameter accel: kvm cannot be used on this node (the processor shows "
                "neither vmx nor svm, or /dev/kvm does not open); use 'auto' or 'tcg'",
                subject="accel",
            )
        return "tcg"

    def check_devices(self, guest: Guest) -> None:
        """What the guest's disks and cards need is here. Raises DeviceMissing."""
        for disk in guest.disks:
            if disk.source is None and not self._host.exists(disk.path):
                raise DeviceMissing(
                    f"disk {disk.index} of guest {guest.name}: {disk.path} does not exist on this "
                    "node; activate the disks",
                    subject=disk.path,
                )
        for nic in guest.nics:
            if nic.mode == "bridged" and not self._host.bridge_exists(nic.link):
                raise DeviceMissing(
                    f"network card {nic.index} of guest {guest.name}: there is no bridge "
                    f"{nic.link!r} on this node",
                    subject=nic.link,
                )

    def _console_log(self, guest: Guest, parameters: KvmParameters) -> str:
        if not self._console_directory or not parameters.serial_console:
            return ""
        try:
            self._host.make_directory(self._console_directory)
        except OSError as error:
            raise HypervisorError(
                f"cannot make {self._console_directory} for consoles: {error.strerror}",
                subject=guest.name,
            ) from None
        return f"{self._console_directory}/{guest.name}.log"

    def _password(self, parameters: KvmParameters) -> str:
        path = parameters.vnc_password_file if parameters.vnc_bind_address else ""
        path = parameters.spice_password_file if parameters.spice_bind else path
        try:
            return self._host.first_line(path) if path else ""
        except (OSError, UnicodeDecodeError) as error:
            raise BadParameter(
                f"the password file {path} cannot be read: {error}", subject=path
            ) from None
