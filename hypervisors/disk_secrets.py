"""The keys of network disks' users, handed to libvirt, which hands them to the guests' processes.

Decided here: a key is read from the node's own keyring each time a guest starts or is received, so
a changed key needs nothing else; it never travels between nodes and is in no description.
"""

from __future__ import annotations

import base64
import binascii
import re
import xml.etree.ElementTree as ET
from typing import Any

from hypervisors.domain_xml import secret_usage
from hypervisors.errors import BadParameter
from hypervisors.guest import Guest, NetworkDisk
from hypervisors.host import Host
from hypervisors.xml_building import add, text_of


def define_secrets(library: Any, connection: Any, guest: Guest, host: Host) -> None:
    """libvirt has the keys of the guest's network disks. Raises BadParameter."""
    wanted = {disk.source for disk in guest.disks if disk.source and disk.source.keyring}
    by_usage = {secret_usage(source): source for source in wanted}
    for usage, source in sorted(by_usage.items()):
        secret = _known(library, connection, usage)
        if secret is None:
            secret = connection.secretDefineXML(secret_xml(usage), 0)
        secret.setValue(key_of(source, host), 0)


def _known(library: Any, connection: Any, usage: str) -> Any | None:
    try:
        return connection.secretLookupByUsage(library.VIR_SECRET_USAGE_TYPE_CEPH, usage)
    except library.libvirtError as error:
        if error.get_error_code() == library.VIR_ERR_NO_SECRET:
            return None
        raise


def secret_xml(usage: str) -> str:
    """A secret that libvirt keeps to itself."""
    secret = ET.Element("secret", {"ephemeral": "no", "private": "yes"})
    add(secret, "description", usage)
    add(add(secret, "usage", type="ceph"), "name", usage)
    return text_of(secret)


def key_of(source: NetworkDisk, host: Host) -> bytes:
    """The user's key from the keyring. Raises BadParameter."""
    try:
        text = host.text(source.keyring)
        section = text.split(f"[client.{source.user}]", 1)[1].split("\n[", 1)[0]
        return base64.b64decode(re.findall(r"^\s*key\s*=\s*(\S+)", section, re.M)[0])
    except (OSError, UnicodeDecodeError, IndexError, binascii.Error) as error:
        raise BadParameter(
            f"the keyring {source.keyring} of this node has no key of client.{source.user}"
            f" ({error})",
            subject=source.keyring,
        ) from None
