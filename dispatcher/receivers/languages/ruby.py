"""Receivers in Ruby: its standard library, and WEBrick, which stopped to be a part of that with Ruby 3.0."""

from collections.abc import Iterator

from dispatcher.receivers.dialect import (
    Imports,
    Language,
    is_body,
    lines,
    literals,
    pattern,
    runs,
    snake,
    value_names,
)
from dispatcher.receivers.dialect import quoted as json_quoted
from dispatcher.receivers.facts import setup
from dispatcher.receivers.layout import Facts
from dispatcher.receivers.recipe import Piece, Recipe

DECODED = {
    "hex": '[signature].pack("H*")',
    "base64": 'signature.unpack1("m0")',
    "base64url": 'signature.tr("-_", "+/").unpack1("m0")',
}
KEYS = {
    "base64": 'secret.unpack1("m0")',
    "hex": '[secret].pack("H*")',
    "whsec": 'secret.delete_prefix("whsec_").unpack1("m0")',
    "whsk": 'secret.split("_", 2).last.unpack1("m0")',
}
IMPORTS = Imports(
    (
        (r"\bJSON\.", 'require "json"'),
        (r"\bOpenSSL\b", 'require "openssl"'),
        (r"\bURI\.", 'require "uri"'),
        ("", 'require "webrick"'),
    )
)


def quoted(text: str) -> str:
    """Between double quotes, in which `#` can begin code."""
    return json_quoted(text).replace("#", "\\#")


def _facts(recipe: Recipe) -> Facts:
    texts = literals(recipe, quoted)
    signature = recipe.signature
    holder = "form" if signature and signature.place == "field" else "headers"
    return texts | {
        "setup": setup(recipe, "gem install webrick", f"ruby {_filename(recipe)}"),
        "given": f"{holder}[{texts['header']}].to_s",
        "pattern": pattern(recipe, lambda name, inside: f"(?<{snake(name)}>{inside})").replace("#", "\\#"),
        "pattern_values": lines([f"{snake(name)} = match[:{snake(name)}]" for name in value_names(recipe)]),
        "values": lines([f"{snake(name)} = headers[{quoted(header)}].to_s" for name, header in recipe.carriers]),
        "without": _without(recipe),
        "message": " + ".join([_run(run) for run in runs(recipe)]),
        "expected": _expected(recipe),
        "stripped": _stripped(recipe),
        "digest": "nil" if recipe.scheme == "ed25519" else f'"{recipe.digest.upper()}"',
        "decoded": DECODED.get(signature.encoding, "") if signature else "",
        "key": KEYS.get(signature.key, "") if signature else "",
        "headers_used": "headers" if recipe.id_header else "_headers",
    }


def _filename(recipe: Recipe) -> str:  # noqa: ARG001 - one name fits all
    return "receiver.rb"


def _without(recipe: Recipe) -> str:
    names = ", ".join([quoted(name) for name in recipe.signature_fields])
    return f".except({names})" if names else ""


def _run(run: list[Piece]) -> str:
    """As bytes: text and body could not be joined where either has more than ASCII."""
    if is_body(run):
        return "body"
    if len(run) == 1 and run[0].kind == "slot":
        return f"{_variable(run[0])}.b"
    inside = "".join(
        [f"#{{{_variable(piece)}}}" if piece.kind == "slot" else quoted(piece.text)[1:-1] for piece in run]
    )
    return f'"{inside}".b'


def _variable(piece: Piece) -> str:
    return "WEBHOOK_URL" if piece.text == "url" else snake(piece.text)


def _expected(recipe: Recipe) -> str:
    if recipe.signature is None or recipe.scheme not in {"hmac", "md5"}:
        return ""
    parts = [_encoded(recipe, recipe.signature.encoding)]
    if recipe.prefix:
        parts.insert(0, quoted(recipe.prefix))
    if recipe.suffix:
        parts.append(quoted(recipe.suffix))
    return " + ".join(parts)


def _encoded(recipe: Recipe, encoding: str) -> str:
    kind = "hexdigest" if encoding == "hex" else "digest"
    digest = (
        f'OpenSSL::Digest.{kind}("MD5", message + key.b)'
        if recipe.scheme == "md5"
        else f'OpenSSL::HMAC.{kind}("{recipe.digest.upper()}", key, message)'
    )
    match encoding:
        case "base64":
            return f'[{digest}].pack("m0")'
        case "base64url":
            return f'[{digest}].pack("m0").tr("+/", "-_")'
    return digest


def _stripped(recipe: Recipe) -> str:
    before = f".delete_prefix({quoted(recipe.prefix)})" if recipe.prefix else ""
    return before + (f".delete_suffix({quoted(recipe.suffix)})" if recipe.suffix else "")


def _notes(recipe: Recipe) -> Iterator[str]:  # noqa: ARG001 - the same for all
    yield "Needs Ruby 3.0 or newer, and the gem `webrick` for the server around it."


RUBY = Language("ruby", "Ruby", "ruby", _filename, _facts, _notes, {"imports": IMPORTS})
