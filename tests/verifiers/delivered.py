"""What a receiver holds in its hand: the request as it came in, and what the receiver knows of its own."""

import hmac
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

TOLERANCE_S = 300
# What Standard Webhooks, Stripe and Slack tell receivers to allow; our own rules for others ask for the same.


class Refused(Exception):
    """The receiver does not believe that the request is the provider's, or cannot use it."""


class Headers(Mapping[str, str]):
    """Headers as web frameworks give them: found by name whatever its case, each there once."""

    def __init__(self, pairs: Mapping[str, str]) -> None:
        self._pairs = {name.lower(): value for name, value in pairs.items()}

    def __getitem__(self, name: str) -> str:
        return self._pairs[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)


@dataclass(frozen=True, slots=True)
class Delivered:
    """`url` is where the receiver is registered. What it was given to verify with depends on the format: a secret, or
    the provider's public key as PEM and as a certificate (`secret` holds `user:password` where that is all)."""

    url: str
    headers: Headers
    body: bytes
    secret: str = field(default="", repr=False)
    public_pem: str = field(default="", repr=False)
    certificate_pem: str = field(default="", repr=False)

    @property
    def text(self) -> str:
        return self.body.decode()

    def header(self, name: str) -> str:
        """Raises Refused when it is not there."""
        value = self.headers.get(name)
        if value is None:
            raise Refused(f"there is no {name}")
        return value

    def with_header(self, name: str, value: str) -> Self:
        return replace(self, headers=Headers({**self.headers, name.lower(): value}))

    def without_header(self, name: str) -> Self:
        return replace(self, headers=Headers({key: text for key, text in self.headers.items() if key != name.lower()}))


def require(is_right: bool, trouble: str) -> None:
    if not is_right:
        raise Refused(trouble)


def require_same(expected: str, found: str) -> None:
    require(hmac.compare_digest(expected.encode(), found.encode()), "the signature is another one")


def require_recent(timestamp: str) -> None:
    require(timestamp.isascii() and timestamp.isdigit(), "the timestamp is no number")
    require(abs(time.time() - int(timestamp)) <= TOLERANCE_S, "the timestamp is too far from now")
