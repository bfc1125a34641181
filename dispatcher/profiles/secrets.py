"""Makes signing secrets in the form that a profile's receivers expect, and checks those that merchants bring."""

import base64
import secrets

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dispatcher.profiles.model import Profile, ProfileError
from dispatcher.profiles.signing import WHSEC, WHSK, decode_key, make_signer

SECRET_BYTES = 32
# As long as SHA-256's output: a longer key adds nothing.

SECRET_LENGTH = 512
# Characters of a secret that a merchant brings.

TRIMMED = b"\x00\x09\x0a\x0b\x0d\x20"
# What PHP's trim() takes away. Paysafe's plugins trim the decoded key, so a key must not begin or end with these.


class InvalidSecret(ValueError):
    """The text cannot be a secret in this profile. The sentence is meant for people and does not show the secret."""


def generate(profile: Profile) -> str:
    """A fresh secret. Raises ProfileError for a profile that only the provider's own key signs."""
    match profile.key_form:
        case "whsec":
            return WHSEC + _base64(secrets.token_bytes(SECRET_BYTES))
        case "trimmed_base64":
            return _base64(_untrimmable())
        case "hex":
            return secrets.token_hex(SECRET_BYTES).upper()
        case "whsk":
            key = Ed25519PrivateKey.generate()
            return WHSK + _base64(key.private_bytes_raw() + key.public_key().public_bytes_raw())
        case "none":
            raise ProfileError(f"What is sent in the profile {profile.name} is not signed with a secret.")


def check_secret(profile: Profile, text: str) -> None:
    """Raise InvalidSecret, a ValueError, unless every signature of the profile can be made with the text."""
    if not 1 <= len(text) <= SECRET_LENGTH:
        raise InvalidSecret(f"A secret has 1 to {SECRET_LENGTH} characters.")
    if not text.isprintable():
        raise InvalidSecret("A secret has printable characters only.")
    for signature in profile.signatures:
        if signature.signer == "endpoint":
            # What begins like a Standard Webhooks secret was meant to be one.
            is_whsec = signature.key == "whsec_or_utf8" and text.startswith(WHSEC)
            try:
                make_signer(signature.algorithm, decode_key("whsec" if is_whsec else signature.key, text))
            except ProfileError as error:
                raise InvalidSecret(str(error)) from None


def _untrimmable() -> bytes:
    while True:
        key = secrets.token_bytes(SECRET_BYTES)
        if key[0] not in TRIMMED and key[-1] not in TRIMMED:
            return key


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
