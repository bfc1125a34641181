"""Samples are what a delivery would be: signed with the secrets they show, the same until the profile changes."""

import hashlib
import hmac
from dataclasses import replace

import pytest
from standardwebhooks import Webhook

from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.model import Profile, RenderError, Signature
from dispatcher.profiles.sample import PAYLOAD, SENT_AT, render_sample


@pytest.mark.parametrize("name", PROFILES)
def test_every_built_in_profile_has_a_sample_that_stays_the_same(name: str) -> None:
    sample = render_sample(PROFILES[name])
    assert sample.body
    assert render_sample(PROFILES[name]) == sample


def test_the_secret_that_is_shown_is_the_one_that_signed() -> None:
    sample = render_sample(Profile("own", source="", signatures=(Signature("X-Signature", "utf8"),)))
    [secret] = sample.secrets
    assert sample.body == PAYLOAD
    assert dict(sample.headers)["X-Signature"] == hmac.digest(secret.encode(), PAYLOAD, hashlib.sha256).hex()


def test_while_secrets_rotate_both_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = render_sample(PROFILES["standard"], is_rotating=True)
    monkeypatch.setattr(Webhook, "_Webhook__verify_timestamp", lambda *_: SENT_AT)
    assert len(set(sample.secrets)) == 2
    for secret in sample.secrets:
        Webhook(secret).verify(sample.body.decode(), {name.lower(): value for name, value in sample.headers})
    single = dict(render_sample(PROFILES["github"], is_rotating=True).headers)
    assert single["X-Hub-Signature-256"] != single["X-Hub-Signature-256-Previous"]


def test_only_secrets_that_sign_are_shown() -> None:
    for name in ("gateway", "paysera"):
        assert render_sample(PROFILES[name], is_rotating=True).secrets == ()
    assert len(render_sample(PROFILES["paysera-checkout-classic"], is_rotating=True).secrets) == 2


def test_type_and_payload_are_the_callers() -> None:
    sample = render_sample(PROFILES["paisr"], payload=b'{"id":"x"}', event_type="a.b")
    assert sample.body == b'{"id":"x","event":"a.b"}'


def test_an_event_that_does_not_fit_is_refused() -> None:
    with pytest.raises(RenderError):
        render_sample(PROFILES["twilio"], payload=b"[1]")


def test_a_change_of_the_profile_changes_what_it_is_about_only() -> None:
    before = render_sample(PROFILES["slack"])
    after = render_sample(replace(PROFILES["slack"], headers=()))
    assert set(before.headers) - set(after.headers) == {("X-Slack-Request-Timestamp", "1769860802")}
    assert after.body == before.body
