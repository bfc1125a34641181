"""The parser of URLs: what it takes, how it spells it, and what it tells about what it refuses."""

# ruff: noqa: RUF001 - characters that look like others are what is tested here

import pickle
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from dispatcher.outcomes import Reason
from dispatcher.ports import SERVICE_PORTS
from dispatcher.targets import SENTENCES, InvalidUrl, Target, TargetRules
from tests.dispatcher.judging import BLOCKED, HTTP, INVALID, LOCAL, STRICT, parse, refused

# --- what is taken, and how it is spelled -------------------------------------------------------------------------

SPELLINGS = [
    ("https://shop.example.com", "https://shop.example.com/"),
    ("https://shop.example.com/", "https://shop.example.com/"),
    ("HTTPS://Shop.EXAMPLE.com/Path", "https://shop.example.com/Path"),
    ("https://shop.example.com./x", "https://shop.example.com/x"),
    ("https://shop.example.com:443/x", "https://shop.example.com/x"),
    ("https://shop.example.com:80/x", "https://shop.example.com:80/x"),
    ("https://shop.example.com:8443", "https://shop.example.com:8443/"),
    ("https://shop.example.com:65535/", "https://shop.example.com:65535/"),
    ("https://shop.example.com?a=1", "https://shop.example.com/?a=1"),
    ("https://shop.example.com/?", "https://shop.example.com/?"),
    ("https://shop.example.com?@evil.com/", "https://shop.example.com/?@evil.com/"),
    ("https://shop.example.com/@evil.com", "https://shop.example.com/@evil.com"),
    ("https://shop.example.com//evil.com", "https://shop.example.com//evil.com"),
    ("https://shop.example.com/https://10.0.0.1/", "https://shop.example.com/https://10.0.0.1/"),
    ("https://a-b.c_d.example.co/", "https://a-b.c_d.example.co/"),
    ("https://r3---sn.example.com/", "https://r3---sn.example.com/"),
    ("https://1.2.3.4.example.com/", "https://1.2.3.4.example.com/"),
    ("https://0x7f.example.com/", "https://0x7f.example.com/"),
    ("https://localhost.example.com/", "https://localhost.example.com/"),
    ("https://mylocalhost.com/", "https://mylocalhost.com/"),
    ("https://not-here.example/", "https://not-here.example/"),
    ("https://not-here.invalid/", "https://not-here.invalid/"),
    ("https://not-here.test/", "https://not-here.test/"),
    # Other scripts.
    ("https://bücher.de/", "https://xn--bcher-kva.de/"),
    ("https://BÜCHER.de/", "https://xn--bcher-kva.de/"),
    ("https://bu\u0308cher.de/", "https://xn--bcher-kva.de/"),
    ("https://xn--bcher-kva.de/", "https://xn--bcher-kva.de/"),
    ("https://XN--BCHER-KVA.de/", "https://xn--bcher-kva.de/"),
    ("https://faß.de/", "https://xn--fa-hia.de/"),
    ("https://例え.テスト/", "https://xn--r8jz45g.xn--zckzah/"),
    ("https://пример.рф:8443/", "https://xn--e1afmkfd.xn--p1ai:8443/"),
    ("https://bücher.r3---sn.my_shop.de/", "https://xn--bcher-kva.r3---sn.my_shop.de/"),
    ("https://ｓｈｏｐ.example.com/", "https://shop.example.com/"),
    ("https://\u212aelvin.com/", "https://kelvin.com/"),
    # Literals.
    ("https://8.8.8.8/x", "https://8.8.8.8/x"),
    ("https://8.8.8.8./x", "https://8.8.8.8/x"),
    ("https://8.8.8.8:8443/x", "https://8.8.8.8:8443/x"),
    ("https://[2606:4700::1111]/x", "https://[2606:4700::1111]/x"),
    ("https://[2606:4700:0:0:0:0:0:1111]:443/x", "https://[2606:4700::1111]/x"),
    ("https://[2606:4700::ABCD]:8443/x", "https://[2606:4700::abcd]:8443/x"),
    ("https://[2606:4700::8.8.8.8]/", "https://[2606:4700::808:808]/"),
    ("https://[::ffff:8.8.8.8]/", "https://8.8.8.8/"),
    ("https://[::FFFF:808:808]:8443/", "https://8.8.8.8:8443/"),
    # Paths and queries.
    ("https://a.com/ä", "https://a.com/%C3%A4"),
    ("https://a.com/😀?q=ü", "https://a.com/%F0%9F%98%80?q=%C3%BC"),
    ("https://a.com/%c3%a4%2f", "https://a.com/%C3%A4%2F"),
    ("https://a.com/100%", "https://a.com/100%25"),
    ("https://a.com/%zz%4", "https://a.com/%25zz%254"),
    ("https://a.com/?a[]=1&b={x}", "https://a.com/?a%5B%5D=1&b=%7Bx%7D"),
    ("https://a.com/\"<>^`|'", "https://a.com/%22%3C%3E%5E%60%7C'"),
    ("https://a.com/a?b?c=/../d", "https://a.com/a?b?c=/../d"),
    ("https://a.com/a/./b/../c", "https://a.com/a/c"),
    ("https://a.com/../../etc", "https://a.com/etc"),
    ("https://a.com/a/..", "https://a.com/"),
    ("https://a.com/a/b/.", "https://a.com/a/b/"),
    ("https://a.com/a/%2e%2E/.%2e/b", "https://a.com/b"),
    ("https://a.com/.well-known/x", "https://a.com/.well-known/x"),
    ("https://a.com/a/.../b..c/", "https://a.com/a/.../b..c/"),
    ("https://a.com/a//../b", "https://a.com/a/b"),
    ("https://a.com/%0d%0aHost:%20evil", "https://a.com/%0D%0AHost:%20evil"),
]


@pytest.mark.parametrize(("url", "stored"), SPELLINGS)
def test_a_url_is_stored_in_its_one_spelling(url: str, stored: str) -> None:
    assert parse(url).url == stored
    assert parse(stored) == parse(url)


def test_a_name_is_taken_apart_into_all_its_parts() -> None:
    target = parse("https://Shop.example.com:8443/in?x=1")
    assert target == Target("https", "shop.example.com", 8443, "/in?x=1", None)
    assert target.authority == "shop.example.com:8443"
    assert parse("https://shop.example.com").authority == "shop.example.com"


def test_a_literal_brings_its_address() -> None:
    assert parse("https://8.8.8.8/") == Target("https", "8.8.8.8", 443, "/", IPv4Address("8.8.8.8"))
    six = parse("https://[2606:4700::1]:8443/")
    assert six == Target("https", "2606:4700::1", 8443, "/", IPv6Address("2606:4700::1"))
    assert six.authority == "[2606:4700::1]:8443"
    assert parse("https://[::ffff:8.8.8.8]/").address == IPv4Address("8.8.8.8")


def test_http_is_taken_by_rule_only() -> None:
    assert refused("http://shop.example.com/") == (INVALID, "scheme http")
    assert parse("http://shop.example.com/", HTTP) == Target("http", "shop.example.com", 80, "/", None)
    assert parse("http://shop.example.com:443/", HTTP).url == "http://shop.example.com:443/"
    assert parse("http://shop.example.com:80/", HTTP).authority == "shop.example.com"


# --- networks that the operator allows -----------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_literal_in_an_allowed_network_is_taken(scheme: str, host: str) -> None:
    target = parse(f"{scheme}://{host}:45678/in", LOCAL)
    assert target.address == ip_address(target.host)
    assert target.url == f"{scheme}://{target.host}:45678/in"
    assert target.host in {"127.0.0.1", "127.8.9.10"}


def test_an_allowed_network_does_not_bring_http_or_service_ports_with_it() -> None:
    rules = TargetRules(allowed_networks=LOCAL.allowed_networks)
    assert refused("http://127.0.0.1:9100/", rules) == (INVALID, "scheme http")
    assert refused("http://127.0.0.1:6379/", LOCAL) == (INVALID, "port 6379: database or cache")


@pytest.mark.parametrize("host", ["10.0.0.1", "[::1]", "[::7f00:1]", "[64:ff9b::7f00:1]", "0.0.0.0"])
def test_an_allowed_network_allows_nothing_beside_it(host: str) -> None:
    assert refused(f"https://{host}/", LOCAL)[0] == BLOCKED


# --- ports -------------------------------------------------------------------------------------------------------

# WHATWG Fetch, "bad port", as of 2025; port 0 is refused before the table is asked.
BROWSERS_REFUSE = {
    *(1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109),
    *(110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530),
    *(531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190),
    *(5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080),
}
STORES_AND_CONTROL = {
    445,
    1433,
    1521,
    2375,
    2379,
    3306,
    3389,
    5432,
    5672,
    5900,
    6379,
    6443,
    9042,
    9092,
    9200,
    11211,
    27017,
}
WEB = {
    80,
    81,
    443,
    444,
    3000,
    4000,
    4430,
    4443,
    5000,
    7443,
    8000,
    8001,
    8008,
    8080,
    8081,
    8088,
    8443,
    8888,
    9000,
    9090,
    9100,
    9443,
}


def test_ports_that_browsers_refuse_and_stores_listen_on_are_refused() -> None:
    assert BROWSERS_REFUSE - SERVICE_PORTS.keys() == set()
    assert STORES_AND_CONTROL - SERVICE_PORTS.keys() == set()


def test_ports_of_the_web_and_ephemeral_ports_are_taken() -> None:
    assert WEB & SERVICE_PORTS.keys() == set()
    assert [port for port in SERVICE_PORTS if not 1 <= port < 32_768] == []


@pytest.mark.parametrize("port", sorted(SERVICE_PORTS))
def test_a_service_port_is_refused(port: int) -> None:
    assert refused(f"https://shop.example.com:{port}/") == (INVALID, f"port {port}: {SERVICE_PORTS[port]}")


@pytest.mark.parametrize("port", sorted({*WEB, 32_768, 45_678, 49_152, 60_999, 65_535}))
def test_other_ports_are_taken(port: int) -> None:
    assert parse(f"https://shop.example.com:{port}/").port == port


# --- length ------------------------------------------------------------------------------------------------------


def test_2048_characters_are_taken_and_one_more_is_not() -> None:
    start = "https://shop.example.com/"
    longest = start + "a" * (2048 - len(start))
    assert parse(longest).url == longest
    assert refused(longest + "a") == (INVALID, "longer than 2048 characters")


def test_what_grows_beyond_2048_characters_when_it_is_encoded_is_refused() -> None:
    start = "https://shop.example.com/"
    room = 2048 - len(start)
    fits = start + "ü" * (room // 6) + "a" * (room % 6)
    assert len(parse(fits).url) == 2048
    assert refused(fits + "a") == (INVALID, "longer than 2048 characters once encoded")


def test_a_name_of_253_characters_is_taken() -> None:
    name = ".".join(["a" * 61] * 4) + ".co" + "m" * 2
    assert len(name) == 252
    assert parse(f"https://{name}m/").host == name + "m"
    assert refused(f"https://{name}mm/") == (INVALID, "name longer than 253 characters")
    assert parse(f"https://{name}m./").host == name + "m"


def test_a_label_of_63_characters_is_taken() -> None:
    assert parse("https://" + "a" * 63 + ".com/").host == "a" * 63 + ".com"


# --- what merchants are told ---------------------------------------------------------------------------------------


def test_merchants_are_told_one_constant_sentence_per_code() -> None:
    told: dict[Reason, set[str]] = {}
    for url in (
        "https://10.0.0.1/",
        "https://localhost/",
        "https://x.internal/",
        "https://127.0.0.1:22/",
        "ftp://x/",
        "x",
    ):
        with pytest.raises(InvalidUrl) as caught:
            parse(url)
        told.setdefault(caught.value.code, set()).add(str(caught.value))
    assert told == {code: {sentence} for code, sentence in SENTENCES.items()}


def test_codes_are_the_words_of_the_contract() -> None:
    assert {str(code) for code in SENTENCES} == {"invalid_url", "blocked_address"}
    assert issubclass(InvalidUrl, ValueError)


def test_a_refusal_survives_the_way_between_processes() -> None:
    with pytest.raises(InvalidUrl) as caught:
        parse("https://10.0.0.1/")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.code, copy.why, str(copy)) == (caught.value.code, caught.value.why, str(caught.value))


def test_rules_are_equal_by_what_the_operator_wrote() -> None:
    assert TargetRules(own_hosts=frozenset({"a.io"})) == TargetRules(own_hosts=frozenset({"a.io"}))
    assert hash(TargetRules(allow_http=True)) == hash(HTTP)
    assert HTTP != STRICT
