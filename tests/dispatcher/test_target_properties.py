"""What holds for every URL: no denied address comes out, and what was stored reads the same to everybody."""

# ruff: noqa: RUF001 - characters that look like others are what is tested here

import string
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

from hypothesis import example, given, settings
from hypothesis import strategies as st
from urllib3.util import parse_url

from dispatcher.addresses import AddressRules
from dispatcher.names import INTERNAL_ENDINGS
from dispatcher.ports import SERVICE_PORTS
from dispatcher.targets import InvalidUrl, Target, TargetRules, parse_target
from tests.dispatcher.judging import HTTP, LOCAL, OWN, STRICT

TRICKY = (
    string.ascii_letters + string.digits + "....////::::[]@@%%??##\\-_~!$&'()*+,;= \t\r\n\x00\"<>^`{|}"
    "\u3002\uff0e\uff61\u2024\u2025\u2026\u2100\u212a\u017f\uff11\uff0f\uff20\uff1a\uff3b\u2460\u00b2\u0661\u00ad\u200b\u200d\ufe0f\u0308üßЖא例"
)
words = st.sampled_from(
    [
        *(
            "https://",
            "http://",
            "HTTPS:",
            "//",
            "127.0.0.1",
            "localhost",
            "10.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "8.8.8.8",
        ),
        *(
            "0x7f",
            "0177",
            "2130706433",
            "shop.example.com",
            "bücher.de",
            "xn--bcher-kva",
            ".internal",
            "@",
            ":443",
            ":22",
        ),
        *("/", "/../", "/%2e%2e/", "%2f", "?", "#", "\\", "．", "。", "１２７", "[", "]", "%25eth0", "v1.", "."),
    ]
)
soup = st.lists(words | st.text(TRICKY, max_size=6) | st.text(max_size=4), max_size=9).map("".join)
SCRIPTS = ["abcxyzABC", "üßéàñçÜ", "жщяЖ", "אבג", "例え日本", "ｆａｘ", "กขค"]
ascii_label = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,20}[a-zA-Z0-9])?", fullmatch=True)
label = ascii_label | st.sampled_from(SCRIPTS).flatmap(lambda script: st.text(script, min_size=1, max_size=8))
ending = st.sampled_from(["com", "de", "РФ", "co.uk", "shop", "com.", "xn--p1ai"])
name = st.builds("{}.{}".format, st.lists(label, min_size=1, max_size=4).map(".".join), ending)
four = st.ip_addresses(v=4) | st.ip_addresses(v=4, network="127.0.0.0/8") | st.ip_addresses(v=4, network="64.0.0.0/3")
six = st.ip_addresses(v=6) | st.ip_addresses(v=6, network="2000::/3") | st.ip_addresses(v=6, network="::ffff:0:0/96")
literal = four.map(str) | six.map("[{}]".format)
port = st.just("") | st.integers(1, 65_535).map(":{}".format)
SENT_IN_PATHS = st.characters(exclude_characters="#\\", exclude_categories=["Cc", "Cf", "Cs", "Zs", "Zl", "Zp"])
piece = st.text(SENT_IN_PATHS, max_size=8) | st.sampled_from(
    ["..", ".", "%2e", "%2E.", "%c3%bc", "%", "?", "", "a=[1]"]
)
path = st.just("") | st.lists(piece, max_size=6).map("/".join).map("/{}".format)
shaped = st.builds("https://{}{}{}".format, name | literal, port, path)
urls = soup | soup.map("https://{}".format) | shaped
many = settings(max_examples=400)
every_rule = st.sampled_from([STRICT, HTTP, LOCAL, OWN])


def try_parse(url: str, rules: TargetRules) -> Target | None:
    try:
        return parse_target(url, rules=rules)
    except InvalidUrl:
        return None


@many
@given(urls, every_rule)
@example("https://[::ffff:8.8.8.8]:8443", STRICT)
@example("https://a.com/%2E%2e/..%2f", STRICT)
def test_nothing_but_a_refusal_is_ever_raised_and_no_denied_address_comes_out(url: str, rules: TargetRules) -> None:
    target = try_parse(url, rules)
    if target is None:
        return
    assert target.scheme == "https" or (target.scheme == "http" and rules.allow_http)
    assert target.port not in SERVICE_PORTS
    if target.address is not None:
        assert target.host == str(target.address)
        assert AddressRules(rules.allowed_networks).allows(target.address)
    else:
        assert "." in target.host
        assert target.host.rpartition(".")[2][0] in string.ascii_lowercase
        assert target.host.rpartition(".")[2] not in INTERNAL_ENDINGS


@many
@given(shaped, every_rule)
def test_parsing_what_was_stored_changes_nothing(url: str, rules: TargetRules) -> None:
    target = try_parse(url, rules)
    if target is None:
        return
    assert parse_target(target.url, rules=rules) == target
    assert parse_target(target.url, rules=rules).url == target.url


@many
@given(shaped, every_rule)
def test_other_parsers_read_what_was_stored_as_we_do(url: str, rules: TargetRules) -> None:
    target = try_parse(url, rules)
    if target is None:
        return
    standard, third = urlsplit(target.url), parse_url(target.url)
    ours = (target.scheme, target.host, target.port)
    default = 443 if target.scheme == "https" else 80
    assert (standard.scheme, standard.hostname, standard.port or default) == ours
    assert (third.scheme, (third.host or "").strip("[]"), third.port or default) == ours
    assert third.request_uri == target.path
    assert target.url.isascii()
    assert target.url.isprintable()
    assert " " not in target.url


@given(st.ip_addresses(), st.sampled_from([STRICT, LOCAL]))
def test_a_literal_is_taken_exactly_when_its_address_is_allowed(
    address: IPv4Address | IPv6Address, rules: TargetRules
) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    target = try_parse(f"https://{host}/", rules)
    assert (target is not None) is AddressRules(rules.allowed_networks).allows(address)
