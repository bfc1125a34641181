"""Denied addresses in every disguise: whatever curl, requests or the C library would make of a text, we send nothing.

libcurl is asked which host it reads, and stopped before it opens a socket; no name is ever looked up.
"""

# ruff: noqa: RUF001 - characters that look like others are what is tested here

import re
import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import unquote, urlsplit

import pycurl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from requests import PreparedRequest
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from dispatcher.addresses import DENIED, Address, AddressRules
from dispatcher.ports import SERVICE_PORTS
from dispatcher.targets import InvalidUrl, Target, parse_target
from tests.dispatcher.judging import BLOCKED, INVALID, OWN, STRICT, parse

MARKER = ip_address("198.51.100.77")
# Where every host leads libcurl in these tests.
PUBLIC = AddressRules()
many = settings(max_examples=500)


def curl_goes_to(url: str) -> Address | None:
    """The address behind the host that libcurl reads, MARKER for a name; None when it takes the URL for none."""
    seen: list[bytes] = []
    handle = pycurl.Curl()
    try:
        for option, value in (
            (pycurl.RESOLVE, [f"*:{port}:{MARKER}" for port in (80, 443, 8443)]),
            (pycurl.OPENSOCKETFUNCTION, lambda *_: pycurl.SOCKET_BAD),
            (pycurl.PROXY, ""),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.VERBOSE, 1),
            (pycurl.DEBUGFUNCTION, lambda _kind, text: seen.append(text)),
            (pycurl.URL, url.encode("utf-8", "surrogatepass")),
        ):
            handle.setopt(option, value)
        handle.perform()
    except (pycurl.error, ValueError):
        pass
    finally:
        handle.close()
    found = re.search(rb"Hostname (.*) was found in DNS cache", b"".join(seen))
    return (numeric(found[1].decode(errors="replace")) or MARKER) if found else None


def numeric(host: str | None) -> Address | None:
    """What the C library reads without asking anybody: octal, hexadecimal, short and single-number forms."""
    if not host:
        return None
    with suppress(OSError, UnicodeError, ValueError):
        rows = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return ip_address(str(rows[0][4][0]).partition("%")[0])
    return None


def standard_library_goes_to(url: str) -> Address | None:
    with suppress(ValueError):
        host = urlsplit(url).hostname
        return numeric(host) or numeric(unquote(host or ""))
    return None


def requests_goes_to(url: str) -> Address | None:
    prepared = PreparedRequest()
    with suppress(ValueError, HTTPError):
        # requests raises its own errors, which are ValueErrors, and lets some of urllib3's through.
        prepared.prepare_url(url, None)
        return numeric(parse_url(prepared.url or "").host)
    return None


READERS = (curl_goes_to, standard_library_goes_to, requests_goes_to)


def try_parse(url: str) -> Target | None:
    with suppress(InvalidUrl):
        return parse_target(url, rules=STRICT)
    return None


# --- disguises ---------------------------------------------------------------------------------------------------

fours = [ip_network(text) for text, _ in DENIED if "." in text]
sixes = [ip_network(text) for text, _ in DENIED if ":" in text]
denied_four = st.sampled_from(fours).flatmap(lambda network: st.ip_addresses(v=4, network=network))
denied_six = st.sampled_from(sixes).flatmap(lambda network: st.ip_addresses(v=6, network=network))
any_four = denied_four | st.ip_addresses(v=4)

FULL_WIDTH = str.maketrans("0123456789abcdefx.", "０１２３４５６７８９ａｂｃｄｅｆｘ．")
ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
MATHEMATICAL = str.maketrans("0123456789", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗")
CIRCLED = str.maketrans("123456789", "①②③④⑤⑥⑦⑧⑨")
DOTS = ["。", "．", "｡", "․", "%2e", "%2E", ".."]


@st.composite
def spelled_four(draw: st.DrawFn) -> str:
    """An IPv4 address as inet_aton takes it: one to four parts, each in a base of its own."""
    address = draw(any_four)
    octets, number = list(address.packed), int(address)
    parts = draw(
        st.sampled_from([[number], [octets[0], number & 0xFFFFFF], [*octets[:2], number & 0xFFFF], octets, octets])
    )
    forms = ("{}", "{}", "0{:o}", "0x{:x}", "0X{:X}", "00{:o}", "0x0000{:x}", "0{}")
    return ".".join([draw(st.sampled_from(forms)).format(part) for part in parts])


@st.composite
def disguised_four(draw: st.DrawFn) -> str:
    host = draw(spelled_four())
    match draw(st.integers(0, 9)):
        case 0:
            return host.translate(draw(st.sampled_from([FULL_WIDTH, ARABIC, MATHEMATICAL, CIRCLED])))
        case 1:
            return host.replace(".", draw(st.sampled_from(DOTS)))
        case 2:
            at = draw(st.integers(0, len(host) - 1))
            return f"{host[:at]}%{ord(host[at]):02x}{host[at + 1 :]}"
        case 3:
            return host + draw(st.sampled_from([".", "..", "%2e", "。"]))
        case 4:
            at = draw(st.integers(0, len(host)))
            return host[:at] + draw(st.sampled_from(["\t", "\n", "\r", "\u00ad", "\u200b", " ", "\0"])) + host[at:]
        case _:
            return host


@st.composite
def disguised_six(draw: st.DrawFn) -> str:
    """Denied addresses of IPv6, and IPv4 addresses inside of them; each with zeros, capitals and dots at will."""
    four = int(draw(any_four))
    address = draw(
        denied_six
        | st.sampled_from(
            [
                IPv6Address(four),
                IPv6Address(0xFFFF << 32 | four),
                IPv6Address(0xFFFF << 48 | four),
                IPv6Address(0x64FF9B << 96 | four),
                IPv6Address(0x64FF9B0001 << 80 | four),
                IPv6Address(0x2002 << 112 | four << 80),
                IPv6Address(0x20010000 << 96 | four ^ 0xFFFFFFFF),
                IPv6Address(0xFE80 << 112 | 0x5EFE << 32 | four),
            ]
        )
    )
    text = draw(st.sampled_from([str(address), address.exploded, address.exploded.upper()]))
    if draw(st.booleans()):
        text = ":".join(address.exploded.split(":")[:6]) + f":{IPv4Address(int(address) & 0xFFFFFFFF)}"
    zone = draw(st.sampled_from(["", "", "", "%25eth0", "%eth0", "%251"]))
    return draw(st.sampled_from(["[{}]", "[{}]", "[{}].", "[{}", "{}", "[v6.{}]"])).format(text + zone)


WRAPPED = [
    "https://{}/",
    "https://{}:8443/in?x=1",
    "HTTPS://{}",
    "https:{}/",
    "https:/{}/",
    "https:///{}/",
    "https:\\\\{}\\",
    "//{}/",
    "https://shop.example.com@{}/",
    "https://a:b@{}/",
    "https://shop.example.com:443@{}/",
    "https://shop.example.com%2f@{}/",
    "https://{}#@shop.example.com/",
    "https://{}#.shop.example.com/",
    "https://{}\\@shop.example.com/",
    "https://{}\\.shop.example.com/",
    "https://shop.example.com\\@{}/",
    "https://{}?@shop.example.com/",
    "https://{};@shop.example.com/",
    "https://{}%00.shop.example.com/",
    "https://{}%09/",
    "https://\t{}/",
    " https://{}/",
    "ht\ntps://{}/",
    "url:https://{}/",
    "https://{}:443:8443/",
    "https://{}:/",
    "https://{}:0443/",
    "https://[{}]/",
]
disguised = st.builds(
    lambda form, host: form.format(host), st.sampled_from(WRAPPED), disguised_four() | disguised_six()
)


@many
@given(disguised)
@example("https://0x7f.1/")
@example("https://127.0.0.1\\@shop.example.com/")
@example("https://shop.example.com@169.254.169.254/")
@example("https://[::ffff:169.254.169.254]/")
@example("https://１２７．０．０．１/")
@example("https://4294967297/")
def test_a_text_that_leads_anybody_to_a_denied_address_is_refused(url: str) -> None:
    leads_to = [address for reader in READERS if (address := reader(url)) is not None and address != MARKER]
    if not all(PUBLIC.allows(address) for address in leads_to):
        assert try_parse(url) is None


@many
@given(disguised)
def test_what_is_taken_of_a_disguise_is_allowed_and_every_client_goes_there(url: str) -> None:
    target = try_parse(url)
    if target is None:
        return
    if target.address is None:
        assert curl_goes_to(target.url) == MARKER
        assert numeric(target.host) is None
        assert standard_library_goes_to(target.url) is None
        return
    assert PUBLIC.allows(target.address)
    assert {reader(target.url) for reader in READERS} == {target.address}


@pytest.mark.parametrize(
    "url",
    [
        "https://8.8.8.8/",
        "https://[2606:4700::1111]:8443/x",
        "https://[::ffff:8.8.8.8]/",
        "https://8.8.8.8./",
    ],
)
def test_a_plain_public_address_is_taken_as_everybody_takes_it(url: str) -> None:
    target = parse(url)
    assert {reader(target.url) for reader in READERS} == {target.address}


# --- corners of the table, as URLs --------------------------------------------------------------------------------

CORNERS = sorted(
    {str(network[index]) for network in (*fours, *sixes) for index in (0, min(1, network.num_addresses - 1), -1)}
)


def bracketed(text: str) -> str:
    return f"[{text}]" if ":" in text else text


@pytest.mark.parametrize("text", CORNERS)
def test_no_corner_of_a_denied_range_is_taken_in_a_url(text: str) -> None:
    codes = {BLOCKED}
    for url in (f"https://{bracketed(text)}/", f"https://{bracketed(text)}:8443/in", f"https://{bracketed(text)}?x"):
        with pytest.raises(InvalidUrl) as caught:
            parse(url)
        assert caught.value.code in codes


@pytest.mark.parametrize("text", [corner for corner in CORNERS if "." in corner and ":" not in corner])
def test_no_corner_of_a_denied_range_is_taken_in_another_spelling(text: str) -> None:
    address = IPv4Address(text)
    octets = [int(octet) for octet in address.packed]
    spellings = [
        str(int(address)),
        hex(int(address)),
        f"0{int(address):o}",
        ".".join(hex(octet) for octet in octets),
        ".".join(f"0{octet:o}" for octet in octets),
        f"{octets[0]}.{int(address) & 0xFFFFFF}",
        f"{octets[0]}.{octets[1]}.{int(address) & 0xFFFF}",
        str(int(address) + 2**32),
        f"[::ffff:{text}]",
        f"[::ffff:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}]",
        f"[::{text}]",
        f"[::ffff:0:{text}]",
        f"[64:ff9b::{text}]",
        f"[2002:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}::1]",
        f"[2001:0:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}::1]",
        f"[fe80::5efe:{text}]",
        f"[::ffff:{text}%25eth0]",
        f"{text}.",
        f"{text}%00",
        f"{text}。",
    ]
    for host in spellings:
        with pytest.raises(InvalidUrl) as caught:
            parse(f"https://{host}/")
        assert caught.value.code in {BLOCKED, INVALID}, host


# --- names -------------------------------------------------------------------------------------------------------

ENDINGS = ["localhost", "local", "internal", "localdomain", "svc", "lan", "home.arpa", "intranet"]
WIDE = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ａｂｃｄｅｆｇｈｉｊｋｌｍｎｏｐｑｒｓｔｕｖｗｘｙｚ")
CASES = (str.lower, str.upper, str.title, lambda text: text.translate(WIDE), lambda text: f"{text}.")
label = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).filter(lambda text: not text.startswith("xn"))


@given(st.lists(label, max_size=3), st.sampled_from(ENDINGS), st.sampled_from(CASES), st.sampled_from(["", ":8443"]))
def test_no_name_beneath_an_internal_ending_is_taken(before: list[str], ending: str, turn: Any, port: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        parse(f"https://{turn('.'.join([*before, ending]))}{port}/")
    assert caught.value.code is BLOCKED


@given(st.sampled_from(["api.signet.io", "signet.dev", "x.signet.dev", "bücher.de"]), st.sampled_from(CASES))
def test_no_spelling_of_an_own_host_is_taken(host: str, turn: Any) -> None:
    with pytest.raises(InvalidUrl) as caught:
        parse(f"https://{turn(host)}/", OWN)
    assert caught.value.code is BLOCKED


@given(st.integers(0, 70_000))
def test_a_port_is_taken_exactly_when_it_is_one_and_no_service(port: int) -> None:
    is_taken = try_parse(f"https://shop.example.com:{port}/") is not None
    assert is_taken is (0 < port < 65_536 and port not in SERVICE_PORTS)
