"""Short signed texts for links in e-mails and SMS: which endpoint is meant, and that we wrote the link.

A token is base62 of the endpoint's id and a keyed MAC, so that it survives being typed and being split into lines. The
MAC covers what the link is for and the address it was sent to: at another address, the old links say nothing.
"""

from uuid import UUID

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from subscriptions.models import AddressCheck, Endpoint

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_BYTES = 16
UNSUBSCRIBE_MAC_BYTES = 5
# 40 bits, on top of an id that nobody can guess: what a guess would win is one merchant's pause. An SMS has no room to
# spare.
CONFIRM_MAC_BYTES = 12
# 96 bits: what a guess would win is messages to somebody who never agreed.

_VALUES = {character: value for value, character in enumerate(ALPHABET)}


def unsubscribe_url(endpoint_id: UUID, target: str) -> str:
    """The link in every e-mail and SMS of the endpoint. It holds for as long as its address does."""
    return f"{settings.PUBLIC_URL}/u/{_make(endpoint_id, _unsubscribe_mac(endpoint_id, target))}"


def confirm_url(check: AddressCheck, target: str) -> str:
    """The link beside a code. It holds for this one question: a new code makes a new link."""
    return f"{settings.PUBLIC_URL}/confirm/{_make(check.endpoint_id, _confirm_mac(check, target))}"


def unsubscribe_id(token: str) -> UUID | None:
    """Whose link it claims to be; the MAC is checked against the endpoint by `is_unsubscribe`."""
    return _id(token, UNSUBSCRIBE_MAC_BYTES)


def is_unsubscribe(token: str, endpoint: Endpoint) -> bool:
    return constant_time_compare(token, _make(endpoint.id, _unsubscribe_mac(endpoint.id, endpoint.target)))


def confirm_id(token: str) -> UUID | None:
    return _id(token, CONFIRM_MAC_BYTES)


def is_confirm(token: str, check: AddressCheck, target: str) -> bool:
    return constant_time_compare(token, _make(check.endpoint_id, _confirm_mac(check, target)))


def _unsubscribe_mac(endpoint_id: UUID, target: str) -> bytes:
    return _mac("unsubscribe", f"{endpoint_id} {target}")[:UNSUBSCRIBE_MAC_BYTES]


def _confirm_mac(check: AddressCheck, target: str) -> bytes:
    return _mac("confirm", f"{check.endpoint_id} {check.sent_at.timestamp():.6f} {target}")[:CONFIRM_MAC_BYTES]


def _mac(purpose: str, text: str) -> bytes:
    return salted_hmac(f"address-token:{purpose}", text, algorithm="sha256").digest()


def _make(endpoint_id: UUID, mac: bytes) -> str:
    number = int.from_bytes(endpoint_id.bytes + mac)
    length = _text_length(len(mac))
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def _id(token: str, mac_bytes: int) -> UUID | None:
    if len(token) != _text_length(mac_bytes):
        return None
    number = 0
    for character in token:
        if character not in _VALUES:
            return None
        number = number * len(ALPHABET) + _VALUES[character]
    size = ID_BYTES + mac_bytes
    return UUID(bytes=number.to_bytes(size)[:ID_BYTES]) if number < 1 << 8 * size else None


def _text_length(mac_bytes: int) -> int:
    """The characters that hold any value of so many bytes."""
    most, length = 1 << 8 * (ID_BYTES + mac_bytes), 0
    while len(ALPHABET) ** length < most:
        length += 1
    return length
