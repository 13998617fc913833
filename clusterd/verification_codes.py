"""The codes of findings of the verification: Ganeti's, so that what programs ask to ignore is known
whether or not this version looks for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from jobqueue.errors import Refused

CODES = frozenset(
    [
        "ECLUSTERCERT",
        "ECLUSTERCFG",
        "ECLUSTERCLIENTCERT",
        "ECLUSTERDANGLINGINST",
        "ECLUSTERDANGLINGNODES",
        "ECLUSTERFILECHECK",
        "EEXTAGS",
        "EGROUPDIFFERENTPVSIZE",
        "EINSTANCEBADNODE",
        "EINSTANCEDOWN",
        "EINSTANCEFAULTYDISK",
        "EINSTANCELAYOUT",
        "EINSTANCEMISSINGCFGPARAMETER",
        "EINSTANCEMISSINGDISK",
        "EINSTANCEPOLICY",
        "EINSTANCESPLITGROUPS",
        "EINSTANCEUNSUITABLENODE",
        "EINSTANCEWRONGNODE",
        "ENODEDRBD",
        "ENODEDRBDHELPER",
        "ENODEDRBDVERSION",
        "ENODEFILECHECK",
        "ENODEFILESTORAGEPATHS",
        "ENODEFILESTORAGEPATHUNUSABLE",
        "ENODEGLUSTERSTORAGEPATHUNUSABLE",
        "ENODEHOOKS",
        "ENODEHV",
        "ENODELVM",
        "ENODEN1",
        "ENODENET",
        "ENODEOOBPATH",
        "ENODEORPHANINSTANCE",
        "ENODEORPHANLV",
        "ENODEOS",
        "ENODERPC",
        "ENODESETUP",
        "ENODESHAREDFILESTORAGEPATHUNUSABLE",
        "ENODESSH",
        "ENODETIME",
        "ENODEUSERSCRIPTS",
        "ENODEVERSION",
    ]
)


def require_known(ignored: Iterable[str]) -> None:
    """Raises Refused for a code that no finding has: it would ignore nothing."""
    unknown = sorted(set(ignored) - CODES)
    if unknown:
        raise Refused(
            f"There is no error code '{unknown[0]}'; 'gnt-cluster verify --error-codes' shows those"
            " of its findings",
            "wrong_input",
        )
