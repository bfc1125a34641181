"""What a profile may say: how a delivery looks on the wire, how it is acknowledged and when it is tried again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dispatcher.ack import ANY_SUCCESS, AckRule

BodyKind = Literal["raw", "envelope", "thin", "form", "b64url_form"]
Algorithm = Literal[
    "hmac-sha1", "hmac-sha256", "hmac-sha512", "rsa-sha1", "rsa-sha256", "ed25519", "md5-concat", "jws-es256"
]
KeyDecoding = Literal["utf8", "base64", "hex", "whsec", "whsec_or_utf8", "whsk", "pem"]
Encoding = Literal["hex", "base64", "base64url", "text"]
KeyForm = Literal["whsec", "whsk", "trimmed_base64", "hex", "none"]


class ProfileError(ValueError):
    """A profile, or an endpoint's settings for it, cannot be used. The sentence holds no secret."""


class RenderError(ValueError):
    """This event cannot be rendered in this profile, e.g. a form of a payload that is no object. Holds no payload."""


@dataclass(frozen=True, slots=True)
class Body:
    """`template` is the JSON text of an envelope or a thin body; `field` the field that b64url_form puts its text in.

    A text in the template that is exactly one placeholder becomes that JSON value (`"{payload}"`: the payload's own
    bytes, `"{payload.id}"`: those of a member); others stay texts. `{a|b}` takes the first that is there, and a member
    whose placeholder ends in `?` is left out when nothing is.
    """

    kind: BodyKind = "raw"
    template: str = ""
    field: str = "data"
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature. A header (or form field) is a list when it has a `join`: it then carries every live secret's.

    `message` is what is signed; its placeholders are replaced once, on bytes, so that a payload may hold `{timestamp}`.
    `item` wraps one signature, `value` the joined items. `signer` is who owns the key: the endpoint or the provider.
    """

    name: str
    key: KeyDecoding
    algorithm: Algorithm = "hmac-sha256"
    encoding: Encoding = "hex"
    message: str = "{body}"
    item: str = "{signature}"
    join: str | None = None
    value: str = "{items}"
    place: Literal["header", "field"] = "header"
    signer: Literal["endpoint", "provider"] = "endpoint"


def is_provider_signed(profile: "Profile") -> bool:
    """Whether it needs a key of the provider."""
    return any(signature.signer == "provider" for signature in profile.signatures)


@dataclass(frozen=True, slots=True)
class Retry:
    """`schedule`: seconds before each retry, None for the platform's own waits; `retries` is how many of those there
    are, None for as many as the platform has. At `stop_statuses` nothing is tried again."""

    schedule: tuple[int, ...] | None = None
    stop_statuses: frozenset[int] = frozenset()
    retries: int | None = None

    def waits(self, default: Sequence[int]) -> tuple[int, ...]:
        """Seconds before each retry, where `default` is the platform's: cut, or its last wait repeated, to fit."""
        if self.schedule is not None:
            return self.schedule
        own = tuple(default)
        if self.retries is None:
            return own
        return own[: self.retries] + own[-1:] * (self.retries - len(own))


@dataclass(frozen=True, slots=True)
class Profile:
    """A wire format as data. `source` says where its rules were read; `headers` are templates as in `Signature`."""

    name: str
    source: str
    body: Body = Body()
    signatures: tuple[Signature, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    ack: AckRule = ANY_SUCCESS
    retry: Retry = Retry()
    key_form: KeyForm = "whsec"
