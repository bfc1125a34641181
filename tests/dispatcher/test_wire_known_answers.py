"""Answers that the vendors publish, the known answers over whole formats, and the keys that Paysafe's plugins trim."""

import base64
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import standardwebhooks
import time_machine

from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.engine import prepare
from dispatcher.profiles.secrets import generate
from dispatcher.targets import Target
from tests.dispatcher.profile_samples import BASE64, BODY, MESSAGE, TEXT, WHSEC, headers, raw, render, wire

PUBLISHED = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SAMPLE_MAC = "3804068b5fade8e0fbce98daa87e044195e236497f6c82503d876f66d8807aac"
KEYS = 10_000
# Were the edges not looked at, one key in 21 would be trimmed: some 480 of these.
TRIMMED = bytes.fromhex("00090A0B0D20")


def test_github_s_published_answer() -> None:
    message = MESSAGE._replace(payload=b"Hello, World!")
    sent = headers(render("github", "It's a Secret to Everybody", message=message))
    assert sent["X-Hub-Signature-256"] == "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def test_slack_s_published_answer() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    message = MESSAGE._replace(payload=body, now=datetime.fromtimestamp(1_531_420_618, UTC))
    sent = headers(render("slack", "8f742231b10e8888abcd99yyyzzz85a5", message=message))
    assert sent["X-Slack-Request-Timestamp"] == "1531420618"
    assert sent["X-Slack-Signature"] == "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"


def test_twilio_s_published_answer() -> None:
    payload = (
        b'{"CallSid":"CA1234567890ABCDE","Digits":"1234","From":"+14158675309","To":"+18005551212",'
        b'"Caller":"+14158675309"}'
    )
    target = Target("https", "mycompany.com", 443, "/myapp.php?foo=1&bar=2")
    at_twilio = replace(wire("twilio", "12345"), target=target)
    sent = headers(prepare(at_twilio)(MESSAGE._replace(payload=payload)))
    assert sent["X-Twilio-Signature"] == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def test_the_authors_library_accepts_its_own_published_answer_from_us() -> None:
    message = MESSAGE._replace(
        event_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        payload=b'{"test": 2432232314}',
        now=datetime.fromtimestamp(1_614_265_330, UTC),
    )
    sent = headers(render(raw("standard"), PUBLISHED, message=message))
    assert sent["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    with time_machine.travel(1_614_265_330):
        standardwebhooks.Webhook(PUBLISHED).verify(message.payload, {k.lower(): v for k, v in sent.items()})


def test_paisr_s_known_answer_is_over_its_whole_thin_body() -> None:
    message = MESSAGE._replace(payload=b'{"amount":"1.10","id":"inv_123456"}')
    rendered = render("paisr", TEXT, message=message)
    assert (rendered.body, headers(rendered)["X-Paisr-Signature"]) == (BODY, SAMPLE_MAC)


@pytest.mark.parametrize(
    ("profile", "secret", "header", "expected"),
    [
        ("default", TEXT, "X-Webhook-Signature", SAMPLE_MAC),
        ("default", WHSEC, "webhook-signature", "v1,LBR17f+DwUMmUBJyBq65neOSff/IQZxonb6l0AMBVV8="),
        ("gocardless", TEXT, "Webhook-Signature", SAMPLE_MAC),
        ("github", TEXT, "X-Hub-Signature-256", f"sha256={SAMPLE_MAC}"),
        ("mollie", TEXT, "X-Mollie-Signature", f"sha256={SAMPLE_MAC}"),
        ("paysera-checkout", TEXT, "X-Paysera-Signature", SAMPLE_MAC),
        ("shopify", TEXT, "X-Shopify-Hmac-Sha256", base64.b64encode(bytes.fromhex(SAMPLE_MAC)).decode()),
        ("paysafe", BASE64, "Signature", "7w82jRFddW0WbaBbHPUAItFGSwiSnmafG2TZISyhBMI="),
    ],
)
def test_the_same_digest_in_every_format_that_signs_the_body_alone(
    profile: str, secret: str, header: str, expected: str
) -> None:
    assert headers(render(raw(profile), secret))[header] == expected


def test_no_generated_paysafe_key_can_be_trimmed() -> None:
    keys = [base64.b64decode(generate(PROFILES["paysafe"]), validate=True) for _ in range(KEYS)]
    assert {len(key) for key in keys} == {32}
    assert [key for key in keys if key != key.strip(TRIMMED)] == []
    assert len(set(keys)) == KEYS
