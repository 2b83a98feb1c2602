"""Which addresses a webhook may be sent to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given, strategies as st

from triphase.hooks.addresses import SPECIAL, Address, Allowed, why_not_public
from triphase_protocol import DefinitionError

PUBLIC = [
    "1.0.0.0",
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.3.0",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "198.51.101.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "2000::",
    "2001:200::",
    "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db9::",
    "2001:4860:4860::8888",
    "2003::",
    "2606:4700::1111",
    "3ffe:ffff::1",
    "3fff:1000::",
    # What stands for a public address of IPv4: mapped, NAT64, 6to4.
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]

NOT_PUBLIC = {
    "0.0.0.0": "an address of this machine",
    "0.1.2.3": "an address of this machine",
    "10.0.0.0": "a private address",
    "10.255.255.255": "a private address",
    "100.64.0.0": "an address shared by a provider's customers",
    "100.127.255.255": "an address shared by a provider's customers",
    "127.0.0.1": "a loopback address",
    "127.255.255.255": "a loopback address",
    "169.254.0.0": "a link-local address",
    "169.254.169.254": "a link-local address",
    "172.16.0.0": "a private address",
    "172.31.255.255": "a private address",
    "192.0.0.1": "an address for protocols",
    "192.0.0.170": "an address for protocols",
    "192.0.2.1": "an address for documentation",
    "192.88.99.1": "an address of 6to4 relays",
    "192.168.0.0": "a private address",
    "192.168.255.255": "a private address",
    "198.18.0.0": "an address for benchmarks",
    "198.19.255.255": "an address for benchmarks",
    "198.51.100.1": "an address for documentation",
    "203.0.113.1": "an address for documentation",
    "224.0.0.1": "a multicast address",
    "239.255.255.255": "a multicast address",
    "240.0.0.0": "a reserved address",
    "255.255.255.255": "a reserved address",
    "::": "an address of this machine",
    "::1": "a loopback address",
    # What is deprecated and never was a public address: IPv4-compatible, and the like.
    "::8.8.8.8": "a reserved address",
    "::ffff:0:8.8.8.8": "a reserved address",
    "64:ff9b:1::8.8.8.8": "a reserved address",
    "100::1": "a reserved address",
    "1fff:ffff::1": "a reserved address",
    # Teredo, whoever is behind it, ORCHID, and what else has 2001::/23.
    "2001:0:808:808::1": "an address for protocols",
    "2001:20::1": "an address for protocols",
    "2001:1ff:ffff::1": "an address for protocols",
    "2001:db8::1": "an address for documentation",
    "3fff::1": "an address for documentation",
    "3fff:fff:ffff::1": "an address for documentation",
    "4000::1": "a reserved address",
    "5f00::1": "a reserved address",
    "fc00::1": "a private address",
    "fd12:3456::1": "a private address",
    "fe80::1": "a link-local address",
    "fe80::1%eth0": "a link-local address",
    "fec0::1": "a private address",
    "ff02::1": "a multicast address",
    "ff0e::1": "a multicast address",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_reached(address: str) -> None:
    assert why_not_public(ip_address(address)) is None


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_another_is_named_for_what_it_is(address: str) -> None:
    parsed = ip_address(address)
    assert why_not_public(parsed) == f"{parsed} is {NOT_PUBLIC[address]}"


def test_each_network_is_in_the_table_to_its_ends() -> None:
    for network, name in SPECIAL.items():
        for address in (network[0], network[-1]):
            assert why_not_public(address) == f"{address} is {name}"


@pytest.mark.parametrize("form", ["::ffff:{}", "64:ff9b::{}", "6to4"])
@pytest.mark.parametrize("inner", [a for a in NOT_PUBLIC if ":" not in a])
def test_what_stands_for_a_private_address_is_not_public(form: str, inner: str) -> None:
    packed = IPv4Address(inner).packed
    if form == "6to4":
        address = IPv6Address(b"\x20\x02" + packed + bytes(10))
    else:
        address = IPv6Address(form.format(inner))
    expected = f"{address} stands for {inner} is {NOT_PUBLIC[inner]}"
    assert why_not_public(address) == expected


@given(st.ip_addresses())
def test_what_is_public_here_is_so_for_python_too(address: Address) -> None:
    if why_not_public(address) is not None:
        return
    # Of what stands for an address of IPv4, not every version says what that one is.
    inner = isinstance(address, IPv6Address) and (address.ipv4_mapped or address.sixtofour)
    assert (inner or address).is_global
    assert not address.is_multicast


# What is allowed


def test_nothing_is_allowed_unless_it_is_said() -> None:
    assert Allowed().refusal("a.example", ip_address("8.8.8.8")) is None
    refusal = Allowed().refusal("a.example", ip_address("10.0.0.7"))
    assert refusal == "10.0.0.7 is a private address"


def test_a_network_is_allowed_under_whatever_name() -> None:
    allowed = Allowed.of(["10.0.0.0/8", "::1"])
    assert allowed.networks == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    for address in ("10.0.0.7", "::1", "::ffff:10.0.0.7"):
        assert allowed.refusal("a.example", ip_address(address)) is None
    for address in ("127.0.0.1", "::2", "::ffff:127.0.0.1", "fe80::1"):
        assert allowed.refusal("a.example", ip_address(address))


def test_a_name_is_allowed_wherever_it_leads() -> None:
    allowed = Allowed.of(["Hooks.Internal."])
    assert allowed.hosts == {"hooks.internal"}
    assert allowed.refusal("HOOKS.internal", ip_address("192.168.1.1")) is None
    assert allowed.refusal("hooks.internal.", ip_address("fd00::1")) is None
    assert allowed.refusal("x.hooks.internal", ip_address("192.168.1.1"))
    assert allowed.refusal("internal", ip_address("192.168.1.1"))


def test_one_text_is_one_of_them() -> None:
    assert Allowed.of("localhost").hosts == {"localhost"}


@pytest.mark.parametrize(
    "wrong", ["", " ", "10.0.0.1/8", "300.1.1.1", "10.0.0", "a b", "http://a", "a..b", "*", "-a"]
)
def test_what_is_neither_address_nor_name_is_refused(wrong: str) -> None:
    with pytest.raises(DefinitionError, match="is no address, network or name") as caught:
        Allowed.of([wrong])
    assert repr(wrong) in str(caught.value)
