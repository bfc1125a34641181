"""Tries a profile out before anything is sent in it: what would fail at a delivery is told here, part by part.

All checks give pairs of a JSON pointer into what `declare` would write of the profile (with its template as JSON) and a
sentence for people.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from dispatcher.profiles.bodies import content_type, sorted_text
from dispatcher.profiles.engine import prepare
from dispatcher.profiles.headers import RESERVED, RESERVED_PREFIXES, HeaderError, check_header, previous
from dispatcher.profiles.model import Profile, ProfileError, RenderError, Signature
from dispatcher.profiles.sample import made_up_secrets, render_sample, sample_wire
from dispatcher.profiles.secrets import InvalidSecret, check_secret
from dispatcher.profiles.templates import compile_bytes, compile_json, compile_text
from dispatcher.strict_json import UnreadableJson, check_json

Fault = tuple[str, str]

FREE_FOR_PROFILES = ("user-agent",)
FREE_PREFIXES = ("webhook-", "x-webhook-")
# Reserved only so that no endpoint sets what a profile says.

PROVIDER_ALGORITHMS = frozenset({"rsa-sha1", "rsa-sha256", "jws-es256"})
# Made with private keys in PEM form, which only the provider has: a secret that merchants know is one line of text.
TEXT_KEYS = frozenset({"utf8", "base64", "hex", "whsec", "whsec_or_utf8"})
ENDPOINT_KEYS = {"ed25519": frozenset({"whsk", "base64", "hex"})}
# What a merchant's secret may be decoded from; TEXT_KEYS where nothing else is said.

_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+(\s*;.*)?")
_BRACES = re.compile(r"\{\s*[A-Za-z][A-Za-z0-9_.|? -]*\}")
# What looks like a placeholder.

_URL = {"url": "https://merchant.example/webhooks"}


def find_faults(profile: Profile) -> list[Fault]:
    """Everything that is wrong."""
    faults = [
        *_of_body(profile),
        *_of_headers(profile),
        *_of_signatures(profile),
        *_of_names(profile),
        *_of_key_form(profile),
    ]
    return faults or list(_of_sample(profile))


def _of_body(profile: Profile) -> Iterator[Fault]:
    body = profile.body
    if body.content_type and not _MEDIA_TYPE.fullmatch(body.content_type):
        yield "/body/content_type", "This is no media type such as application/json."
    yield from _told("/body/content_type", lambda: check_header("Content-Type", content_type(body)))
    if not body.template:
        return
    try:
        tree = check_json(body.template.encode())
    except UnreadableJson as trouble:
        yield "/body/template", trouble.detail.replace("The body", "The template").replace("the body", "the template")
        return
    for path, text in _texts(tree):
        yield from ((f"/body/template{path}", message) for message in _of_template(text, _body_template))


def _texts(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a template and the pointer to it. Names of members are sent as they are."""
    match node:
        case str():
            yield path, node
        case list():
            for position, item in enumerate(node):
                yield from _texts(item, f"{path}/{position}")
        case dict():
            for name, item in node.items():
                yield from _texts(item, f"{path}/{name.replace('~', '~0').replace('/', '~1')}")


def _of_headers(profile: Profile) -> Iterator[Fault]:
    for position, (name, template) in enumerate(profile.headers):
        pointer = f"/headers/{position}"
        yield from _of_header_name(pointer, name)
        yield from _of_header_text(pointer, template, _header_template)


def _of_header_name(pointer: str, name: str) -> Iterator[Fault]:
    # The longer name is sent while secrets rotate.
    yield from _told(pointer, lambda: check_header(previous(name), ""))
    lower = name.lower().replace("_", "-")
    if lower in FREE_FOR_PROFILES or lower.startswith(FREE_PREFIXES):
        return
    if lower == "content-type":
        yield pointer, "The content type is a part of the body: give it as its content_type."
    elif lower in RESERVED or lower.startswith(RESERVED_PREFIXES):
        yield pointer, f"The header {name} is not a profile's to set."


def _of_header_text(pointer: str, template: str, compiled: Callable[[str], object]) -> Iterator[Fault]:
    """What a placeholder stands for is ASCII; what stands around it must be fit for a header as well."""
    yield from _told(pointer, lambda: check_header("X", template))
    if template != template.strip():
        yield pointer, "Receivers take away white space at the ends of a header."
    yield from ((pointer, message) for message in _of_template(template, compiled))


def _of_signatures(profile: Profile) -> Iterator[Fault]:
    for position, signature in enumerate(profile.signatures):
        pointer = f"/signatures/{position}"
        yield from _of_key(pointer, signature)
        yield from _of_place(pointer, signature, profile)
        yield from _of_message(f"{pointer}/message", signature, profile)
        yield from _of_item(f"{pointer}/item", signature)
        yield from _of_value(f"{pointer}/value", signature)


def _of_key(pointer: str, signature: Signature) -> Iterator[Fault]:
    algorithm, signer = signature.algorithm, signature.signer
    is_provided = signer == "provider"
    if (signature.encoding == "text") != (algorithm == "jws-es256"):
        yield f"{pointer}/encoding", "A signature by jws-es256 is text already, and no other is: encode it as that."
    if algorithm in PROVIDER_ALGORITHMS and not is_provided:
        yield f"{pointer}/signer", f"Only the provider has keys for {algorithm}."
    elif is_provided and algorithm not in {*PROVIDER_ALGORITHMS, "ed25519"}:
        yield f"{pointer}/signer", f"The provider has no keys for {algorithm}: an endpoint's secret makes it."
    elif is_provided and signature.key != "pem":
        yield f"{pointer}/key", "The provider's keys are decoded as pem."
    elif not is_provided and signature.key not in ENDPOINT_KEYS.get(algorithm, TEXT_KEYS):
        known = ", ".join(sorted(ENDPOINT_KEYS.get(algorithm, TEXT_KEYS)))
        yield f"{pointer}/key", f"A secret for {algorithm} is decoded as one of: {known}."


def _of_place(pointer: str, signature: Signature, profile: Profile) -> Iterator[Fault]:
    if signature.place == "header":
        yield from _of_header_name(f"{pointer}/name", signature.name)
    elif profile.body.kind not in {"form", "b64url_form"}:
        yield f"{pointer}/place", "Only a form can carry a signature in a field."
    if signature.join is not None and signature.place == "header":
        yield from _told(f"{pointer}/join", lambda: check_header("X", signature.join or ""))


def _of_message(pointer: str, signature: Signature, profile: Profile) -> Iterator[Fault]:
    yield from ((pointer, message) for message in _of_template(signature.message, _message_template))
    if signature.place == "field" and "{body}" in signature.message:
        yield pointer, "A signature inside the body cannot be made over the body: sign {data} or {payload}."
    if "{data}" in signature.message and profile.body.kind != "b64url_form":
        yield pointer, "Only a body of the kind b64url_form has {data}."


def _of_item(pointer: str, signature: Signature) -> Iterator[Fault]:
    before, placeholder, after = signature.item.partition("{signature}")
    if not placeholder:
        yield pointer, "An item does not stand without its {signature}."
    elif found := _BRACES.search(before) or _BRACES.search(after):
        yield pointer, f"An item is {{signature}} and fixed text around it; {found[0]} can be in the value."
    if signature.place == "header":
        yield from _told(pointer, lambda: check_header("X", signature.item))


def _of_value(pointer: str, signature: Signature) -> Iterator[Fault]:
    if signature.value.count("{items}") != 1:
        yield pointer, "The value has {items} in it, once."
    if signature.place == "header":
        yield from _of_header_text(pointer, signature.value, _value_template)
    else:
        yield from ((pointer, message) for message in _of_template(signature.value, _value_template))


def _of_names(profile: Profile) -> Iterator[Fault]:
    """Nothing is sent twice under one name. To many receivers `_` in a header's name is the same as `-`."""
    headers = [(f"/headers/{at}", [_plain(name)]) for at, (name, _) in enumerate(profile.headers)]
    fields = [("/body/field", [profile.body.field])] if profile.body.kind == "b64url_form" else []
    for at, signature in enumerate(profile.signatures):
        pointer = f"/signatures/{at}/name"
        if signature.place == "field":
            fields.append((pointer, [signature.name]))
        elif signature.join is None:
            headers.append((pointer, [_plain(signature.name), _plain(previous(signature.name))]))
        else:
            headers.append((pointer, [_plain(signature.name)]))
    for kind, named in (("header", headers), ("field", fields)):
        counts = Counter(name for _, names in named for name in names)
        yield from ((pointer, f"Another {kind} has this name.") for pointer, names in named if _is_taken(names, counts))


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _is_taken(names: list[str], counts: Counter[str]) -> bool:
    return any(counts[name] > 1 for name in names)


def _of_key_form(profile: Profile) -> Iterator[Fault]:
    if all(signature.signer == "provider" for signature in profile.signatures):
        return
    if any(True for signature in profile.signatures for _ in _of_key("", signature)):
        # Told already: no form of secrets could fit it.
        return
    if profile.key_form == "none":
        yield "/key_form", "A signature is made with the endpoint's secret, so there must be a form of secrets."
        return
    try:
        check_secret(profile, made_up_secrets(profile.key_form)[0])
    except InvalidSecret as trouble:
        yield "/key_form", f"Secrets of this form do not fit every signature: {trouble}"


def _of_sample(profile: Profile) -> Iterator[Fault]:
    """The whole, once every part is right. Whether an event fits the body, only that event can say."""
    for is_rotating in (False, True):
        try:
            prepare(sample_wire(profile, is_rotating=is_rotating))
            render_sample(profile, is_rotating=is_rotating)
        except RenderError:
            pass
        except ValueError as trouble:
            yield "", str(trouble)
            return


def _of_template(template: str, compiled: Callable[[str], object]) -> Iterator[str]:
    """A misspelt placeholder would be sent as it stands, so whatever looks like one must be one."""
    try:
        compiled(template)
    except ProfileError as trouble:
        yield str(trouble)
        return
    for found in _BRACES.findall(template):
        if _is_literal(found):
            yield f"{found} is no placeholder: their names are in lower case, without spaces."


def _is_literal(piece: str) -> bool:
    try:
        return compile_text(piece, constants=_URL) == piece
    except ProfileError:
        return False


def _body_template(text: str) -> object:
    return compile_json(json.dumps(text))


def _header_template(template: str) -> object:
    return compile_text(template, constants=_URL)


def _value_template(template: str) -> object:
    return compile_text(template, constants=_URL, extra={"items": lambda frame: ""})  # noqa: ARG005


def _message_template(template: str) -> object:
    return compile_bytes(template, constants=_URL, extra={"form_sorted": sorted_text})


def _told(pointer: str, check: Callable[[], object]) -> Iterator[Fault]:
    try:
        check()
    except HeaderError as trouble:
        yield pointer, str(trouble)
