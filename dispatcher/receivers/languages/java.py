"""Receivers in Java, with nothing but the JDK."""

from collections.abc import Iterator

from dispatcher.receivers.dialect import (
    Imports,
    Language,
    camel,
    is_body,
    lines,
    literals,
    pascal,
    pattern,
    quoted,
    runs,
    value_names,
)
from dispatcher.receivers.facts import setup
from dispatcher.receivers.layout import Facts
from dispatcher.receivers.recipe import Piece, Recipe

DIGESTS = {"sha1": "SHA1", "sha256": "SHA256", "sha512": "SHA512"}
ENCODED = {
    "hex": "HexFormat.of().formatHex({digest})",
    "base64": "Base64.getEncoder().encodeToString({digest})",
    "base64url": "Base64.getUrlEncoder().encodeToString({digest})",
}
DECODED = {
    "hex": "HexFormat.of().parseHex(signature)",
    "base64": "Base64.getDecoder().decode(signature)",
    "base64url": "Base64.getUrlDecoder().decode(signature)",
}
KEYS = {
    "utf8": "secret.getBytes(UTF_8)",
    "base64": "Base64.getDecoder().decode(secret)",
    "hex": "HexFormat.of().parseHex(secret)",
    "whsec": 'Base64.getDecoder().decode(secret.replaceFirst("^whsec_", ""))',
    "whsk": 'Base64.getDecoder().decode(secret.replaceFirst("^wh[sp]k_", ""))',
}
CLASSES = (
    *("com.sun.net.httpserver.Headers", "com.sun.net.httpserver.HttpExchange", "com.sun.net.httpserver.HttpServer"),
    *("java.io.ByteArrayOutputStream", "java.io.IOException", "java.net.InetSocketAddress", "java.net.URLDecoder"),
    *(
        "java.nio.file.Files",
        "java.nio.file.Path",
        "java.security.GeneralSecurityException",
        "java.security.KeyFactory",
    ),
    *("java.security.MessageDigest", "java.security.PublicKey", "java.security.Signature"),
    *("java.security.SignatureException", "java.security.spec.X509EncodedKeySpec", "java.time.Instant"),
    *("java.util.ArrayList", "java.util.Arrays", "java.util.Base64", "java.util.HexFormat", "java.util.LinkedHashMap"),
    *("java.util.List", "java.util.Map", "java.util.TreeMap", "java.util.concurrent.Executors"),
    *("java.util.regex.Matcher", "java.util.regex.Pattern", "javax.crypto.Mac", "javax.crypto.spec.SecretKeySpec"),
)
IMPORTS = Imports(tuple([(rf"\b{name.rpartition('.')[2]}\b", f"import {name};") for name in CLASSES]))
STATICS = Imports(((r"\bUTF_8\b", "import static java.nio.charset.StandardCharsets.UTF_8;"),), around="{}\n")


def _facts(recipe: Recipe) -> Facts:
    texts = literals(recipe, quoted)
    signature = recipe.signature
    is_field = signature is not None and signature.place == "field"
    return texts | {
        "setup": setup(recipe, f"java {_filename(recipe)}"),
        "class": _class(recipe),
        "key_type": {"basic": "String", "hmac": "byte[]", "md5": "byte[]"}.get(recipe.scheme, "PublicKey"),
        "key_family": {"rsa": "RSA", "es256": "EC"}.get(recipe.scheme, "Ed25519"),
        "given": f'form.getOrDefault({texts["header"]}, "")' if is_field else f"header(headers, {texts['header']})",
        "pattern": quoted(pattern(recipe, lambda name, inside: f"(?<{camel(name)}>{inside})")),
        "pattern_values": lines(
            [f'String {camel(name)} = match.group("{camel(name)}");' for name in value_names(recipe)]
        ),
        "values": lines(
            [f"String {camel(name)} = header(headers, {quoted(header)});" for name, header in recipe.carriers]
        ),
        "without": lines([f"form.remove({quoted(name)});" for name in recipe.signature_fields]),
        "message": lines([f"{_sink(recipe)}({_run(run)});" for run in runs(recipe)]),
        "expected": _expected(recipe),
        "digest": DIGESTS.get(recipe.digest, ""),
        "algorithm": "Ed25519" if recipe.scheme == "ed25519" else f"{DIGESTS.get(recipe.digest, '')}withRSA",
        "stripped": _stripped(recipe),
        "decoded": DECODED.get(signature.encoding, "") if signature else "",
        "key": KEYS.get(signature.key, "") if signature else "",
    }


def _class(recipe: Recipe) -> str:
    name = pascal(recipe.profile.name)
    return f"{'' if name[0].isalpha() else 'Webhook'}{name}Receiver"


def _filename(recipe: Recipe) -> str:
    return f"{_class(recipe)}.java"


def _sink(recipe: Recipe) -> str:
    """What takes the message in, piece by piece."""
    return {"hmac": "mac.update", "md5": "digest.update", "es256": "message.writeBytes"}.get(
        recipe.scheme, "verifier.update"
    )


def _run(run: list[Piece]) -> str:
    if is_body(run):
        return "body"
    parts = [_variable(piece) if piece.kind == "slot" else quoted(piece.text) for piece in run]
    if len(parts) > 1:
        return f"({' + '.join(parts)}).getBytes(UTF_8)"
    is_builder = run[0] == Piece("slot", "form_sorted")
    return f"{parts[0]}{'.toString()' if is_builder else ''}.getBytes(UTF_8)"


def _variable(piece: Piece) -> str:
    return "WEBHOOK_URL" if piece.text == "url" else camel(piece.text)


def _expected(recipe: Recipe) -> str:
    if recipe.signature is None or recipe.scheme not in {"hmac", "md5"}:
        return ""
    digest = "digest.digest()" if recipe.scheme == "md5" else "mac.doFinal()"
    before = [quoted(recipe.prefix)] if recipe.prefix else []
    after = [quoted(recipe.suffix)] if recipe.suffix else []
    return " + ".join([*before, ENCODED[recipe.signature.encoding].format(digest=digest), *after])


def _stripped(recipe: Recipe) -> str:
    given = "signature"
    if recipe.prefix:
        given += f'.replaceFirst("^" + Pattern.quote({quoted(recipe.prefix)}), "")'
    if recipe.suffix:
        given += f'.replaceFirst(Pattern.quote({quoted(recipe.suffix)}) + "$", "")'
    return given


def _notes(recipe: Recipe) -> Iterator[str]:  # noqa: ARG001 - the same for all
    yield "Needs Java 17 or newer, and nothing else."


JAVA = Language("java", "Java", "java", _filename, _facts, _notes, {"statics": STATICS, "imports": IMPORTS})
