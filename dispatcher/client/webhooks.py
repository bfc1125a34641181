"""Verifies deliveries where they arrive, for receivers written in Python.

    verified = webhooks.verify(request.headers, request.body, secret)

The body must be the raw bytes, before any parsing. Compares in constant time; several secrets may be given while one
follows another.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from dispatcher.client.errors import BadInput, SignatureError

TOLERANCE_S = 300
# How far a signed time may be from our clock. Source: Standard Webhooks 1.0, "verifying webhook authenticity".
WHSEC, WHSK, WHPK = "whsec_", "whsk_", "whpk_"
SEED_BYTES = 32
# Of an Ed25519 key; a `whsk_` secret is seed and public key, one after the other.
TRIMMED = b"\x00\x09\x0a\x0b\x0d\x20"
# What Paysafe's plugins trim from a key.

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Verified:
    """A genuine delivery. What its format does not say is empty; `body` is what was signed."""

    id: str
    event_type: str
    attempt: str
    body: bytes = field(repr=False)

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Signed:
    """One delivery's headers, with lower-case names, and its body."""

    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """Raises SignatureError where it is missing."""
        value = self.headers.get(name.lower())
        if not value:
            raise SignatureError("missing", f"The delivery has no {name} header.")
        return value

    def single(self, name: str) -> list[str]:
        """The header, and the one with the signature of the secret before, while that is still good."""
        before = self.headers.get(f"{name}-previous".lower())
        return [self.header(name), *([before] if before else [])]


Check = Callable[[Signed, Sequence[str], "Clock"], None]
# Raises SignatureError.


@dataclass(frozen=True, slots=True)
class Clock:
    now_s: float
    tolerance_s: float

    def check(self, stamp: str) -> None:
        """Raises SignatureError for a time too far from now, in either direction."""
        if not (stamp.isascii() and stamp.isdigit()):
            raise SignatureError("unreadable", "The signed time is no number of seconds.")
        if abs(self.now_s - int(stamp)) > self.tolerance_s:
            raise SignatureError("expired", f"The signed time is more than {self.tolerance_s:g} s from now.")


def verify(
    headers: Headers,
    body: bytes,
    secret: str | Sequence[str],
    *,
    profile: str = "default",
    tolerance_s: float = TOLERANCE_S,
    now_s: float | None = None,
) -> Verified:
    """The delivery, when one of the secrets signed it; raises SignatureError otherwise.

    `headers` is a mapping in any case, or name-value pairs. `profile` is the endpoint's wire format, one of `PROFILES`.
    `tolerance_s` bounds how old a delivery may be in formats that sign the time. Raises BadInput for an unknown
    profile, no secret, or one that is none, and TypeError for a body that is no bytes.
    """
    if not isinstance(body, bytes):
        raise TypeError("The body must be the raw bytes of the request, as they came.")
    secrets = [secret] if isinstance(secret, str) else list(secret)
    if not secrets or not all(secrets):
        raise BadInput("A secret is needed.")
    check = _CHECKS.get(profile)
    if check is None:
        raise BadInput(f"There is no verification for the profile {profile!r}; there is for {', '.join(PROFILES)}.")
    signed = Signed(_lowered(headers), body)
    check(signed, secrets, Clock(time.time() if now_s is None else now_s, tolerance_s))
    found = signed.headers
    return Verified(
        id=found.get("webhook-id") or found.get("x-webhook-id") or found.get("x-github-delivery") or "",
        event_type=found.get("x-webhook-event") or found.get("x-github-event") or "",
        attempt=found.get("x-webhook-attempt", ""),
        body=body,
    )


def _lowered(headers: Headers) -> dict[str, str]:
    """Raises SignatureError for a name that comes twice: which of the two was meant is not known."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    found: dict[str, str] = {}
    for name, value in pairs:
        if found.setdefault(name.lower(), value) != value:
            raise SignatureError("unreadable", f"The delivery has two {name} headers.")
    return found


def _is_any(given: Iterable[str], expected: Iterable[bytes]) -> bool:
    """Compares every pair, so that the time it takes says nothing of which one fits."""
    wanted = list(expected)
    fits = [hmac.compare_digest(item.encode(), one) for item in given for one in wanted]
    return any(fits)


def _require(is_genuine: bool, name: str) -> None:  # noqa: FBT001 - reads as a sentence where it is called
    if not is_genuine:
        raise SignatureError("mismatch", f"{name} was made with another secret, or of another body.")


def _digest(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def _whsec(secret: str, *, is_strict: bool = False) -> bytes:
    """The bytes behind `whsec_`, or in the default profile the text itself when the secret has not that form."""
    if secret.startswith(WHSEC):
        try:
            return base64.b64decode(secret.removeprefix(WHSEC), validate=True)
        except (binascii.Error, ValueError):
            pass
    if is_strict:
        raise BadInput(f"A secret of this profile is {WHSEC} and base64.")
    return secret.encode()


def _standard_message(signed: Signed, clock: Clock) -> bytes:
    stamp = signed.header("webhook-timestamp")
    clock.check(stamp)
    return f"{signed.header('webhook-id')}.{stamp}.".encode() + signed.body


def _check_standard(signed: Signed, keys: Iterable[bytes], clock: Clock) -> None:
    """One of the `v1` items must fit. Source: Standard Webhooks 1.0, "signature scheme"."""
    given = signed.header("webhook-signature").split(" ")
    message = _standard_message(signed, clock)
    _require(_is_any(given, [b"v1," + base64.b64encode(_digest(key, message)) for key in keys]), "webhook-signature")


def _standard(signed: Signed, secrets: Sequence[str], clock: Clock) -> None:
    _check_standard(signed, [_whsec(secret, is_strict=True) for secret in secrets], clock)


def _default(signed: Signed, secrets: Sequence[str], clock: Clock) -> None:
    """Both signatures. The hexadecimal one alone would let an old delivery in again with the time taken off."""
    _check_standard(signed, [_whsec(secret) for secret in secrets], clock)
    given = signed.single("X-Webhook-Signature")
    expected = [_digest(secret.encode(), signed.body).hex().encode() for secret in secrets]
    _require(_is_any(given, expected), "X-Webhook-Signature")


def _standard_ed25519(signed: Signed, secrets: Sequence[str], clock: Clock) -> None:
    """`secrets` are public keys (`whpk_…`), or the pairs that the platform shows (`whsk_…`)."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    given = signed.header("webhook-signature").split(" ")
    message = _standard_message(signed, clock)
    keys = [Ed25519PublicKey.from_public_bytes(_public_half(secret)) for secret in secrets]

    def fits(item: str, key: Ed25519PublicKey) -> bool:
        try:
            key.verify(base64.b64decode(item.removeprefix("v1a,"), validate=True), message)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True

    _require(
        any(fits(item, key) for item in given if item.startswith("v1a,") for key in keys),
        "webhook-signature",
    )


def _public_half(secret: str) -> bytes:
    prefix = WHPK if secret.startswith(WHPK) else WHSK
    try:
        key = base64.b64decode(secret.removeprefix(prefix), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    public = key if prefix == WHPK else key[SEED_BYTES:]
    if not secret.startswith(prefix) or len(public) != SEED_BYTES:
        raise BadInput(f"A key of this profile is {WHPK} or {WHSK} and base64.")
    return public


def _stripe(signed: Signed, secrets: Sequence[str], clock: Clock) -> None:
    """`t=…,v1=…,v1=…`. Source: Stripe documentation, verify webhook signatures manually."""
    parts = [part.partition("=") for part in signed.header("Stripe-Signature").split(",")]
    stamp = next((value for name, _, value in parts if name == "t"), "")
    clock.check(stamp)
    message = stamp.encode() + b"." + signed.body
    expected = [_digest(secret.encode(), message).hex().encode() for secret in secrets]
    _require(_is_any([value for name, _, value in parts if name == "v1"], expected), "Stripe-Signature")


def _of_body(name: str, *, prefix: str = "") -> Check:
    """Hexadecimal HMAC-SHA256 of the body, keyed with the secret's text."""

    def check(signed: Signed, secrets: Sequence[str], clock: Clock) -> None:  # noqa: ARG001 - no time is signed
        expected = [(prefix + _digest(secret.encode(), signed.body).hex()).encode() for secret in secrets]
        _require(_is_any(signed.single(name), expected), name)

    return check


def _paisr_v2(signed: Signed, secrets: Sequence[str], clock: Clock) -> None:
    """Source: Paisr developer documentation, webhooks, version 2."""
    stamp = signed.header("X-PCB-Timestamp")
    clock.check(stamp)
    message = stamp.encode() + b"." + signed.body
    expected = [_digest(secret.encode(), message).hex().encode() for secret in secrets]
    _require(_is_any(signed.single("X-PCB-Signature"), expected), "X-PCB-Signature")


def _paysafe(signed: Signed, secrets: Sequence[str], clock: Clock) -> None:  # noqa: ARG001 - no time is signed
    """Source: Paysafe developer documentation, webhooks, HMAC."""
    try:
        keys = [base64.b64decode(secret, validate=True).strip(TRIMMED) for secret in secrets]
    except (binascii.Error, ValueError):
        raise BadInput("A secret of this profile is base64.") from None
    expected = [base64.b64encode(_digest(key, signed.body)) for key in keys]
    _require(_is_any(signed.single("Signature"), expected), "Signature")


_CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "default": _default,
        "standard": _standard,
        "standard-ed25519": _standard_ed25519,
        "cloudevents": _standard,
        "stripe": _stripe,
        "github": _of_body("X-Hub-Signature-256", prefix="sha256="),
        "paisr": _of_body("X-Paisr-Signature"),
        "paisr-v2": _paisr_v2,
        "paysafe": _paysafe,
    }
)
PROFILES = tuple(_CHECKS)
# Those that `verify` knows.
