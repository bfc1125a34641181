"""Every trick with a URL that we know of, each refused for the right reason."""

# ruff: noqa: RUF001 - characters that look like others are what is tested here

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dispatcher.addresses import AddressRules
from dispatcher.names import INTERNAL_ENDINGS, UNREACHABLE_ENDINGS, InvalidName, OwnHosts
from dispatcher.targets import TargetRules
from tests.dispatcher.judging import BLOCKED, INVALID, LOCAL, OWN, STRICT, parse, refused

# --- what is refused as not being a URL of ours -------------------------------------------------------------------

CHARACTERS = "control character or space"
NOT_ABSOLUTE = "not an absolute URL"
NUMERIC = "numeric host"
BRACKETS = "brackets or colons that do not hold an IPv6 address"
STANDS_FOR = "character that stands for an ASCII digit, dot or delimiter"
STRANGE = "character that no host name holds"
PORT = "port is not a plain number"

MALFORMED = [
    ("", NOT_ABSOLUTE),
    ("shop.example.com", NOT_ABSOLUTE),
    ("//shop.example.com/", NOT_ABSOLUTE),
    ("/in", NOT_ABSOLUTE),
    ("https:", NOT_ABSOLUTE),
    ("https:/shop.example.com", NOT_ABSOLUTE),
    ("https:shop.example.com", NOT_ABSOLUTE),
    ("://shop.example.com", NOT_ABSOLUTE),
    ("1https://shop.example.com", NOT_ABSOLUTE),
    ("http\u017f://shop.example.com", NOT_ABSOLUTE),
    ("url:https://shop.example.com/", NOT_ABSOLUTE),
    ("javascript:alert(1)", NOT_ABSOLUTE),
    ("data:text/plain,hi", NOT_ABSOLUTE),
    ("https://", "no host"),
    ("https:///shop.example.com", "no host"),
    ("https://?x", "no host"),
    ("https://:443/", "no host"),
    ("ftp://shop.example.com/", "scheme ftp"),
    ("file:///etc/passwd", "scheme file"),
    ("gopher://shop.example.com:8443/_x", "scheme gopher"),
    ("dict://shop.example.com/", "scheme dict"),
    ("ws://shop.example.com/", "scheme ws"),
    ("httpss://shop.example.com/", "scheme httpss"),
    # Characters that parsers disagree about.
    (" https://shop.example.com/", CHARACTERS),
    ("https://shop.example.com/ ", CHARACTERS),
    ("https://shop.example.com/a b", CHARACTERS),
    ("https://shop.example.com\t/", CHARACTERS),
    ("https://shop.example.com/\r\nHost: evil", CHARACTERS),
    ("https://shop.example.com/\x00", CHARACTERS),
    ("https://shop.example.com\x7f/", CHARACTERS),
    ("https://shop.example.com/\x85", CHARACTERS),
    ("https://shop.example.com/\xa0", CHARACTERS),
    ("https://shop.example.com/\u2028", CHARACTERS),
    ("https://shop.example.com/\u3000", CHARACTERS),
    ("https://shop.example.com/\u202etxt", CHARACTERS),
    ("https://shop.exam\u00adple.com/", CHARACTERS),
    ("https://shop\u200b.example.com/", CHARACTERS),
    ("\ufeffhttps://shop.example.com/", CHARACTERS),
    ("https://shop.example.com/\ud800", CHARACTERS),
    ("https://shop.example.com\\@10.0.0.1/", "backslash"),
    ("https:\\\\shop.example.com/", "backslash"),
    ("https://shop.example.com/a\\b", "backslash"),
    ("https://shop.example.com/#x", "fragment"),
    ("https://shop.example.com/#", "fragment"),
    ("https://shop.example.com#@10.0.0.1/", "fragment"),
    # Userinfo.
    ("https://user@shop.example.com/", "userinfo"),
    ("https://user:pass@shop.example.com/", "userinfo"),
    ("https://@shop.example.com/", "userinfo"),
    ("https://shop.example.com@10.0.0.1/", "userinfo"),
    ("https://shop.example.com:443@10.0.0.1/", "userinfo"),
    ("https://a@b@shop.example.com/", "userinfo"),
    # Percent signs and stand-ins in the host.
    ("https://shop%2eexample.com/", "percent sign in the host"),
    ("https://%31%32%37.0.0.1/", "percent sign in the host"),
    ("https://shop.example.com%00.evil.com/", "percent sign in the host"),
    ("https://shop.example.com%2f@evil.com/", "userinfo"),
    ("https://１２７.0.0.1/", "non-ASCII digit"),
    ("https://127.0.0.１/", "non-ASCII digit"),
    ("https://①②⑦.0.0.1/", "non-ASCII digit"),
    ("https://¹²⁷.0.0.1/", "non-ASCII digit"),
    ("https://١٢٧.0.0.1/", "non-ASCII digit"),
    ("https://𝟏𝟐𝟕.0.0.1/", "non-ASCII digit"),
    ("https://㏠.example.com/", STANDS_FOR),
    ("https://127。0。0。1/", STANDS_FOR),
    ("https://shop．example．com/", STANDS_FOR),
    ("https://shop｡example.com/", STANDS_FOR),
    ("https://shop․example.com/", STANDS_FOR),
    ("https://shop…example.com/", STANDS_FOR),
    ("https://shop.example.c℀.evil.com/", STANDS_FOR),
    ("https://shop.example.com／evil.com/", STANDS_FOR),
    ("https://shop.example.com＠evil.com/", STANDS_FOR),
    ("https://shop.example.com：8443/", STANDS_FOR),
    ("https://shop.example.com？x/", STANDS_FOR),
    ("https://shop.example.com＃x/", STANDS_FOR),
    ("https://％31.example.com/", STANDS_FOR),
    ("https://［::1］/", PORT),
    ("https://［2606］/", STANDS_FOR),
    ("https://shop\u2260.example.com/", "not an international name"),
    ("https://❤.example.com/", "not an international name"),
    ("https://\ufe0f.example.com/", "not an international name"),
    ("https://\u0308a.example.com/", "not an international name"),
    ("https://-ü.example.com/", "not an international name"),
    ("https://aאb.example.com/", "not an international name"),
    ("https://" + "ü." * 126 + "com/", "name longer than 253 characters"),
    ("https://" + "ü." * 120 + "com/", "name longer than 253 characters"),
    ("https://" + "ü" * 64 + ".com/", "label longer than 63 characters"),
    ("https://" + "ü" * 60 + ".com/", "not an international name"),
    ("https://xn--.example.com/", "label starts or ends with a hyphen"),
    ("https://xn--a.example.com/", "not punycode of a valid label"),
    ("https://xn--localhost-.com/", "label starts or ends with a hyphen"),
    ("https://xn---bbk.example.com/", "not punycode of a valid label"),
    ("https://xn--i-7iq.example.com/", "not punycode of a valid label"),
    ("https://xn--99999999.example.com/", "not punycode of a valid label"),
    # Brackets.
    ("https://[::1/", BRACKETS),
    ("https://::1/", BRACKETS),
    ("https://::1]/", BRACKETS),
    ("https://[]/", BRACKETS),
    ("https://[shop.example.com]/", BRACKETS),
    ("https://[8.8.8.8]/", BRACKETS),
    ("https://[v1.fe80]/", BRACKETS),
    ("https://[v7.2606::1]:8443/", BRACKETS),
    ("https://[fe80::1%25eth0]/", "percent sign in the host"),
    ("https://[2606::1%eth0]/", "percent sign in the host"),
    ("https://[[2606::1]]/", BRACKETS),
    ("https://[2606::1][2606::1]/", BRACKETS),
    ("https://[2606::1].example.com/", PORT),
    ("https://a[2606::1]/", BRACKETS),
    ("https://shop.example.com[/", BRACKETS),
    ("https://[2606:::1]/", BRACKETS),
    ("https://[2606::1::]/", BRACKETS),
    ("https://[::ffff:8.8.8]/", BRACKETS),
    ("https://[::ffff:08.8.8.8]/", BRACKETS),
    ("https://[::ffff:0x8.8.8.8]/", BRACKETS),
    ("https://[02606::1]/", BRACKETS),
    ("https://2606:4700::1111/", BRACKETS),
    ("https://shop.example.com:80:443/", BRACKETS),
    # Ports.
    ("https://shop.example.com:/", PORT),
    ("https://shop.example.com:0/", PORT),
    ("https://shop.example.com:00443/", PORT),
    ("https://shop.example.com:+443/", PORT),
    ("https://shop.example.com:-1/", PORT),
    ("https://shop.example.com:0x1bb/", PORT),
    ("https://shop.example.com:４４３/", PORT),
    ("https://shop.example.com:443x/", PORT),
    ("https://shop.example.com:https/", PORT),
    ("https://shop.example.com:4294967739/", PORT),
    ("https://shop.example.com:65536/", "port above 65535"),
    ("https://shop.example.com:99999/", "port above 65535"),
    # Labels.
    ("https://shop..example.com/", "empty label"),
    ("https://.shop.example.com/", "empty label"),
    ("https://shop.example.com../", "empty label"),
    ("https://./", "empty label"),
    ("https://../", "empty label"),
    ("https://" + "a" * 64 + ".com/", "label longer than 63 characters"),
    ("https://" + ".".join(["a" * 49] * 5) + ".info/", "name longer than 253 characters"),
    ("https://-shop.example.com/", "label starts or ends with a hyphen"),
    ("https://shop-.example.com/", "label starts or ends with a hyphen"),
    ("https://shop,example.com/", STRANGE),
    ("https://shop;example.com/", STRANGE),
    ("https://shop*.example.com/", STRANGE),
    ("https://$(id).example.com/", STRANGE),
    ("https://shop.example.com&evil.com/", STRANGE),
    ("https://{a,b}.example.com/", STRANGE),
    ("https://shop.example.com!/", STRANGE),
    ("https://shop", "name of a single label"),
    ("https://shop./", "name of a single label"),
    ("https://com/", "name of a single label"),
    ("https://metadata/", "name of a single label"),
    ("https://deadbeef/", "name of a single label"),
    ("https://shop.c/", "no top-level domain looks like c"),
    ("https://shop.c-m/", "no top-level domain looks like c-m"),
    ("https://shop.c0m/", "no top-level domain looks like c0m"),
    ("https://shop._tcp/", "no top-level domain looks like _tcp"),
    ("https://abc.onion/", ".onion: reachable through Tor only (RFC 7686)"),
    ("https://abc.onion./", ".onion: reachable through Tor only (RFC 7686)"),
    ("https://abc.i2p/", ".i2p: reachable through I2P only"),
    ("https://abc.alt/", ".alt: not a DNS name (RFC 9476)"),
]


@pytest.mark.parametrize(("url", "why"), MALFORMED, ids=lambda text: ascii(text)[:60])
def test_a_malformed_url_is_refused_for_the_right_reason(url: str, why: str) -> None:
    code, told = refused(url)
    assert code == INVALID
    # What the IDNA library has to say follows after a colon; its words are its own.
    assert why in (told, told.partition(":")[0])


NUMERIC_HOSTS = [
    *(
        "0",
        "1",
        "127",
        "2130706433",
        "4294967295",
        "134744072",
        "017700000001",
        "0x7f000001",
        "0X7F000001",
        "0x",
        "0xg",
    ),
    *("127.1", "127.0.1", "1.2.3", "8.8", "8.8.2056", "0x7f.1", "0177.1", "0.0", "127.0x1"),
    *("0177.0.0.1", "0x7f.0.0.1", "0x7f.0x0.0x0.0x1", "127.0.0.01", "127.0.0.0x1", "127.000.000.001", "08.8.8.8"),
    *("8.8.8.08", "256.0.0.1", "8.8.8.256", "999.999.999.999", "127.0.0.1.5", "1.2.3.4.5", "0.0.0.0.0", "8.8.8.8.8"),
    *("00000000177.0.0.1", "127.0.0.000000001", "0x0000007f.0.0.1", "shop.example.1", "shop.example.0x7f", "shop.1a"),
]


@pytest.mark.parametrize("host", NUMERIC_HOSTS)
@pytest.mark.parametrize("tail", ["", ".", ":8443", ".:8443"])
def test_numbers_that_some_parser_takes_for_an_address_are_refused(host: str, tail: str) -> None:
    assert refused(f"https://{host}{tail}/") == (INVALID, NUMERIC)
    assert refused(f"https://{host}{tail}/", LOCAL) == (INVALID, NUMERIC)


@given(st.ip_addresses(v=4), st.data())
def test_only_the_plain_spelling_of_an_ipv4_address_is_taken(address: IPv4Address, data: st.DataObject) -> None:
    number, octets = int(address), list(address.packed)
    tails = {1: [number], 2: [octets[0], number & 0xFFFFFF], 3: [*octets[:2], number & 0xFFFF], 4: octets}
    parts = tails[data.draw(st.integers(1, 4))]
    forms = ("{}", "0{:o}", "0x{:x}", "0X{:X}", "00{}", "0x0{:x}")
    host = ".".join([data.draw(st.sampled_from(forms)).format(part) for part in parts])
    assume(host != str(address))
    assert refused(f"https://{host}/") == (INVALID, NUMERIC)


# --- what is refused as leading somewhere it must not --------------------------------------------------------------

LITERALS = [
    *("0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "168.63.129.16"),
    *("172.16.0.1", "192.0.0.192", "192.168.1.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "255.255.255.255"),
    *("[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]", "[::7f00:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
    *("[0:0:0:0:0:FFFF:127.0.0.1]", "[::ffff:169.254.169.254]", "[::ffff:0:127.0.0.1]", "[64:ff9b::10.0.0.1]"),
    *(
        "[64:ff9b::8.8.8.8]",
        "[2002:7f00:1::]",
        "[2001::1]",
        "[2001:db8::1]",
        "[3fff::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
    ),
    *("[fe80::1]", "[fec0::1]", "[ff02::1]", "[5f00::1]", "[4000::1]"),
]


@pytest.mark.parametrize("host", LITERALS)
def test_a_literal_inside_a_denied_range_is_blocked(host: str) -> None:
    reason = AddressRules().refusal(ip_address(host.strip("[]")))
    assert reason != ""
    assert refused(f"https://{host}/") == (BLOCKED, reason)
    assert refused(f"https://{host}:8443/x?y") == (BLOCKED, reason)


@pytest.mark.parametrize("host", ["10.0.0.1", "127.0.0.1", "169.254.169.254"])
def test_a_trailing_dot_does_not_help_a_literal(host: str) -> None:
    assert refused(f"https://{host}./") == refused(f"https://{host}/")
    assert refused(f"https://{host}../") == (INVALID, "empty label")


INTERNAL_NAMES = [
    ("localhost", "localhost"),
    ("LOCALHOST", "localhost"),
    ("ｌｏｃａｌｈｏｓｔ", "localhost"),
    ("ⓛocalhost", "localhost"),
    ("localho\u017ft", "localhost"),
    ("a.localhost", "localhost"),
    ("a.b.LocalHost", "localhost"),
    ("localhost.localdomain", "localdomain"),
    ("localhost4.localdomain4", "localdomain4"),
    ("localhost6", "localhost6"),
    ("localhost6.localdomain6", "localdomain6"),
    ("ip6-localhost", "ip6-localhost"),
    ("ip6-loopback", "ip6-loopback"),
    ("broadcasthost", "broadcasthost"),
    ("metadata.google.internal", "internal"),
    ("host.docker.internal", "internal"),
    ("ip-10-0-0-1.ec2.internal", "internal"),
    ("internal", "internal"),
    ("printer.local", "local"),
    ("kubernetes.default.svc", "svc"),
    ("kubernetes.default.svc.cluster.local", "local"),
    ("router.lan", "lan"),
    ("router.home", "home"),
    ("router.home.arpa", "arpa"),
    ("1.0.0.127.in-addr.arpa", "arpa"),
    ("wiki.corp", "corp"),
    ("wiki.intranet", "intranet"),
    ("postgres.service.consul", "consul"),
]


@pytest.mark.parametrize(("host", "ending"), INTERNAL_NAMES)
@pytest.mark.parametrize("rules", [STRICT, LOCAL], ids=["strict", "local"])
def test_a_name_that_stands_for_an_internal_network_is_blocked(host: str, ending: str, rules: TargetRules) -> None:
    wanted = (BLOCKED, f".{ending}: {INTERNAL_ENDINGS[ending]}")
    assert refused(f"https://{host}/", rules) == wanted
    assert refused(f"https://{host}./", rules) == wanted
    assert refused(f"https://{host}:8443/", rules) == wanted


def test_tables_of_endings_are_in_the_spelling_that_is_looked_up() -> None:
    endings = [*INTERNAL_ENDINGS, *UNREACHABLE_ENDINGS]
    assert [ending for ending in endings if ending != ending.lower() or "." in ending] == []
    assert len(endings) == len(set(endings))


@pytest.mark.parametrize(
    "host",
    [
        *("api.signet.io", "API.Signet.IO", "api.signet.io.", "ａｐｉ.signet.io"),
        *("signet.dev", "a.signet.dev", "a.b.signet.dev."),
        *("bücher.de", "xn--bcher-kva.de", "BÜCHER.DE."),
        *("203.0.114.7", "203.0.114.7.", "[::ffff:203.0.114.7]", "[2606:4700::1]", "[2606:4700:0:0::0001]"),
    ],
)
def test_own_hosts_are_blocked_in_every_spelling(host: str) -> None:
    assert refused(f"https://{host}/", OWN) == (BLOCKED, "own host")
    assert refused(f"https://{host}:8443/", OWN) == (BLOCKED, "own host")


@pytest.mark.parametrize("host", ["signet.io", "www.signet.io", "xapi.signet.io", "notsignet.dev", "203.0.114.8"])
def test_hosts_beside_our_own_are_taken(host: str) -> None:
    assert parse(f"https://{host}/", OWN).host == host


def test_a_network_of_the_operator_wins_over_own_hosts() -> None:
    assert parse("https://127.0.0.1:9100/", OWN).host == "127.0.0.1"


def test_a_single_label_may_be_an_own_host() -> None:
    rules = TargetRules(own_hosts=frozenset({"testserver"}))
    assert refused("https://testserver/", rules) == (BLOCKED, "own host")


@pytest.mark.parametrize("host", ["", ".", "signet.io:8000", "https://signet.io", "a b", "[::1", "::1]:80"])
def test_what_is_no_host_is_refused_as_an_own_host(host: str) -> None:
    with pytest.raises(InvalidName, match=r"^own host "):
        OwnHosts([host])


def test_no_own_hosts_block_nothing() -> None:
    assert "signet.io" not in OwnHosts([])
    assert "signet.io" not in OwnHosts(["*"])
    with pytest.raises(InvalidName):
        OwnHosts(["*.signet.io"])
