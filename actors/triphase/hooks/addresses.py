"""Which addresses a webhook may be sent to: public ones, unless others are allowed.

Who submits a job chooses where its events go. Without this rule they could have the runtime
speak to what only its own network reaches: a database, a router, a cloud's metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, Self

import attrs

from triphase_protocol import DefinitionError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Written out, because what `ipaddress` takes for global differs between versions of Python.
# IANA: "IPv4 Special-Purpose Address Registry" and "IPv6 Special-Purpose Address Registry".

SPECIAL: Final[Mapping[Network, str]] = {
    ip_network(network): name
    for network, name in {
        "0.0.0.0/8": "an address of this machine",
        "10.0.0.0/8": "a private address",
        "100.64.0.0/10": "an address shared by a provider's customers",
        "127.0.0.0/8": "a loopback address",
        "169.254.0.0/16": "a link-local address",
        "172.16.0.0/12": "a private address",
        "192.0.0.0/24": "an address for protocols",
        "192.0.2.0/24": "an address for documentation",
        "192.88.99.0/24": "an address of 6to4 relays",
        "192.168.0.0/16": "a private address",
        "198.18.0.0/15": "an address for benchmarks",
        "198.51.100.0/24": "an address for documentation",
        "203.0.113.0/24": "an address for documentation",
        "224.0.0.0/4": "a multicast address",
        "240.0.0.0/4": "a reserved address",
        "2001::/23": "an address for protocols",
        "2001:db8::/32": "an address for documentation",
        "3fff::/20": "an address for documentation",
        # Outside of 2000::/3; these are named, and the rest is not public either.
        "::/128": "an address of this machine",
        "::1/128": "a loopback address",
        "fc00::/7": "a private address",
        "fe80::/10": "a link-local address",
        "fec0::/10": "a private address",
        "ff00::/8": "a multicast address",
    }.items()
}
"""Networks that the public internet does not lead to, each with what its addresses are."""

_UNICAST: Final = IPv6Network("2000::/3")
"""All of IPv6 that has been given to the public internet."""

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_6TO4: Final = IPv6Network("2002::/16")

_HOST: Final = re.compile(r"(?!.*\.\.)[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")


def why_not_public(address: Address) -> str | None:
    """Return why an address is not public, as `10.0.0.7 is a private address`; None if it is.

    An IPv6 address that stands for one of IPv4 is what that one is: packets to it end there.
    """
    inner = _within(address)
    if inner is not None:
        reason = why_not_public(inner)
        return None if reason is None else f"{address} stands for {reason}"
    for network, name in SPECIAL.items():
        if address in network:
            return f"{address} is {name}"
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return f"{address} is a reserved address"
    return None


def _within(address: Address) -> IPv4Address | None:
    """Return the IPv4 address that one of IPv6 stands for."""
    if isinstance(address, IPv4Address):
        return None
    if address in _MAPPED or address in _NAT64:
        return IPv4Address(address.packed[12:])
    if address in _6TO4:
        return IPv4Address(address.packed[2:6])
    return None


@attrs.frozen
class Allowed:
    """Which addresses may be reached although they are not public."""

    networks: tuple[Network, ...] = ()
    """Whatever name leads there."""

    hosts: frozenset[str] = frozenset()
    """Names, in lower case: wherever they lead."""

    @classmethod
    def of(cls, given: Iterable[str]) -> Self:
        """Return what is allowed by addresses, networks and names.

        `["127.0.0.1", "10.0.0.0/8", "hooks.internal"]`.

        Raises:
          DefinitionError: if one is none of them.
        """
        networks: list[Network] = []
        hosts: set[str] = set()
        for each in (given,) if isinstance(given, str) else given:
            try:
                networks.append(ip_network(each))
            except ValueError as exc:
                host = each.lower().rstrip(".")
                # What is all digits and dots was to be an address.
                if not (_HOST.fullmatch(host) and re.search("[a-z]", host)):
                    raise DefinitionError(
                        f"allowed: {each!r} is no address, network or name: {exc}"
                    ) from exc
                hosts.add(host)
        return cls(tuple(networks), frozenset(hosts))

    def refusal(self, host: str, address: Address) -> str | None:
        """Return why the address that a host leads to may not be reached; None if it may."""
        reason = why_not_public(address)
        if reason is None or host.lower().rstrip(".") in self.hosts:
            return None
        inner = _within(address)
        if any(
            at in network for at in (address, inner) if at is not None for network in self.networks
        ):
            return None
        return reason


def literal(host: str) -> Address | None:
    """Return the address that the host of a URL is, if it is one and no name."""
    try:
        return ip_address(host)
    except ValueError:
        return None
