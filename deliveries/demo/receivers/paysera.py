"""Reads Paysera's deliveries: a form of `data` and `sign`, which the published public key must verify.

Source: Paysera Notification API documentation, structure of the callback request.
"""

import base64
import json
import time
import urllib.request
from collections.abc import Callable
from threading import Lock
from urllib.parse import parse_qs, parse_qsl

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from deliveries.demo.receivers.model import Headers, Known, Reading
from deliveries.receiver import Verdict

CONFIRMATION = b"OK"
FETCH_TIMEOUT_S = 5.0
FETCH_EVERY_S = 2.0
# A signature that no known key verifies may be that of a new key; whoever sends nonsense must not make us ask often.

Fetch = Callable[[], bytes]


class PublishedKeys:
    """The provider's public RSA keys, fetched from where it publishes them and again when none of them fits."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._lock = Lock()
        self._keys: list[rsa.RSAPublicKey] = []
        self._fetched_at = -FETCH_EVERY_S

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Raises OSError when the keys cannot be fetched: then nothing is known of the signature."""
        if _fits_any(self._keys, text, signature):
            return True
        self._renew()
        return _fits_any(self._keys, text, signature)

    def _renew(self) -> None:
        with self._lock:
            if time.monotonic() - self._fetched_at >= FETCH_EVERY_S:
                self._keys = read_keys(self._fetch())
                self._fetched_at = time.monotonic()


def fetch_from(url: str) -> Fetch:
    def fetch() -> bytes:
        with urllib.request.urlopen(url, timeout=FETCH_TIMEOUT_S) as answer:  # noqa: S310 - our own URL
            return bytes(answer.read())

    return fetch


def read_keys(document: bytes) -> list[rsa.RSAPublicKey]:
    """Every RSA key of the published document, once from its PEM form and once from its certificate."""
    found = []
    for entry in json.loads(document)["data"]:
        if entry["algorithm"] == "rsa":
            found += [
                serialization.load_pem_public_key(entry["public_key_pem"].encode()),
                x509.load_pem_x509_certificate(entry["certificate_pem"].encode()).public_key(),
            ]
    return [key for key in found if isinstance(key, rsa.RSAPublicKey)]


def _fits_any(keys: list[rsa.RSAPublicKey], text: bytes, signature: bytes) -> bool:
    return any(_fits(key, text, signature) for key in keys)


def _fits(key: rsa.RSAPublicKey, text: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, text, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 - as Paysera signs
    except InvalidSignature:
        return False
    return True


class PayseraReader:
    def __init__(self, keys: PublishedKeys) -> None:
        self._keys = keys

    def __call__(self, known: Known, headers: Headers, body: bytes, now: float) -> Reading:  # noqa: ARG002
        """1. Parse the form. 2. Verify `sign` over the text of `data`. 3. Decode `data`, which is a form again."""
        form = parse_qs(body.decode("ascii"), strict_parsing=True)
        (data,), (sign,) = form["data"], form["sign"]
        is_good = self._keys.verify(data.encode(), _decode(sign))
        event = dict(parse_qsl(_decode(data).decode(), strict_parsing=True))
        return Reading(Verdict.GOOD if is_good else Verdict.BAD, event["statement_id"])


def _decode(text: str) -> bytes:
    return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
