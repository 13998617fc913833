"""What the master gives its candidates: keys, certificates, a member of the store.

``NoOutfit`` is for masters without files of their own (simulations): its candidates get nothing,
its store has no members.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from clusterd import certificates, names
from clusterd.certificates import MASTER_CANDIDATE, KeyPair, Role, Subject
from clusterd.durable import write_durable
from clusterd.errors import NotReady
from clusterd.model import Cluster, Node
from clusterd.settings import Settings
from clusterd.store_members import Begin, Member
from clusterd.world import Whom
from jobqueue.errors import StoreError
from jobqueue.store.etcd_gateway import Gateway

T = TypeVar("T")

USERS_FILE = "rapi/users"
"""Of the remote API, in the state directory."""


class NoOutfit:
    """See ``clusterd.world.Outfit``."""

    async def of_candidate(self, node: Node, cluster: Cluster) -> dict[str, bytes]:
        """Nothing."""
        return {}

    async def of_node(self, node: Node) -> dict[str, bytes]:
        """Nothing."""
        return {}

    async def of_rapi(self, node: Node, cluster: Cluster, *, anew: bool) -> dict[str, bytes]:
        """Nothing."""
        return {}

    async def next_authority(self, cluster: Cluster) -> dict[str, bytes]:
        """Nothing."""
        return {}

    async def trusting(self, whom: Whom) -> dict[str, bytes]:
        """Nothing."""
        return {}

    async def shared(self) -> dict[str, bytes]:
        """Nothing."""
        return {}

    def member(self, node: Node) -> Member:
        """At the usual ports."""
        return Member(
            name=node.name,
            address=node.primary_ip,
            client_port=names.STORE_PORT,
            peer_port=names.STORE_PEER_PORT,
        )

    async def add_member(self, node: Node) -> Begin:
        """There is nothing to join."""
        return Begin(members=(self.member(node),), state="existing", token="")

    async def give_vote(self, node: Node) -> None:
        """There is nothing to vote on."""

    async def remove_member(self, node: Node) -> None:
        """It is none."""


class _Listed(msgspec.Struct):
    """A member as etcd tells it."""

    ID: str
    name: str = ""
    peerURLs: tuple[str, ...] = ()
    clientURLs: tuple[str, ...] = ()
    isLearner: bool = False


class _List(msgspec.Struct):
    members: tuple[_Listed, ...] = ()


class RealOutfit(NoOutfit):
    """From the files of this candidate; ``gateway`` is None where the store is embedded."""

    def __init__(
        self, settings: Settings, gateway: Gateway | None, now: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._gateway = gateway
        self._now = now

    # -- files -------------------------------------------------------------------------------------

    async def of_candidate(self, node: Node, cluster: Cluster) -> dict[str, bytes]:
        """See ``Outfit``."""
        state, now = self._settings.state_directory, self._now()
        authority = certificates.read_authority(state)
        own = _content(state / certificates.RAPI_FILE)
        files = {
            **self._pair(node, MASTER_CANDIDATE),
            certificates.AUTHORITY_FILE: authority.certificate,
            certificates.AUTHORITY_KEY_FILE: authority.key,
            # a certificate that the site brought is the same on all candidates
            **await self.of_rapi(
                node, cluster, anew=not own or certificates.issued(authority.certificate, own)
            ),
            USERS_FILE: _content(self._settings.users_path),
        }
        if cluster.store == "etcd":
            store = certificates.read_store_authority(state)
            subject = Subject(name=node.name, addresses=_addresses(node), role=MASTER_CANDIDATE)
            files |= certificates.store_files(store, subject, now)
        return files

    async def of_node(self, node: Node) -> dict[str, bytes]:
        """See ``Outfit``."""
        return self._pair(node, "node")

    async def next_authority(self, cluster: Cluster) -> dict[str, bytes]:
        """See ``Outfit``."""
        state = self._settings.state_directory
        found = self._next()
        if found is None:
            found = certificates.make_authority(cluster.name, self._now())
            write_durable(state / certificates.NEXT_AUTHORITY_KEY_FILE, found.key)
            write_durable(state / certificates.NEXT_AUTHORITY_FILE, found.certificate)
        return {
            certificates.NEXT_AUTHORITY_KEY_FILE: found.key,
            certificates.NEXT_AUTHORITY_FILE: found.certificate,
        }

    async def trusting(self, whom: Whom) -> dict[str, bytes]:
        """See ``Outfit``."""
        state = self._settings.state_directory
        found = self._next()
        if whom == "alone":
            # also where this node has come so far already: others may not have
            coming = _content(state / certificates.NEXT_AUTHORITY_FILE)
            return {certificates.AUTHORITY_FILE: coming} if coming else {}
        if found is None:
            return {}
        present = certificates.split(_content(self._authority_path))
        others = [one for one in present if one != found.certificate]
        if whom == "both":
            known = present if found.certificate in present else [*present, found.certificate]
            return {certificates.AUTHORITY_FILE: b"".join(known)}
        return {
            certificates.AUTHORITY_KEY_FILE: found.key,
            certificates.AUTHORITY_FILE: b"".join([found.certificate, *others]),
        }

    @property
    def _authority_path(self) -> Path:
        return self._settings.state_directory / certificates.AUTHORITY_FILE

    def _next(self) -> KeyPair | None:
        """None also where it has taken the place of the one before everywhere."""
        state = self._settings.state_directory
        found = KeyPair(
            _content(state / certificates.NEXT_AUTHORITY_FILE),
            _content(state / certificates.NEXT_AUTHORITY_KEY_FILE),
        )
        if not (found.certificate and found.key):
            return None
        return None if _content(self._authority_path) == found.certificate else found

    async def of_rapi(self, node: Node, cluster: Cluster, *, anew: bool) -> dict[str, bytes]:
        """See ``Outfit``."""
        state = self._settings.state_directory
        if not anew:
            return {certificates.RAPI_FILE: _content(state / certificates.RAPI_FILE)}
        hosts = (cluster.name, cluster.master_ip, node.name, *_addresses(node), "localhost")
        authority = certificates.read_authority(state)
        file = certificates.rapi_file(authority, tuple(filter(None, hosts)), self._now())
        return {certificates.RAPI_FILE: file}

    async def shared(self) -> dict[str, bytes]:
        """See ``Outfit``."""
        users = self._settings.users_path
        return {USERS_FILE: _content(users)} if users.exists() else {}

    def _pair(self, node: Node, role: Role) -> dict[str, bytes]:
        authority = certificates.read_authority(self._settings.state_directory)
        subject = Subject(name=node.name, addresses=_addresses(node), role=role)
        pair = certificates.issue_node(authority, subject, self._now())
        return {
            certificates.NODE_KEY_FILE: pair.key,
            certificates.NODE_FILE: pair.certificate,
        }

    # -- members of the store ----------------------------------------------------------------------

    def member(self, node: Node) -> Member:
        """See ``Outfit``; every candidate uses the same ports."""
        ports = self._settings.store
        return Member(
            name=node.name,
            address=node.primary_ip,
            client_port=ports.client_port,
            peer_port=ports.peer_port,
        )

    async def add_member(self, node: Node) -> Begin:
        """See ``Outfit``."""
        new = self.member(node)
        present = await self._ask("list", {})
        if not any(new.peer_url in one.peerURLs for one in present.members):
            await self._ask("add", {"peerURLs": [new.peer_url], "isLearner": True})
            present = await self._ask("list", {})
        return Begin(
            members=tuple(
                Member(
                    name=one.name or node.name,
                    address=_host(one.peerURLs[0]),
                    client_port=new.client_port,
                    peer_port=new.peer_port,
                )
                for one in present.members
            ),
            state="existing",
            token=self._settings.cluster.uuid,
        )

    async def give_vote(self, node: Node) -> None:
        """See ``Outfit``."""
        found = await self._find(node)
        if found is None:
            raise NotReady(f"the store has no member on {node.name} yet", subject=node.name)
        if found.isLearner:
            await self._ask("promote", {"ID": found.ID})

    async def remove_member(self, node: Node) -> None:
        """See ``Outfit``."""
        found = await self._find(node) if self._gateway is not None else None
        if found is not None:
            await self._ask("remove", {"ID": found.ID})

    async def leave_leading(self, node: str) -> None:
        """Let another member lead the store, where this node's does and there are three: when this
        host dies the others need not elect a leader before they notice."""
        if self._gateway is None:
            return
        leader = ""
        statuses = await self._gateway.statuses()
        for endpoint, status in statuses.items():
            if status is not None and status.leader == status.header.member_id:
                leader = endpoint
        present = (await self._ask("list", {})).members
        own = next((one for one in present if one.name == node), None)
        others = [one for one in present if one.name != node and not one.isLearner]
        if own is None or len(others) < 2 or leader not in own.clientURLs:
            return
        target = {"targetID": others[0].ID}
        await self._gateway.ask_only(
            leader, "maintenance/transfer-leadership", target, self._gateway.patience
        )

    async def _find(self, node: Node) -> _Listed | None:
        url = self.member(node).peer_url
        present = await self._ask("list", {})
        return next((one for one in present.members if url in one.peerURLs), None)

    async def _ask(self, verb: str, message: dict[str, Any]) -> _List:
        """Every refusal may be over later: the store was not healthy, a member not complete."""
        if self._gateway is None:
            raise NotReady("this cluster's store has no members")
        try:
            return await self._gateway.ask(f"cluster/member/{verb}", message, _List)
        except StoreError as error:
            raise NotReady(f"the store's members cannot be changed now: {error}") from error


def _addresses(node: Node) -> tuple[str, ...]:
    return tuple(dict.fromkeys((node.primary_ip, node.secondary_ip)))


def _host(url: str) -> str:
    """Of a peer's URL, without brackets."""
    return url.split("://", 1)[1].rsplit(":", 1)[0].strip("[]")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
