"""What is refused of a new cluster before anything changed, with Ganeti's error codes. Pure."""

from __future__ import annotations

import ipaddress
import re

import msgspec

from clusterd import names, parameters
from clusterd.founding import (
    Decided,
    Found,
    Founding,
    effective_beparams,
    effective_diskparams,
    effective_hvparams,
    effective_ipolicy,
    effective_nicparams,
    wanted_directories,
)
from jobqueue.errors import Refused

LVM_TEMPLATES = ("drbd", "plain")
SMALL_VG_MIB = 20480
"""A volume group below it is worth a warning (Ganeti refuses it)."""

_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$", re.I)
_MAC = re.compile(r"^[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}$", re.I)


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What this version serves."""

    hypervisors: tuple[str, ...]
    disk_templates: tuple[str, ...]


def decide(founding: Founding, found: Found, known: Known) -> Decided:
    """Raise Refused with the first thing that is wrong, or answer what is to be made."""
    _check_names(founding, found)
    _check_lists(founding, known)
    node_ip = _node_address(founding, found)
    secondary = _secondary_address(founding, found, node_ip)
    master_ip, netmask = _master_address(founding, found, node_ip)
    vg_name, warnings = _volume_group(founding, found)
    own, shared = _directories(founding, found)
    _check_parameters(founding)
    return Decided(
        founding=founding,
        node_name=founding.node_name or found.hostname,
        primary_ip=node_ip,
        secondary_ip=secondary,
        master_ip=master_ip,
        master_netmask=netmask,
        vg_name=vg_name,
        file_storage_dir=own,
        shared_file_storage_dir=shared,
        warnings=warnings,
    )


def _check_names(founding: Founding, found: Found) -> None:
    for word, name in (
        ("cluster", founding.cluster_name),
        ("node", founding.node_name or found.hostname),
    ):
        if not _NAME.match(name) or len(name) > 253:
            raise Refused(f"'{name}' is not a valid host name for the {word}")
    if founding.cluster_name == (founding.node_name or found.hostname):
        raise Refused(
            f"The cluster needs a name of its own, '{founding.cluster_name}' is the node's"
        )
    if founding.primary_ip_version not in (4, 6):
        raise Refused(f"Primary IP version {founding.primary_ip_version} is not 4 or 6")
    if not _MAC.match(founding.mac_prefix) or int(founding.mac_prefix[:2], 16) & 1:
        raise Refused(
            f"Invalid MAC address prefix '{founding.mac_prefix}': three octets of a unicast"
            " address are needed, like aa:00:00"
        )
    if founding.maintain_node_health:
        raise Refused("This version does not serve powering off guests that should not run")
    if founding.candidate_pool_size < 1:
        raise Refused("At least one master candidate is needed (candidate pool size)")


def _check_lists(founding: Founding, known: Known) -> None:
    for words, given, offered in (
        ("hypervisors", founding.enabled_hypervisors, known.hypervisors),
        ("disk templates", founding.enabled_disk_templates, known.disk_templates),
    ):
        if not given:
            raise Refused(f"Enabled {words}: the list must contain at least one member")
        wrong = [name for name in given if name not in offered]
        if wrong:
            raise Refused(
                f"Enabled {words} contains invalid entries: {', '.join(wrong)}; known are"
                f" {', '.join(sorted(offered))}"
            )
        if len(set(given)) != len(given):
            raise Refused(f"Enabled {words}: an entry is given twice")
    for words, used, enabled in (
        ("Hypervisor", founding.hvparams, known.hypervisors),
        ("Disk template", founding.diskparams, known.disk_templates),
    ):
        for name in used:
            if name not in enabled:
                raise Refused(f"{words} '{name}' in the parameters is not known")


def _node_address(founding: Founding, found: Found) -> str:
    name = founding.node_name or found.hostname
    address = founding.primary_ip or found.node_ip
    if not address:
        raise Refused(
            f"This host's name {name} cannot be resolved; add it to DNS or /etc/hosts",
            "resolver_error",
        )
    parsed = _address(address, "primary")
    if parsed.version != founding.primary_ip_version:
        raise Refused(
            f"The node's address {address} is not one of IPv{founding.primary_ip_version}"
        )
    if parsed.is_loopback and not founding.primary_ip:
        raise Refused(
            f"This host's name resolves to a loopback address ({address}); fix DNS or /etc/hosts",
            "environment_error",
        )
    if address not in found.addresses:
        raise Refused(
            f"This host's name resolves to {address}, but this address does not belong to this"
            " host",
            "environment_error",
        )
    return address


def _secondary_address(founding: Founding, found: Found, primary: str) -> str:
    if not founding.secondary_ip:
        if founding.primary_ip_version == 6:
            raise Refused("With IPv6 as primary address, an IPv4 secondary address must be given")
        return primary
    if _address(founding.secondary_ip, "secondary").version != 4:
        raise Refused(f"Secondary IP address ({founding.secondary_ip}) has to be an IPv4 address")
    if founding.secondary_ip not in found.addresses:
        raise Refused(
            f"{founding.secondary_ip} was given as secondary IP, but it does not belong to this"
            " host",
            "environment_error",
        )
    return founding.secondary_ip


def _master_address(founding: Founding, found: Found, node_ip: str) -> tuple[str, int]:
    address = founding.master_ip or found.cluster_ip
    if not address:
        raise Refused(
            f"The cluster's name {founding.cluster_name} cannot be resolved; add it to DNS or"
            " /etc/hosts with an address that is free (or with this node's, if the cluster needs"
            " none of its own)",
            "resolver_error",
        )
    parsed = _address(address, "cluster's")
    widest = parsed.max_prefixlen
    netmask = widest if founding.master_netmask is None else founding.master_netmask
    if not 0 < netmask <= widest:
        raise Refused(f"CIDR netmask ({netmask}) not valid: 1 to {widest}")
    if founding.master_netdev not in found.links:
        raise Refused(
            f"Invalid master netdev given ({founding.master_netdev}): this host has"
            f" {', '.join(found.links[:20])}"
        )
    if address == node_ip:
        return "", netmask
    if found.cluster_ip_answers:
        raise Refused(
            f"Cluster IP already active: a node daemon answers on {address}",
            "resource_not_unique",
        )
    return address, netmask


def _volume_group(founding: Founding, found: Found) -> tuple[str, tuple[str, ...]]:
    uses = [name for name in founding.enabled_disk_templates if name in LVM_TEMPLATES]
    if not uses:
        if not founding.vg_name:
            return "", ()
        return founding.vg_name, (
            f"Volume group {founding.vg_name} was given, but no disk template that uses LVM is"
            " enabled",
        )
    if founding.vg_name == "":
        raise Refused(
            f"Disk templates that use LVM are enabled ({', '.join(uses)}), but no volume group is"
            " given"
        )
    name = founding.vg_name or names.DEFAULT_VG
    size_mib = found.volume_groups.get(name)
    if size_mib is None:
        others = ", ".join(sorted(found.volume_groups)) or "none"
        raise Refused(
            f"Error: volume group '{name}' missing (this host has: {others}); make it with"
            f" vgcreate, name another with --vg-name, or disable {' and '.join(uses)}"
        )
    if size_mib < SMALL_VG_MIB:
        return name, (
            f"Volume group {name} is small: {size_mib} MiB, {SMALL_VG_MIB} MiB are advised",
        )
    return name, ()


def _directories(founding: Founding, found: Found) -> tuple[str, str]:
    own, shared = wanted_directories(founding)
    for template, path in (("file", own), ("sharedfile", shared)):
        if template not in founding.enabled_disk_templates:
            continue
        if not path:
            raise Refused(f"Disk template '{template}' is enabled, but its directory is empty")
        if not parameters.is_directory_path(path):
            raise Refused(f"The directory of template '{template}' is no absolute path: '{path}'")
        if path in found.not_directories:
            raise Refused(
                f"The directory of template '{template}', {path}, is not a directory",
                "environment_error",
            )
    mounts = founding.gluster_storage_dir
    if mounts and not parameters.is_directory_path(mounts):
        raise Refused(f"The directory of template 'gluster' is no absolute path: '{mounts}'")
    return own, shared


def _check_parameters(founding: Founding) -> None:
    effective_beparams(founding.beparams)
    effective_nicparams(founding.nicparams)
    parameters.node(founding.ndparams, {})
    effective_hvparams(founding)
    effective_diskparams(founding)
    effective_ipolicy(founding)


def _address(text: str, word: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise Refused(f"The {word} address '{text}' is not an IP address") from None
