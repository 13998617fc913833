"""What becomes of the cluster's state when it moves to a store of another engine. Pure but for
the copying itself.

Decided here: everything is taken over as it is but for what says which engine it lies in, which
nodes are members of it, and who is master: a mastership does not move. Its number does, so that
epochs go on growing and nodes know the next master for the newer one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from clusterd.configuration import PREFIX
from clusterd.master.mastership import BASE, KEY, WISH, Mastership, carried_over
from clusterd.model import Cluster, Node
from jobqueue.errors import Refused
from jobqueue.store.copying import Copied, Pair, copy
from jobqueue.store.interface import Entry, Store, Transaction

Engine = Literal["sqlite", "etcd"]
ENGINES: tuple[Engine, ...] = ("sqlite", "etcd")

CLUSTERS = f"{PREFIX}cluster/"
NODES = f"{PREFIX}node/"


def changed(to: Engine, member: str) -> Callable[[Entry], Pair | None]:
    """What an entry becomes in the new store, whose only member is on the node ``member``."""

    def change(entry: Entry) -> Pair | None:
        if entry.key in (KEY, WISH, BASE):
            return None
        if entry.key.startswith(CLUSTERS):
            cluster = msgspec.json.decode(entry.value, type=Cluster)
            return entry.key, msgspec.json.encode(msgspec.structs.replace(cluster, store=to))
        if entry.key.startswith(NODES):
            node = msgspec.json.decode(entry.value, type=Node)
            is_member = to == "etcd" and node.name == member
            node = msgspec.structs.replace(node, store_member=is_member)
            return entry.key, msgspec.json.encode(node)
        return entry.key, entry.value

    return change


async def last_epoch(store: Store) -> int:
    """No mastership of this store had a higher number."""
    base, last = await store.get(BASE), await store.get(KEY)
    known = int(base.value) if base else 0
    if store.leases is not None:
        # each claim was a commit: none can have had a later revision
        return known + await store.commit(Transaction())
    if last is None:
        return known
    return max(known, msgspec.json.decode(last.value, type=Mastership).epoch)


async def move(source: Store, target: Store, to: Engine, member: str) -> Copied:
    """Copy the cluster; nobody else uses either store. Raises what ``copy`` raises."""
    if not await source.read(CLUSTERS):
        raise Refused("The old store holds no cluster", "wrong_state")
    epoch = await last_epoch(source)
    return await copy(source, target, changed(to, member), carried_over(epoch).puts)
