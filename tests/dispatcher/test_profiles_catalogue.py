"""Every profile against known answers and against what its vendor's receivers expect."""

import base64
import hashlib
import hmac
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import gocardless_pro.webhooks  # type: ignore[import-untyped]
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dispatcher.ack import ANY_SUCCESS, BodyStartsWith
from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.engine import Message, ProviderKey, Secret
from dispatcher.profiles.model import ProfileError, RenderError, Retry
from dispatcher.profiles.secrets import generate
from dispatcher.retry import DEFAULT_SCHEDULE
from tests.dispatcher.profile_samples import BASE64, BODY, KEY, MESSAGE, NOW, TARGET, TEXT, WHSEC, headers, raw, render

OLD = Secret("old_secret", NOW + timedelta(hours=1))


def mac(secret: str | bytes, message: bytes, digest: str = "sha256") -> bytes:
    return hmac.digest(secret.encode() if isinstance(secret, str) else secret, message, digest)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("profile", "secret", "header", "expected"),
    [
        ("paysafe", BASE64, "Signature", "7w82jRFddW0WbaBbHPUAItFGSwiSnmafG2TZISyhBMI="),
        (
            "default",
            TEXT,
            "X-Webhook-Signature",
            "3804068b5fade8e0fbce98daa87e044195e236497f6c82503d876f66d8807aac",
        ),
        ("paisr", TEXT, "X-Paisr-Signature", "3804068b5fade8e0fbce98daa87e044195e236497f6c82503d876f66d8807aac"),
        ("standard", WHSEC, "webhook-signature", "v1,LBR17f+DwUMmUBJyBq65neOSff/IQZxonb6l0AMBVV8="),
        (
            "stripe",
            WHSEC,
            "Stripe-Signature",
            "t=1700000000,v1=916e096e43bc34cb80eba74ca8c3583ed299703c6cfe8b88017dd829cc26dae5",
        ),
        (
            "slack",
            TEXT,
            "X-Slack-Signature",
            "v0=8d2adaef266551c97e6f0fc294c53694194a90578c5ab4ee53cf59d071a43803",
        ),
    ],
)
def test_known_answers_over_the_sample_body(profile: str, secret: str, header: str, expected: str) -> None:
    assert len(BODY) == 42
    assert headers(render(raw(profile), secret))[header] == expected


def test_the_answer_that_the_authors_of_standard_webhooks_publish() -> None:
    message = MESSAGE._replace(
        event_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        payload=b'{"test": 2432232314}',
        now=datetime.fromtimestamp(1_614_265_330, UTC),
    )
    for profile in (raw("standard"), PROFILES["default"]):
        sent = headers(render(profile, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", message=message))
        assert sent["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_every_profile_names_its_source_and_itself() -> None:
    assert {name: profile.name for name, profile in PROFILES.items()} == {name: name for name in PROFILES}
    assert all(profile.source for profile in PROFILES.values())


@pytest.mark.parametrize("profile", [name for name, profile in PROFILES.items() if profile.key_form != "none"])
def test_a_generated_secret_renders_with_its_profile(profile: str, rsa_pem: str) -> None:
    message = MESSAGE._replace(payload=b'{"id":"1","amount":"1.10"}')
    rendered = render(
        profile, generate(PROFILES[profile]), message=message, provider_keys=(ProviderKey("rsa", rsa_pem),)
    )
    assert rendered.body
    assert rendered.body == rendered.body.strip()


# --- Bodies as published, one header ---------------------------------------------------------------------------------

RAW_PROFILES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "github": (
        {"X-Hub-Signature-256": lambda key: "sha256=" + mac(key, BODY).hex()},
        {"X-GitHub-Event": "invoice.paid", "X-GitHub-Delivery": "msg_1"},
    ),
    "shopify": (
        {"X-Shopify-Hmac-Sha256": lambda key: b64(mac(key, BODY))},
        {
            "X-Shopify-Topic": "invoice.paid",
            "X-Shopify-Webhook-Id": "del_1",
            "X-Shopify-Event-Id": "msg_1",
            "X-Shopify-Triggered-At": "2023-11-14T22:00:00.123000Z",
        },
    ),
    "slack": (
        {"X-Slack-Signature": lambda key: "v0=" + mac(key, b"v0:1700000000:" + BODY).hex()},
        {"X-Slack-Request-Timestamp": "1700000000"},
    ),
    "square": (
        {"x-square-hmacsha256-signature": lambda key: b64(mac(key, TARGET.url.encode() + BODY))},
        {},
    ),
    "gocardless": ({"Webhook-Signature": lambda key: mac(key, BODY).hex()}, {}),
    "mollie": ({"X-Mollie-Signature": lambda key: "sha256=" + mac(key, BODY).hex()}, {}),
    "paysera-checkout": (
        {"X-Paysera-Signature": lambda key: mac(key, BODY).hex()},
        {
            "X-Paysera-Signature-Alg": "HMAC-SHA256",
            "X-Paysera-Created-At": "1699999200",
            "X-Paysera-Request-Id": "del_1",
            "X-Paysera-Callback-Id": "msg_1",
        },
    ),
}


@pytest.mark.parametrize("profile", RAW_PROFILES)
def test_single_value_profiles_send_exactly_their_headers(profile: str) -> None:
    signatures, others = RAW_PROFILES[profile]
    rendered = render(profile, TEXT, OLD)
    sent = headers(rendered)
    assert sent.pop("Content-Type") == "application/json"
    assert sent.pop("User-Agent").startswith("Signet/")
    expected = dict(others)
    for name, sign in signatures.items():
        expected |= {name: sign(TEXT), f"{name}-Previous": sign("old_secret")}
    assert sent == expected
    assert (rendered.body, rendered.is_body_payload) == (BODY, True)


def test_adyen_s_key_is_hexadecimal_and_its_signature_base64() -> None:
    sent = headers(render("adyen-platform", KEY.hex().upper()))
    assert sent["HmacSignature"] == b64(mac(KEY, BODY))


def test_paddle_signs_with_every_live_secret_in_one_header() -> None:
    signed = b"1700000000:" + BODY
    assert headers(render("paddle", TEXT, OLD))["Paddle-Signature"] == (
        f"ts=1700000000;h1={mac(TEXT, signed).hex()};h1={mac('old_secret', signed).hex()}"
    )


# --- Envelopes -------------------------------------------------------------------------------------------------------

ODD = b'{"id" : "inv_1",  "amount":1.10, "links":[{"rel":"self"}], "t":"{timestamp}"}'


def test_the_standard_envelope_keeps_the_payload_s_bytes() -> None:
    rendered = render("standard", WHSEC, message=MESSAGE._replace(payload=ODD))
    assert rendered.body == (b'{"type":"invoice.paid","timestamp":"2023-11-14T22:00:00.123000Z","data":' + ODD + b"}")
    assert not rendered.is_body_payload
    sent = headers(rendered)
    assert sent["webhook-signature"] == "v1," + b64(mac(KEY, b"msg_1.1700000000." + rendered.body))
    assert not any("Previous" in name for name in sent)


def test_stripe_s_envelope_and_its_list_of_signatures() -> None:
    rendered = render("stripe", WHSEC, OLD)
    assert rendered.body == (
        b'{"id":"msg_1","object":"event","created":1699999200,"data":{"object":' + BODY + b'},"livemode":true,'
        b'"type":"invoice.paid"}'
    )
    signed = b"1700000000." + rendered.body
    assert headers(rendered)["Stripe-Signature"] == (
        f"t=1700000000,v1={mac(WHSEC, signed).hex()},v1={mac('old_secret', signed).hex()}"
    )
    assert json.loads(render("stripe", message=MESSAGE._replace(mode="test")).body)["livemode"] is False


def test_gocardless_s_library_reads_the_events_of_a_payload_in_its_shape() -> None:
    payload = b'{"events": [{"id": "EV1"}, {"id": "EV2"}], "meta": {"webhook_id": "WB1"}}'
    rendered = render("gocardless", TEXT, message=MESSAGE._replace(payload=payload))
    assert rendered.body == payload
    parsed = gocardless_pro.webhooks.parse_with_meta(rendered.body, TEXT, headers(rendered)["Webhook-Signature"])
    assert ([event.id for event in parsed.events], parsed.webhook_id) == (["EV1", "EV2"], "WB1")


def test_the_bodies_of_all_attempts_are_the_same_where_the_profile_does_not_say_otherwise() -> None:
    retry = MESSAGE._replace(attempt=9, now=NOW + timedelta(days=1))
    changing = [
        name
        for name, profile in PROFILES.items()
        if profile.key_form != "none"
        and profile.body.kind != "b64url_form"
        and render(name).body != render(name, message=retry).body
    ]
    assert changing == ["paysafe"]


def test_paysafe_s_envelope_and_signature() -> None:
    rendered = render("paysafe", BASE64, message=MESSAGE._replace(payload=ODD, mode="test"))
    assert rendered.body == (
        b'{"payload":' + ODD + b',"eventType":"invoice.paid","eventName":"invoice.paid","attemptNumber":"3",'
        b'"resourceId":"inv_1","eventDate":"2023-11-14T22:00:00.123000Z","links":[{"rel":"self"}],"mode":"test"}'
    )
    assert headers(rendered)["Signature"] == b64(mac(KEY, rendered.body))


@pytest.mark.parametrize(
    ("payload", "present"),
    [
        (b'{"_links":{"a":1}}', {"links": {"a": 1}}),
        (b'{"links":1,"_links":2}', {"links": 1}),
        (b'{"id":null}', {"resourceId": None}),
        (b"{}", {}),
        (b"[1]", {}),
        (b"null", {}),
    ],
)
def test_paysafe_leaves_out_what_a_payload_does_not_have(payload: bytes, present: dict[str, Any]) -> None:
    body = json.loads(render("paysafe", message=MESSAGE._replace(payload=payload)).body)
    assert {name: body[name] for name in ("resourceId", "links") if name in body} == present


def test_the_gateway_names_changed_fields_only_when_there_are_any() -> None:
    plain = json.loads(render("gateway").body)
    assert plain == {"type": "invoice.paid", "timestamp": "2023-11-14T22:00:00.123000Z", "data": json.loads(BODY)}
    payload = b'{"dataType":"Object","changed":["name"]}'
    modified = json.loads(render("gateway", message=MESSAGE._replace(payload=payload)).body)
    assert (modified["dataType"], modified["changed"]) == ("Object", ["name"])


def test_cloudevents_are_structured_and_signed_as_standard() -> None:
    rendered = render("cloudevents", WHSEC)
    assert json.loads(rendered.body) == {
        "specversion": "1.0",
        "id": "msg_1",
        "source": "/merchants/m-42",
        "type": "invoice.paid",
        "time": "2023-11-14T22:00:00.123000Z",
        "datacontenttype": "application/json",
        "data": json.loads(BODY),
    }
    sent = headers(rendered)
    assert sent["Content-Type"] == "application/cloudevents+json; charset=utf-8"
    assert sent["webhook-signature"] == "v1," + b64(mac(KEY, b"msg_1.1700000000." + rendered.body))


# --- Paisr -----------------------------------------------------------------------------------------------------------


def test_paisr_sends_ids_only_under_its_own_name() -> None:
    payload = b'{"amount": 5, "id": "inv_123456"}'
    rendered = render("paisr", TEXT, message=MESSAGE._replace(payload=payload))
    assert rendered.body == BODY
    sent = headers(rendered)
    assert sent == {
        "Content-Type": "application/json",
        "User-Agent": "PCB Events",
        "X-Powered-By": "PAISR Technologies NV",
        "X-Paisr-Signature": mac(TEXT, BODY).hex(),
    }


def test_paisr_v2_signs_the_timestamp_too() -> None:
    sent = headers(render("paisr-v2", TEXT))
    assert sent["X-PCB-Timestamp"] == "1700000000"
    assert sent["X-PCB-Signature"] == mac(TEXT, b"1700000000." + BODY).hex()
    assert sent["User-Agent"] == "PCB Events"


def test_paisr_names_the_event_when_the_payload_has_no_id() -> None:
    assert render("paisr", message=MESSAGE._replace(payload=b"[]")).body == b'{"id":"msg_1","event":"invoice.paid"}'


def test_paisr_retries_ten_times() -> None:
    for name in ("paisr", "paisr-v2"):
        retry = PROFILES[name].retry
        assert retry.waits(DEFAULT_SCHEDULE) == (10, 40, 160, 640, 2560, 10_240, 28_800, 28_800, 28_800, 28_800)


@pytest.mark.parametrize(
    ("retry", "waits"),
    [
        (Retry(), (1, 2, 3)),
        (Retry(retries=0), ()),
        (Retry(retries=2), (1, 2)),
        (Retry(retries=3), (1, 2, 3)),
        (Retry(retries=5), (1, 2, 3, 3, 3)),
        (Retry(schedule=(7,), retries=5), (7,)),
        (Retry(schedule=()), ()),
    ],
)
def test_the_platforms_waits_are_cut_or_stretched_to_a_number_of_retries(retry: Retry, waits: tuple[int, ...]) -> None:
    assert retry.waits((1, 2, 3)) == retry.waits([1, 2, 3]) == waits
    assert Retry(retries=3).waits(()) == ()


# --- Asymmetric ------------------------------------------------------------------------------------------------------


def test_standard_ed25519_verifies_with_the_public_half() -> None:
    key = Ed25519PrivateKey.generate()
    seed, public = key.private_bytes_raw(), key.public_key()
    for secret in (seed, seed + public.public_bytes_raw()):
        rendered = render("standard-ed25519", "whsk_" + b64(secret))
        version, _, signature = headers(rendered)["webhook-signature"].partition(",")
        assert version == "v1a"
        public.verify(base64.b64decode(signature), b"msg_1.1700000000." + rendered.body)


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@pytest.fixture(scope="module")
def rsa_pem(rsa_key: rsa.RSAPrivateKey) -> str:
    return rsa_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture
def verify_by_openssl(rsa_key: rsa.RSAPrivateKey, tmp_path: Path) -> Callable[[str, bytes, bytes], bool]:
    """`openssl dgst -verify`, which shares no code with the signing side."""
    public = tmp_path / "public.pem"
    public.write_bytes(
        rsa_key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )

    def verify(digest: str, message: bytes, signature: bytes) -> bool:
        (tmp_path / "signature").write_bytes(signature)
        command = ["openssl", "dgst", f"-{digest}", "-verify", str(public), "-signature", str(tmp_path / "signature")]
        return subprocess.run(command, input=message, capture_output=True, check=False, timeout=10).returncode == 0

    return verify


PAYMENT: dict[str, Any] = {
    "type": "MK",
    "account": "EVP0123",
    "statement_id": "77",
    "credit": 1,
    "amount": "1.50",
    "currency": "EUR",
    "details": "Ačiū & co + more / ~",
    "payer_name": "",
    "payer_code": None,
    "created_at": 1_700_000_000,
}


def payment() -> Message:
    return MESSAGE._replace(payload=json.dumps(PAYMENT).encode())


def from_base64url(text: str) -> bytes:
    return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)


def test_paysera_posts_two_fields_that_its_receivers_can_read_and_verify(
    rsa_pem: str, verify_by_openssl: Callable[[str, bytes, bytes], bool]
) -> None:
    rendered = render("paysera", message=payment(), provider_keys=(ProviderKey("rsa", rsa_pem),))
    fields = parse_qsl(rendered.body.decode(), strict_parsing=True)
    assert [name for name, _ in fields] == ["data", "sign"]
    data, sign = dict(fields)["data"], dict(fields)["sign"]
    assert parse_qsl(from_base64url(data).decode()) == [
        ("type", "MK"),
        ("account", "EVP0123"),
        ("statement_id", "77"),
        ("credit", "1"),
        ("amount", "1.50"),
        ("currency", "EUR"),
        ("details", "Ačiū & co + more / ~"),
        ("created_at", "1700000000"),
    ]
    assert len(data) % 4 == 0
    assert verify_by_openssl("sha1", data.encode(), from_base64url(sign))
    assert not verify_by_openssl("sha1", data.encode() + b"x", from_base64url(sign))
    assert headers(rendered) == {
        "Content-Type": "application/x-www-form-urlencoded",
        "User-Agent": headers(rendered)["User-Agent"],
    }
    assert not rendered.is_body_payload


def test_paysera_checkout_classic_has_three_signatures(
    rsa_pem: str, verify_by_openssl: Callable[[str, bytes, bytes], bool]
) -> None:
    rendered = render("paysera-checkout-classic", TEXT, message=payment(), provider_keys=(ProviderKey("rsa", rsa_pem),))
    fields = dict(parse_qsl(rendered.body.decode(), strict_parsing=True))
    assert list(fields) == ["data", "ss1", "ss2", "ss3"]
    data = fields["data"].encode()
    assert fields["ss1"] == hashlib.md5(data + TEXT.encode()).hexdigest()
    assert verify_by_openssl("sha1", data, from_base64url(fields["ss2"]))
    assert verify_by_openssl("sha256", data, from_base64url(fields["ss3"]))


def test_a_form_field_carries_the_newest_signature_only(rsa_pem: str) -> None:
    keys = (ProviderKey("rsa", rsa_pem),)
    both = render("paysera-checkout-classic", TEXT, OLD, message=payment(), provider_keys=keys)
    assert both.body == render("paysera-checkout-classic", TEXT, message=payment(), provider_keys=keys).body


def test_a_profile_that_the_provider_signs_needs_its_key() -> None:
    with pytest.raises(ProfileError, match="paysera needs a key of the provider"):
        render("paysera")


@pytest.mark.parametrize("payload", [b"[]", b'"x"', b'{"a":{"b":1}}', b'{"a":[1]}', b"{"])
@pytest.mark.parametrize("profile", ["paysera-checkout-classic", "twilio"])
def test_a_form_of_a_payload_that_is_not_flat_is_refused(profile: str, payload: bytes, rsa_pem: str) -> None:
    with pytest.raises(RenderError, match=r"^The payload is no (JSON|flat) object"):
        render(profile, message=MESSAGE._replace(payload=payload), provider_keys=(ProviderKey("rsa", rsa_pem),))


def test_twilio_signs_url_and_sorted_parameters() -> None:
    message = MESSAGE._replace(payload='{"To":"+1","Body":"žalia","From":"+2","Empty":""}'.encode())
    rendered = render("twilio", TEXT, message=message)
    assert parse_qsl(rendered.body.decode(), keep_blank_values=True) == [
        ("To", "+1"),
        ("Body", "žalia"),
        ("From", "+2"),
        ("Empty", ""),
    ]
    signed = f"{TARGET.url}BodyžaliaEmptyFrom+2To+1".encode()
    assert headers(rendered)["X-Twilio-Signature"] == b64(mac(TEXT, signed, "sha1"))


# --- Acknowledgement and retry ---------------------------------------------------------------------------------------


def test_paysera_wants_ok_and_all_others_any_2xx() -> None:
    special = {name: profile.ack for name, profile in PROFILES.items() if profile.ack is not ANY_SUCCESS}
    assert special == {"paysera": BodyStartsWith("OK"), "paysera-checkout-classic": BodyStartsWith("OK")}


def test_paysera_checkout_retries_after_1_5_and_25_hours_and_stops_at_401() -> None:
    retry = PROFILES["paysera-checkout"].retry
    assert retry.schedule == (3600, 18_000, 90_000)
    assert retry.stop_statuses == {401}


def test_profiles_are_values() -> None:
    assert replace(PROFILES["stripe"]) == PROFILES["stripe"]
    assert len(set(PROFILES.values())) == len(PROFILES)
