"""Receivers' ways to verify what we send: the vendors' own libraries, and their published rules written anew.

Nothing here may use our signing code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.verifiers import (
    adyen_platform,
    cloudevents,
    default,
    gateway,
    github,
    gocardless,
    mollie,
    paddle,
    paisr,
    paysafe,
    paysera,
    shopify,
    slack,
    square,
    standard,
    standard_ed25519,
    stripe,
    twilio,
)
from tests.verifiers.delivered import Delivered, Headers, Refused

__all__ = ["VERIFIERS", "Delivered", "Headers", "Refused", "Verifier"]


@dataclass(frozen=True, slots=True)
class Verifier:
    """`verify` returns, or raises Refused. `is_timed`: it refuses what was signed too long ago."""

    name: str
    verify: Callable[[Delivered], None]
    is_timed: bool = False


STANDARDWEBHOOKS = Verifier("standardwebhooks", standard.verify_by_standardwebhooks, is_timed=True)
SVIX = Verifier("svix", standard.verify_by_svix, is_timed=True)

VERIFIERS: Mapping[str, tuple[Verifier, ...]] = {
    "default": (Verifier("rules", default.verify), STANDARDWEBHOOKS, SVIX),
    "standard": (Verifier("standardwebhooks", standard.verify, is_timed=True), SVIX),
    "standard-ed25519": (Verifier("cryptography", standard_ed25519.verify, is_timed=True),),
    "cloudevents": (Verifier("standardwebhooks", cloudevents.verify, is_timed=True), SVIX),
    "stripe": (Verifier("stripe", stripe.verify, is_timed=True),),
    "github": (Verifier("rules", github.verify), Verifier("octokit", github.verify_by_octokit)),
    "shopify": (Verifier("rules", shopify.verify),),
    "slack": (Verifier("slack-sdk", slack.verify, is_timed=True),),
    "square": (Verifier("squareup", square.verify),),
    "adyen-platform": (Verifier("adyen", adyen_platform.verify),),
    "gocardless": (Verifier("gocardless-pro", gocardless.verify),),
    "mollie": (Verifier("mollie-api-py", mollie.verify),),
    "paddle": (Verifier("paddle-python-sdk", paddle.verify, is_timed=True),),
    "twilio": (Verifier("twilio", twilio.verify),),
    "paisr": (Verifier("rules", paisr.verify),),
    "paisr-v2": (Verifier("rules", paisr.verify_v2, is_timed=True),),
    "paysafe": (Verifier("rules", paysafe.verify),),
    "gateway": (Verifier("rules", gateway.verify),),
    "paysera": (
        Verifier("openssl-key", paysera.verify_notification_by_key),
        Verifier("openssl-certificate", paysera.verify_notification_by_certificate),
    ),
    "paysera-checkout-classic": (
        Verifier("openssl-key", paysera.verify_classic_by_key),
        Verifier("openssl-certificate", paysera.verify_classic_by_certificate),
    ),
    "paysera-checkout": (Verifier("rules", paysera.verify_checkout),),
}
# By profile. The first of each does not need Node.
