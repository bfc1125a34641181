"""Receivers in PHP, with the extensions that it comes with."""

import re
from collections.abc import Iterator

from dispatcher.receivers.dialect import (
    Language,
    camel,
    escape,
    is_body,
    lines,
    literals,
    pattern,
    runs,
    value_names,
)
from dispatcher.receivers.facts import setup
from dispatcher.receivers.layout import Facts
from dispatcher.receivers.recipe import Piece, Recipe

KEYS = {
    "base64": "base64_decode($secret)",
    "hex": "hex2bin($secret)",
    "whsec": "base64_decode(substr($secret, strlen('whsec_')))",
    "whsk": "base64_decode(substr($secret, strlen('whsk_')))",
}
DECODED = {
    # Bytes that are no hexadecimal are no signature; `hex2bin` would warn.
    "hex": "(string) (ctype_xdigit($signature) ? @hex2bin($signature) : '')",
    "base64": "(string) base64_decode($signature)",
    "base64url": "(string) base64_decode(strtr($signature, '-_', '+/'))",
}


def quoted(text: str) -> str:
    """In single quotes, in which a backslash means itself unless another one or a quotation mark follows."""
    return "'" + re.sub(r"\\(?=[\\']|$)|'", r"\\\g<0>", text) + "'"


def _facts(recipe: Recipe) -> Facts:
    texts = literals(recipe, quoted)
    signature = recipe.signature
    is_field = signature is not None and signature.place == "field"
    name = signature.name if signature else ""
    return texts | {
        "setup": setup(recipe, f"php -S 127.0.0.1:8000 {_filename(recipe)}", port=False),
        "key_type": "OpenSSLAsymmetricKey"
        if signature and signature.signer == "provider" and _is_openssl(recipe)
        else "string",
        "given": f"$form[{texts['header']}] ?? ''" if is_field else _header(name),
        "given_previous": _header(recipe.previous),
        "pattern": quoted(f"/\\A{pattern(recipe, _group)}\\z/"),
        "pattern_values": lines([f"${camel(name)} = $match['{name}'];" for name in value_names(recipe)]),
        "values": lines([f"${camel(name)} = {_header(header)};" for name, header in recipe.carriers]),
        "without": _without(recipe),
        "message": " . ".join([_run(run) for run in runs(recipe)]),
        "expected": _expected(recipe),
        "stripped": _stripped(recipe),
        "decoded": DECODED.get(signature.encoding, "") if signature else "",
        "digest": recipe.digest.upper(),
        "key": KEYS.get(signature.key, "") if signature else "",
        "id_key": quoted(_server_key(recipe.id_header)),
        "content_type": quoted(f"Content-Type: {recipe.answer.content_type}"),
    }


def _is_openssl(recipe: Recipe) -> bool:
    return recipe.scheme in {"rsa", "es256"}


def _filename(recipe: Recipe) -> str:  # noqa: ARG001 - one name fits all
    return "receiver.php"


def _header(name: str) -> str:
    return f"$server[{quoted(_server_key(name))}] ?? ''"


def _server_key(name: str) -> str:
    """The header's key in $_SERVER."""
    return f"HTTP_{name.upper().replace('-', '_')}"


def _group(name: str, inside: str) -> str:
    return f"(?<{name}>{inside})"


def _without(recipe: Recipe) -> str:
    return lines([f"unset($form[{quoted(name)}]);" for name in recipe.signature_fields])


def _run(run: list[Piece]) -> str:
    if is_body(run):
        return "$body"
    return " . ".join([f"${camel(piece.text)}" if piece.kind == "slot" else quoted(piece.text) for piece in run])


def _expected(recipe: Recipe) -> str:
    if recipe.signature is None or recipe.scheme not in {"hmac", "md5"}:
        return ""
    parts = [_encoded(recipe, recipe.signature.encoding)]
    if recipe.prefix:
        parts.insert(0, quoted(recipe.prefix))
    if recipe.suffix:
        parts.append(quoted(recipe.suffix))
    return " . ".join(parts)


def _encoded(recipe: Recipe, encoding: str) -> str:
    raw = "" if encoding == "hex" else ", true"
    digest = (
        f"md5($message . $key{raw})" if recipe.scheme == "md5" else f"hash_hmac('{recipe.digest}', $message, $key{raw})"
    )
    match encoding:
        case "base64":
            return f"base64_encode({digest})"
        case "base64url":
            return f"strtr(base64_encode({digest}), '+/', '-_')"
    return digest


def _stripped(recipe: Recipe) -> str:
    edge = "|".join(
        [
            *([f"\\A{escape(recipe.prefix)}"] if recipe.prefix else []),
            *([f"{escape(recipe.suffix)}\\z"] if recipe.suffix else []),
        ]
    )
    return f"preg_replace({quoted(f'/{edge}/')}, '', $signature)"


def _notes(recipe: Recipe) -> Iterator[str]:
    extensions = {"rsa": "openssl", "es256": "openssl", "ed25519": "sodium"}
    extension = extensions.get(recipe.scheme)
    yield f"Needs PHP 8.0 or newer with its extension {extension}." if extension else "Needs PHP 8.0 or newer."
    yield f"Put the file where {recipe.path} leads, or start it with PHP's own server to try it."


PHP = Language("php", "PHP", "php", _filename, _facts, _notes, {})
