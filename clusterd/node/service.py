"""The node daemon's heart: what becomes of a call, and the links, eyes and memory it needs.

Decided here, in this order: an old epoch is refused; an id that was seen gets its answer; calls on
one thing take turns; an epoch that passed while waiting is refused too; a turn that does not come
before the deadline means that nothing is begun. A call once begun runs to its end, whoever listens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from clusterd.calls.server import Identify, NodeFactory, NotPermitted
from clusterd.calls.surface import NODE_FAMILY, Surface, Verb
from clusterd.calls.wire import MAX_TEXT_CHARACTERS, Call, Endpoint, Fault, Hello, Policy, Reply
from clusterd.errors import ClusterError
from clusterd.node.epochs import Epochs
from clusterd.node.faults import fault_of
from clusterd.node.observe import Observer
from clusterd.node.replies import Answer, Replies, Say
from clusterd.node.turns import Turns
from clusterd.observation import Glimpse, Observation
from clusterd.verbs.host import Host
from hypervisors.interface import Driver
from storage.interface import Backend

MAX_RUNNING_CALLS = 1000

_ENCODE = msgspec.msgpack.Encoder().encode

Plugins = Mapping[str, Mapping[str, Backend] | Mapping[str, Driver]]
"""Family (``storage``, ``hypervisor``) -> name -> plugin."""


class NoPlugin(ClusterError):
    """The node has no such storage or hypervisor."""

    code = "no_plugin"


class TooManyCalls(ClusterError):
    """The node works on as many calls as it can."""

    code = "too_many_calls"
    retryable = True


class NodeService:
    """One node. It is the ``NodeSide`` of its links."""

    def __init__(
        self,
        host: Host,
        plugins: Plugins,
        surface: Surface,
        epochs: Epochs,
        observer: Observer,
        log: Any,
    ) -> None:
        self.name = host.name
        self.boot_id = observer.boot_id
        self.observer = observer
        self.epochs = epochs
        self._host = host
        self._plugins = plugins
        self._surface = surface
        self._log = log
        self._replies = Replies()
        self._turns = Turns(host.clock)
        self._reading = 0
        self._relays: dict[str, Endpoint] = {}
        self._kinds: dict[str, Callable[[str], Endpoint | None]] = {}
        self._factories: list[NodeFactory] = []

    def factory(self, identify: Identify, policy: Policy) -> NodeFactory:
        """What is to be listened with; what the node sees is pushed up its links."""
        factory = NodeFactory(self, identify, self._host.clock, policy, self._log)
        self._factories.append(factory)
        return factory

    def offer(self, service: str, endpoint: Endpoint) -> None:
        """Other nodes may open relays to this local service."""
        self._relays[service] = endpoint

    def offer_each(self, kind: str, endpoint: Callable[[str], Endpoint | None]) -> None:
        """The same for services ``kind:NAME``; None where there is no such name."""
        self._kinds[kind] = endpoint

    def start(self) -> None:
        """Begin to look around."""
        self.observer.start(self._tell, self._show)

    def stop(self) -> None:
        """End links and looking; calls that run still run to their end."""
        self.observer.stop()
        for factory in self._factories:
            factory.close()

    # -- as NodeSide -------------------------------------------------------------------------------

    def greeted(self, hello: Hello) -> None:
        """A commander says hello; raises EpochPassed."""
        self._admit(hello.epoch)

    def relay(self, service: str) -> Endpoint:
        """The local end of a relay; raises NotPermitted."""
        kind, _, name = service.partition(":")
        find = self._kinds.get(kind)
        endpoint = self._relays.get(service) if find is None else find(name)
        if endpoint is None:
            raise NotPermitted(f"node {self.name} relays no '{service}'", subject=service)
        return endpoint

    def latest(self) -> Observation | None:
        """What the node saw last."""
        return self.observer.latest

    async def answer(self, call: Call, say: Say) -> Answer:
        """Carry out a call, or say why not; never raises."""
        try:
            self._admit(call.epoch)
            verb, plugin = self._surface.find(call.verb)
            arguments = verb.decode(call.args)
            target = self._target(verb, plugin)
            self._check_room()
            work = _Work(call, verb, plugin, target, arguments)
            if verb.reads:
                return await self._read(work, say)
            return await self._replies.once(call, say, lambda voice: self._change(work, voice))
        # nothing that a verb can do may leave its caller without an answer
        except Exception as error:  # noqa: BLE001
            return self._fault(call, error)

    # -- the stages of a call ----------------------------------------------------------------------

    def _admit(self, epoch: int) -> None:
        if self.epochs.admit(epoch):
            self._log.info("epoch begins", node=self.name, epoch=epoch)
            for factory in self._factories:
                factory.dismiss_below(epoch)

    def _target(self, verb: Verb, plugin: str) -> Any:
        if verb.family == NODE_FAMILY:
            return self._host
        found = self._plugins.get(verb.family, {}).get(plugin)
        if found is None:
            offered = ", ".join(sorted(self._plugins.get(verb.family, {}))) or "none"
            raise NoPlugin(
                f"node {self.name} has no {verb.family} '{plugin}' (it has {offered}); see its log"
                " and settings",
                subject=plugin,
            )
        return found

    def _check_room(self) -> None:
        if self._replies.running + self._reading >= MAX_RUNNING_CALLS:
            raise TooManyCalls(f"node {self.name} works on {MAX_RUNNING_CALLS} calls already")

    async def _read(self, work: _Work, say: Say) -> Answer:
        self._reading += 1
        try:
            return await work.done(say)
        finally:
            self._reading -= 1

    async def _change(self, work: _Work, say: Say) -> Answer:
        call = work.call
        try:
            async with self._turns.turn(work.subject, call.deadline_s):
                self.epochs.admit(call.epoch)
                answer = await work.done(say)
                guest = work.guest
                if guest is not None:
                    await self.observer.regard(*guest)
        # as in ``answer``; here too because what is remembered is the fault
        except Exception as error:  # noqa: BLE001
            answer = self._fault(call, error)
        if work.observed:
            self.observer.soon()
        return answer

    def _fault(self, call: Call, error: Exception) -> Fault:
        fault = fault_of(call.id, error)
        if fault.reference:
            self._log.error(
                "call failed unexpectedly",
                node=self.name,
                call=call.id,
                verb=call.verb,
                exc_info=error,
            )
        else:
            self._log.info(
                "call failed",
                node=self.name,
                call=call.id,
                verb=call.verb,
                code=fault.code,
                message=fault.message[:MAX_TEXT_CHARACTERS],
            )
        return fault

    def _show(self, glimpse: Glimpse) -> None:
        for factory in self._factories:
            factory.show(glimpse)

    def _tell(self, observation: Observation) -> None:
        for factory in self._factories:
            factory.tell(observation)


class _Work:
    """A call with what it needs, ready to be done."""

    def __init__(
        self, call: Call, verb: Verb, plugin: str, target: Any, arguments: dict[str, Any]
    ) -> None:
        self.call = call
        self._verb = verb
        self._plugin = plugin
        self._target = target
        self._arguments = arguments

    @property
    def subject(self) -> str:
        """What it changes."""
        return self._verb.subject(self._arguments)

    @property
    def observed(self) -> bool:
        """What it changes is part of an observation. Scripts may change anything: that is seen when
        the node is looked at again anyway."""
        return self._verb.observed

    @property
    def guest(self) -> tuple[str, str] | None:
        """Hypervisor and name of the guest that it changes."""
        if self._verb.family != "hypervisor":
            return None
        return self._plugin, self.subject.partition(":")[2]

    async def done(self, say: Say) -> Answer:
        """Do it; raises what the verb raises."""
        arguments = self._arguments
        if self._verb.speaks:
            arguments = {**arguments, "say": say}
        if self._verb.family == NODE_FAMILY:
            value = await self._verb.function(self._target, **arguments)
        else:
            value = await getattr(self._target, self._verb.name)(**arguments)
        return Reply(id=self.call.id, value=msgspec.Raw(_ENCODE(value)))
