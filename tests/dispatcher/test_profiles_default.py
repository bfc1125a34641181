"""The default profile, header by header, as the API's contract describes it."""

import hmac
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import pytest

from dispatcher.profiles.engine import Message, Rendered, Secret, prepare
from tests.dispatcher.profile_samples import BASE64, BODY, KEY, MESSAGE, NOW, TEXT, WHSEC, headers, render, wire

HEX_OF_TEXT = "3804068b5fade8e0fbce98daa87e044195e236497f6c82503d876f66d8807aac"
LIST_OF_WHSEC = "v1,LBR17f+DwUMmUBJyBq65neOSff/IQZxonb6l0AMBVV8="


def hex_hmac(secret: str, body: bytes = BODY) -> str:
    return hmac.digest(secret.encode(), body, "sha256").hex()


def test_body_and_headers_are_exactly_those_of_the_contract() -> None:
    rendered = render("default", WHSEC)
    assert rendered.body == BODY
    assert rendered.is_body_payload
    assert headers(rendered) == {
        "Content-Type": "application/json",
        "User-Agent": f"Signet/{version('signet-webhooks')}",
        "X-Webhook-Event": "invoice.paid",
        "X-Webhook-Id": "msg_1",
        "X-Webhook-Attempt": "3",
        "X-Webhook-Signature": hex_hmac(WHSEC),
        "webhook-id": "msg_1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": LIST_OF_WHSEC,
    }


def test_the_log_shows_the_headers_as_sent() -> None:
    rendered = render("default", WHSEC, headers=(("X-Shop", "50% off"),))
    assert rendered.log_headers.endswith("\r\n")
    assert dict(line.split(": ", 1) for line in rendered.log_headers.split("\r\n")[:-1]) == headers(rendered)


def test_the_known_answer_for_a_text_secret() -> None:
    sent = headers(render("default", TEXT))
    assert sent["X-Webhook-Signature"] == HEX_OF_TEXT
    signed = hmac.digest(TEXT.encode(), b"msg_1.1700000000." + BODY, "sha256")
    assert sent["webhook-signature"] == "v1," + b64encode(signed).decode()


def test_without_a_secret_nothing_is_signed_but_id_and_timestamp_are_sent() -> None:
    assert set(headers(render("default"))) == {
        *("Content-Type", "User-Agent", "X-Webhook-Event", "X-Webhook-Id", "X-Webhook-Attempt"),
        *("webhook-id", "webhook-timestamp"),
    }


def test_while_secrets_overlap_the_list_has_both_and_the_old_hex_has_its_own_header() -> None:
    sent = headers(render("default", Secret(TEXT), Secret(WHSEC, NOW + timedelta(hours=1))))
    assert sent["X-Webhook-Signature"] == HEX_OF_TEXT
    assert sent["X-Webhook-Signature-Previous"] == hex_hmac(WHSEC)
    new, old = sent["webhook-signature"].split(" ")
    assert old == LIST_OF_WHSEC
    assert new != old


def test_a_renderer_drops_a_secret_the_moment_it_expires() -> None:
    renderer = prepare(wire("default", Secret(TEXT), Secret(WHSEC, NOW + timedelta(seconds=10))))

    def sent_after(seconds: float) -> dict[str, str]:
        return headers(renderer(MESSAGE._replace(now=NOW + timedelta(seconds=seconds))))

    assert "X-Webhook-Signature-Previous" in sent_after(9.999)
    assert "X-Webhook-Signature-Previous" not in sent_after(10)
    assert " " not in sent_after(10)["webhook-signature"]
    assert sent_after(10) == headers(render("default", TEXT, message=MESSAGE._replace(now=NOW + timedelta(seconds=10))))
    # A clock that was set back finds the old secret live again.
    assert "X-Webhook-Signature-Previous" in sent_after(0)


def test_when_every_secret_has_expired_nothing_is_signed() -> None:
    sent = headers(render("default", Secret(TEXT, NOW)))
    assert not [name for name in sent if "signature" in name.lower()]


def test_with_many_live_secrets_the_single_header_names_the_newest_two() -> None:
    later = NOW + timedelta(hours=1)
    sent = headers(render("default", Secret("a"), *[Secret(text, later) for text in "bcdefghij"]))
    assert sent["X-Webhook-Signature"] == hex_hmac("a")
    assert sent["X-Webhook-Signature-Previous"] == hex_hmac("b")
    assert len(sent["webhook-signature"].split(" ")) == 10


@pytest.mark.parametrize("secret", ["x", "ключ", "k" * 65, "k" * 512, "whsec_not base64", BASE64])
def test_any_text_signs(secret: str) -> None:
    assert headers(render("default", secret))["X-Webhook-Signature"] == hex_hmac(secret)


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b' {"a" : 1.10}\n', b'{"t":"{timestamp} {body} {id} %s %%"}', b"\x00\xff", b"x" * 262_144],
)
def test_the_body_is_the_payload_byte_for_byte(payload: bytes) -> None:
    rendered = render("default", TEXT, message=MESSAGE._replace(payload=payload))
    assert rendered.body == payload
    assert headers(rendered)["X-Webhook-Signature"] == hex_hmac(TEXT, payload)


def test_placeholders_in_a_payload_or_an_id_are_not_looked_at_again() -> None:
    message = MESSAGE._replace(event_id="{body}{timestamp}", payload=b'{"at":"{timestamp}"}')
    sent = headers(render("default", WHSEC, message=message))
    assert sent["webhook-id"] == "{body}{timestamp}"
    signed = hmac.digest(KEY, b'{body}{timestamp}.1700000000.{"at":"{timestamp}"}', "sha256")
    assert b64decode(sent["webhook-signature"][3:]) == signed


@pytest.mark.parametrize(
    ("event_id", "sent_id"),
    [
        ("plain-id_1.2~3", "plain-id_1.2~3"),
        ("a b", "a b"),
        ("x\r\nX-Evil: 1", "x%0D%0AX-Evil:%201"),
        ("naïve", "na%C3%AFve"),
        ("100%\n", "100%25%0A"),
        (" lead", "%20lead"),
        ("trail ", "trail%20"),
        ("nul\0", "nul%00"),
    ],
)
def test_an_id_or_type_never_breaks_a_header_and_what_is_signed_is_what_is_sent(event_id: str, sent_id: str) -> None:
    message = MESSAGE._replace(event_id=event_id, event_type=event_id)
    sent = headers(render("default", WHSEC, message=message))
    assert sent["webhook-id"] == sent["X-Webhook-Id"] == sent["X-Webhook-Event"] == sent_id
    signed = hmac.digest(KEY, f"{sent_id}.1700000000.".encode() + BODY, "sha256")
    assert b64decode(sent["webhook-signature"][3:]) == signed


def test_attempts_share_the_id_and_differ_in_time_and_signature() -> None:
    renderer = prepare(wire("default", WHSEC))
    first = renderer(MESSAGE._replace(attempt=1))
    second = renderer(MESSAGE._replace(attempt=2, now=NOW + timedelta(seconds=10)))
    assert first.body == second.body
    changed = {name for name in headers(first) if headers(first)[name] != headers(second)[name]}
    assert changed == {"X-Webhook-Attempt", "webhook-timestamp", "webhook-signature"}


def test_a_fraction_of_a_second_is_cut_off() -> None:
    moment = datetime(2023, 11, 14, 22, 13, 20, 999_999, UTC)
    assert headers(render("default", message=MESSAGE._replace(now=moment)))["webhook-timestamp"] == "1700000000"


def test_the_shapes_that_others_build_and_read() -> None:
    assert Message._fields == (
        *("event_id", "event_type", "payload", "occurred_at", "account", "merchant", "delivery_id", "attempt"),
        *("now", "mode"),
    )
    assert Rendered._fields == ("headers", "body", "log_headers", "is_body_payload")
