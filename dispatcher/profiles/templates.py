"""Compiles templates once, so that rendering only joins parts: nothing that was filled in is ever looked at again."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from dispatcher.profiles.frame import BYTES, JSON_VALUES, TEXTS, BytesGetter, Frame, TextGetter
from dispatcher.profiles.model import ProfileError, RenderError

_NAME = r"[a-z][a-z0-9_]*(?:\.[A-Za-z0-9_-]+)?"
_PLACEHOLDER = re.compile(rf"\{{({_NAME}(?:\|{_NAME})*\??)\}}")
_MEMBER = "payload."
_NOTHING: Mapping[str, TextGetter] = {}

Getter = TypeVar("Getter")
JsonWriter = Callable[[Frame], bytes | None]


def compile_text(
    template: str, *, constants: Mapping[str, str], extra: Mapping[str, TextGetter] = _NOTHING
) -> TextGetter | str:
    """A header's value: the text itself when nothing in it varies. `extra` adds placeholders of the caller's."""
    parts = _parts(template, {**TEXTS, **extra}, constants)
    if not any(callable(part) for part in parts):
        return "".join([part for part in parts if isinstance(part, str)])
    if len(parts) == 1:
        return parts[0]
    return lambda frame: "".join([part if isinstance(part, str) else part(frame) for part in parts])


def compile_bytes(
    template: str, *, constants: Mapping[str, str], extra: Mapping[str, BytesGetter] | None = None
) -> BytesGetter:
    """What a signature is made over."""
    known = {**_MESSAGE_VALUES, **(extra or {})}
    parts = [part.encode() if isinstance(part, str) else part for part in _parts(template, known, constants)]
    if len(parts) == 1 and not isinstance(parts[0], bytes):
        return parts[0]
    return lambda frame: b"".join([part if isinstance(part, bytes) else part(frame) for part in parts])


def compile_json(template: str) -> BytesGetter:
    """An envelope or a thin body; see `Body` for what its texts may hold."""
    try:
        tree = json.loads(template)
    except ValueError:
        raise ProfileError("The template of the body is no JSON.") from None
    write = _writer(tree)

    def whole(frame: Frame) -> bytes:
        body = write(frame)
        if body is None:
            raise RenderError("Nothing is left of the body's template.")
        return body

    return whole


def _parts(template: str, known: Mapping[str, Getter], constants: Mapping[str, str]) -> list[str | Getter]:
    """Constant texts and getters in turn. Neighbouring constants are one part."""
    parts: list[str | Getter] = []
    constant = ""
    for index, piece in enumerate(_PLACEHOLDER.split(template)):
        if index % 2 == 0:
            constant += piece
        elif piece in constants:
            constant += constants[piece]
        elif piece in known:
            parts += [constant, known[piece]] if constant else [known[piece]]
            constant = ""
        else:
            raise ProfileError(f"There is no placeholder {{{piece}}} here.")
    return [*parts, constant] if constant else parts


def _encoded(getter: TextGetter) -> BytesGetter:
    return lambda frame: getter(frame).encode()


_MESSAGE_VALUES = BYTES | {name: _encoded(getter) for name, getter in TEXTS.items()}


def _writer(node: Any) -> JsonWriter:
    if isinstance(node, dict):
        return _object_writer(node)
    if isinstance(node, list):
        return _list_writer(node)
    if isinstance(node, str):
        return _text_writer(node)
    return _constant(node)


def _object_writer(node: dict[str, Any]) -> JsonWriter:
    members = [(_dumped(name) + b":", _writer(child)) for name, child in node.items()]

    def write(frame: Frame) -> bytes:
        written = [(name, child(frame)) for name, child in members]
        return b"{" + b",".join([name + value for name, value in written if value is not None]) + b"}"

    return write


def _list_writer(node: list[Any]) -> JsonWriter:
    items = [_writer(child) for child in node]

    def write(frame: Frame) -> bytes:
        written = [item(frame) for item in items]
        return b"[" + b",".join([value for value in written if value is not None]) + b"]"

    return write


def _text_writer(text: str) -> JsonWriter:
    if match := _PLACEHOLDER.fullmatch(text):
        return _value_writer(match[1])
    compiled = compile_text(text, constants={})
    if isinstance(compiled, str):
        return _constant(compiled)
    return lambda frame: _dumped(compiled(frame))


def _value_writer(placeholder: str) -> JsonWriter:
    names = placeholder.removesuffix("?").split("|")
    choices = [_choice(name) for name in names]
    if len(choices) == 1 and names[0] in JSON_VALUES:
        return choices[0]
    is_optional = placeholder.endswith("?")

    def write(frame: Frame) -> bytes | None:
        for choice in choices:
            if (value := choice(frame)) is not None:
                return value
        if is_optional:
            return None
        raise RenderError(f"There is no value for {{{placeholder}}}.")

    return write


def _choice(name: str) -> JsonWriter:
    if name.startswith(_MEMBER):
        return _member(name.removeprefix(_MEMBER))
    if name in JSON_VALUES:
        return JSON_VALUES[name]
    raise ProfileError(f"There is no placeholder {{{name}}} in a body.")


def _member(name: str) -> JsonWriter:
    def write(frame: Frame) -> bytes | None:
        try:
            return frame.members.get(name)
        except RenderError:
            # A payload that is no object has no members; whether that matters, the placeholder says.
            return None

    return write


def _constant(node: Any) -> JsonWriter:
    value = _dumped(node)
    return lambda frame: value  # noqa: ARG005


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
