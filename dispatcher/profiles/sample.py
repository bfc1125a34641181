"""Renders a sample event in a profile as it would be sent, with keys made for the occasion: for previews and checks."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dispatcher.ids import Prefix, first_id, show
from dispatcher.profiles.engine import Message, ProviderKey, Secret, Wire, prepare, provider_families
from dispatcher.profiles.model import KeyForm, Profile
from dispatcher.profiles.secrets import generate
from dispatcher.targets import Target

EVENT_TYPE = "invoice.paid"
PAYLOAD = b'{"id":"inv_1001","amount":"12.40","currency":"EUR"}'
# A flat object, which every kind of body can carry.

TARGET = Target("https", "merchant.example", 443, "/webhooks")
OCCURRED_AT = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
SENT_AT = OCCURRED_AT + timedelta(seconds=2)
OVERLAP = timedelta(days=1)
# Fixed, so that of two renderings only what was changed in the profile differs.

RSA_BITS = 2048
# The least that receivers' libraries take; longer ones only take longer to make.


@dataclass(frozen=True, slots=True)
class Sample:
    """A request as its receiver would see it. `secrets` are the made-up ones that signed it, newest first."""

    headers: tuple[tuple[str, str], ...]
    body: bytes
    secrets: tuple[str, ...] = field(repr=False)


def render_sample(
    profile: Profile, *, payload: bytes = PAYLOAD, event_type: str = EVENT_TYPE, is_rotating: bool = False
) -> Sample:
    """An event's first attempt. `is_rotating`: while an old secret still signs beside the new one.

    Raises ProfileError or HeaderError for a profile that cannot be used, RenderError for an event that does not fit it.
    """
    wire = sample_wire(profile, is_rotating=is_rotating)
    rendered = prepare(wire)(_message(payload, event_type))
    return Sample(rendered.headers, rendered.body, tuple(secret.text for secret in wire.secrets))


def sample_wire(profile: Profile, *, is_rotating: bool = False) -> Wire:
    """An endpoint in this profile, with the secrets and the provider's keys that its signatures need."""
    keys = tuple(_throwaway_key(family) for family in sorted(provider_families(profile)))
    return Wire(profile, TARGET, _secrets(profile, is_rotating=is_rotating), provider_keys=keys)


def _message(payload: bytes, event_type: str) -> Message:
    return Message(
        event_id=show(Prefix.EVENT, _made_up_id(1)),
        event_type=event_type,
        payload=payload,
        occurred_at=OCCURRED_AT,
        account="acc-1001",
        merchant=show(Prefix.MERCHANT, _made_up_id(2)),
        delivery_id=show(Prefix.DELIVERY, _made_up_id(3)),
        attempt=1,
        now=SENT_AT,
    )


def _made_up_id(number: int) -> UUID:
    """A UUIDv7 of that time, such as the platform gives."""
    return UUID(int=first_id(OCCURRED_AT).int | 0x7A11 << 64 | 0b10 << 62 | number)


def _secrets(profile: Profile, *, is_rotating: bool) -> tuple[Secret, ...]:
    if all(signature.signer == "provider" for signature in profile.signatures) or profile.key_form == "none":
        return ()
    newest, old = made_up_secrets(profile.key_form)
    return (Secret(newest), Secret(old, expires_at=SENT_AT + OVERLAP)) if is_rotating else (Secret(newest),)


@lru_cache(maxsize=8)
def made_up_secrets(key_form: KeyForm) -> tuple[str, str]:
    """A new and an old one: the same while the process lives, so that a signature changes only with what is signed."""
    profile = Profile("sample", source="", key_form=key_form)
    return generate(profile), generate(profile)


@lru_cache(maxsize=3)
def _throwaway_key(family: str) -> ProviderKey:
    """Made once for each process: an RSA key takes about a tenth of a second."""
    pem = _private_key(family).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return ProviderKey(family, pem.decode())


def _private_key(family: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey:
    match family:
        case "rsa":
            return rsa.generate_private_key(public_exponent=65_537, key_size=RSA_BITS)
        case "ec":
            return ec.generate_private_key(ec.SECP256R1())
        case _:
            return Ed25519PrivateKey.generate()
