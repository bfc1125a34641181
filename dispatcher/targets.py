"""Where a delivery goes: the only parser of URLs, so that what is judged is what is connected to."""

import re
import unicodedata
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from dispatcher.addresses import Address, AddressRules, Network, unwrap
from dispatcher.names import InvalidName, OwnHosts, canonical_name, internal_reason, require_public_shape
from dispatcher.outcomes import Reason
from dispatcher.ports import MAX_PORT, SERVICE_PORTS

MAX_URL = 2_048
# Characters, of the text that comes in and of the text that is stored. Part of the API's contract.

DEFAULT_PORTS = {"https": 443, "http": 80}

SENTENCES = {
    Reason.INVALID_URL: "The URL must be a full https:// URL of a public host, without user name or fragment.",
    Reason.BLOCKED_ADDRESS: "The URL leads to an address that deliveries are not sent to.",
}
# One for each code, and nothing else reaches merchants: details would tell them how networks behind us look.

# C0 controls, space, DEL; the backslash, which some parsers take for a slash.
_NEVER = re.compile(r"[\x00-\x20\x7f\\]")
# Controls, invisible characters (bidi overrides, zero-width, soft hyphen), every kind of space, lone surrogates.
_NEVER_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_AUTHORITY_END = re.compile(r"[/?]")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+")

_PATH_CHARACTERS = r"A-Za-z0-9\-._~!$&'()*+,;=:@/"  # RFC 3986, pchar and the slash
_NEEDS_CARE = re.compile(rf"[^?{_PATH_CHARACTERS}]|/\.")
_TO_ENCODE = re.compile(rf"%[0-9A-Fa-f]{{2}}|[^{_PATH_CHARACTERS}]")
_TO_ENCODE_IN_QUERY = re.compile(rf"%[0-9A-Fa-f]{{2}}|[^?{_PATH_CHARACTERS}]")


class InvalidUrl(ValueError):
    """A URL that nothing is sent to.

    `code` is Reason.BLOCKED_ADDRESS for an address, or a name that stands for one, that the rules refuse, and
    Reason.INVALID_URL for everything else. The text is the constant sentence of the code, fit for merchants. `why` is
    the precise reason, for operators and tests only.
    """

    def __init__(self, code: Reason, why: str) -> None:
        super().__init__(code, why)
        self.code = code
        self.why = why

    def __str__(self) -> str:
        return SENTENCES[self.code]


@dataclass(frozen=True, slots=True)
class TargetRules:
    """What the operator allows. `own_hosts` may be Django's ALLOWED_HOSTS: `.signet.example` covers all beneath it."""

    allow_http: bool = False
    own_hosts: frozenset[str] = frozenset()
    allowed_networks: tuple[Network, ...] = ()
    addresses: AddressRules = field(init=False, repr=False, compare=False)
    own: OwnHosts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "addresses", AddressRules(self.allowed_networks))
        object.__setattr__(self, "own", OwnHosts(self.own_hosts))


@dataclass(frozen=True, slots=True)
class Target:
    """One place to POST to, in parts. `url` is rebuilt from them; the text that was parsed is not kept.

    `host` is lower-case ASCII (punycode; IPv6 without brackets, in its shortest form), `path` is path and query as
    they go on the wire, `address` is set when the host is a literal.
    """

    scheme: str
    host: str
    port: int
    path: str
    address: Address | None = None
    # The value of the Host header: the default port of the scheme is left out.
    authority: str = field(init=False, repr=False, compare=False)
    # Kept, and not made at each use: a request asks for it several times.
    url: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        host = f"[{self.host}]" if ":" in self.host else self.host
        authority = host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"
        object.__setattr__(self, "authority", authority)
        object.__setattr__(self, "url", f"{self.scheme}://{authority}{self.path}")


def parse_target(url: str, *, rules: TargetRules) -> Target:
    """Take a URL apart and judge every part. Raises InvalidUrl.

    1. Refuse characters that parsers disagree about, wherever they stand.
    2. Cut scheme, host, port and path; only forms that all parsers cut alike pass.
    3. Bring each part to its one spelling, then judge that spelling, which is the one that is stored.

    Names are judged as text only: what they resolve to is judged at connect time, each time.
    """
    _check_characters(url)
    scheme, authority, path = _split(url)
    if scheme != "https" and not (scheme == "http" and rules.allow_http):
        raise _invalid(f"scheme {scheme}")
    host, port = _split_authority(authority)
    address = _literal(host)
    name = _judge_name(host, rules) if address is None else _judge_address(address, rules)
    target = Target(scheme, name, _judge_port(port, scheme), _canonical_path(path), address)
    if len(target.url) > MAX_URL:
        raise _invalid("longer than 2048 characters once encoded")
    return target


def _invalid(why: str) -> InvalidUrl:
    return InvalidUrl(Reason.INVALID_URL, why)


def _blocked(why: str) -> InvalidUrl:
    return InvalidUrl(Reason.BLOCKED_ADDRESS, why)


def _check_characters(url: str) -> None:
    if len(url) > MAX_URL:
        raise _invalid("longer than 2048 characters")
    if _NEVER.search(url):
        raise _invalid("backslash" if "\\" in url else "control character or space")
    if not url.isascii() and any(unicodedata.category(character) in _NEVER_CATEGORIES for character in url):
        raise _invalid("control character or space")
    # A fragment is never sent, so who writes one expects something else to happen; and `#@` is an old trick.
    if "#" in url:
        raise _invalid("fragment")


def _split(url: str) -> tuple[str, str, str]:
    """Scheme in lower case, authority, path with query."""
    head = _SCHEME.match(url)
    if head is None:
        raise _invalid("not an absolute URL")
    end = _AUTHORITY_END.search(url, head.end())
    cut = end.start() if end else len(url)
    return head[1].lower(), url[head.end() : cut], url[cut:]


def _split_authority(authority: str) -> tuple[str, str]:
    """Host (IPv6 in its brackets) and port text, empty when the URL names none."""
    if "@" in authority:
        raise _invalid("userinfo")
    if "%" in authority:
        raise _invalid("percent sign in the host")
    host, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        host, port = authority, ""
    elif _PORT.fullmatch(port) is None:
        raise _invalid("port is not a plain number")
    if not host:
        raise _invalid("no host")
    return host, port


def _literal(host: str) -> Address | None:
    """The address that the host spells, None for a name. An IPv4-mapped address is the IPv4 address it stands for."""
    if host[0] == "[":
        return unwrap(_ipv6(host))
    if "[" in host or "]" in host or ":" in host:
        raise _invalid("brackets or colons that do not hold an IPv6 address")
    plain = host.removesuffix(".")
    if _IPV4.fullmatch(plain) is None:
        return None
    try:
        return IPv4Address(plain)
    except AddressValueError:
        raise _invalid("numeric host") from None


def _ipv6(host: str) -> IPv6Address:
    inner = host[1:-1]
    if host[-1] != "]" or _IPV6.fullmatch(inner) is None:
        raise _invalid("brackets or colons that do not hold an IPv6 address")
    try:
        return IPv6Address(inner)
    except AddressValueError:
        raise _invalid("brackets or colons that do not hold an IPv6 address") from None


def _judge_address(address: Address, rules: TargetRules) -> str:
    text = str(address)
    reason = rules.addresses.refusal(address)
    if reason:
        raise _blocked(reason)
    # The operator's own networks come first: in development the platform and the receivers share 127.0.0.1.
    if text in rules.own and not rules.addresses.is_exempt(address):
        raise _blocked("own host")
    return text


def _judge_name(host: str, rules: TargetRules) -> str:
    try:
        name = canonical_name(host)
    except InvalidName as error:
        raise _invalid(str(error)) from None
    reason = internal_reason(name)
    if reason:
        raise _blocked(reason)
    if name in rules.own:
        raise _blocked("own host")
    try:
        require_public_shape(name)
    except InvalidName as error:
        raise _invalid(str(error)) from None
    return name


def _judge_port(text: str, scheme: str) -> int:
    if not text:
        return DEFAULT_PORTS[scheme]
    port = int(text)
    if port > MAX_PORT:
        raise _invalid("port above 65535")
    reason = SERVICE_PORTS.get(port)
    if reason:
        raise _invalid(f"port {port}: {reason}")
    return port


def _canonical_path(text: str) -> str:
    """Path and query in the one spelling that every HTTP library sends as it is.

    Dot segments are resolved, characters outside RFC 3986 are percent-encoded as UTF-8, hex digits are upper case.
    Both clients would do some of that by themselves, each its own way.
    """
    if not text.startswith("/"):
        text = "/" + text
    if _NEEDS_CARE.search(text) is None:
        return text
    path, mark, query = text.partition("?")
    return _resolve_dots(_TO_ENCODE.sub(_encode, path)) + mark + _TO_ENCODE_IN_QUERY.sub(_encode, query)


def _encode(found: re.Match[str]) -> str:
    text = found[0]
    if len(text) == 3:
        return text.upper()
    return "".join([f"%{byte:02X}" for byte in text.encode()])


def _resolve_dots(path: str) -> str:
    """RFC 3986, section 5.2.4; an encoded dot is a dot, as in WHATWG URL and curl."""
    kept: list[str] = []
    segment = ""  # the last one, once the loop is over: a path that ends in dots ends in a slash
    for written in path.split("/")[1:]:
        segment = written.replace("%2E", ".") if len(written) <= len("%2E%2E") else written
        if segment == "..":
            kept[-1:] = []
        elif segment != ".":
            kept.append(written)
    if segment in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)
