"""Which host names a delivery may be sent to: their one canonical spelling, and the names that are refused."""

import re
import unicodedata
from collections.abc import Iterable
from ipaddress import IPv6Address

import idna

from dispatcher.addresses import unwrap

MAX_NAME = 253
MAX_LABEL = 63
# Characters of a whole name and of one label, as DNS can carry them (RFC 1035, section 2.3.4).

# Last labels that stand for this machine or a network behind the dispatcher, whatever stands before them.
INTERNAL_ENDINGS: dict[str, str] = {
    "localhost": "this machine (RFC 6761)",
    "localhost4": "this machine, as some systems' hosts files call it",
    "localhost6": "this machine, as some systems' hosts files call it",
    "localdomain": "this machine or its network, as hosts files call it",
    "localdomain4": "this machine, as some systems' hosts files call it",
    "localdomain6": "this machine, as some systems' hosts files call it",
    "ip6-localhost": "this machine, as Debian's hosts file calls it",
    "ip6-loopback": "this machine, as Debian's hosts file calls it",
    "loopback": "this machine, as some systems' hosts files call it",
    "broadcasthost": "the broadcast address, as macOS's hosts file calls it",
    "internal": "private use (ICANN 2024); clouds keep their metadata services there",
    "local": "multicast DNS (RFC 6762), and the default of Kubernetes clusters",
    "lan": "made up by home routers for their own network",
    "home": "made up by home routers; never delegated (ICANN name collisions)",
    "corp": "used inside companies; never delegated (ICANN name collisions)",
    "mail": "used inside companies; never delegated (ICANN name collisions)",
    "intranet": "used inside companies (RFC 6762, appendix G)",
    "private": "used inside companies (RFC 6762, appendix G)",
    "svc": "services of a Kubernetes cluster",
    "consul": "services that Consul knows",
    "arpa": "infrastructure of DNS; home.arpa is the home network (RFC 8375)",
}

# Last labels that no DNS answers. `example`, `invalid` and `test` are not among them: they may be registered like any
# name that does not resolve yet, and the check at connect time decides.
UNREACHABLE_ENDINGS: dict[str, str] = {
    "onion": "reachable through Tor only (RFC 7686)",
    "exit": "reachable through Tor only",
    "i2p": "reachable through I2P only",
    "alt": "not a DNS name (RFC 9476)",
}

# Underscores are no part of a host name by the book, but stand in names that are in public use.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# Every delegated top-level domain looks so. It also keeps out whatever inet_aton might take for a number, because
# such a name ends in a label that starts with a digit (127.1, 0x7f.1, 1.2.3.0x4, 2130706433).
_ENDING = re.compile(r"[a-z]{2,63}|xn--[a-z0-9-]{0,58}[a-z0-9]")


class InvalidName(ValueError):
    """The text is not a full DNS name. The sentence says why, for operators."""


def canonical_name(host: str) -> str:
    """The name in lower case, in ASCII, without the dot of the root. Raises InvalidName.

    Labels in other scripts become punycode (UTS 46, then IDNA 2008); labels that are punycode already must be the
    one spelling of a valid label. What is judged later is this text, and this text is what is stored and connected to.
    """
    host = host.removesuffix(".")
    _check_length(host)
    name = host.lower() if host.isascii() else _from_unicode(host)
    _check_length(name)
    if _NAME.fullmatch(name) is None:
        raise InvalidName(_flaw(name))
    if "xn--" in name:
        _check_punycode(name)
    return name


def require_public_shape(name: str) -> None:
    """Raise InvalidName unless a canonical name could be found in the public DNS."""
    head, _, ending = name.rpartition(".")
    if not head:
        raise InvalidName("numeric host" if ending[0].isdigit() else "name of a single label")
    reason = UNREACHABLE_ENDINGS.get(ending)
    if reason:
        raise InvalidName(f".{ending}: {reason}")
    if _ENDING.fullmatch(ending) is None:
        raise InvalidName("numeric host" if ending[0].isdigit() else f"no top-level domain looks like {ending}")


def internal_reason(name: str) -> str:
    """Why a canonical name stands for this machine or an internal network; empty when it does not."""
    ending = name.rpartition(".")[2]
    reason = INTERNAL_ENDINGS.get(ending, "")
    return reason and f".{ending}: {reason}"


def _check_length(name: str) -> None:
    if len(name) > MAX_NAME:
        raise InvalidName("name longer than 253 characters")


def _flaw(name: str) -> str:
    labels = name.split(".")
    if "" in labels:
        return "empty label"
    if any(len(label) > MAX_LABEL for label in labels):
        return "label longer than 63 characters"
    if any(label.startswith("-") or label.endswith("-") for label in labels):
        return "label starts or ends with a hyphen"
    return "character that no host name holds"


def _from_unicode(host: str) -> str:
    for character in host:
        if not character.isascii():
            _check_character(character)
    return ".".join([_to_ascii_label(label) for label in host.split(".")])


def _check_character(character: str) -> None:
    """Refuse what is or turns into an ASCII digit, dot or delimiter: circled one, ideographic full stop, `℀` (a/c).

    Numbers of other scripts are refused with them: some resolvers read them as the digits they stand for.
    """
    if unicodedata.category(character) in {"Nd", "No"}:
        raise InvalidName("non-ASCII digit")
    # UTS 46 maps the ideographic full stop to a dot; NFKC leaves it, and maps its half-width form to it.
    turned = unicodedata.normalize("NFKC", character).replace("\u3002", ".")
    if any(part.isascii() and not part.isalpha() for part in turned):
        raise InvalidName("character that stands for an ASCII digit, dot or delimiter")


def _to_ascii_label(label: str) -> str:
    if label.isascii():
        return label.lower()
    # Before IDNA looks at it, because its checks cost more the longer a label is.
    if len(label) > MAX_LABEL:
        raise InvalidName("label longer than 63 characters")
    try:
        return idna.alabel(idna.uts46_remap(label)).decode("ascii")
    except UnicodeError as error:
        raise InvalidName(f"not an international name: {error}") from None


def _check_punycode(name: str) -> None:
    for label in name.split("."):
        if label.startswith("xn--"):
            try:
                idna.ulabel(label)
            except UnicodeError as error:
                raise InvalidName(f"not punycode of a valid label: {error}") from None


class OwnHosts:
    """The hosts that the platform itself answers on, so that nobody has it call itself.

    Takes Django's ALLOWED_HOSTS as it is: `.signet.example` stands for the name and all beneath it, addresses of IPv6
    may wear brackets, and `*`, which names no host, is passed over. Raises InvalidName for what is not a host.
    """

    __slots__ = ("_beneath", "_exact")

    def __init__(self, hosts: Iterable[str]) -> None:
        named = [host for host in hosts if host != "*"]
        self._exact = frozenset(_own_name(host.removeprefix(".")) for host in named)
        self._beneath = tuple("." + _own_name(host[1:]) for host in named if host.startswith("."))

    def __contains__(self, host: str) -> bool:
        return host in self._exact or host.endswith(self._beneath)


def _own_name(host: str) -> str:
    """The spelling that targets have: a canonical name, or an address as `ipaddress` writes it."""
    is_bracketed = host.startswith("[") and host.endswith("]")
    try:
        if ":" in host:
            return str(unwrap(IPv6Address(host[1:-1] if is_bracketed else host)))
        return canonical_name(host)
    except ValueError as error:
        raise InvalidName(f"own host {host!r}: {error}") from None
