"""The credentials that an endpoint wants its deliveries to show."""

from dataclasses import dataclass, field
from typing import Any

from dispatcher.profiles import headers
from subscriptions.models import Endpoint
from subscriptions.services import shapes
from subscriptions.services.shapes import Check, Wrong, json_object, wrong

NAME_LENGTH = 255
PASSWORD_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class Auth:
    """`secret` is the password, token or header value; None leaves the stored one, where there is one."""

    type: str = Endpoint.Auth.NONE
    name: str = ""
    secret: str | None = field(default=None, repr=False)


NO_AUTH = Auth()


def check_auth(value: Any) -> Auth:
    """`{"type": "none"}`, `{"type": "basic", "username", "password"}`, `{"type": "bearer", "token"}`,
    `{"type": "header", "name", "value"}`; null is none. Raises Wrong."""
    if value is None:
        return NO_AUTH
    members = dict(json_object(value))
    kind = members.pop("type", None)
    if not isinstance(kind, str) or kind not in _SHAPES:
        raise wrong("unknown_choice", f"This must be one of: {', '.join(_SHAPES)}.", "/type")
    values, faults = shapes.read(members, _SHAPES[kind], required=filter(None, [NAME_OF.get(kind)]))
    if faults:
        raise Wrong(*faults)
    auth = Auth(kind, values.get(NAME_OF.get(kind, ""), ""), values.get(SECRET_OF.get(kind, "")))
    _check_sendable(auth)
    return auth


def _check_sendable(auth: Auth) -> None:
    """By the very code that will write the header: first the name alone, then with its secret."""
    for member, secret in ((NAME_OF.get(auth.type), ""), (SECRET_OF.get(auth.type), auth.secret or "")):
        try:
            headers.auth_header(headers.Auth(auth.type, auth.name, secret))  # type: ignore[arg-type] # one of the four
        except headers.HeaderError as trouble:
            raise wrong("invalid_credential", str(trouble), f"/{member}") from None


_SHAPES: dict[str, dict[str, Check]] = {
    Endpoint.Auth.NONE: {},
    Endpoint.Auth.BASIC: {"username": shapes.line(most=NAME_LENGTH), "password": shapes.line(most=PASSWORD_LENGTH)},
    Endpoint.Auth.BEARER: {"token": shapes.line(most=headers.VALUE_BYTES)},
    Endpoint.Auth.HEADER: {"name": shapes.line(most=NAME_LENGTH), "value": shapes.line(most=headers.VALUE_BYTES)},
}
NAME_OF: dict[str, str] = {Endpoint.Auth.BASIC: "username", Endpoint.Auth.HEADER: "name"}
SECRET_OF: dict[str, str] = {
    Endpoint.Auth.BASIC: "password",
    Endpoint.Auth.BEARER: "token",
    Endpoint.Auth.HEADER: "value",
}
