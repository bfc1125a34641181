"""Standard Webhooks 1.0 with asymmetric signatures: the receiver has the public key (`whpk_…`) and no secret."""

import base64

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.verifiers import standard
from tests.verifiers.delivered import Delivered, require, require_recent

PREFIX = "whpk_"


def verify(request: Delivered) -> None:
    """Any of the signatures will do; those of other versions are passed over."""
    timestamp = request.header("webhook-timestamp")
    require_recent(timestamp)
    signed = f"{request.header('webhook-id')}.{timestamp}.".encode() + request.body
    items = [item.split(",", 1) for item in request.header("webhook-signature").split(" ")]
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(request.secret.removeprefix(PREFIX), validate=True))
    require(any(_is_signed(key, text, signed) for version, text in items if version == "v1a"), "no signature fits")
    standard.check_body(request)


def public_half(secret: str) -> str:
    """What the provider would publish for a `whsk_` secret: its last 32 bytes are the public key."""
    return PREFIX + base64.b64encode(base64.b64decode(secret.removeprefix("whsk_"))[32:]).decode()


def _is_signed(key: Ed25519PublicKey, text: str, signed: bytes) -> bool:
    try:
        key.verify(base64.b64decode(text, validate=True), signed)
    except (InvalidSignature, ValueError):
        return False
    return True
