"""Receivers verify with the client what the platform signs, and refuse everything else."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
import standardwebhooks

from dispatcher.client import BadInput, SignatureError, webhooks
from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.sample import SENT_AT, Sample, render_sample

NOW_S = SENT_AT.timestamp()
TIMED = {"default", "standard", "standard-ed25519", "cloudevents", "stripe", "paisr-v2"}
# Those that sign the time.


def sample(profile: str, *, is_rotating: bool = False) -> Sample:
    return render_sample(PROFILES[profile], payload=b'{"id": "inv_1",  "total": 12.50}', is_rotating=is_rotating)


def verify(made: Sample, profile: str, **changed: Any) -> webhooks.Verified:
    given = {"headers": made.headers, "body": made.body, "secret": made.secrets[0], "now_s": NOW_S, **changed}
    return webhooks.verify(given.pop("headers"), given.pop("body"), given.pop("secret"), profile=profile, **given)


def reason_of(made: Sample, profile: str, **changed: Any) -> str:
    with pytest.raises(SignatureError) as caught:
        verify(made, profile, **changed)
    return caught.value.reason


@pytest.mark.parametrize("profile", webhooks.PROFILES)
def test_what_the_platform_signs_is_genuine(profile: str) -> None:
    made = sample(profile)

    assert verify(made, profile).body == made.body


@pytest.mark.parametrize("profile", webhooks.PROFILES)
def test_while_one_secret_follows_another_each_of_them_is_enough(profile: str) -> None:
    made = sample(profile, is_rotating=True)
    new, old = made.secrets

    for secret in (new, old, [new, old], [old, new]):
        assert verify(made, profile, secret=secret).body == made.body


@pytest.mark.parametrize("profile", webhooks.PROFILES)
def test_a_receiver_that_knows_both_secrets_takes_what_either_signed(profile: str) -> None:
    made = sample(profile)
    _, other = sample(profile, is_rotating=True).secrets

    assert verify(made, profile, secret=[other, made.secrets[0]]).body == made.body
    assert reason_of(made, profile, secret=other) == "mismatch"


@pytest.mark.parametrize("profile", webhooks.PROFILES)
def test_a_changed_body_is_not_genuine(profile: str) -> None:
    made = sample(profile)

    assert reason_of(made, profile, body=made.body + b" ") == "mismatch"
    assert reason_of(made, profile, body=b"") == "mismatch"


@pytest.mark.parametrize("profile", webhooks.PROFILES)
def test_without_any_one_of_its_signature_headers_a_delivery_is_not_genuine(profile: str) -> None:
    made = sample(profile)
    needed = [name for name, _ in made.headers if "signature" in name.lower() or name.lower() == "webhook-timestamp"]
    assert needed

    for name in needed:
        assert reason_of(made, profile, headers=[pair for pair in made.headers if pair[0] != name]) == "missing"


@pytest.mark.parametrize("profile", sorted(TIMED))
def test_a_delivery_of_another_time_is_not_taken(profile: str) -> None:
    made = sample(profile)

    for seconds in (-300, 300):
        assert verify(made, profile, now_s=int(NOW_S) + seconds).body == made.body
    for seconds in (-301, 301):
        assert reason_of(made, profile, now_s=int(NOW_S) + seconds) == "expired"
    assert verify(made, profile, now_s=NOW_S + 3_000, tolerance_s=3_600).body == made.body


@pytest.mark.parametrize("profile", sorted(TIMED))
def test_the_time_cannot_be_replaced(profile: str) -> None:
    made = sample(profile)
    stamp = str(int(NOW_S))
    later = [(name, value.replace(stamp, str(int(NOW_S) + 60))) for name, value in made.headers]

    assert reason_of(made, profile, headers=later, now_s=NOW_S + 60) == "mismatch"


@pytest.mark.parametrize("stamp", ["", "soon", "-1", "1e9", "٣", " 5"])
def test_a_time_that_is_none_is_refused(stamp: str) -> None:
    made = sample("default")
    headers = [(name, stamp if name == "webhook-timestamp" else value) for name, value in made.headers]

    assert reason_of(made, "default", headers=headers) in {"missing", "unreadable"}


def test_in_the_default_profile_both_signatures_must_hold() -> None:
    """The hexadecimal one alone says nothing of the time, so it must not let in what was recorded before."""
    made = sample("default")

    for name in ("X-Webhook-Signature", "webhook-signature"):
        spoiled = [(one, "v1,AAAA" if one == name else value) for one, value in made.headers]
        assert reason_of(made, "default", headers=spoiled) == "mismatch"


def test_what_the_delivery_says_of_itself() -> None:
    verified = verify(sample("default"), "default")

    assert verified.id.startswith("evt_")
    assert (verified.event_type, verified.attempt) == ("invoice.paid", "1")
    assert verified.json() == {"id": "inv_1", "total": 12.5}


def test_names_of_headers_are_taken_in_any_case_from_mappings_and_pairs() -> None:
    made = sample("default")

    for headers in (
        dict(made.headers),
        {name.upper(): value for name, value in made.headers},
        [(name.lower(), value) for name, value in made.headers],
    ):
        assert verify(made, "default", headers=headers).body == made.body


def test_a_header_that_comes_twice_with_two_values_is_refused() -> None:
    made = sample("default")

    assert reason_of(made, "default", headers=[*made.headers, ("WEBHOOK-ID", "evt_other")]) == "unreadable"


def test_it_takes_what_the_standard_webhooks_library_signs() -> None:
    (secret,) = sample("standard").secrets
    signature = standardwebhooks.Webhook(secret).sign("msg_1", SENT_AT, '{"a": 1}')
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(NOW_S)), "webhook-signature": signature}

    found = webhooks.verify(headers, b'{"a": 1}', secret, profile="standard", now_s=NOW_S)

    assert found.id == "msg_1"


def test_a_public_key_verifies_as_well_as_the_pair() -> None:
    from tests.verifiers.standard_ed25519 import public_half

    made = sample("standard-ed25519")

    assert verify(made, "standard-ed25519", secret=public_half(made.secrets[0])).body == made.body


def test_a_body_that_was_parsed_or_decoded_is_a_mistake_of_the_caller() -> None:
    made = sample("default")

    for body in (made.body.decode(), {"id": "inv_1"}):
        with pytest.raises(TypeError):
            verify(made, "default", body=body)


@pytest.mark.parametrize("secret", ["", [], ["", "a"]])
def test_without_a_secret_nothing_is_verified(secret: str | Sequence[str]) -> None:
    with pytest.raises(BadInput):
        verify(sample("default"), "default", secret=secret)


@pytest.mark.parametrize(
    ("profile", "secret"),
    [("standard", "plain"), ("standard", "whsec_!"), ("standard-ed25519", "whsk_AAAA"), ("paysafe", "not base64!")],
)
def test_a_secret_of_another_form_is_told(profile: str, secret: str) -> None:
    with pytest.raises(BadInput):
        verify(sample(profile), profile, secret=secret)


def test_an_unknown_profile_is_told() -> None:
    with pytest.raises(BadInput, match="paysera"):
        verify(sample("default"), "paysera")


def test_a_receiver_loads_no_http_client_and_nothing_that_sends() -> None:
    code = (
        "import sys; from dispatcher.client import webhooks, SignatureError; webhooks.verify\n"
        "heavy = {'requests', 'django', 'pycurl', 'cryptography', 'dispatcher.profiles'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
