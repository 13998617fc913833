"""Which fields each resource shows, as Ganeti's."""

from __future__ import annotations


def _words(text: str) -> list[str]:
    return text.split()


INSTANCE_FIELDS = _words(
    """
name admin_state os pnode snodes disk_template nic.ips nic.macs nic.modes nic.uuids nic.names
nic.links nic.networks nic.networks.names nic.bridges network_port disk.sizes disk.spindles
disk_usage disk.uuids disk.names hypervisor beparams hvparams oper_state oper_ram oper_vcpus status
custom_hvparams custom_beparams custom_nicparams custom_osparams ctime mtime uuid serial_no tags
"""
)
NODE_FIELDS = _words(
    """
name offline master_candidate drained dtotal dfree sptotal spfree mtotal mnode mfree pinst_cnt
sinst_cnt ctotal cnos cnodes csockets pip sip role pinst_list sinst_list master_capable vm_capable
ndparams group.uuid ctime mtime uuid serial_no tags
"""
)
GROUP_FIELDS = _words(
    """
alloc_policy name node_cnt node_list ipolicy custom_ipolicy diskparams custom_diskparams ndparams
custom_ndparams ctime mtime uuid serial_no tags
"""
)
NETWORK_FIELDS = _words(
    """
name network gateway network6 gateway6 mac_prefix free_count reserved_count map group_list inst_list
external_reservations ctime mtime uuid serial_no tags
"""
)
IMAGE_FIELDS = _words(
    """
name disk_template pool size format checksum source nodes properties instances ctime mtime uuid
serial_no tags
"""
)
JOB_BULK_FIELDS = _words("id ops status summary opstatus received_ts start_ts end_ts")
JOB_FIELDS = [*JOB_BULK_FIELDS, "oplog", "opresult"]
FILTER_FIELDS = _words("watermark priority predicates action reason_trail uuid")
OS_FIELDS = _words("name valid variants parameters api_versions blacklisted hidden trusted")
