"""``gnt-image``: list and info; what changes images is derived from the opcodes."""

from __future__ import annotations

from cli.command import Arguments, Call, Command
from cli.exits import Exit
from cli.listing import Kind, list_command, list_fields_command
from cli.output import info

KIND = Kind(
    what="image",
    plural="images",
    columns=("name", "disk_template", "pool", "size", "format", "nodes"),
    formats={"nodes": ",".join},
    units=True,
)
_INFO_FIELDS = (
    "name",
    "uuid",
    "disk_template",
    "pool",
    "size",
    "format",
    "checksum",
    "source",
    "nodes",
    "cached",
    "contents",
    "properties",
    "instances",
)


def _info(call: Call) -> int:
    rows = call.session.door.query_names("QueryImages", call.arguments, _INFO_FIELDS)
    shown = []
    for row in rows:
        image = dict(zip(_INFO_FIELDS, row, strict=True))
        shown.append(
            [
                ("Image", image["name"]),
                ("UUID", image["uuid"]),
                ("Disk template", image["disk_template"]),
                ("Pool", image["pool"]),
                ("Size", f"{image['size']} MiB"),
                ("Made from", f"{image['source']} ({image['format']})"),
                ("Checksum", image["checksum"]),
                ("Nodes with a copy", ", ".join(image["nodes"]) or "all that reach the pool"),
                (
                    "Cached in groups",
                    [
                        f"{group}: {', '.join(nodes)}"
                        for group, nodes in sorted(image["cached"].items())
                    ],
                ),
                ("Checksum of copies", image["contents"] or "none was copied between nodes"),
                ("Properties", [f"{key}: {text}" for key, text in image["properties"].items()]),
                ("Read by disks of", ", ".join(image["instances"]) or "none"),
            ]
        )
    for line in info(shown):
        call.session.out(line)
    return Exit.SUCCESS


COMMANDS: tuple[Command, ...] = (
    list_command(KIND),
    list_fields_command(KIND),
    Command(
        name="info",
        summary="Show details of images",
        run=_info,
        arguments=Arguments(shown="[<image>...]", maximum=None, completes="image"),
    ),
)
