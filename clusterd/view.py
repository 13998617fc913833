"""What a decision is made on: the configuration, what nodes see, and the time. Read only.

Opcodes' ``locks``, ``check`` and ``plan`` and all queries get a ``View`` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

import msgspec

from clusterd import defaults, parameters
from clusterd.configuration import Configuration
from clusterd.model import Instance, Network, Nic, Node, Params, ParamValue
from clusterd.observation import Sighting, alive
from hypervisors.guest import GuestStatus


class Sights(Protocol):
    """The latest sight of each node, by host name."""

    def sight(self, node: str) -> Sighting:
        """The latest knowledge; an empty one for a node that was never seen."""


class View:
    """One moment. Cheap to make; valid until the next ``await``."""

    def __init__(
        self,
        configuration: Configuration,
        sights: Sights,
        now: float,
        promised: Callable[[], Sequence[Instance]] = tuple,
    ) -> None:
        self.configuration = configuration
        self.now = now
        self._sights = sights
        self._promised = promised

    @cached_property
    def promised(self) -> tuple[Instance, ...]:
        """Instances that stored plans will make and that are not in the configuration yet."""
        known = self.configuration.find_instance
        return tuple(draft for draft in self._promised() if known(draft.name) is None)

    def promising(self, more: Sequence[Instance]) -> View:
        """The same moment, with further instances that will be made."""
        found = (*self.promised, *more)
        return View(self.configuration, self._sights, self.now, lambda: found)

    def sight(self, node: Node) -> Sighting:
        """What is known of a node."""
        return self._sights.sight(node.name)

    def reachable(self, node: Node) -> bool:
        """True when the node is not marked offline and its link is up."""
        return not node.offline and self.sight(node).connected

    def guest(self, instance: Instance, node: Node) -> GuestStatus | None:
        """The instance's guest as ``node`` last saw it."""
        observation = self.sight(node).observation
        if observation is None:
            return None
        for guest in observation.guests.get(instance.hypervisor, ()):
            if guest.name == instance.name:
                return guest
        return None

    def alive_on(self, node: Node) -> frozenset[str]:
        """Names of the guests that the node last saw alive."""
        observation = self.sight(node).observation
        return frozenset() if observation is None else alive(observation)

    def primary(self, instance: Instance) -> Node:
        """The instance's primary node."""
        return self.configuration.node(instance.primary_node)

    def secondary(self, instance: Instance) -> Node | None:
        """The instance's secondary node, if it has one."""
        if instance.secondary_node is None:
            return None
        return self.configuration.node(instance.secondary_node)

    def nodes_of(self, instance: Instance) -> tuple[Node, ...]:
        """Primary, then secondary."""
        second = self.secondary(instance)
        return (self.primary(instance),) + ((second,) if second is not None else ())

    def beparams(self, instance: Instance) -> Params:
        """Effective backend parameters."""
        return {
            **defaults.BEPARAMS,
            **self.configuration.cluster.beparams,
            **instance.beparams,
        }

    def hvparams(self, instance: Instance) -> Params:
        """Effective hypervisor parameters: cluster, OS, instance."""
        cluster = self.configuration.cluster
        os_name = instance.os.split("+", maxsplit=1)[0]
        return {
            **parameters.hypervisor_defaults(instance.hypervisor),
            **cluster.hvparams.get(instance.hypervisor, {}),
            **cluster.os_hvp.get(os_name, {}).get(instance.hypervisor, {}),
            **cluster.os_hvp.get(instance.os, {}).get(instance.hypervisor, {}),
            **instance.hvparams,
        }

    def network_of(self, nic: Nic) -> Network | None:
        """The network that a card is in."""
        return None if nic.network is None else self.configuration.network(nic.network)

    def wired(self, nic: Nic, group: str) -> Params:
        """A card's own parameters with its instance's primary node in this group (uuid): those of
        its network's connection there."""
        if nic.network is None:
            return nic.params
        return self.configuration.group(group).networks.get(nic.network, nic.params)

    def rewired(self, instance: Instance, node: Node) -> tuple[Nic, ...]:
        """The instance's cards as they are on a node."""
        return tuple(
            msgspec.structs.replace(nic, params=self.wired(nic, node.group))
            for nic in instance.nics
        )

    def nicparams(self, own: Params) -> Params:
        """Effective parameters of a network card."""
        return {**defaults.NICPARAMS, **self.configuration.cluster.nicparams, **own}

    def diskparams(self, template: str, group: str) -> Params:
        """Effective disk parameters of a template in a group (uuid)."""
        cluster = self.configuration.cluster
        own: dict[str, ParamValue] = self.configuration.group(group).diskparams.get(template, {})
        base = parameters.disk_defaults(template)
        return {**base, **cluster.diskparams.get(template, {}), **own}

    def ndparams(self, node: Node) -> Params:
        """Effective node parameters."""
        group = self.configuration.group(node.group)
        return {
            **defaults.NDPARAMS,
            **self.configuration.cluster.ndparams,
            **group.ndparams,
            **node.ndparams,
        }
