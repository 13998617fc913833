"""The addresses of a network: which are reserved from outside, which are free. Pure.

Decided here: an address is taken by an instance when a card of it has it (the configuration knows
that), and reserved from outside when the network's bitmap says so: its own address, the broadcast
address, the gateway, and whatever the operator reserved. IPv4 alone is pooled, as in Ganeti.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Container, Iterable

from clusterd.model import Network
from jobqueue.errors import Refused

POOL = "pool"
"""Stands for an address that is to be drawn."""

WIDEST_PREFIX = 16
NARROWEST_PREFIX = 30
"""Ganeti's bounds of a pool."""

FREE, RESERVED = "0", "1"


def subnet(text: str) -> ipaddress.IPv4Network:
    """The pool's subnet; raises Refused."""
    try:
        found = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise Refused(f"Invalid network '{text}': {error}", "wrong_input") from None
    if not WIDEST_PREFIX <= found.prefixlen <= NARROWEST_PREFIX:
        raise Refused(
            f"Network '{text}' cannot be a pool of addresses: /{WIDEST_PREFIX} to "
            f"/{NARROWEST_PREFIX} can",
            "wrong_input",
        )
    return found


def address(text: str) -> ipaddress.IPv4Address:
    """An address of a pool; raises Refused."""
    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        raise Refused(f"Invalid IPv4 address '{text}'", "wrong_input") from None


def place(network: Network, text: str | None) -> int | None:
    """The number of an address in the pool, None for one that is not in it."""
    if not text:
        return None
    try:
        number = int(ipaddress.IPv4Address(text)) - _first(network)
    except ValueError:
        return None
    return number if 0 <= number < size(network) else None


def at(network: Network, number: int) -> str:
    """The address with this number."""
    return str(ipaddress.IPv4Address(_first(network) + number))


def size(network: Network) -> int:
    """How many addresses there are."""
    return _subnet(network).num_addresses


def reserved(network: Network) -> str:
    """For each address 1 if it is reserved from outside, else 0."""
    if network.ext_reservations:
        return network.ext_reservations
    count = size(network)
    always = (0, count - 1, place(network, network.gateway))
    return marked(FREE * count, [number for number in always if number is not None], RESERVED)


def marked(bits: str, numbers: Iterable[int], mark: str) -> str:
    """The bitmap with these addresses reserved or free."""
    cells = list(bits)
    for number in numbers:
        cells[number] = mark
    return "".join(cells)


def reserved_addresses(network: Network) -> list[str]:
    """The addresses that are reserved from outside."""
    bits = reserved(network)
    return [at(network, number) for number, bit in enumerate(bits) if bit == RESERVED]


def is_reserved(network: Network, number: int) -> bool:
    """Whether an address is reserved from outside."""
    return reserved(network)[number] == RESERVED


def lowest_free(network: Network, *taken: Container[int]) -> str | None:
    """The lowest address that is neither reserved nor (as a number of 32 bits) in one of ``taken``;
    None if there is none."""
    bits, first = reserved(network), _first(network)
    number = bits.find(FREE)
    while number >= 0:
        if not any(first + number in some for some in taken):
            return at(network, number)
        number = bits.find(FREE, number + 1)
    return None


def words(network: Network, prefix: str) -> dict[str, str]:
    """What scripts are told of a network: variables after ``prefix``, those that have a value."""
    found = {
        "NAME": network.name,
        "TAGS": " ".join(network.tags),
        "SUBNET": network.network,
        "GATEWAY": network.gateway,
        "SUBNET6": network.network6,
        "GATEWAY6": network.gateway6,
        "MAC_PREFIX": network.mac_prefix,
    }
    return {f"{prefix}NETWORK_{key}": text for key, text in found.items() if text}


def as_number(text: str) -> int:
    """An IPv4 address as a number of 32 bits."""
    return int(ipaddress.IPv4Address(text))


def _subnet(network: Network) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(network.network, strict=False)


def _first(network: Network) -> int:
    return int(_subnet(network).network_address)
