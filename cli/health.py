"""``gnt-cluster check``, ``reboot-plan`` and ``squeeze``: health, and nodes that may go down.

Decided here: words and exit codes. All three only look; nodes are rebooted and powered by people.
"""

from __future__ import annotations

from cli.command import Call
from cli.exits import Exit
from cli.planning import live_facts, shown, until
from clusterd.placement import check, model, reboots, squeeze
from clusterd.placement.options import RebootOptions, SqueezeOptions
from clusterd.placement.results import GroupCheck, Move, RebootPlan


def run_check(call: Call) -> int:
    """``gnt-cluster check``; the exit code is 0 for a healthy cluster."""
    cluster = model.build(live_facts(call.session))
    keep_going = until(call.session, call.given("max_time"))
    found = check.check(cluster, not call.given("no_simulation"), keep_going)
    for group in found.groups:
        for line in group_lines(group):
            call.session.out(line)
    if found.split:
        call.session.out(f"Instances split over two groups: {', '.join(found.split)}")
    call.session.out(f"The cluster is {'healthy' if found.healthy else 'not healthy'}")
    return Exit.SUCCESS if found.healthy else Exit.FAILURE


def group_lines(group: GroupCheck) -> list[str]:
    """What is wrong in one group, and what balancing would bring."""
    rows = (
        ("nodes that could not take over for another", group.n1_failing),
        ("instances that run on offline nodes", group.offline_primary),
        ("instances mirrored on offline nodes", group.offline_secondary),
        ("nodes beyond the policy", [f"{node} ({what})" for node, what in group.policy_violations]),
    )
    lines = [f"Group {group.group}: score {group.score:.6f}"]
    lines += [f"  {len(names)} {what}: {', '.join(names)}" for what, names in rows if names]
    if group.conflicting_tags:
        lines.append(f"  {group.conflicting_tags} conflicts of exclusion tags")
    if not group.globally_n1:
        lines.append("  not every node could be emptied")
    if group.after is not None and group.after.moves:
        lines.append(f"  {len(group.after.moves)} moves would bring it to"
                     f" {group.after.score_after:.6f}: gnt-cluster balance")  # fmt: skip
    return lines


def run_reboot_plan(call: Call) -> int:
    """``gnt-cluster reboot-plan``"""
    plan = reboots.reboot_plan(model.build(live_facts(call.session)), _reboot_options(call))
    for line in reboot_lines(plan, moves=bool(call.given("print_moves"))):
        call.session.out(line)
    return Exit.SUCCESS


def _reboot_options(call: Call) -> RebootOptions:
    return RebootOptions(
        group=call.given("node_group") or "",
        node_tags=tuple(call.given("node_tags") or ()),
        skip_non_redundant=bool(call.given("skip_non_redundant")),
        ignore_non_redundant=bool(call.given("ignore_non_redundant")),
        offline_maintenance=bool(call.given("offline_maintenance")),
        full_evacuation=bool(call.given("full_evacuation")),
        one_step_only=bool(call.given("one_step_only")),
    )


def reboot_lines(plan: RebootPlan, *, moves: bool) -> list[str]:
    """The batches in order."""
    lines = []
    for number, batch in enumerate(plan.batches, 1):
        lines.append(f"Batch {number}: {', '.join(batch)}")
        if moves:
            lines += [f"  first {_told(move)}" for move in plan.moves[number - 1]]
    lines += [f"In no batch: {node}: {why}" for node, why in plan.skipped]
    return lines or ["There is no node to reboot"]


def _told(move: Move) -> str:
    return f"{move.instance}: {':'.join(move.old)} => {':'.join(move.new)}"


def run_squeeze(call: Call) -> int:
    """``gnt-cluster squeeze``"""
    wish = SqueezeOptions(
        minimal_resources=call.given("minimal_resources"),
        target_resources=call.given("target_resources"),
    )
    plan = squeeze.squeeze(model.build(live_facts(call.session)), wish)
    call.session.out(plan.text)
    if plan.nodes:
        verb = "Power up" if plan.action == "power_up" else "Power down"
        call.session.out(f"{verb}: {', '.join(plan.nodes)}")
    for one in plan.plans:
        for line in shown(one):
            call.session.out(line)
    return Exit.SUCCESS
