"""Headers of an endpoint's own: which are reserved, what they may hold, and that credentials stay out of the log."""

from typing import Any

import pytest

from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.engine import Auth, ProviderKey, Secret, prepare
from dispatcher.profiles.headers import HeaderError, auth_header, check_header, is_reserved_header
from tests.dispatcher.profile_samples import TEXT, headers, render, wire


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "HOST", "Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Expect"),
        *("Content-Type", "Content-Length", "content-anything", "Proxy-Authorization", "Proxy-Connection"),
        *("User-Agent", "Authorization", "Cookie", "Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"),
        *("webhook-id", "Webhook-Signature", "X-Webhook-Anything", "x-amz-date", "X-Amz-Target", "X-Goog-Metadata"),
        *("Metadata-Flavor", "Metadata", "X-aws-ec2-metadata-token"),
        *("Stripe-Signature", "X-Hub-Signature-256", "Signature", "HmacSignature", "Paddle-Signature"),
        *("X-Paisr-Signature-Previous", "x-slack-signature", "X-Twilio-Signature"),
    ],
)
def test_reserved(name: str) -> None:
    assert is_reserved_header(name)
    assert is_reserved_header(name.lower())


@pytest.mark.parametrize(
    "name", ["X-Shop", "X-Api-Key", "Accept", "X-Request-Id", "Hostess", "Contents", "X-Signature", "traceparent"]
)
def test_not_reserved(name: str) -> None:
    assert not is_reserved_header(name)


def test_every_header_of_the_platform_s_own_profiles_is_reserved() -> None:
    for name in ("default", "standard", "cloudevents"):
        assert all(map(is_reserved_header, headers(render(name, TEXT if name == "default" else "whsec_AAAA"))))


def test_every_signature_header_is_reserved() -> None:
    names = [s.name for profile in PROFILES.values() for s in profile.signatures if s.place == "header"]
    assert names
    assert all(is_reserved_header(name) and is_reserved_header(f"{name}-Previous") for name in names)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Shop", "a value"),
        ("x", ""),
        ("!#$%&'*+-.^_`|~09azAZ", "x"),
        ("X-Latin", "prix réduit ÿ"),
        ("X-Long", "x" * 4096),
        ("X" * 128, "x"),
    ],
)
def test_what_a_header_may_be(name: str, value: str) -> None:
    check_header(name, value)


@pytest.mark.parametrize(
    "name", ["", " X", "X ", "X:", "X\r\n", "X-\n", "é", "X(1)", "a b", 'X"', "X" * 129, "X\0", "\u017f"]
)
def test_a_name_must_be_a_token(name: str) -> None:
    with pytest.raises(HeaderError, match="name consists of"):
        check_header(name, "value")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("a\r\nX-Evil: 1", "control characters"),
        ("a\n", "control characters"),
        ("a\r", "control characters"),
        ("a\0b", "control characters"),
        ("a\tb", "control characters"),
        ("a\x7fb", "control characters"),
        ("a\x85b", "control characters"),
        ("цена", "outside of ISO 8859-1"),
        ("\ud800", "outside of ISO 8859-1"),
        ("€", "outside of ISO 8859-1"),
        ("x" * 4097, "more than 4096 bytes"),
    ],
)
def test_a_value_must_be_able_to_travel_as_it_is(value: str, sentence: str) -> None:
    with pytest.raises(HeaderError, match=sentence) as caught:
        check_header("X-Shop", value)
    assert value not in str(caught.value)


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\0", "цена"])
def test_an_impossible_header_is_refused_before_anything_is_sent(value: str) -> None:
    with pytest.raises(HeaderError):
        prepare(wire("default", TEXT, headers=(("X-Shop", value),)))
    for auth in (Auth("bearer", secret=value), Auth("header", "X-Key", value)):
        with pytest.raises(HeaderError):
            prepare(wire("default", TEXT, auth=auth))


def test_own_headers_are_added_as_they_are() -> None:
    sent = headers(render("default", TEXT, headers=(("X-Shop", "1%2 {id} %s"), ("x-empty", ""))))
    assert sent["X-Shop"] == "1%2 {id} %s"
    assert sent["x-empty"] == ""
    without = headers(render("default", TEXT))
    assert {name: sent[name] for name in without} == without


@pytest.mark.parametrize(
    "name", ["Content-Type", "user-agent", "WEBHOOK-ID", "X-Webhook-Signature", "Host", "Authorization"]
)
def test_own_headers_never_override_reserved_ones(name: str) -> None:
    assert render("default", TEXT, headers=((name, "mine"),)) == render("default", TEXT)
    assert "mine" not in dict(render("default", headers=((name, "mine"),)).headers).values()


@pytest.mark.parametrize("name", ["x-github-event", "X-GitHub-Delivery", "X-Hub-Signature-256-Previous"])
def test_own_headers_never_override_the_profile_s(name: str) -> None:
    assert render("github", TEXT, headers=((name, "mine"),)) == render("github", TEXT)


def test_own_headers_never_override_the_credentials_header() -> None:
    auth = Auth("header", "X-Key", "secret")
    assert render("default", auth=auth, headers=(("x-key", "mine"),)) == render("default", auth=auth)


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        (Auth("basic", "user", "pass:word"), "Authorization", "Basic dXNlcjpwYXNzOndvcmQ="),
        (Auth("basic", "użytkownik", "hasło"), "Authorization", "Basic dcW8eXRrb3duaWs6aGFzxYJv"),
        (Auth("basic", "", ""), "Authorization", "Basic Og=="),
        (Auth("bearer", secret="token-1"), "Authorization", "Bearer token-1"),
        (Auth("header", "X-Api-Key", "token-1"), "X-Api-Key", "token-1"),
        (Auth("header", "Authorization", "Token t"), "Authorization", "Token t"),
    ],
)
def test_credentials_are_sent_but_masked_in_the_log(auth: Auth, name: str, value: str) -> None:
    rendered = render("default", TEXT, auth=auth)
    assert headers(rendered)[name] == value
    assert f"\r\n{name}: ••••\r\n" in rendered.log_headers
    assert value not in rendered.log_headers


def test_without_credentials_there_is_no_header() -> None:
    assert auth_header(Auth()) is None


@pytest.mark.parametrize(
    "auth",
    [
        Auth("basic", "us:er", "x"),
        Auth("basic", "user\n", "x"),
        Auth("basic", "user", "x\0"),
        Auth("header", "", "x"),
        Auth("header", "X Key", "x"),
        Auth("header", "Host", "x"),
        Auth("header", "webhook-signature", "x"),
        Auth("bearer", secret="x" * 4090),
    ],
)
def test_impossible_credentials_are_refused(auth: Auth) -> None:
    with pytest.raises(HeaderError):
        auth_header(auth)


@pytest.mark.parametrize(
    "value",
    [Auth("basic", "u", "hidden"), Secret("hidden"), wire("default", "hidden", auth=Auth("bearer", "", "hidden"))],
)
def test_settings_do_not_show_their_secrets(value: Any) -> None:
    assert "hidden" not in repr(value)
    assert "hidden" not in repr(wire("paysera", provider_keys=(ProviderKey("rsa", "hidden"),)))


def test_an_underscore_is_no_way_around_a_reserved_name() -> None:
    assert [is_reserved_header(name) for name in ("Content_Type", "X_Forwarded_For", "webhook_id", "X_Team")] == [
        True,
        True,
        True,
        False,
    ]
