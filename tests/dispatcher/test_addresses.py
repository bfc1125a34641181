"""The address table: every denied range to its last address, and the public addresses beside it."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.addresses import DENIED, Address, AddressRules, Network, unwrap

PUBLIC = AddressRules()

NETWORKS: list[Network] = []
for _text, _ in DENIED:
    NETWORKS.append(ip_network(_text))

# Written out a second time on purpose: a change of the table must be made in two places.
WANTED = {
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24"),
    *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
    *("::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
}

# The address just below and just above each denied range, where that one is public.
BESIDE = [
    *("1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0"),
    *("168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0"),
    *("191.255.255.255", "192.0.1.0", "192.0.1.255", "192.0.3.0", "192.31.195.255", "192.31.197.0"),
    *("192.52.192.255", "192.52.194.0", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0"),
    *("192.175.47.255", "192.175.49.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0"),
    *("203.0.112.255", "203.0.114.0", "223.255.255.255"),
    *("2000::", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"),
    *("2001:db9::", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    *("3fff:1000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
]

# What `ipaddress.is_global` or a naive list lets pass, by name.
NOTORIOUS = [
    ("169.254.169.254", "metadata of most clouds"),
    ("169.254.170.2", "credentials of AWS containers"),
    ("100.100.100.200", "metadata of Alibaba"),
    ("168.63.129.16", "Azure's host agent"),
    ("192.0.0.192", "metadata of Oracle"),
    ("192.0.0.9", "PCP anycast, global by the registry"),
    ("192.0.0.10", "TURN anycast, global by the registry"),
    ("192.88.99.1", "6to4 relay"),
    ("255.255.255.255", "broadcast"),
    ("224.0.0.1", "all hosts"),
    ("239.255.255.250", "SSDP"),
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("::7f00:1", "IPv4-compatible loopback"),
    ("::808:808", "IPv4-compatible"),
    ("::ffff:0:7f00:1", "IPv4-translated (SIIT)"),
    ("::fffe:7f00:1", "just below the mapped range"),
    ("64:ff9b::7f00:1", "NAT64 of loopback"),
    ("64:ff9b::808:808", "NAT64 of a public address"),
    ("64:ff9b:1::a9fe:a9fe", "local NAT64"),
    ("100::1", "discard-only"),
    ("2001:0:7f00:1::", "Teredo"),
    ("2001:20::1", "ORCHIDv2"),
    ("2001:1::1", "PCP anycast, global by the registry"),
    ("2002:7f00:1::1", "6to4 of loopback"),
    ("5f00::1", "segment routing"),
    ("fc00::1", "unique-local"),
    ("fd00:ec2::254", "metadata of AWS over IPv6"),
    ("fd20:ce::254", "metadata of Google over IPv6"),
    ("fe80::1", "link-local"),
    ("fe80::1%eth0", "link-local with a zone"),
    ("fec0::1", "site-local"),
    ("ff02::1", "all nodes"),
    ("ff0e::1", "global multicast"),
]

REAL = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "2606:4700:4700::1111",
    "2a00:1450:4001:82a::200e",
    "2600::",
    "2400:cb00::1",
]


def mapped(address: IPv4Address) -> IPv6Address:
    return IPv6Address((0xFFFF << 32) | int(address))


def test_the_table_is_the_one_of_the_design() -> None:
    assert {text for text, _ in DENIED} == WANTED
    assert len(DENIED) == len(WANTED)
    assert all(reason for _, reason in DENIED)


def test_ranges_of_the_table_do_not_overlap() -> None:
    assert [(a, b) for a in NETWORKS for b in NETWORKS if a is not b and a.version == b.version and a.overlaps(b)] == []


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_every_corner_of_a_denied_range_is_denied(network: Network) -> None:
    reason = dict(DENIED)[str(network)]
    for corner in (network[0], network[min(1, network.num_addresses - 1)], network[-1]):
        assert PUBLIC.refusal(corner) == reason
        assert PUBLIC.allows(corner) is False


@pytest.mark.parametrize("text", BESIDE)
def test_public_neighbours_of_denied_ranges_are_allowed(text: str) -> None:
    assert PUBLIC.refusal(ip_address(text)) == ""
    assert PUBLIC.allows(ip_address(text)) is True


def test_the_list_above_holds_every_public_neighbour() -> None:
    beside: set[str] = set()
    for network in NETWORKS:
        kind = type(network[0])
        numbers = (int(network[0]) - 1, int(network[-1]) + 1)
        beside |= {str(kind(number)) for number in numbers if 0 <= number < 2**network.max_prefixlen}
    assert {text for text in beside if PUBLIC.allows(ip_address(text))} == set(BESIDE)


@pytest.mark.parametrize(("text", "what"), NOTORIOUS)
def test_notorious_addresses_are_denied(text: str, what: str) -> None:
    assert PUBLIC.allows(ip_address(text)) is False, what


@pytest.mark.parametrize("text", REAL)
def test_real_addresses_are_allowed(text: str) -> None:
    assert PUBLIC.allows(ip_address(text)) is True


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_judged_as_the_address_behind_it(address: IPv4Address) -> None:
    assert PUBLIC.refusal(mapped(address)) == PUBLIC.refusal(address)
    assert unwrap(mapped(address)) == address
    assert unwrap(address) == address


@given(st.ip_addresses())
def test_the_search_agrees_with_a_walk_through_the_table(address: Address) -> None:
    plain = unwrap(address)
    assert PUBLIC.allows(address) is not any(plain in network for network in NETWORKS)


@pytest.mark.parametrize(
    "text", ["127.0.0.0", "127.0.0.1", "127.255.255.255", "::ffff:127.0.0.1", "::ffff:127.255.255.255"]
)
def test_a_network_of_the_operator_wins_over_the_table(text: str) -> None:
    rules = AddressRules(allowed_networks=(ip_network("127.0.0.0/8"),))
    assert rules.allows(ip_address(text)) is True
    assert rules.is_exempt(ip_address(text)) is True


@pytest.mark.parametrize("text", ["::1", "::7f00:1", "64:ff9b::7f00:1", "10.0.0.1", "128.0.0.0"])
def test_a_network_of_the_operator_allows_nothing_else(text: str) -> None:
    rules = AddressRules(allowed_networks=(ip_network("127.0.0.0/8"),))
    assert rules.allows(ip_address(text)) is PUBLIC.allows(ip_address(text))
    assert rules.is_exempt(ip_address(text)) is False


def test_networks_of_the_operator_may_overlap_and_mix_versions() -> None:
    texts = ("10.1.0.0/16", "10.0.0.0/8", "10.0.0.0/9", "fd00::/8", "::1/128", "fd00:1::/32", "192.168.7.9/32")
    rules = AddressRules(allowed_networks=tuple(ip_network(text) for text in texts))
    inside = ["10.0.0.0", "10.1.2.3", "10.200.0.1", "10.255.255.255", "fd00::", "fdff::1", "::1", "192.168.7.9"]
    outside = ["192.168.7.8", "192.168.7.10", "fc00::1", "fe00::1", "::2", "172.16.0.1"]
    assert [text for text in inside if not rules.allows(ip_address(text))] == []
    assert [text for text in outside if rules.allows(ip_address(text))] == []


def test_a_mapped_network_of_the_operator_means_the_addresses_behind_it() -> None:
    rules = AddressRules(allowed_networks=(ip_network("::ffff:10.0.0.0/104"),))
    assert rules.allows(ip_address("10.9.8.7")) is True
    assert rules.allows(ip_address("::ffff:10.9.8.7")) is True
    assert rules.allows(ip_address("192.168.0.1")) is False


def test_all_of_ipv6_does_not_bring_ipv4_in_by_the_mapped_door() -> None:
    rules = AddressRules(allowed_networks=(ip_network("::/0"),))
    assert rules.allows(ip_address("fe80::1")) is True
    assert rules.allows(ip_address("::ffff:10.0.0.1")) is False


def test_one_denied_address_refuses_the_whole_answer() -> None:
    public, other, private = ip_address("8.8.8.8"), ip_address("2606:4700::1"), ip_address("10.0.0.1")
    assert PUBLIC.allows_all([public, other]) is True
    assert PUBLIC.allows_all([public, private]) is False
    assert PUBLIC.allows_all([private, public]) is False
    assert PUBLIC.allows_all(iter([public])) is True


def test_an_empty_answer_is_refused() -> None:
    assert PUBLIC.allows_all([]) is False


def test_rules_are_equal_by_what_the_operator_wrote() -> None:
    local = (ip_network("127.0.0.0/8"),)
    assert AddressRules(local) == AddressRules(local)
    assert hash(AddressRules(local)) == hash(AddressRules(local))
    assert AddressRules(local) != AddressRules()
