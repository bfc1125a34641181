"""Renders the bodies that a profile may ask for."""

import base64
from collections.abc import Iterable, Sequence
from operator import attrgetter
from urllib.parse import urlencode

import msgspec

from dispatcher.profiles.frame import BytesGetter, Frame, TextGetter
from dispatcher.profiles.model import Body, ProfileError, RenderError
from dispatcher.profiles.templates import compile_json

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

Field = tuple[str, TextGetter]
# A form field that is made after the others, from what they became: a signature.


def content_type(body: Body) -> str:
    return body.content_type or (FORM if body.kind in {"form", "b64url_form"} else JSON)


def compile_body(body: Body, fields: Sequence[Field]) -> BytesGetter:
    """The renderer of a body. `fields` are the signatures that travel inside it, which only forms can carry."""
    if body.kind == "form":
        return _form(fields)
    if body.kind == "b64url_form":
        return _base64_form(body.field, fields)
    if fields:
        raise ProfileError("Only a form can carry a signature in a field.")
    if body.kind == "raw":
        return attrgetter("message.payload")
    return compile_json(body.template)


def parameters(frame: Frame) -> list[tuple[str, str]]:
    """The payload's members, in order, as form parameters. Raises RenderError when it is no flat object."""
    return [(name, _parameter(name, raw)) for name, raw in frame.members.items()]


def sorted_text(frame: Frame) -> bytes:
    """Names and values of the parameters, sorted by name and run together (Twilio's way of signing a form)."""
    return "".join([name + value for name, value in sorted(parameters(frame))]).encode()


def _parameter(name: str, raw: bytes) -> str:
    if raw[:1] in {b"{", b"["}:
        raise RenderError(f"The payload is no flat object: {name} is not a single value.")
    if raw[:1] != b'"':
        return "" if raw == b"null" else raw.decode()
    try:
        return msgspec.json.decode(raw, type=str)
    except UnicodeDecodeError:
        # That exception would carry the payload into the log.
        raise RenderError("The payload is not UTF-8.") from None


def _form(fields: Sequence[Field]) -> BytesGetter:
    return lambda frame: urlencode([*parameters(frame), *_filled(fields, frame)]).encode()


def _base64_form(name: str, fields: Sequence[Field]) -> BytesGetter:
    def render(frame: Frame) -> bytes:
        text = urlencode([(name, value) for name, value in parameters(frame) if value])
        frame.data = base64.urlsafe_b64encode(text.encode())
        return urlencode([(name, frame.data), *_filled(fields, frame)]).encode()

    return render


def _filled(fields: Iterable[Field], frame: Frame) -> list[tuple[str, str]]:
    return [(name, get(frame)) for name, get in fields]
