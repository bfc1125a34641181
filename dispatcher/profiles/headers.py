"""Which headers an endpoint may add of its own, and what a header may hold."""

import base64
import re
from dataclasses import dataclass, field
from typing import Literal

from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.model import Profile

VALUE_BYTES = 4096
# Of a custom header. Receivers commonly refuse more than 8 KiB of headers in all.

NAME_LENGTH = 128
# Characters. Longer than any name in use, short enough for every receiver's limit.

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

RESERVED = frozenset(
    {
        # Say how the request is framed, routed or handled: the client's own, or a way to smuggle a second request.
        *("host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect"),
        *("http2-settings", "accept-encoding", "range", "via", "max-forwards", "x-http-method-override"),
        # Say who sends: ours to say, and what gateways behind the receiver trust.
        *("user-agent", "forwarded", "x-real-ip", "x-client-ip", "true-client-ip", "from"),
        # Credentials have a setting of their own, which keeps them encrypted and out of the log.
        *("authorization", "cookie", "set-cookie"),
        # Open the metadata services of clouds.
        *("metadata", "metadata-flavor"),
    }
)
RESERVED_PREFIXES = (
    *("content-", "proxy-", "x-forwarded-", "x-original-"),
    *("webhook-", "x-webhook-"),
    *("x-amz-", "x-aws-", "x-goog-", "x-google-", "x-metadata-"),
)
MASK = "••••"


class HeaderError(ValueError):
    """A header cannot be used. The sentence is meant for people and does not show the value."""


@dataclass(frozen=True, slots=True)
class Auth:
    """How we tell the receiver who we are. `name` is the user of `basic`, or the name of a custom header."""

    type: Literal["none", "basic", "bearer", "header"] = "none"
    name: str = ""
    secret: str = field(default="", repr=False)


NO_AUTH = Auth()


def is_reserved_header(name: str) -> bool:
    """Whether an endpoint may not set this header itself; its signature headers among others.

    Case does not matter, nor does `_` for `-`: CGI and WSGI receivers cannot tell the two apart.
    """
    lower = name.lower().replace("_", "-")
    return lower in RESERVED or lower.startswith(RESERVED_PREFIXES) or lower in _SIGNATURE_HEADERS


def check_header(name: str, value: str) -> None:
    """Raise HeaderError unless the name is a token and the value can be sent: ISO 8859-1, no control characters."""
    if not _TOKEN.fullmatch(name) or len(name) > NAME_LENGTH:
        raise HeaderError("A header's name consists of letters, digits and !#$%&'*+-.^_`|~ only, and is not too long.")
    if _CONTROL.search(value):
        raise HeaderError(f"The value of the header {name} has control characters, e.g. a line break.")
    try:
        size = len(value.encode("latin-1"))
    except UnicodeEncodeError:
        raise HeaderError(f"The value of the header {name} has characters outside of ISO 8859-1.") from None
    if size > VALUE_BYTES:
        raise HeaderError(f"The value of the header {name} has more than {VALUE_BYTES} bytes.")


def auth_header(auth: Auth) -> tuple[str, str] | None:
    """The header that carries the credentials, ready to send. Raises HeaderError when it cannot be one."""
    match auth.type:
        case "none":
            return None
        case "basic":
            header = "Authorization", f"Basic {_basic(auth)}"
        case "bearer":
            header = "Authorization", f"Bearer {auth.secret}"
        case "header":
            header = auth.name, auth.secret
            if is_reserved_header(auth.name) and auth.name.lower() != "authorization":
                raise HeaderError(f"The header {auth.name} is reserved.")
    check_header(*header)
    return header


def profile_headers(profile: Profile) -> frozenset[str]:
    """The names, in lower case, that the profile itself sends and no endpoint can replace."""
    return frozenset(name.lower() for name, _ in profile.headers) | _signature_headers(profile)


def previous(name: str) -> str:
    """The header that carries the old secret's signature while a single-value header carries the new one's."""
    return f"{name}-Previous"


def _basic(auth: Auth) -> str:
    if ":" in auth.name or _CONTROL.search(auth.name + auth.secret):
        raise HeaderError("A user name has no colon, and neither it nor the password has control characters.")
    return base64.b64encode(f"{auth.name}:{auth.secret}".encode()).decode()


def _signature_headers(profile: Profile) -> frozenset[str]:
    names = [signature.name for signature in profile.signatures if signature.place == "header"]
    return frozenset(name.lower() for base in names for name in (base, previous(base)))


_SIGNATURE_HEADERS = frozenset().union(*map(_signature_headers, PROFILES.values()))
