"""``gnt-cluster renew-crypto``: a certificate that the site brought is put in place, then the job.

Decided here: what is checked of that file, and that a job spreads it from the master's node.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cli import jobs
from cli.command import Call
from cli.exits import WrongInput
from cli.founding import local_settings
from clusterd import certificates
from clusterd.durable import write_durable
from rapi.certificate import UnusableCertificate, server_context

NOT_HERE = {
    "new_confd_hmac_key": "there is no confd, so there is no key of it",
    "new_cluster_domain_secret": "clusters share no secret",
    "cluster_domain_secret": "clusters share no secret",
}
"""Options of Ganeti's that scripts give along with others -> why they need nothing done."""

REFUSED = ("new_spice_certificate", "spice_certificate", "spice_ca_certificate")


def renew(call: Call, body: dict[str, Any]) -> int:
    """``renew-crypto``"""
    for option in REFUSED:
        if call.given(option):
            raise WrongInput("This version does not serve certificates of SPICE")
    for option, why in NOT_HERE.items():
        if call.given(option):
            call.session.err(f"--{option.replace('_', '-')} changes nothing: {why}")
    given = call.given("rapi_certificate")
    if given is not None and body.get("rapi_certificate", "keep") != "keep":
        raise WrongInput("Only one of --new-rapi-certificate and --rapi-certificate makes sense")
    if given is not None:
        _place(call, Path(given))
        body = {**body, "rapi_certificate": "spread"}
    jobs.submit_or_run(call, body)
    return 0


def _place(call: Call, file: Path) -> None:
    """The master's remote API has it; the door has answered, so this is the master's node."""
    try:
        server_context(file)
    except UnusableCertificate as error:
        raise WrongInput(f"the remote API cannot use this certificate: {error}") from None
    call.session.door.call("QueryClusterInfo")
    settings = local_settings(call.session.environment).require_cluster()
    place = settings.state_directory / certificates.RAPI_FILE
    owner = place.stat().st_gid if place.exists() else None
    write_durable(place, file.read_bytes(), 0o640)
    if owner is not None:
        # the remote API runs as a user of its own
        os.chown(place, -1, owner)
