"""What an opcode's declaration says, as plain values from which commands are built.

Decided here: which kind of option a field's type makes. Nothing is decided about names or
spellings.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any, Literal

import msgspec
from msgspec import inspect

import clusterd

Kind = Literal[
    "flag", "unflag", "switch", "integer", "number", "text", "choice", "names", "params",
    "nested", "json",
]  # fmt: skip
"""flag: false unless given; unflag: true unless ``--no-`` is given; switch: yes or no; names: texts
with commas; params: key=value; nested: NAME:key=value."""

NOT_OPCODES = frozenset({"fields", "registry"})


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field of an opcode."""

    name: str
    kind: Kind
    required: bool
    words: str = ""
    choices: tuple[str, ...] = ()
    default: Any = None


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """One opcode."""

    module: str
    op_id: str
    words: str
    fields: dict[str, Field]
    """Without those that all opcodes have."""


def modules() -> list[str]:
    """The modules that declare an opcode, by listing; nothing is imported."""
    paths = [f"{path}/opcodes" for path in clusterd.__path__]
    found = (entry.name for entry in pkgutil.iter_modules(paths))
    return sorted(name for name in found if name not in NOT_OPCODES and not name.startswith("_"))


def load(module: str) -> Declaration | None:
    """The declaration in one module; None if the module declares no opcode."""
    # late: commands that only read must not pay for what opcodes import
    from jobqueue.opcode import Opcode

    names = importlib.import_module(f"clusterd.opcodes.{module}")
    for value in vars(names).values():
        if (
            isinstance(value, type)
            and issubclass(value, Opcode)
            and value.__module__ == names.__name__
        ):
            return describe(value, module)
    return None


def load_request(path: str) -> Declaration:
    """The declaration of a struct that is no opcode, by its dotted path."""
    module, _, name = path.rpartition(".")
    return describe(getattr(importlib.import_module(module), name), module)


def describe(struct: type[msgspec.Struct], module: str = "") -> Declaration:
    """The declaration of an opcode class, or of another struct that a command fills."""
    from jobqueue.opcode import Opcode

    shape = inspect.type_info(struct)
    assert isinstance(shape, inspect.StructType)
    skipped = Opcode.__struct_fields__ if issubclass(struct, Opcode) else ()
    fields = (_field(field) for field in shape.fields if field.name not in skipped)
    return Declaration(
        module=module,
        op_id=struct.op_id() if issubclass(struct, Opcode) else "",
        words=(struct.__doc__ or "").strip().partition("\n\n")[0].rstrip("."),
        fields={field.name: field for field in fields},
    )


def _field(field: inspect.Field) -> Field:
    bare, optional, words = _bare(field.type)
    default = None if field.default is msgspec.NODEFAULT else field.default
    kind: Kind = "json"
    choices: tuple[str, ...] = ()
    match bare:
        case inspect.BoolType():
            kind = "switch" if optional else ("unflag" if default else "flag")
        case inspect.IntType():
            kind = "integer"
        case inspect.FloatType():
            kind = "number"
        case inspect.StrType():
            kind = "text"
        case inspect.LiteralType(values=values) if all(isinstance(item, str) for item in values):
            kind, choices = "choice", tuple(str(item) for item in values)
        case inspect.VarTupleType(item_type=item) if isinstance(_bare(item)[0], inspect.StrType):
            kind = "names"
        case inspect.DictType(value_type=item):
            kind = "nested" if isinstance(_bare(item)[0], inspect.DictType) else "params"
    return Field(
        name=field.name,
        kind=kind,
        required=field.required,
        words=words,
        choices=choices,
        default=default,
    )


def _bare(type_: inspect.Type) -> tuple[inspect.Type, bool, str]:
    """The type without its notes and without None; whether None is allowed; its words."""
    words = ""
    optional = False
    while True:
        match type_:
            case inspect.Metadata(type=inner, extra_json_schema=notes):
                words = words or (notes or {}).get("description", "")
                type_ = inner
            case inspect.UnionType(types=types) if any(
                isinstance(item, inspect.NoneType) for item in types
            ):
                optional = True
                rest = tuple(item for item in types if not isinstance(item, inspect.NoneType))
                type_ = rest[0] if len(rest) == 1 else inspect.UnionType(rest)
            case _:
                return type_, optional, words
