"""The receivers' own libraries accept what the engine makes, and refuse what was changed on the way."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import standardwebhooks
import svix.webhooks

from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.engine import Secret
from dispatcher.profiles.secrets import generate
from tests.dispatcher.profile_samples import MESSAGE, headers, render

Verify = Callable[[bytes, dict[str, str]], Any]


def standard_verifier(secret: str) -> Verify:
    return standardwebhooks.Webhook(secret).verify


def svix_verifier(secret: str) -> Verify:
    return svix.webhooks.Webhook(secret).verify


@pytest.fixture(params=[standard_verifier, svix_verifier], ids=["standardwebhooks", "svix"])
def make_verifier(request: pytest.FixtureRequest) -> Callable[[str], Verify]:
    made: Callable[[str], Verify] = request.param
    return made


@pytest.fixture
def now() -> datetime:
    # The verifiers read the clock and allow five minutes.
    return datetime.now(UTC)


def sent(profile: str, *secrets: Secret, now: datetime) -> tuple[bytes, dict[str, str]]:
    rendered = render(profile, *secrets, message=MESSAGE._replace(now=now))
    return rendered.body, headers(rendered)


@pytest.mark.parametrize("profile", ["default", "standard", "cloudevents"])
def test_a_generated_secret_verifies(profile: str, make_verifier: Callable[[str], Verify], now: datetime) -> None:
    secret = generate(PROFILES[profile])
    body, sent_headers = sent(profile, Secret(secret), now=now)
    make_verifier(secret)(body, sent_headers)


@pytest.mark.parametrize("profile", ["default", "standard", "cloudevents"])
def test_both_secrets_verify_while_they_overlap(
    profile: str, make_verifier: Callable[[str], Verify], now: datetime
) -> None:
    new, old = generate(PROFILES[profile]), generate(PROFILES[profile])
    body, sent_headers = sent(profile, Secret(new), Secret(old, now + timedelta(hours=1)), now=now)
    make_verifier(new)(body, sent_headers)
    make_verifier(old)(body, sent_headers)


@pytest.mark.parametrize("profile", ["default", "standard", "cloudevents"])
def test_changes_expiry_and_strangers_do_not_verify(
    profile: str, make_verifier: Callable[[str], Verify], now: datetime
) -> None:
    secret, old = generate(PROFILES[profile]), generate(PROFILES[profile])
    body, sent_headers = sent(profile, Secret(secret), Secret(old, now), now=now)
    for verify, changed_body, changed_headers in [
        (make_verifier(secret), body + b" ", sent_headers),
        (make_verifier(secret), body, sent_headers | {"webhook-id": "msg_2"}),
        (make_verifier(secret), body, sent_headers | {"webhook-timestamp": str(int(now.timestamp()) - 1)}),
        (make_verifier(old), body, sent_headers),
    ]:
        with pytest.raises((standardwebhooks.WebhookVerificationError, svix.webhooks.WebhookVerificationError)):
            verify(changed_body, changed_headers)
