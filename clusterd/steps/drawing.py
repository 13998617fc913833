"""Drawing what must be unique in the cluster: ports, minors, addresses of network cards, secrets.

What a step draws is claimed until the store shows it, so that jobs that draw at the same moment
draw different things. What a draft names already is looked at once more: another job may have been
faster.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

import msgspec

from clusterd import address_pool, names
from clusterd.claims import Identity
from clusterd.model import Disk, DrbdPair, Network, Nic
from clusterd.world import World
from jobqueue.errors import Refused


def drawn_from(draft: Nic, card: Nic) -> bool:
    """Whether a card is what was drawn for a draft."""
    ip = card.ip if draft.ip == address_pool.POOL else draft.ip
    return msgspec.structs.replace(draft, uuid=card.uuid, mac=card.mac, ip=ip) == card


def _identities(card: Nic) -> Iterator[Identity]:
    yield ("mac", card.mac)
    if card.network is not None and card.ip is not None:
        yield ("address", card.network, address_pool.as_number(card.ip))


class Drawing:
    """For one step of one job. A step that fails gives up what it has drawn."""

    def __init__(self, world: World, job_id: int) -> None:
        self.world = world
        self.job_id = job_id
        self._configuration = world.configuration
        self._claims = world.configuration.claims

    def __enter__(self) -> Drawing:
        self._claims.give_up(self.job_id)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._claims.give_up(self.job_id)

    def disks(self, drafts: tuple[Disk, ...]) -> tuple[Disk, ...]:
        """The disks with all that they lack: uuid, label and, for mirrors, port, minors (-1),
        secret. Raises Refused."""
        return tuple(
            msgspec.structs.replace(
                draft,
                drbd=self._pair(draft.drbd) if draft.drbd is not None else None,
                uuid=draft.uuid or self.world.random.uuid(),
                label=draft.label or self.world.random.uuid(),
            )
            for draft in drafts
        )

    def _pair(self, pair: DrbdPair) -> DrbdPair:
        first, second = (
            minor if minor >= 0 else self.minor(node)
            for node, minor in zip(pair.nodes, pair.minors, strict=True)
        )
        labels = pair.labels
        if labels is not None:
            random = self.world.random
            labels = (labels[0] or random.uuid(), labels[1] or random.uuid())
        return DrbdPair(
            nodes=pair.nodes,
            minors=(first, second),
            port=pair.port or self.port(),
            secret=pair.secret or self.world.random.token(20),
            labels=labels,
        )

    def port(self) -> int:
        """The lowest free port of the pool. Raises Refused."""
        port = self._configuration.free_port(self._claims.numbers("port"))
        if port is None:
            raise Refused(
                "No free TCP port is left in the cluster's pool", "insufficient_resources"
            )
        self._take(("port", port))
        return port

    def minor(self, node: str) -> int:
        """The lowest free DRBD minor of a node. Raises Refused."""
        taken = {*self._configuration.minors(node), *self._claims.numbers("minor", node)}
        for minor in range(names.MAX_DRBD_MINORS + 1):
            if minor not in taken:
                self._take(("minor", node, minor))
                return minor
        raise Refused(f"No free DRBD minor is left on node {node}", "insufficient_resources")

    def cards(self, drafts: tuple[Nic, ...], owner: str) -> tuple[Nic, ...]:
        """Network cards of the instance ``owner`` (uuid) with uuid, MAC address and, where they are
        to have one of the pool, an address. Raises Refused."""
        for draft in drafts:
            self._keep(draft, owner)
        return tuple(self._card(draft) for draft in drafts)

    def hold(self, before: tuple[Nic, ...], after: tuple[Nic, ...]) -> None:
        """What cards give up stays theirs until the job ends: its undoing gives it back."""
        left = {one for card in before for one in _identities(card)}
        for identity in left - {one for card in after for one in _identities(card)}:
            self._take(identity)

    def _card(self, draft: Nic) -> Nic:
        network = self._network(draft)
        ip = draft.ip
        if ip == address_pool.POOL and network is not None:
            ip = self._address(network)
        return msgspec.structs.replace(
            draft,
            uuid=draft.uuid or self.world.random.uuid(),
            mac=draft.mac or self._mac(network),
            ip=ip,
        )

    def _keep(self, draft: Nic, owner: str) -> None:
        """What the draft names is still free, or its owner's already."""
        if draft.mac:
            had_by = self._configuration.owner_of_mac(draft.mac)
            if had_by not in (None, owner) or ("mac", draft.mac) in self._claims:
                raise Refused(
                    f"MAC address {draft.mac} already in use in cluster", "resource_not_unique"
                )
            if had_by is None:
                self._take(("mac", draft.mac))
        if draft.network is None or draft.ip in (None, address_pool.POOL):
            return
        number = address_pool.as_number(str(draft.ip))
        had_by = self._configuration.addresses_in(draft.network).get(number)
        identity = ("address", draft.network, number)
        if had_by not in (None, owner) or identity in self._claims:
            raise Refused(f"IP address {draft.ip} is already in use", "resource_not_unique")
        if had_by is None:
            self._take(identity)

    def _network(self, draft: Nic) -> Network | None:
        if draft.network is None:
            return None
        return self._configuration.network(draft.network)

    def _address(self, network: Network) -> str:
        present = self._configuration.addresses_in(network.uuid)
        claimed = self._claims.numbers("address", network.uuid)
        found = address_pool.lowest_free(network, present, claimed)
        if found is None:
            raise Refused(
                f"Network '{network.name}' has no free address left", "insufficient_resources"
            )
        self._take(("address", network.uuid, address_pool.as_number(found)))
        return found

    def _mac(self, network: Network | None) -> str:
        prefix = self._configuration.cluster.mac_prefix
        if network is not None and network.mac_prefix:
            prefix = network.mac_prefix
        while True:
            tail = ":".join(f"{self.world.random.below(256):02x}" for _ in range(3))
            mac = f"{prefix}:{tail}"
            free = self._configuration.owner_of_mac(mac) is None
            if free and ("mac", mac) not in self._claims:
                self._take(("mac", mac))
                return mac

    def _take(self, identity: Identity) -> None:
        self._claims.take(identity, self.job_id)
