"""``gnt-node add``: make the machine ready over SSH, then let OP_NODE_ADD take it in.

Decided here: the new node's settings and certificate, and what is told when the second half fails.
The stages themselves are ``clusterd.joining``.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Mapping
from typing import Any

import msgspec

from cli import jobs
from cli.command import Call, Session
from cli.exits import CommandError, Exit, WrongInput
from cli.machine import Machine, programs
from clusterd import certificates
from clusterd.certificates import Subject
from clusterd.errors import ClusterError
from clusterd.joining import Join, JoinFailed, join_node
from clusterd.secure_shell import SecureShell, ShellFailed, Target, usual_known_hosts
from clusterd.settings import NodeSection, Settings, StorageSection

ALERT_WAIT_S = 0.5
"""In TLS 1.3 a refused certificate is only heard of after the handshake."""

NODE_ROLE: certificates.Role = "node"


class NodeSetupFailed(CommandError):
    """The machine could not be made ready."""

    exit_code = Exit.NODE_SETUP


def add_node(call: Call, body: Mapping[str, Any]) -> int:
    """``add``"""
    session = call.session
    settings = Settings.load(environment=session.environment).require_cluster()
    cluster = dict(session.door.call("QueryClusterInfo"))
    known = _known(session, body)
    if known is None:
        _check_group(session, body)
    node = new_node(body, settings, cluster, known)
    if call.given("no_node_setup"):
        _greet(settings, node, node.primary_ip, node.port)
        print_ = _certificate(settings, node)
    else:
        print_ = _set_up(call, settings, cluster, node)
    full = {
        **body,
        "node_name": node.name,
        "primary_ip": node.primary_ip,
        "secondary_ip": node.secondary_ip,
        "certificate": print_,
    }
    try:
        jobs.run(call, full)
    except CommandError:
        session.err(
            f"{node.name} has its keys and settings but is not part of the cluster; once the"
            " reason is gone, repeat the command with --force-join"
        )
        raise
    return Exit.SUCCESS


def _known(session: Session, body: Mapping[str, Any]) -> list[Any] | None:
    """Name and addresses of a node that the cluster has already, for --readd."""
    rows = session.door.query_names("QueryNodes", [], ["name", "pip", "sip"])
    name = str(body["node_name"])
    found = next((row for row in rows if name in (row[0], str(row[0]).partition(".")[0])), None)
    if found is not None and not body.get("readd"):
        raise WrongInput(
            f"Node {found[0]} is already in the cluster; to set it up again use --readd",
            "already_exists",
        )
    if found is None and body.get("readd"):
        raise WrongInput(f"Node {name} is not in the cluster", "unknown_entity")
    return found


def _check_group(session: Session, body: Mapping[str, Any]) -> None:
    """Where the node comes is clear before anything is done to it."""
    rows = session.door.query_names("QueryGroups", [], ["name", "uuid"])
    asked = body.get("group")
    if asked is not None and all(asked not in row for row in rows):
        raise WrongInput(f"Group '{asked}' not known", "unknown_entity")
    if asked is None and len(rows) > 1:
        names = ", ".join(str(name) for name, _ in rows)
        raise WrongInput(
            f"There is more than one node group ({names}): name the one that the node comes to"
            " (option -g)"
        )


def new_node(
    body: Mapping[str, Any],
    settings: Settings,
    cluster: Mapping[str, Any],
    known: list[Any] | None,
) -> NodeSection:
    """Name and addresses; a node that is known keeps those that are not given."""
    name = str(known[0] if known else body["node_name"])
    family = socket.AF_INET6 if cluster.get("primary_ip_version") == 6 else socket.AF_INET
    primary = body.get("primary_ip") or (known and known[1]) or Machine().resolve(name, family)
    if not primary:
        raise WrongInput(
            f"The name {name} cannot be resolved; add it to DNS or /etc/hosts, or give"
            " --primary-ip",
            "resolver_error",
        )
    secondary = body.get("secondary_ip") or (known and known[2]) or primary
    return NodeSection(
        name=name,
        role=NODE_ROLE,
        primary_ip=str(primary),
        secondary_ip=str(secondary),
        port=settings.node.port,
    )


def _set_up(call: Call, settings: Settings, cluster: Mapping[str, Any], node: NodeSection) -> str:
    """All stages; answers the fingerprint of the new certificate."""
    session, machine = call.session, Machine()
    authority = certificates.read_authority(settings.state_directory)
    subject = Subject(
        name=node.name,
        addresses=tuple(dict.fromkeys((node.primary_ip, node.secondary_ip))),
        role=node.role,
    )
    pair = certificates.issue_node(authority, subject, machine.now())
    join = Join(
        settings=Settings(
            cluster=settings.cluster,
            node=node,
            directories=settings.directories,
            storage=_storage(cluster),
            store=msgspec.structs.replace(settings.store, engine="sqlite"),
            timeouts=settings.timeouts,
        ),
        pair=pair,
        authority=authority.certificate,
        programs=call.given("programs") or str(programs()),
        readd=bool(call.given("readd")),
        force=bool(call.given("force_join")),
    )
    target = Target(
        host=node.name,
        address=node.primary_ip,
        port=call.given("ssh_port"),
        known_hosts=usual_known_hosts(),
        record=settings.state_directory / "known_hosts",
        accept_unknown=bool(call.given("no_ssh_key_check")),
        connect_s=settings.timeouts.connect_s,
    )
    try:
        shell = SecureShell.open(target, lambda host, shown: _trusted(session, host, shown))
        with contextlib.closing(shell):
            join_node(
                shell,
                join,
                report=session.out,
                greet=lambda address, port: _greet(settings, node, address, port),
                now=machine.now,
            )
    except (JoinFailed, ShellFailed) as error:
        raise NodeSetupFailed(f"Failure: {error}") from error
    return certificates.fingerprint(pair.certificate)


def _storage(cluster: Mapping[str, Any]) -> StorageSection:
    """What the cluster wants of every node."""

    def some(key: str) -> tuple[str, ...]:
        return tuple(filter(None, (cluster.get(key),)))

    return StorageSection(
        volume_groups=some("volume_group_name"),
        file_directories=some("file_storage_dir"),
        shared_file_directories=some("shared_file_storage_dir"),
    )


def _trusted(session: Session, host: str, shown: str) -> bool:
    return session.ask(
        f"The host key of {host} is not known: {shown}.\nCompare it with the key on the machine"
        " itself. Is it the same?"
    )


def _greet(settings: Settings, node: NodeSection, address: str, port: int) -> None:
    """The node's daemon proves over TLS that it is ``node``, and takes our certificate."""
    _certificate(settings, node, address, port)


def _certificate(settings: Settings, node: NodeSection, address: str = "", port: int = 0) -> str:
    """The fingerprint of what the node shows."""
    state = settings.state_directory
    where = (address or node.primary_ip, port or node.port)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(str(state / certificates.AUTHORITY_FILE))
        context.load_cert_chain(state / certificates.NODE_FILE, state / certificates.NODE_KEY_FILE)
        with (
            socket.create_connection(where, settings.timeouts.connect_s) as plain,
            context.wrap_socket(plain, server_hostname=node.name) as link,
        ):
            link.settimeout(ALERT_WAIT_S)
            with contextlib.suppress(TimeoutError):
                if link.recv(1) == b"":
                    raise ClusterError(f"{node.name} hangs up on port {where[1]}")
            shown = link.getpeercert(binary_form=True) or b""
    except OSError as error:
        raise ClusterError(
            f"the daemon of {node.name} at {where[0]} port {where[1]} does not answer as that"
            f" node: {error}"
        ) from error
    return certificates.fingerprint(ssl.DER_cert_to_PEM_cert(shown).encode())
