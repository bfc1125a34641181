"""Receivers in Go, with nothing but its standard library."""

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

KEY_TYPES = {"rsa": "*rsa.PublicKey", "ed25519": "ed25519.PublicKey", "es256": "*ecdsa.PublicKey"}
SUMS = {"sha1": "Sum", "sha256": "Sum256", "sha512": "Sum512"}
ENCODED = {
    "hex": "hex.EncodeToString({digest})",
    "base64": "base64.StdEncoding.EncodeToString({digest})",
    "base64url": "base64.URLEncoding.EncodeToString({digest})",
}
DECODED = {
    "hex": "hex.DecodeString({text})",
    "base64": "base64.StdEncoding.DecodeString({text})",
    "base64url": "base64.URLEncoding.DecodeString({text})",
}
_WHSEC = 'base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))'
KEYS = {
    "base64": "base64.StdEncoding.DecodeString(secret)",
    "hex": "hex.DecodeString(secret)",
    "whsec": _WHSEC,
    "whsec_or_utf8": _WHSEC,
    "whsk": 'base64.StdEncoding.DecodeString(secret[strings.Index(secret, "_")+1:])',
}
PACKAGES = (
    *("crypto", "crypto/ecdsa", "crypto/ed25519", "crypto/hmac", "crypto/md5", "crypto/rsa", "crypto/sha1"),
    *("crypto/sha256", "crypto/sha512", "crypto/x509", "encoding/base64", "encoding/hex", "encoding/pem", "io", "log"),
    *("math/big", "net/http", "net/url", "os", "regexp", "sort", "strconv", "strings", "time"),
)
IMPORTS = Imports(tuple([(rf"(?<![\w.]){name.rpartition('/')[2]}\.", f'"{name}"') for name in PACKAGES]))

NAMES = {"id": "eventID", "delivery_id": "deliveryID"}


def _facts(recipe: Recipe) -> Facts:
    texts = literals(recipe, quoted)
    signature = recipe.signature
    holder = "form" if signature and signature.place == "field" else "header"
    return texts | {
        "setup": setup(recipe, "go run receiver.go", indent="\t"),
        "key_type": KEY_TYPES.get(recipe.scheme, "[]byte"),
        "given": f"{holder}.Get({texts['header']})",
        "pattern": _raw(f"^{pattern(recipe, lambda name, inside: f'(?P<{name}>{inside})', escaped=_escape)}$"),
        "pattern_values": lines(
            [f'{_name(name)} := match[value.SubexpIndex("{name}")]' for name in value_names(recipe)]
        ),
        "values": lines([f"{_name(name)} := header.Get({quoted(header)})" for name, header in recipe.carriers]),
        "without": lines([f"form.Del({quoted(name)})" for name in recipe.signature_fields]),
        "message": _message(recipe),
        "expected": _expected(recipe),
        "digest": recipe.digest,
        "hash": recipe.digest.upper(),
        "sum": SUMS.get(recipe.digest, ""),
        "stripped": _stripped(recipe),
        "decoded": DECODED.get(signature.encoding, "").format(text=_stripped(recipe)) if signature else "",
        "key": KEYS.get(signature.key, "") if signature else "",
    }


def _filename(recipe: Recipe) -> str:  # noqa: ARG001 - one name fits all
    return "receiver.go"


def _name(slot: str) -> str:
    return NAMES.get(slot, camel(slot))


def _raw(text: str) -> str:
    return f"`{text}`" if "`" not in text else quoted(text)


def _escape(text: str) -> str:
    """Go refuses an escaped slash, which ends nothing there."""
    return escape(text).replace("\\/", "/")


def _message(recipe: Recipe) -> str:
    parts = [_run(run) for run in runs(recipe)]
    # gofmt leaves no spaces around operators inside of a call.
    return "".join(parts) if len(parts) < 2 else _appended([part.replace(" + ", "+") for part in parts])


def _appended(parts: list[str]) -> str:
    """One after another; `append` takes two."""
    whole = parts[0] if parts[0] != "body" else "[]byte{}"
    for part in parts[1:] if parts[0] != "body" else parts:
        whole = f"append({whole}, {part}...)"
    return whole


def _run(run: list[Piece]) -> str:
    if is_body(run):
        return "body"
    parts = [_variable(piece) if piece.kind == "slot" else quoted(piece.text) for piece in run]
    return f"[]byte({' + '.join(parts)})"


def _variable(piece: Piece) -> str:
    return 'required("WEBHOOK_URL")' if piece.text == "url" else _name(piece.text)


def _expected(recipe: Recipe) -> str:
    if recipe.signature is None or recipe.scheme not in {"hmac", "md5"}:
        return ""
    digest = "sum[:]" if recipe.scheme == "md5" else "mac.Sum(nil)"
    before = [quoted(recipe.prefix)] if recipe.prefix else []
    after = [quoted(recipe.suffix)] if recipe.suffix else []
    return " + ".join([*before, ENCODED[recipe.signature.encoding].format(digest=digest), *after])


def _stripped(recipe: Recipe) -> str:
    given = f"strings.TrimPrefix(signature, {quoted(recipe.prefix)})" if recipe.prefix else "signature"
    return f"strings.TrimSuffix({given}, {quoted(recipe.suffix)})" if recipe.suffix else given


def _notes(recipe: Recipe) -> Iterator[str]:  # noqa: ARG001 - the same for all
    yield "Needs Go 1.19 or newer, and nothing else."


GO = Language("go", "Go", "go", _filename, _facts, _notes, {"imports": IMPORTS})
