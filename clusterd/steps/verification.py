"""Steps that verify: they change nothing, say what they find, and answer whether all is well."""

from __future__ import annotations

from typing import Any

from clusterd import verification
from clusterd.errors import CallFailed, NodeAway
from clusterd.model import Node
from clusterd.verification import Answers, Finding
from clusterd.world import World
from jobqueue.step import Outcome, Step


class VerifyConfiguration(Step, frozen=True, kw_only=True, tag="verify.configuration"):
    """The configuration's own consistency."""

    error_codes: bool = False
    ignore_errors: tuple[str, ...] = ()

    async def do(self, context: Any) -> Outcome:
        view = context.world.view()
        context.log("* Verifying cluster config")
        findings = list(verification.duplicates(view))
        context.log("* Verifying all nodes belong to an existing group")
        findings += verification.dangling(view)
        return Outcome(output=_say(context, findings, self.error_codes, self.ignore_errors))


class VerifyGroup(Step, frozen=True, kw_only=True, tag="verify.group"):
    """Nodes and instances of one group."""

    group: str
    """uuid"""
    error_codes: bool = False
    ignore_errors: tuple[str, ...] = ()
    skip_checks: tuple[str, ...] = ()

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        group = world.configuration.group(self.group)
        nodes = [node for node in world.configuration.nodes() if node.group == group.uuid]
        context.log(f"* Verifying group '{group.name}'")
        context.log(f"* Gathering information about nodes ({len(nodes)} nodes)")
        answers = await self._answers(world, nodes)
        well = True
        for name, heading, checks in verification.GROUP_CHECKS:
            if name and name in self.skip_checks:
                continue
            context.log(f"* {heading}")
            view = world.view()
            findings = [found for check in checks for found in check(view, nodes, answers)]
            well = _say(context, findings, self.error_codes, self.ignore_errors) and well
        self._notes(context, nodes)
        return Outcome(output=well)

    async def _answers(self, world: World, nodes: list[Node]) -> Answers:
        peers = {
            node.name: [node.primary_ip, node.secondary_ip] for node in nodes if not node.offline
        }
        wanted: dict[str, Any] = {
            "time": None,
            "version": None,
            "certificates": None,
            "node-net-test": {"nodes": peers},
        }
        if "drbd" in world.configuration.cluster.enabled_disk_templates:
            wanted["drbd-helper"] = None
        answers: Answers = {}
        for node in nodes:
            if node.offline:
                continue
            try:
                answers[node.name] = await world.node(node.name).verify(wanted)
            except NodeAway:
                continue
            except CallFailed as error:
                answers[node.name] = {verification.REFUSAL: error.message}
        return answers

    def _notes(self, context: Any, nodes: list[Node]) -> None:
        context.log("* Other Notes")
        uuids = {node.uuid for node in nodes}
        configuration = context.world.configuration
        lonely = sum(
            1
            for instance in configuration.instances()
            if instance.primary_node in uuids and instance.secondary_node is None
        )
        if lonely:
            context.log(f"  - NOTICE: {lonely} non-redundant instance(s) found.")
        offline = sum(1 for node in nodes if node.offline)
        if offline:
            context.log(f"  - NOTICE: {offline} offline node(s) found.")
        drained = sum(1 for node in nodes if node.drained)
        if drained:
            context.log(f"  - NOTICE: {drained} drained node(s) found.")


def _say(context: Any, findings: list[Finding], codes: bool, ignored: tuple[str, ...]) -> bool:
    """Log the findings; True when none of them is an error."""
    for finding in findings:
        context.log(finding.line(codes=codes, ignored=ignored))
    return all(finding.warning or finding.code in ignored for finding in findings)
