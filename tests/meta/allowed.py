"""The composing files: which may use the clock, randomness, threads, processes or the reactor by
themselves, and why. Everything else is handed what it needs, so that it can be simulated.

Adding a line here is a decision about the architecture; prefer to take a collaborator.
"""

from __future__ import annotations

from tests.meta.effects import Effect

ALLOWED: dict[tuple[str, Effect], str] = {
    ("cli/daemons.py", Effect.REACTOR): "composes the daemons; the one file that picks a reactor",
    ("cli/detach.py", Effect.PROCESS): "becomes a daemon",
    ("cli/machine.py", Effect.CLOCK): "the real machine that commands and daemons are given",
    ("cli/machine.py", Effect.PROCESS): "the real machine that commands and daemons are given",
    ("cli/machine.py", Effect.RANDOM): "the real machine that commands and daemons are given",
    ("cli/session.py", Effect.CLOCK): "the outside of a command",
    ("cli/session.py", Effect.PROCESS): "gnt-instance console becomes the console's program",
    ("cli/session.py", Effect.RANDOM): "names of requests, drawn outside of the command",
    ("clusterd/master/compose.py", Effect.THREAD): "address and placement, beside the reactor",
    ("clusterd/node/blocking.py", Effect.PROCESS): "runs the site's hooks and OS scripts",
    ("clusterd/pooled.py", Effect.THREAD): "blocking work and long computing of the daemons",
    ("clusterd/simulation/cluster.py", Effect.RANDOM): "a seeded source: the same each time",
    ("clusterd/simulation/explore.py", Effect.CLOCK): "explores for so many real seconds",
    ("clusterd/simulation/explore.py", Effect.RANDOM): "seeds of random explorations",
    ("hypervisors/kvm_migration.py", Effect.CLOCK): "durations of a migration, in its own thread",
    ("hypervisors/libvirt_link.py", Effect.THREAD): "a lock on the connection its threads share",
    ("storage/commands.py", Effect.PROCESS): "the only subprocess code of storage",
}
"""(file, effect) -> why it may."""
