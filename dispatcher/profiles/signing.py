"""Keys and signature algorithms: decoding is done once, and the signer that comes out is cheap to call."""

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from dispatcher.profiles.model import Algorithm, Encoding, KeyDecoding, ProfileError

WHSEC = "whsec_"
WHSK = "whsk_"
SEED_BYTES = 32
# Of an Ed25519 key. Standard Webhooks writes seed and public key one after the other; the seed alone will do.
COORDINATE_BYTES = 32
# Of a P-256 signature: JWS runs r and s together, each of full length (RFC 7518, section 3.4).

Signer = Callable[[bytes], bytes]
Encoder = Callable[[bytes], str]


def _base64_text(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


ENCODERS: dict[Encoding, Encoder] = {
    "hex": bytes.hex,
    "base64": _base64_text,
    "base64url": lambda data: base64.urlsafe_b64encode(data).decode(),
    "text": bytes.decode,
}


def decode_key(decoding: KeyDecoding, text: str) -> bytes:
    """The bytes that sign. Raises ProfileError, with a sentence that does not show the key."""
    return _DECODERS[decoding](text)


def make_signer(algorithm: Algorithm, key: bytes) -> Signer:
    """What signs a message with this key. Raises ProfileError when the key is not one for the algorithm."""
    match algorithm:
        case "hmac-sha1" | "hmac-sha256" | "hmac-sha512":
            return _hmac(algorithm.removeprefix("hmac-"), key)
        case "md5-concat":
            # Not HMAC: the legacy form that appends the password (Paysera's ss1).
            return lambda message: hashlib.md5(message + key, usedforsecurity=False).digest()
        case "rsa-sha1":
            return _rsa(key, hashes.SHA1())  # noqa: S303 - what the receivers verify
        case "rsa-sha256":
            return _rsa(key, hashes.SHA256())
        case "ed25519":
            return _ed25519(key)
        case "jws-es256":
            return _jws_es256(key)


_INNER = bytes([byte ^ 0x36 for byte in range(256)])
_OUTER = bytes([byte ^ 0x5C for byte in range(256)])


def _hmac(name: str, key: bytes) -> Signer:
    """HMAC (RFC 2104) with both keyed states prepared: a third cheaper than `hmac.new(...).copy()`."""
    blank = hashlib.new(name)
    block = (key if len(key) <= blank.block_size else hashlib.new(name, key).digest()).ljust(blank.block_size, b"\0")
    inner_copy = hashlib.new(name, block.translate(_INNER)).copy
    outer_copy = hashlib.new(name, block.translate(_OUTER)).copy

    def sign(message: bytes) -> bytes:
        inner = inner_copy()
        inner.update(message)
        outer = outer_copy()
        outer.update(inner.digest())
        return outer.digest()

    return sign


def _rsa(pem: bytes, digest: hashes.HashAlgorithm) -> Signer:
    key = _load(pem)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ProfileError("The key is not an RSA private key.")
    scheme = padding.PKCS1v15()
    return lambda message: key.sign(message, scheme, digest)


def _ed25519(key: bytes) -> Signer:
    if key.startswith(b"-----"):
        private = _load(key)
        if not isinstance(private, Ed25519PrivateKey):
            raise ProfileError("The key is not an Ed25519 private key.")
        return private.sign
    if len(key) not in {SEED_BYTES, 2 * SEED_BYTES}:
        raise ProfileError("An Ed25519 key has 32 bytes, or 64 with its public key.")
    return Ed25519PrivateKey.from_private_bytes(key[:SEED_BYTES]).sign


def _jws_es256(pem: bytes) -> Signer:
    """A compact JWS with detached payload (RFC 7515, appendix F), whole and as text."""
    key = _load(pem)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ProfileError("The key is not a P-256 private key.")
    head = _unpadded(b'{"alg":"ES256"}')
    scheme = ec.ECDSA(hashes.SHA256())

    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(head + b"." + _unpadded(message), scheme))
        return head + b".." + _unpadded(r.to_bytes(COORDINATE_BYTES, "big") + s.to_bytes(COORDINATE_BYTES, "big"))

    return sign


def _unpadded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _load(pem: bytes) -> Any:
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ProfileError("The key is not a private key in PEM form without a password.") from None


def _after(prefix: str, text: str) -> bytes:
    if not text.startswith(prefix):
        raise ProfileError(f"The secret does not start with {prefix}.")
    return _strict_base64(text.removeprefix(prefix), where=f" after {prefix}")


def _strict_base64(text: str, where: str = "") -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ProfileError(f"The secret is not valid base64{where}.")
    return key


def _strict_hex(text: str) -> bytes:
    try:
        return binascii.unhexlify(text.strip()) or _no_hex()
    except (binascii.Error, ValueError):
        return _no_hex()


def _no_hex() -> bytes:
    raise ProfileError("The secret is not hexadecimal.")


def _whsec_or_text(text: str) -> bytes:
    try:
        return _after(WHSEC, text)
    except ProfileError:
        return text.encode()


_DECODERS: dict[KeyDecoding, Callable[[str], bytes]] = {
    "utf8": str.encode,
    "pem": str.encode,
    "base64": _strict_base64,
    "hex": _strict_hex,
    "whsec": lambda text: _after(WHSEC, text),
    "whsk": lambda text: _after(WHSK, text),
    "whsec_or_utf8": _whsec_or_text,
}
