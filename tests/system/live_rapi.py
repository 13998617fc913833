"""The stock client's whole exercise against a live cluster; run inside the node hosts' network.

``python -m tests.system.live_rapi ADDRESS CAFILE USER PASSWORD``
"""

from __future__ import annotations

import sys

from tests.acceptance import stock_client
from tests.acceptance.exercise import Plan, exercise
from tests.acceptance.furnishing import CARDS, laboratory

PLAN = Plan(
    instance="rapi1.tb",
    nodes=("n2.tb", "n3.tb"),
    os="demo-guest",
    hypervisor="kvm",
    disks=({"size": 64},),
    nics=CARDS,
    memory_mib=96,
    job_s=180.0,
)


def main(address: str, cafile: str, user: str, password: str) -> None:
    """Raises what goes wrong."""
    module = stock_client.load()
    module.pycurl.global_init(module.pycurl.GLOBAL_ALL)
    config = module.GenericCurlConfig(
        cafile=cafile, verify_hostname=True, proxy="", timeout=60, connect_timeout=10
    )
    client = module.GanetiRapiClient(
        address, username=user, password=password, curl_config_fn=config
    )
    with laboratory(client, PLAN):
        exercise(client, PLAN)
    print("the stock client is content")


if __name__ == "__main__":
    main(*sys.argv[1:])
