"""The key ring that keeps secrets and credentials unreadable at rest.

A ciphertext is `format (1) ‖ key id (8) ‖ nonce (12) ‖ AES-256-GCM output`. What it is bound to (the row it lies in)
is authenticated with it, so that a ciphertext moved to another row is refused.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FORMAT = b"\x01"
KEY_BYTES = 32
KEY_ID_BYTES = 8
NONCE_BYTES = 12
# 96 random bits, as NIST SP 800-38D recommends: safe for 2^32 encryptions under one key.

_HEAD_BYTES = len(FORMAT) + KEY_ID_BYTES
_TAG_BYTES = 16


class InvalidKey(ValueError):
    """A key of the ring is not base64 of 32 bytes, or there is none. The sentence never shows the key."""


class DecryptionFailed(Exception):
    """The ciphertext does not open: unknown key, altered, or moved here from another row. Holds no secret."""


class Keyring:
    """Encrypts with the first key, decrypts with any. `keys` are base64 of 32 bytes each (ENCRYPTION_KEYS)."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise InvalidKey("There is no encryption key; set ENCRYPTION_KEYS to at least one.")
        raw = [_read_key(text, position) for position, text in enumerate(keys, start=1)]
        self._ciphers = {_key_id(key): AESGCM(key) for key in raw}
        self._current = _key_id(raw[0])

    def __repr__(self) -> str:
        return f"Keyring({len(self._ciphers)} keys)"

    def encrypt(self, plain: bytes, *, bound_to: str) -> bytes:
        """The ciphertext of `plain`, to be decrypted with the same `bound_to`, e.g. `secret:<row id>`."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, plain, bound_to.encode())
        return FORMAT + self._current + nonce + sealed

    def decrypt(self, ciphertext: bytes | memoryview, *, bound_to: str) -> bytes:
        """What was encrypted. Raises DecryptionFailed for anything but the very bytes of `encrypt` in their place."""
        whole = bytes(ciphertext)
        key_id = _key_id_of(whole)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise DecryptionFailed(
                f"No key of the ring has the id {key_id.hex()}; is a key missing in ENCRYPTION_KEYS?"
            )
        nonce, sealed = whole[_HEAD_BYTES : _HEAD_BYTES + NONCE_BYTES], whole[_HEAD_BYTES + NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, sealed, bound_to.encode())
        except InvalidTag:
            raise DecryptionFailed(f"The ciphertext bound to {bound_to} was altered or belongs elsewhere.") from None

    def needs_rotation(self, ciphertext: bytes | memoryview) -> bool:
        """Whether another key than the first encrypted it. Raises DecryptionFailed when it is no ciphertext of ours."""
        return _key_id_of(bytes(ciphertext)) != self._current


def _key_id_of(whole: bytes) -> bytes:
    if not whole.startswith(FORMAT) or len(whole) < _HEAD_BYTES + NONCE_BYTES + _TAG_BYTES:
        raise DecryptionFailed("These bytes are not a ciphertext of the key ring.")
    return whole[len(FORMAT) : _HEAD_BYTES]


def _key_id(key: bytes) -> bytes:
    # A digest names the key without a register of names, and tells nothing about 256 random bits.
    return hashlib.sha256(b"signet key id:" + key).digest()[:KEY_ID_BYTES]


def _read_key(text: str, position: int) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidKey(f"Key {position} of ENCRYPTION_KEYS is not base64 of {KEY_BYTES} bytes.")
    return key
