"""Instances: requests whose form is older than the opcode behind them, and the console."""

from __future__ import annotations

from typing import Any

from clusterd.doorway.protocol import RequestFailed
from rapi.errors import BadRequest, NotFound, Unavailable, missing_is_404
from rapi.exchange import Call
from rapi.resources.cluster import has_body
from rapi.routes import Door
from rapi.submission import Body

VERSION_KEY = "__version__"


def creation(_call: Call, body: Body) -> Body:
    """``POST /2/instances``: the form's version must be 1."""
    version = body.pop(VERSION_KEY, 0)
    if version == 0 and not isinstance(version, bool):
        raise BadRequest("Instance creation request version 0 is no longer supported")
    if version != 1 or isinstance(version, bool):
        raise BadRequest(f"Unsupported request data version {version!r:.50}")
    _with_commas(body)
    return {}


def modification(_call: Call, body: Body) -> Body:
    """``PUT /2/instances/I/modify``"""
    _with_commas(body)
    return {}


def _with_commas(body: Body) -> None:
    """USB devices may come with spaces between them."""
    hvparams = body.get("hvparams")
    if isinstance(hvparams, dict) and isinstance(hvparams.get("usb_devices"), str):
        devices = ",".join(hvparams["usb_devices"].split())
        body["hvparams"] = {**hvparams, "usb_devices": devices}


def allocation(_call: Call, body: Body) -> Body:
    """``POST /2/instances-multi-alloc``: each instance may use the names of a creation."""
    instances = body.get("instances")
    if not isinstance(instances, list) or not all(isinstance(one, dict) for one in instances):
        raise BadRequest("Parameter 'instances' should be a list of objects")
    body["instances"] = [_named(dict(one)) for one in instances]
    return {}


def _named(one: Body) -> Body:
    for old, new in (("os", "os_type"), ("name", "instance_name")):
        if old in one:
            one.setdefault(new, one.pop(old))
    one.pop(VERSION_KEY, None)
    return {"OP_ID": "OP_INSTANCE_CREATE", **one}


def reinstallation(call: Call) -> list[tuple[str, Body, Body]]:
    """``POST /2/instances/I/reinstall``: stop, install, and start unless told not to."""
    legacy = [name for name in ("os", "nostartup") if call.text(name) is not None]
    if has_body(call) and legacy:
        raise BadRequest("Can't combine query and body parameters")
    body = call.object()
    start = body.pop("start", not call.flag("nostartup"))
    if not isinstance(start, bool):
        raise BadRequest("Parameter 'start' should be a boolean")
    install = {"os_type": body.pop("os", call.text("os"))}
    install.update({name: body.pop(name) for name in _OS_PARAMETERS if name in body})
    target = {"instance_name": call.name}
    job = [
        ("OP_INSTANCE_SHUTDOWN", {}, target),
        ("OP_INSTANCE_REINSTALL", {**install, **body}, target),
    ]
    if start:
        job.append(("OP_INSTANCE_STARTUP", {}, target))
    return job


_OS_PARAMETERS = ("osparams", "osparams_private", "osparams_secret")


def replacement(call: Call, body: Body) -> Body:
    """``POST /2/instances/I/replace-disks``: everything in the body, or everything in the query."""
    if has_body(call):
        return {}
    fields: Body = {
        name: call.text(name)
        for name in ("mode", "remote_node", "iallocator")
        if call.text(name) is not None
    }
    try:
        fields["disks"] = [int(number) for number in call.listed("disks")]
    except ValueError:
        raise BadRequest("Invalid disk index passed") from None
    if call.text("early_release") is not None:
        fields["early_release"] = call.flag("early_release")
    return fields


def disk(call: Call, _body: Body) -> Body:
    """The disk's number in the path."""
    return {"disk": int(call.names["disk"])}


async def console(call: Call, door: Door) -> Any:
    """``GET /2/instances/I/console``; only a running instance has one."""
    try:
        rows = await door.call("QueryInstances", [call.name], ["console", "oper_state"], False)
    except RequestFailed as error:
        raise missing_is_404(error) from None
    if not rows:
        raise NotFound
    found, running = rows[0]
    if not running or found is None:
        raise Unavailable("Instance console unavailable")
    return found
