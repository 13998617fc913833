"""The processors of a guest: model, topology, places. Pure."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from hypervisors.errors import BadParameter
from hypervisors.kvm_parameters import KvmParameters
from hypervisors.xml_building import add

_RANGE = re.compile(r"^(\^?\d+|\d+-\d+)(,(\^?\d+|\d+-\d+))*$")


def add_processors(
    domain: ET.Element, vcpus: int, parameters: KvmParameters, accelerator: str
) -> None:
    """The elements vcpu, cputune and cpu. Raises BadParameter."""
    masks = parameters.cpu_mask.split(":")
    for mask in masks:
        if mask != "all" and not _RANGE.match(mask):
            raise BadParameter(
                f"hypervisor parameter cpu_mask: {mask!r} is neither 'all' nor like '0-3,^1'",
                subject="cpu_mask",
            )
    if len(masks) not in (1, vcpus):
        raise BadParameter(
            f"hypervisor parameter cpu_mask: {len(masks)} masks for {vcpus} processors; "
            "give one, or one for each",
            subject="cpu_mask",
        )
    vcpu = add(domain, "vcpu", str(vcpus))
    if len(masks) == 1 and masks[0] not in ("all", ""):
        vcpu.set("cpuset", masks[0])
    elif len(masks) > 1:
        tune = add(domain, "cputune")
        for number, mask in enumerate(masks):
            if mask != "all":
                add(tune, "vcpupin", vcpu=str(number), cpuset=mask)
    _add_model(domain, vcpus, parameters, accelerator)


def _add_model(domain: ET.Element, vcpus: int, parameters: KvmParameters, accelerator: str) -> None:
    topology = _topology(vcpus, parameters)
    if not parameters.cpu_type and not topology:
        return
    cpu = add(domain, "cpu")
    model, *features = parameters.cpu_type.split(",")
    if model == "host":
        # an emulated processor has nothing to pass through; "all that can be had" is meant
        cpu.set("mode", "host-passthrough" if accelerator == "kvm" else "maximum")
    elif model:
        cpu.set("mode", "custom")
        cpu.set("match", "exact")
        cpu.set("check", "none")
        add(cpu, "model", model, fallback="forbid")
    if topology:
        add(cpu, "topology", **topology)
    for feature in filter(None, features):
        _add_feature(cpu, feature)


def _add_feature(cpu: ET.Element, word: str) -> None:
    name, _, value = word.lstrip("+-").partition("=")
    if not name or value not in ("", "on", "off"):
        raise BadParameter(
            f"hypervisor parameter cpu_type: {word!r} is no feature; write +NAME, -NAME, NAME=on",
            subject="cpu_type",
        )
    absent = word.startswith("-") or value == "off"
    add(cpu, "feature", policy="disable" if absent else "require", name=name)


def _topology(vcpus: int, parameters: KvmParameters) -> dict[str, str]:
    wanted = {
        "sockets": parameters.cpu_sockets,
        "cores": parameters.cpu_cores,
        "threads": parameters.cpu_threads,
    }
    if not any(wanted.values()):
        return {}
    product = 1
    for count in wanted.values():
        product *= count or 1
    missing = [name for name, count in wanted.items() if not count]
    if missing and vcpus % product == 0:
        wanted[missing[0]] = vcpus // product
        product = vcpus
    if product != vcpus:
        raise BadParameter(
            f"hypervisor parameters cpu_sockets, cpu_cores and cpu_threads make {product} "
            f"processors, the guest has {vcpus}",
            subject="cpu_sockets",
        )
    return {name: str(count or 1) for name, count in wanted.items()}
