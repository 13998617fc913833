"""Proof on real processes: daemons killed with -9 and disks filled under a load of real jobs.

``python -m tests.proof --kills 50``: nothing accepted is lost, nothing is done twice, each job ends
once. The nodes' parts are the memory hypervisor and plain files; the queue, the store, the door
and the daemons are those that are shipped.
"""
