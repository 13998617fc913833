"""How the cluster's store is, asked without a master: this must answer when nothing else does."""

from __future__ import annotations

import http.client
import ssl
from typing import Any

import msgspec

from cli.command import Session
from cli.founding import local_settings
from clusterd import certificates
from clusterd.settings import Settings
from clusterd.store_members import Member, read_members
from jobqueue.store.etcd_wire import StatusAnswer, decode

ASK_S = 2.0
MIB = 1024 * 1024

Rows = list[tuple[str, Any]]


def store_state(session: Session) -> Rows:
    """Rows for people."""
    settings = local_settings(session.environment).require_cluster()
    if settings.store.engine == "sqlite":
        return _file(settings)
    members = read_members(settings.members_path)
    found = [(member, _status(settings, member)) for member in members]
    up = [status for _, status in found if isinstance(status, StatusAnswer)]
    leaders = {status.leader for status in up if status.leader}
    whole = bool(leaders) and 2 * len(up) > len(members)
    return [
        ("Engine", "etcd"),
        ("Takes writes", "yes" if whole else "no: a majority of the members must be up"),
        ("Members that may fail", (len(members) - 1) // 2),
        ("Members", [_row(member, status) for member, status in found]),
    ]


def _file(settings: Settings) -> Rows:
    path = settings.store_path
    size = f"{path.stat().st_size / MIB:.1f} MiB" if path.exists() else "is not on this node"
    return [("Engine", "sqlite"), ("File", str(path)), ("Size", size)]


def _row(member: Member, status: StatusAnswer | str) -> Rows:
    rows: Rows = [("Node", member.name), ("Address", member.client_url)]
    if isinstance(status, str):
        return [*rows, ("State", f"does not answer ({status})")]
    role = "leader" if status.leader == status.header.member_id else "follower"
    if not status.leader:
        role = "sees no leader"
    return [
        *rows,
        ("State", role),
        ("Version", status.version),
        ("Revision", status.header.revision),
        ("Size", f"{status.size_bytes / MIB:.1f} MiB, {status.used_bytes / MIB:.1f} in use"),
    ]


def _status(settings: Settings, member: Member) -> StatusAnswer | str:
    """Of one member, or why there is none."""
    state = settings.state_directory
    try:
        context = ssl.create_default_context(cafile=str(state / certificates.STORE_AUTHORITY_FILE))
        context.load_cert_chain(
            state / certificates.STORE_FILE, state / certificates.STORE_KEY_FILE
        )
        link = http.client.HTTPSConnection(
            member.address, member.client_port, timeout=ASK_S, context=context
        )
        link.request("POST", "/v3/maintenance/status", b"{}")
        return decode(link.getresponse().read(), StatusAnswer)
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        return str(error) or type(error).__name__
