"""Seals what must not lie in the database as plain text. Each ciphertext is bound to its row and opens nowhere else."""

from functools import lru_cache
from uuid import UUID

from django.conf import settings

from dispatcher.keyring import Keyring

SIGNING_SECRET = "signing_secret"  # noqa: S105 - what is bound to, not a secret
PROVIDER_KEY = "provider_key"
ENDPOINT_AUTH = "endpoint_auth"
STORED_ANSWER = "stored_answer"


def keyring() -> Keyring:
    """The ring of ENCRYPTION_KEYS: the first encrypts, all decrypt."""
    return _keyring(tuple(settings.ENCRYPTION_KEYS))


@lru_cache(maxsize=4)
def _keyring(keys: tuple[str, ...]) -> Keyring:
    return Keyring(keys)


def seal(kind: str, row_id: UUID, plain: bytes) -> bytes:
    return keyring().encrypt(plain, bound_to=f"{kind}:{row_id}")


def open_sealed(kind: str, row_id: UUID, ciphertext: bytes | memoryview) -> bytes:
    """Raises DecryptionFailed for a ciphertext of another row or of a key that is not in the ring."""
    return keyring().decrypt(bytes(ciphertext), bound_to=f"{kind}:{row_id}")
