"""What every language's template may ask: flags of a recipe, and the sentences that explain it in comments."""

import re
from collections.abc import Iterator
from textwrap import fill

from dispatcher.profiles.bodies import content_type
from dispatcher.receivers.recipe import Recipe

COMMENT_WIDTH = 88
# Characters of a comment without its marker and indentation; with both, lines stay below a hundred.

KEYS = ("utf8", "base64", "hex", "whsec", "whsec_or_utf8", "whsk", "pem")
ENCODINGS = ("hex", "base64", "base64url", "text")
SCHEMES = ("hmac", "md5", "rsa", "ed25519", "es256", "basic")

KEY_TEXTS = {
    "utf8": "the text of the secret",
    "base64": "the secret decoded from base64",
    "hex": "the secret decoded from hexadecimal",
    "whsec": "the secret without its whsec_, decoded from base64",
    "whsec_or_utf8": "the secret without its whsec_, decoded from base64; of a secret that has none, its text",
    "whsk": "what follows whsk_ or whpk_, decoded from base64",
}
ENCODING_TEXTS = {"hex": "hexadecimal", "base64": "base64", "base64url": "base64 for URLs, padded"}


def flags(recipe: Recipe) -> dict[str, bool]:
    signature, kind = recipe.signature, recipe.profile.body.kind
    key, encoding = (signature.key, signature.encoding) if signature else ("", "")
    is_ours = signature is None or signature.signer == "endpoint"
    return {
        **{scheme: recipe.scheme == scheme for scheme in SCHEMES},
        **{f"key_{name}": key == name for name in KEYS},
        **{f"enc_{name}": encoding == name for name in ENCODINGS},
        "secret": is_ours,
        "pem": not is_ours,
        "shared": recipe.scheme in {"hmac", "md5"},
        "list": recipe.is_list,
        "previous": bool(recipe.previous),
        "wrapped": bool(recipe.value),
        "item": bool(recipe.prefix or recipe.suffix),
        "field": signature is not None and signature.place == "field",
        "timed": recipe.is_timed,
        "form": recipe.reads_form,
        "data": "data" in recipe.slots,
        "sorted": "form_sorted" in recipe.slots,
        "url": "url" in recipe.slots,
        "b64url_body": kind == "b64url_form",
        "form_body": kind == "form",
        "json_body": "json" in content_type(recipe.profile.body),
        "answer": bool(recipe.answer.body),
        "id": bool(recipe.id_header),
    }


def sentences(recipe: Recipe) -> dict[str, str]:
    """Texts for comments, wrapped."""
    return {
        "profile": plain(recipe.profile.name),
        "about_signature": _lines(_about_signature(recipe)),
        "about_message": _lines(_about_message(recipe)),
        "about_id": _lines([about_id(recipe)]),
        "about_key": about_key(recipe),
        "refusal": str(recipe.refusal),
        "status": str(recipe.answer.status),
    }


def environment(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """The variables that the program reads, and what each is."""
    if recipe.scheme == "basic":
        yield "WEBHOOK_USER", "the user name that the endpoint was registered with"
        yield "WEBHOOK_SECRET", "its password"
        yield "WEBHOOK_SECRET_PREVIOUS", "the password before, while it is being changed; else unset"
    elif recipe.signature and recipe.signature.signer == "provider":
        yield (
            "WEBHOOK_PUBLIC_KEY_FILE",
            "the provider's public key in PEM form; several, one after another, in a rotation",
        )
    elif recipe.scheme == "ed25519":
        yield "WEBHOOK_SECRET", _about_public_half(recipe)
        yield "WEBHOOK_SECRET_PREVIOUS", "the one before, while keys are being rotated; else unset"
    else:
        yield "WEBHOOK_SECRET", "the endpoint's signing secret, as it was shown"
        yield "WEBHOOK_SECRET_PREVIOUS", "the one before, while secrets are being rotated; else unset"
    if "url" in recipe.slots:
        yield "WEBHOOK_URL", "the endpoint's URL, to the letter as the platform shows it"


def _about_public_half(recipe: Recipe) -> str:
    if recipe.signature and recipe.signature.key == "whsk":
        return "the endpoint's key (whsk_…) or its public half (whpk_…), which is all that is used"
    return "the public key that belongs to the endpoint's key, encoded as that is"


def about_key(recipe: Recipe) -> str:
    """What is done with WEBHOOK_SECRET; empty where it is no key."""
    text = KEY_TEXTS.get(recipe.signature.key, "") if recipe.signature else ""
    return f"the last 32 bytes of {text}" if recipe.scheme == "ed25519" else text


def setup(recipe: Recipe, *commands: str, port: bool = True, indent: str = "    ") -> str:
    """How to start the program: its environment as a table, then the commands."""
    rows = [*environment(recipe), *([("PORT", "8000 unless it is set")] if port else [])]
    width = max(len(name) for name, _ in rows)
    table = [f"{indent}{name.ljust(width)}  {text}" for name, text in rows]
    return "\n".join([*table, "", *[f"{indent}{command}" for command in commands]])


def plain(text: str) -> str:
    """Fit for a comment in any language: on one line, without what would end the comment or begin an escape."""
    shown = "".join([character if character.isprintable() and character != "\\" else "?" for character in text])
    return shown.replace("?>", "? >").replace("*/", "* /").replace('"""', "'''")


def about_id(recipe: Recipe) -> str:
    again = "The same event may come again, e.g. when an answer got lost:"
    if recipe.id_header:
        return f"{again} remember its {plain(recipe.id_header)}."
    if recipe.id_member:
        return f"{again} remember the `{plain(recipe.id_member)}` in its body."
    return f"{again} go by what identifies it in its body."


def title(recipe: Recipe) -> str:
    """The algorithm as people write it."""
    match recipe.scheme:
        case "hmac":
            return f"HMAC-{recipe.digest.upper()}"
        case "md5":
            return "MD5"
        case "rsa":
            return f"RSA signature (PKCS #1 v1.5, {recipe.digest.upper().replace('SHA', 'SHA-')})"
        case "ed25519":
            return "Ed25519 signature"
        case "es256":
            return "detached JWS (ES256)"
    return ""


def shape(recipe: Recipe) -> str:
    """The signature's header or field, with names in angle brackets for what varies."""
    if recipe.signature is None:
        return ""
    item = recipe.signature.item.replace("{signature}", "<signature>", 1)
    items = f"{item}[{recipe.signature.join}{item}…]" if recipe.is_list else item
    return _angled(recipe.signature.value.replace("{items}", items, 1))


def message_shape(recipe: Recipe) -> str:
    return "".join([piece.text if piece.kind == "text" else f"<{_named(piece.text)}>" for piece in recipe.message])


def _about_signature(recipe: Recipe) -> list[str]:
    if recipe.signature is None:
        return ["Nothing is signed in this format: user name and password tell the provider from others."]
    name = recipe.signature.name
    where = f"the form's field {name}" if recipe.signature.place == "field" else name
    told = [f"{where[0].upper()}{where[1:]}" if where != name else name, ": ", shape(recipe), "."]
    if recipe.is_list:
        return [plain("".join(told)), "There is one signature for each live key, and one that fits is enough."]
    if recipe.previous:
        return [
            plain("".join(told)),
            plain(f"While keys are rotated, {recipe.previous} is the same, made with the one before."),
        ]
    return [
        plain("".join(told)),
        "While keys are rotated, attempts are signed with the new one and the one before in turn.",
    ]


def _about_message(recipe: Recipe) -> list[str]:
    if recipe.signature is None:
        return []
    end = f" in {ENCODING_TEXTS[recipe.signature.encoding]}" if recipe.signature.encoding in ENCODING_TEXTS else ""
    what = plain(message_shape(recipe))
    if recipe.scheme == "md5":
        return [f"A signature is the MD5 of {what} and the secret behind it{end}."]
    return [f"A signature is the {title(recipe)} of {what}{end}."]


def _angled(template: str) -> str:
    return re.sub(r"\{([a-z_]+)\}", lambda match: f"<{_named(match[1])}>", template)


def _named(slot: str) -> str:
    return {"form_sorted": "sorted form", "data": "data", "url": "URL"}.get(slot, slot.replace("_", " "))


def _lines(paragraphs: list[str]) -> str:
    return "\n".join([fill(text, COMMENT_WIDTH, break_long_words=False, break_on_hyphens=False) for text in paragraphs])
