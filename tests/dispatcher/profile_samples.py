"""What the tests of the wire formats share: the sample of the known answers, and short ways to render it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.engine import Message, Rendered, Secret, Wire, prepare
from dispatcher.profiles.model import Body, Profile
from dispatcher.targets import Target

BODY = b'{"id":"inv_123456","event":"invoice.paid"}'
NOW = datetime.fromtimestamp(1_700_000_000, UTC)
TEXT = "test_secret"
BASE64 = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
WHSEC = "whsec_" + BASE64
KEY = b"0123456789abcdef0123456789abcdef"
TARGET = Target("https", "merchant.example", 443, "/webhooks?shop=1")

MESSAGE = Message(
    event_id="msg_1",
    event_type="invoice.paid",
    payload=BODY,
    occurred_at=datetime(2023, 11, 14, 22, 0, 0, 123_000, UTC),
    account="acc-7",
    merchant="m-42",
    delivery_id="del_1",
    attempt=3,
    now=NOW,
)


def wire(profile: str | Profile, *secrets: str | Secret, **settings: Any) -> Wire:
    found = PROFILES[profile] if isinstance(profile, str) else profile
    live = tuple(Secret(secret) if isinstance(secret, str) else secret for secret in secrets)
    return Wire(found, TARGET, live, **settings)


def render(profile: str | Profile, *secrets: str | Secret, message: Message = MESSAGE, **settings: Any) -> Rendered:
    return prepare(wire(profile, *secrets, **settings))(message)


def headers(rendered: Rendered) -> dict[str, str]:
    """The headers by name, after making sure that none is sent twice."""
    names = [name.lower() for name, _ in rendered.headers]
    assert len(set(names)) == len(names)
    return dict(rendered.headers)


def raw(profile: str) -> Profile:
    """The profile with the payload as its body, for known answers that are over a given body."""
    return replace(PROFILES[profile], body=Body())
