"""Receivers in Python: its standard library, and `cryptography` for what has a public key."""

from collections.abc import Iterator

from dispatcher.receivers.dialect import (
    Imports,
    Language,
    is_body,
    lines,
    literals,
    pattern,
    quoted,
    runs,
    snake,
    value_names,
)
from dispatcher.receivers.facts import setup
from dispatcher.receivers.layout import Facts
from dispatcher.receivers.recipe import Piece, Recipe

KEY_TYPES = {"rsa": "RSAPublicKey", "ed25519": "Ed25519PublicKey", "es256": "EllipticCurvePublicKey"}
ENCODED = {
    "hex": "{digest}.hexdigest()",
    "base64": "base64.b64encode({digest}.digest()).decode()",
    "base64url": "base64.urlsafe_b64encode({digest}.digest()).decode()",
}
DECODED = {
    "hex": "bytes.fromhex({text})",
    "base64": "base64.b64decode({text})",
    "base64url": "base64.urlsafe_b64decode({text})",
}
KEYS = {
    "utf8": "secret.encode()",
    "base64": "base64.b64decode(secret)",
    "hex": "bytes.fromhex(secret)",
    "whsec": 'base64.b64decode(secret.removeprefix("whsec_"))',
    "whsk": 'base64.b64decode(secret.partition("_")[2])',
}

STANDARD = Imports(
    (
        (r"\bbase64\.", "import base64"),
        (r"\bhashlib\.", "import hashlib"),
        (r"\bhmac\.", "import hmac"),
        (r"\bjson\.", "import json"),
        (r"\bos\.", "import os"),
        (r"\bre\.", "import re"),
        (r"\btime\.", "import time"),
        ("", "from collections.abc import Mapping, Sequence"),
        ("", "from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer"),
        (r"\bPath\(", "from pathlib import Path"),
        (r"\bparse_qsl\(", "from urllib.parse import parse_qsl"),
    )
)
_ASYMMETRIC = "cryptography.hazmat.primitives.asymmetric"
CRYPTOGRAPHY = Imports(
    (
        (r"\bInvalidSignature\b", "from cryptography.exceptions import InvalidSignature"),
        (r"\bhashes\.", "from cryptography.hazmat.primitives import hashes"),
        (r"\bec\.", f"from {_ASYMMETRIC} import ec"),
        (r"\bpadding\.", f"from {_ASYMMETRIC} import padding"),
        (r"\bEllipticCurvePublicKey\b", f"from {_ASYMMETRIC}.ec import EllipticCurvePublicKey"),
        (r"\bEd25519PublicKey\b", f"from {_ASYMMETRIC}.ed25519 import Ed25519PublicKey"),
        (r"\bRSAPublicKey\b", f"from {_ASYMMETRIC}.rsa import RSAPublicKey"),
        (r"\bencode_dss_signature\b", f"from {_ASYMMETRIC}.utils import encode_dss_signature"),
        (r"\bload_pem_public_key\b", "from cryptography.hazmat.primitives.serialization import load_pem_public_key"),
    )
)


def _facts(recipe: Recipe) -> Facts:
    texts = literals(recipe, quoted)
    signature = recipe.signature
    holder = "form" if signature and signature.place == "field" else "headers"
    return texts | {
        "setup": setup(recipe, *_commands(recipe), indent=""),
        "key_type": KEY_TYPES.get(recipe.scheme, "bytes"),
        "given": f'{holder}.get({texts["header"]}, "")',
        "pattern": _raw(pattern(recipe, _group)),
        "pattern_values": lines([f'{snake(name)} = match["{snake(name)}"]' for name in value_names(recipe)]),
        "values": lines([f'{snake(name)} = headers.get({quoted(header)}, "")' for name, header in recipe.carriers]),
        "sorted_without": _without(recipe),
        "message": " + ".join([_run(run) for run in runs(recipe)]),
        "expected": f"expected = {_expected(recipe)}",
        "stripped": _stripped(recipe),
        "check": _check(recipe),
        "key": KEYS.get(signature.key, "") if signature else "",
    }


def _commands(recipe: Recipe) -> list[str]:
    install = ["pip install cryptography"] if _needs_cryptography(recipe) else []
    return [*install, f"python3 {_filename(recipe)}"]


def _needs_cryptography(recipe: Recipe) -> bool:
    return recipe.scheme in KEY_TYPES


def _filename(recipe: Recipe) -> str:  # noqa: ARG001 - one name fits all
    return "receiver.py"


def _raw(text: str) -> str:
    """A raw text, which cannot hold its own quotation mark."""
    return f'r"{text}"' if '"' not in text else quoted(text)


def _group(name: str, inside: str) -> str:
    return f"(?P<{snake(name)}>{inside})"


def _without(recipe: Recipe) -> str:
    if not recipe.signature_fields:
        return ""
    return f" if name not in {{{', '.join(map(quoted, recipe.signature_fields))}}}"


def _run(run: list[Piece]) -> str:
    if is_body(run):
        return "body"
    if len(run) == 1 and run[0].kind == "slot":
        return f"{_variable(run[0])}.encode()"
    inside = "".join([f"{{{_variable(piece)}}}" if piece.kind == "slot" else _fixed(piece) for piece in run])
    is_formatted = any(piece.kind == "slot" for piece in run)
    return f'f"{inside}".encode()' if is_formatted else f"{quoted(''.join([p.text for p in run]))}.encode()"


def _variable(piece: Piece) -> str:
    return "WEBHOOK_URL" if piece.text == "url" else snake(piece.text)


def _fixed(piece: Piece) -> str:
    return quoted(piece.text)[1:-1].replace("{", "{{").replace("}", "}}")


def _expected(recipe: Recipe) -> str:
    if recipe.signature is None or recipe.scheme not in {"hmac", "md5"}:
        return ""
    digest = (
        "hashlib.md5(message + key)" if recipe.scheme == "md5" else f"hmac.new(key, message, hashlib.{recipe.digest})"
    )
    parts = [ENCODED[recipe.signature.encoding].format(digest=digest)]
    if recipe.prefix:
        parts.insert(0, quoted(recipe.prefix))
    if recipe.suffix:
        parts.append(quoted(recipe.suffix))
    return " + ".join(parts)


def _stripped(recipe: Recipe) -> str:
    before = f".removeprefix({quoted(recipe.prefix)})" if recipe.prefix else ""
    return before + (f".removesuffix({quoted(recipe.suffix)})" if recipe.suffix else "")


def _check(recipe: Recipe) -> str:
    if recipe.signature is None or recipe.signature.encoding not in DECODED:
        return ""
    given = DECODED[recipe.signature.encoding].format(text=f"signature{_stripped(recipe)}")
    if recipe.scheme == "ed25519":
        return f"key.verify({given}, message)"
    return f"key.verify({given}, message, padding.PKCS1v15(), hashes.{recipe.digest.upper()}())"


def _notes(recipe: Recipe) -> Iterator[str]:
    packages = "and the package `cryptography`" if _needs_cryptography(recipe) else "and nothing else"
    yield f"Needs Python 3.9 or newer, {packages}."


PYTHON = Language(
    "python", "Python", "python", _filename, _facts, _notes, {"imports": STANDARD, "crypto_imports": CRYPTOGRAPHY}
)
