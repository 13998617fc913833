"""Asks the remote APIs of several candidates for one job until one of them accepts it.

``python -m tests.system.recovery_probe USER PASSWORD SECONDS ADDRESS...``: prints the address that
accepted, and the job's number. Run inside the node hosts' network. The request has a name, so one
whose answer was lost or late is the same job when it is sent again.
"""

from __future__ import annotations

import base64
import itertools
import json
import ssl
import sys
import time
import urllib.error
import urllib.request
import uuid

PAUSE_S = 0.1
ANSWER_S = 2.0


def main(user: str, password: str, seconds: str, *addresses: str) -> None:
    """Ends with an error when nobody accepts the job in time."""
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE  # who answers is not what is measured
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    deadline = time.monotonic() + float(seconds)
    said = "nothing"
    name = str(uuid.uuid4())
    for address in itertools.cycle(addresses):
        request = urllib.request.Request(
            f"https://{address}:5080/2/nodes/n2.tb/modify",
            data=json.dumps({"drained": False}).encode(),
            headers={
                "Authorization": f"Basic {token}",
                "Content-Type": "application/json",
                "Idempotency-Key": name,
            },
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S, context=trusting) as answer:
                print(address, json.load(answer))
                return
        except (OSError, ValueError) as error:
            said = f"{address}: {error}"
        if time.monotonic() > deadline:
            raise SystemExit(f"no job was accepted in {seconds} s; last: {said}")
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
