"""Where masterships and stores come from, by engine.

Decided here: what each engine's candidate talks to, how long a term lasts there, and that each
mastership on etcd has a connection of its own, so that nothing of an earlier one can act.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any, Protocol

import msgspec
from twisted.python.threadpool import ThreadPool

from clusterd import certificates
from clusterd.calls.tls import Identity
from clusterd.errors import NotMaster
from clusterd.master.mastership import Leadership, LeasedLeadership, LoneLeadership
from clusterd.master.standing import Timing
from clusterd.settings import Settings
from clusterd.store_members import read_members
from clusterd.stores import EtcdLink
from clusterd.world import Random
from jobqueue.store.etcd import EtcdStore
from jobqueue.store.etcd_gateway import Gateway, Patience
from jobqueue.store.interface import Store
from jobqueue.store.sqlite import SqliteStore

ALONE = Timing(term_s=math.inf)

MEMBERS_EVERY_S = 2.0
"""How often a candidate looks whether the store has moved."""


def patience_of(timing: Timing) -> Patience:
    """Within a usual term of six seconds another member can be asked; who gave the store a longer
    one knows that it is slow. Renewals are worth waiting for as long as they can still count."""
    return Patience(
        member_s=max(1.5, timing.term_s / 8),
        all_s=max(4.0, timing.term_s / 3),
        several_s=timing.lasts_s,
    )


class Origin(Protocol):
    """Where masterships and stores of one engine come from."""

    timing: Timing
    leadership: Leadership

    def store(self) -> Store:
        """The store for one mastership."""

    async def put_away(self, store: Store) -> None:
        """That mastership is over."""

    async def close(self) -> None:
        """Let go of everything."""


class SqliteOrigin:
    """The embedded store: whoever has it open is master."""

    timing = ALONE

    def __init__(self, settings: Settings, threads: ThreadPool, reactor: Any) -> None:
        path = settings.store_path
        if not path.exists():
            raise NotMaster(f"{settings.node.name} is not the master: there is no {path}")
        self._store = SqliteStore(path, threads, reactor.callFromThread)
        self.leadership: Leadership = LoneLeadership(self._store)

    def store(self) -> Store:
        """See ``Origin``."""
        return self._store

    async def put_away(self, store: Store) -> None:
        """It stays open: nobody else may have it."""

    async def close(self) -> None:
        """See ``Origin``."""
        await self._store.close()


class EtcdOrigin:
    """Members elsewhere: each mastership has a connection of its own."""

    def __init__(self, settings: Settings, reactor: Any, random: Random) -> None:
        self.timing = Timing.of(settings.store.lease_s)
        self._settings = settings
        self._reactor = reactor
        self._random = random
        self._links: dict[int, EtcdLink] = {}
        self._own, self._own_store = self._connect()
        leases = self._own_store.leases
        assert leases is not None
        self.leadership: Leadership = LeasedLeadership(self._own_store, leases, self.timing.term_s)
        self._looking = reactor.callLater(MEMBERS_EVERY_S, self._look)

    def store(self) -> Store:
        """See ``Origin``."""
        link, store = self._connect()
        self._links[id(store)] = link
        return store

    async def put_away(self, store: Store) -> None:
        """See ``Origin``."""
        link = self._links.pop(id(store), None)
        await store.close()
        if link is not None:
            await link.close()

    def gateway(self, store: Store) -> Gateway:
        """To look after the members."""
        return self._links[id(store)].gateway

    async def close(self) -> None:
        """See ``Origin``."""
        if self._looking.active():
            self._looking.cancel()
        await self._own_store.close()
        await self._own.close()

    def _connect(self) -> tuple[EtcdLink, EtcdStore]:
        state = self._settings.state_directory
        patience = patience_of(self.timing)
        link = EtcdLink(self._reactor, lambda: store_identity(state), self._endpoints(), patience)
        return link, link.store(self._random.uuid())

    def _endpoints(self) -> list[str]:
        """All members, that of this machine first."""
        members = read_members(self._settings.members_path)
        if not members:
            raise NotMaster(f"{self._settings.members_path} names no member of the store")
        own = self._settings.node.name
        return [one.client_url for one in sorted(members, key=lambda m: (m.name != own, m.name))]

    def _look(self) -> None:
        """Members come and go while this daemon runs."""
        self._looking = self._reactor.callLater(MEMBERS_EVERY_S, self._look)
        with contextlib.suppress(NotMaster, msgspec.DecodeError, OSError):
            found = self._endpoints()
            for link in (self._own, *self._links.values()):
                if sorted(link.gateway.endpoints) != sorted(found):
                    link.gateway.endpoints = list(found)
                    link.gateway.prefer(found[0])


def store_identity(state: Path) -> Identity:
    """With which the store's members and their clients meet each other."""
    names = (
        certificates.STORE_FILE,
        certificates.STORE_KEY_FILE,
        certificates.STORE_AUTHORITY_FILE,
    )
    try:
        certificate, key, authority = ((state / name).read_bytes() for name in names)
    except OSError as error:
        raise certificates.BadCertificate(
            f"cannot read {error.filename}: {error.strerror}"
        ) from None
    return Identity(certificate=certificate, key=key, authority=authority)
