"""The graphical consoles of a guest: VNC, SPICE, and the video card for them. Pure."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from hypervisors.guest import Guest
from hypervisors.kvm_parameters import KvmParameters
from hypervisors.xml_building import add

_VIDEO = {"std": "vga", "vmware": "vmvga"}
_AGENT_CHANNEL = "com.redhat.spice.0"


def has_display(guest: Guest, parameters: KvmParameters) -> bool:
    """True if somebody can look at the guest's screen."""
    if parameters.vnc_bind_address.startswith("/"):
        return True
    return bool(guest.network_port and (parameters.vnc_bind_address or parameters.spice_bind))


def add_displays(
    devices: ET.Element, guest: Guest, parameters: KvmParameters, password: str
) -> None:
    """Graphics, channel and video; a guest that nobody can look at gets no video card."""
    display = has_display(guest, parameters)
    if display and parameters.vnc_bind_address:
        _add_vnc(devices, guest, parameters, password)
    elif display:
        _add_spice(devices, guest, parameters, password)
    model = parameters.vga or _default_video(display, parameters)
    add(add(devices, "video"), "model", type=_VIDEO.get(model, model))


def _default_video(display: bool, parameters: KvmParameters) -> str:
    if not display:
        return "none"
    return "qxl" if parameters.spice_bind else "cirrus"


def _graphics(devices: ET.Element, kind: str, keymap: str, password: str) -> ET.Element:
    graphics = add(devices, "graphics", type=kind)
    if keymap:
        graphics.set("keymap", keymap)
    if password:
        graphics.set("passwd", password)
    return graphics


def _add_vnc(devices: ET.Element, guest: Guest, parameters: KvmParameters, password: str) -> None:
    graphics = _graphics(devices, "vnc", parameters.keymap, password)
    bind = parameters.vnc_bind_address
    if bind.startswith("/"):
        add(graphics, "listen", type="socket", socket=f"{bind.rstrip('/')}/{guest.name}.vnc")
        return
    graphics.set("port", str(guest.network_port))
    graphics.set("autoport", "no")
    add(graphics, "listen", type="address", address=bind)


def _add_spice(devices: ET.Element, guest: Guest, parameters: KvmParameters, password: str) -> None:
    graphics = _graphics(devices, "spice", parameters.keymap, password)
    graphics.set("port", str(guest.network_port))
    graphics.set("autoport", "no")
    add(graphics, "listen", type="address", address=parameters.spice_bind)
    for tag, value in (
        ("image", parameters.spice_image_compression),
        ("jpeg", parameters.spice_jpeg_wan_compression),
        ("zlib", parameters.spice_zlib_glz_wan_compression),
        ("playback", "on" if parameters.spice_playback_compression else "off"),
    ):
        if value:
            add(graphics, tag, compression=value)
    if parameters.spice_streaming_video:
        add(graphics, "streaming", mode=parameters.spice_streaming_video)
    if parameters.spice_use_vdagent:
        channel = add(devices, "channel", type="spicevmc")
        add(channel, "target", type="virtio", name=_AGENT_CHANNEL)
