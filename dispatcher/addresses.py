"""Which IP addresses a delivery may be sent to: our own deny table and the operator's exceptions to it."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

DENIED: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "this network; Linux takes 0.0.0.0 for the machine itself (RFC 791)"),
    ("10.0.0.0/8", "private network (RFC 1918)"),
    ("100.64.0.0/10", "shared carrier space, also cloud-internal services (RFC 6598)"),
    ("127.0.0.0/8", "loopback (RFC 1122)"),
    ("168.63.129.16/32", "Azure's host agent, reachable from every virtual machine"),
    ("169.254.0.0/16", "link-local, holds the clouds' metadata services (RFC 3927)"),
    ("172.16.0.0/12", "private network (RFC 1918)"),
    ("192.0.0.0/24", "protocol assignments (RFC 6890)"),
    ("192.0.2.0/24", "documentation, TEST-NET-1 (RFC 5737)"),
    ("192.31.196.0/24", "AS112 sink (RFC 7535)"),
    ("192.52.193.0/24", "automatic multicast tunnels (RFC 7450)"),
    ("192.88.99.0/24", "6to4 relays, deprecated (RFC 7526)"),
    ("192.168.0.0/16", "private network (RFC 1918)"),
    ("192.175.48.0/24", "AS112 sink (RFC 7534)"),
    ("198.18.0.0/15", "benchmarks of network devices (RFC 2544)"),
    ("198.51.100.0/24", "documentation, TEST-NET-2 (RFC 5737)"),
    ("203.0.113.0/24", "documentation, TEST-NET-3 (RFC 5737)"),
    ("224.0.0.0/4", "multicast (RFC 5771)"),
    ("240.0.0.0/4", "reserved, and broadcast (RFC 1112)"),
    # IPv6: only 2000::/3 is given out to the public internet. The three rows marked "outside" deny the rest: loopback,
    # IPv4-compatible, NAT64, SIIT, unique-local, link-local, site-local, multicast and whatever is unassigned.
    ("::/3", "outside the public 2000::/3 (RFC 4291)"),
    ("2001::/23", "protocol assignments, Teredo and ORCHID among them (RFC 2928)"),
    ("2001:db8::/32", "documentation (RFC 3849)"),
    ("2002::/16", "6to4, carries an IPv4 address of its writer's choice (RFC 3056)"),
    ("3fff::/20", "documentation (RFC 9637)"),
    ("4000::/2", "outside the public 2000::/3 (RFC 4291)"),
    ("8000::/1", "outside the public 2000::/3 (RFC 4291)"),
)

_MAPPED = IPv6Network("::ffff:0:0/96")
_MAPPED_HEAD = 0xFFFF
_V4_BITS = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Disjoint ranges of address numbers of one IP version, sorted, with a reason each."""

    starts: Sequence[int]
    ends: Sequence[int]
    reasons: Sequence[str]

    def find(self, number: int) -> str:
        index = bisect_right(self.starts, number) - 1
        return self.reasons[index] if index >= 0 and number <= self.ends[index] else ""


def unwrap(address: Address) -> Address:
    """The IPv4 address behind an IPv4-mapped one (`::ffff:1.2.3.4`); every other address as it is.

    The kernel sends to the IPv4 address, so that is the one to judge. No other embedding is unwrapped: NAT64, 6to4,
    Teredo and IPv4-compatible addresses are denied whole.
    """
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address
    return address


def _locate(address: Address) -> tuple[int, int]:
    """The IP version and number to judge by. `unwrap` without making an object; this runs for each connection."""
    number = int(address)
    if address.version == 4:
        return 4, number
    if number >> 32 == _MAPPED_HEAD:
        return 4, number & _V4_BITS
    return 6, number


def _ranges(rows: Iterable[tuple[Network, str]]) -> _Ranges:
    found = sorted((int(network[0]), int(network[-1]), reason) for network, reason in rows)
    starts, ends, reasons = zip(*found, strict=True) if found else ((), (), ())
    return _Ranges(starts, ends, reasons)


def _unwrap_network(network: Network) -> Network:
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network[0]) & _V4_BITS, network.prefixlen - 96))
    return network


def _joined(networks: Iterable[Network]) -> dict[int, _Ranges]:
    """The operator's networks by IP version; overlapping ones are joined, because the search needs disjoint ranges."""
    unwrapped = [_unwrap_network(network) for network in networks]
    fours = collapse_addresses(network for network in unwrapped if isinstance(network, IPv4Network))
    sixes = collapse_addresses(network for network in unwrapped if isinstance(network, IPv6Network))
    return {
        4: _ranges((network, str(network)) for network in fours),
        6: _ranges((network, str(network)) for network in sixes),
    }


def _table() -> dict[int, _Ranges]:
    rows: dict[int, list[tuple[Network, str]]] = {4: [], 6: []}
    for text, reason in DENIED:
        network = ip_network(text)
        rows[network.version].append((network, reason))
    return {version: _ranges(found) for version, found in rows.items()}


_DENIED = _table()


@dataclass(frozen=True, slots=True)
class AddressRules:
    """The deny table, and the networks that the operator allows in spite of it (none in production).

    An IPv4-mapped address is judged as the IPv4 address it stands for, by the table and by `allowed_networks`.
    """

    allowed_networks: tuple[Network, ...] = ()
    _allowed: dict[int, _Ranges] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_allowed", _joined(self.allowed_networks))

    def is_exempt(self, address: Address) -> bool:
        """Whether the address lies in a network that the operator allows."""
        version, number = _locate(address)
        return self._allowed[version].find(number) != ""

    def refusal(self, address: Address) -> str:
        """Why the address is refused, for operators and logs; empty when it is allowed."""
        version, number = _locate(address)
        if self._allowed[version].find(number):
            return ""
        return _DENIED[version].find(number)

    def allows(self, address: Address) -> bool:
        return not self.refusal(address)

    def allows_all(self, addresses: Iterable[Address]) -> bool:
        """Whether every address of a DNS answer is allowed. An empty answer is not: there is nothing to connect to."""
        judged = [self.allows(address) for address in addresses]
        return bool(judged) and all(judged)
