"""Receivers in JavaScript for Node.js, with nothing but its own modules."""

from collections.abc import Iterator

from dispatcher.receivers.dialect import (
    Imports,
    Language,
    camel,
    escape,
    is_body,
    lines,
    literals,
    pattern,
    quoted,
    runs,
    value_names,
)
from dispatcher.receivers.facts import setup
from dispatcher.receivers.layout import Facts
from dispatcher.receivers.recipe import Piece, Recipe

ENCODED = {
    "hex": '{digest}.digest("hex")',
    "base64": '{digest}.digest("base64")',
    # Node's own base64url has no padding.
    "base64url": '{digest}.digest("base64").replaceAll("+", "-").replaceAll("/", "_")',
}
KEYS = {
    "utf8": "Buffer.from(secret)",
    "base64": 'Buffer.from(secret, "base64")',
    "hex": 'Buffer.from(secret, "hex")',
    "whsec": 'Buffer.from(secret.replace("whsec_", ""), "base64")',
    "whsk": 'Buffer.from(secret.split("_")[1], "base64")',
}
CRYPTO = Imports(
    (
        (r"\bcreateHash\(", "createHash"),
        (r"\bcreateHmac\(", "createHmac"),
        (r"\bcreatePublicKey\(", "createPublicKey"),
        (r"\btimingSafeEqual\(", "timingSafeEqual"),
        (r"\bverifySignature\(", "verify as verifySignature"),
    ),
    separator=", ",
    around='import {{ {} }} from "node:crypto";',
)
OTHERS = Imports(
    (
        (r"\breadFileSync\(", 'import { readFileSync } from "node:fs";'),
        ("", 'import { createServer } from "node:http";'),
    )
)


def _facts(recipe: Recipe) -> Facts:
    texts = literals(recipe, quoted) | {
        name: quoted(header.lower())
        for name, header in (("previous_header", recipe.previous), ("id_header", recipe.id_header))
    }
    signature = recipe.signature
    is_field = signature is not None and signature.place == "field"
    return texts | {
        "setup": setup(recipe, f"node {_filename(recipe)}"),
        "environment": _environment(recipe),
        "given": f'form.get({texts["header"]}) ?? ""' if is_field else _header(_name(recipe)),
        "pattern": pattern(recipe, lambda name, inside: f"(?<{camel(name)}>{inside})"),
        "groups": ", ".join([camel(name) for name in [*value_names(recipe), "signatures"]]) + " ",
        "values": lines([f"const {camel(name)} = {_header(header)};" for name, header in recipe.carriers]),
        "without": lines([f"form.delete({quoted(name)});" for name in recipe.signature_fields]),
        "message": _message(recipe),
        "expected": _expected(recipe),
        "check": _check(recipe),
        "key": KEYS.get(signature.key, "") if signature else "",
    }


def _name(recipe: Recipe) -> str:
    return recipe.signature.name if recipe.signature else ""


def _header(name: str) -> str:
    return f'headers[{quoted(name.lower())}] ?? ""'


def _environment(recipe: Recipe) -> str:
    return 'const WEBHOOK_URL = required("WEBHOOK_URL");' if "url" in recipe.slots else ""


def _filename(recipe: Recipe) -> str:  # noqa: ARG001 - one name fits all
    return "receiver.mjs"


def _message(recipe: Recipe) -> str:
    parts = [_run(run) for run in runs(recipe)]
    return parts[0] if len(parts) == 1 else f"Buffer.concat([{', '.join(parts)}])"


def _run(run: list[Piece]) -> str:
    if is_body(run):
        return "body"
    if len(run) == 1 and run[0].kind == "slot":
        return f"Buffer.from({_variable(run[0])})"
    inside = "".join([f"${{{_variable(piece)}}}" if piece.kind == "slot" else _fixed(piece) for piece in run])
    return f"Buffer.from(`{inside}`)"


def _variable(piece: Piece) -> str:
    return "WEBHOOK_URL" if piece.text == "url" else camel(piece.text)


def _fixed(piece: Piece) -> str:
    return quoted(piece.text)[1:-1].replace('\\"', '"').replace("`", "\\`").replace("${", "\\${")


def _expected(recipe: Recipe) -> str:
    if recipe.signature is None or recipe.scheme not in {"hmac", "md5"}:
        return ""
    digest = (
        'createHash("md5").update(message).update(key)'
        if recipe.scheme == "md5"
        else f'createHmac("{recipe.digest}", key).update(message)'
    )
    encoded = ENCODED[recipe.signature.encoding].format(digest=digest)
    before = [quoted(recipe.prefix)] if recipe.prefix else []
    return " + ".join([*before, encoded, *([quoted(recipe.suffix)] if recipe.suffix else [])])


def _check(recipe: Recipe) -> str:
    if recipe.signature is None:
        return ""
    given = "item"
    for text, edge in ((recipe.prefix, "^{}"), (recipe.suffix, "{}$")):
        if text:
            given += f'.replace(/{edge.format(escape(text))}/, "")'
    if recipe.scheme == "es256":
        return f"isSigned(message, {given}, key)"
    digest = "null" if recipe.scheme == "ed25519" else f'"{recipe.digest}"'
    return f'verifySignature({digest}, message, key, Buffer.from({given}, "{recipe.signature.encoding}"))'


def _notes(recipe: Recipe) -> Iterator[str]:  # noqa: ARG001 - the same for all
    yield "Needs Node.js 18 or newer, and nothing else."


NODE = Language("node", "Node.js", "javascript", _filename, _facts, _notes, {"crypto": CRYPTO, "imports": OTHERS})
