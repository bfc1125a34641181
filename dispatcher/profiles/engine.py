"""Compiles a profile and an endpoint's settings into a renderer, which makes headers and body of every attempt.

Everything that does not vary between attempts is done in `prepare`: templates are taken apart, keys decoded and hashed
in, constant headers written. What is left for an attempt is joining parts and signing.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from dispatcher.profiles.bodies import Field, compile_body, content_type, sorted_text
from dispatcher.profiles.frame import BytesGetter, Frame, Message, TextGetter
from dispatcher.profiles.headers import (
    MASK,
    NO_AUTH,
    Auth,
    auth_header,
    check_header,
    is_reserved_header,
    previous,
    profile_headers,
)
from dispatcher.profiles.model import Algorithm, KeyDecoding, Profile, ProfileError, Signature
from dispatcher.profiles.signing import ENCODERS, Signer, decode_key, make_signer
from dispatcher.profiles.templates import compile_bytes, compile_text
from dispatcher.targets import Target

__all__ = [
    "USER_AGENT",
    "Auth",
    "Message",
    "ProviderKey",
    "Rendered",
    "Renderer",
    "Secret",
    "Wire",
    "prepare",
    "provider_families",
]

try:
    USER_AGENT = f"Signet/{version('signet-webhooks')}"
except PackageNotFoundError:  # a checkout that was never installed
    USER_AGENT = "Signet/0"

KEY_FAMILIES = {"rsa-sha1": "rsa", "rsa-sha256": "rsa", "ed25519": "ed25519", "jws-es256": "ec"}
# Which of the provider's keys an algorithm needs.


@dataclass(frozen=True, slots=True)
class Secret:
    """A signing secret as the merchant knows it. It no longer signs from `expires_at` on."""

    text: str = field(repr=False)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """A private key of the provider (`rsa`, `ed25519`, `ec`) in PEM form. It signs from `signs_from` on and no longer
    from `signs_until` on; None: since ever, for ever."""

    family: str
    pem: str = field(repr=False)
    signs_from: datetime | None = None
    signs_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wire:
    """An endpoint's settings that shape what goes on the wire; prepared once for each version of the endpoint.

    `secrets` and `provider_keys` are newest first, `headers` the endpoint's own. Provider keys are for the profiles
    that the provider signs.
    """

    profile: Profile
    target: Target
    secrets: tuple[Secret, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    auth: Auth = NO_AUTH
    provider_keys: tuple[ProviderKey, ...] = field(default=(), repr=False)


class Rendered(NamedTuple):
    """What is sent, and how the log shows it: `log_headers` has one `Name: value` a line (CRLF), credentials masked."""

    headers: tuple[tuple[str, str], ...]
    body: bytes
    log_headers: str
    is_body_payload: bool


COMPILED = 512
# Templates kept compiled. There are some dozens of profiles; those that name the endpoint's URL have one for each.

PROVIDER_SIGNERS = 16
# Loaded keys of the provider: three families, two digests for RSA, two keys that overlap. To load one checks it, which
# takes 26 ms for RSA; the endpoints of a profile share it.

Renderer = Callable[[Message], Rendered]


class Entry(NamedTuple):
    """One header to send: its constant value or what makes it, and whether the log must not show it."""

    name: str
    value: str | TextGetter
    is_credential: bool = False


def provider_families(profile: Profile) -> frozenset[str]:
    """The families of the provider's keys that sign in this profile; none where the endpoint's secret does."""
    provider_signed = [signature for signature in profile.signatures if signature.signer == "provider"]
    return frozenset(KEY_FAMILIES[item.algorithm] for item in provider_signed if item.algorithm in KEY_FAMILIES)


def prepare(wire: Wire) -> Renderer:
    """The renderer of an endpoint. Raises ProfileError or HeaderError, both ValueErrors, when there can be none.

    The renderer raises RenderError for an event that cannot take the profile's form, and ProfileError when no key of
    the provider signs any more. Secrets and keys of the provider sign in their own time, by the message's `now`, so a
    renderer stays right for as long as the endpoint does not change. While two of them overlap:

    - a list carries the signatures of all;
    - a single-value header carries the newest's, `<Name>-Previous` the one before's, at every attempt;
    - a form field has room for one, and receivers may not expect a second field: odd attempts are signed with the
      newest, even attempts with the one before. A receiver that knows only one of them accepts the next attempt at the
      latest, so no event is lost. When the secret and a key of the provider overlap at once, the first of them in the
      form changes with every attempt and the other with every second, so that four attempts bring every pair.
    """
    if wire.provider_keys:
        families = provider_families(wire.profile)
        wire = replace(wire, provider_keys=tuple([key for key in wire.provider_keys if key.family in families]))
    whole = _compile(wire)
    moments = _moments(wire)
    if not moments:
        return whole
    renderers: dict[int, Renderer] = {}

    def render(message: Message) -> Rendered:
        # Between two moments the same secrets and keys sign.
        passed = bisect_right(moments, message.now)
        renderer = renderers.get(passed)
        if renderer is None:
            live = _live(wire, message.now)
            renderer = renderers[passed] = whole if live == wire else _compile(live)
        return renderer(message)

    return render


def _moments(wire: Wire) -> list[datetime]:
    """When the set of those that sign changes."""
    moments = {secret.expires_at for secret in wire.secrets}
    for key in wire.provider_keys:
        moments |= {key.signs_from, key.signs_until}
    return sorted([moment for moment in moments if moment is not None])


def _live(wire: Wire, now: datetime) -> Wire:
    """The same with only the secrets and keys that sign at `now`."""
    keys = wire.provider_keys
    signing = [item for family in {key.family: None for key in keys} for item in _signing(keys, family, now)]
    secrets = [secret for secret in wire.secrets if secret.expires_at is None or now < secret.expires_at]
    return replace(wire, secrets=tuple(secrets), provider_keys=tuple(signing))


def _signing(keys: Sequence[ProviderKey], family: str, now: datetime) -> list[ProviderKey]:
    """Before any has begun, the first to begin signs: hosts' clocks differ, and every key is published before."""
    lasting = [key for key in keys if key.family == family and (key.signs_until is None or now < key.signs_until)]
    return [key for key in lasting if key.signs_from is None or key.signs_from <= now] or lasting[-1:]


def _compile(wire: Wire) -> Renderer:
    """The renderer in which all of the wire's secrets and keys sign."""
    entries = [*_profile_entries(wire), *_signature_entries(wire), *_own_entries(wire)]
    fixed = tuple([(name, value) for name, value, _ in entries if isinstance(value, str)])
    varying = [(name, value) for name, value, _ in entries if not isinstance(value, str)]
    names, getters = [name for name, _ in varying], [getter for _, getter in varying]
    log = "".join([_log_line(entry) for entry in entries if isinstance(entry.value, str)])
    log += "".join([f"{_literal(name)}: %s\r\n" for name in names])
    make_body = compile_body(wire.profile.body, _signature_fields(wire))
    is_body_payload = wire.profile.body.kind == "raw"

    def render(message: Message) -> Rendered:
        frame = Frame(message)
        frame.body = make_body(frame)
        values = tuple([getter(frame) for getter in getters])
        return Rendered((*fixed, *zip(names, values, strict=True)), frame.body, log % values, is_body_payload)

    return render


def _log_line(entry: Entry) -> str:
    shown = MASK if entry.is_credential else str(entry.value)
    return _literal(f"{entry.name}: {shown}\r\n")


def _literal(text: str) -> str:
    return text.replace("%", "%%")


def _profile_entries(wire: Wire) -> tuple[Entry, ...]:
    """Content type and user agent, unless the profile has its own, and the profile's headers."""
    return _compiled_headers(wire.profile, _url_for(wire, *[template for _, template in wire.profile.headers]))


@lru_cache(maxsize=COMPILED)
def _compiled_headers(profile: Profile, url: str) -> tuple[Entry, ...]:
    given = {name.lower() for name, _ in profile.headers}
    base = (("Content-Type", content_type(profile.body)), ("User-Agent", USER_AGENT))
    headers = [*[header for header in base if header[0].lower() not in given], *profile.headers]
    entries = tuple([Entry(name, compile_text(template, constants={"url": url})) for name, template in headers])
    for entry in entries:
        check_header(entry.name, entry.value if isinstance(entry.value, str) else "")
    return entries


def _own_entries(wire: Wire) -> list[Entry]:
    """Credentials and the endpoint's own headers. The profile's headers win over them, silently: the API refuses
    such names, but an endpoint may have changed its profile since."""
    credentials = auth_header(wire.auth)
    entries = [Entry(*credentials, is_credential=True)] if credentials else []
    taken = profile_headers(wire.profile) | {entry.name.lower() for entry in entries}
    for name, value in wire.headers:
        check_header(name, value)
        if name.lower() not in taken and not is_reserved_header(name):
            entries.append(Entry(name, value))
    return entries


def _signature_entries(wire: Wire) -> list[Entry]:
    entries = []
    for signature in wire.profile.signatures:
        if signature.place == "header":
            entries += _entries_of(signature, wire, _keys(signature, wire))
    return entries


def _entries_of(signature: Signature, wire: Wire, keys: Sequence[str]) -> list[Entry]:
    """A list header carries all signatures; a single-value header the newest, with the one before it beside it."""
    if not keys:
        return []
    if signature.join is not None:
        return [Entry(signature.name, _value(signature, wire, keys))]
    names = (signature.name, previous(signature.name))
    return [Entry(name, _value(signature, wire, [key])) for name, key in zip(names, keys, strict=False)]


def _signature_fields(wire: Wire) -> list[Field]:
    """A list in a field carries all signatures; a single value the newest and the one before it in turn."""
    fields = []
    turning: list[str] = []
    for signature in wire.profile.signatures:
        if signature.place != "field" or not (keys := _keys(signature, wire)):
            continue
        if signature.join is not None or len(keys) == 1:
            fields.append((signature.name, _value(signature, wire, keys)))
            continue
        owner = _owner(signature)
        turning += [] if owner in turning else [owner]
        newest, before = (_value(signature, wire, [key]) for key in keys[:2])
        fields.append((signature.name, _in_turn(newest, before, attempts=2 ** turning.index(owner))))
    return fields


def _in_turn(newest: TextGetter, before: TextGetter, *, attempts: int) -> TextGetter:
    """The newest for so many attempts, then as often the one before it."""
    return lambda frame: (before if (frame.message.attempt - 1) // attempts % 2 else newest)(frame)


def _owner(signature: Signature) -> str:
    """Whose key signs: what changes together when it is rotated."""
    return KEY_FAMILIES.get(signature.algorithm, "") if signature.signer == "provider" else signature.signer


def _keys(signature: Signature, wire: Wire) -> list[str]:
    if signature.signer == "endpoint":
        return [secret.text for secret in wire.secrets]
    family = _owner(signature)
    keys = [key.pem for key in wire.provider_keys if key.family == family]
    if not keys:
        raise ProfileError(f"The profile {wire.profile.name} needs a key of the provider ({family}).")
    return keys


def _value(signature: Signature, wire: Wire, keys: Sequence[str]) -> TextGetter:
    items = _joined([_item(signature, wire, key) for key in keys], signature.join or "")
    if signature.value == "{items}":
        return items
    value = compile_text(signature.value, constants=_constants(wire), extra={"items": items})
    if isinstance(value, str):
        raise ProfileError(f"The value of {signature.name} does not contain its signatures.")
    return value


def _joined(items: Sequence[TextGetter], separator: str) -> TextGetter:
    if len(items) == 1:
        return items[0]
    return lambda frame: separator.join([item(frame) for item in items])


def _item(signature: Signature, wire: Wire, key: str) -> TextGetter:
    message = _compiled_message(signature.message, _url_for(wire, signature.message))
    make = _provider_signer if signature.signer == "provider" else _signer
    sign = make(signature.algorithm, signature.key, key)
    encode = ENCODERS[signature.encoding]
    before, placeholder, after = signature.item.partition("{signature}")
    if not placeholder:
        raise ProfileError(f"An item of {signature.name} does not contain its signature.")
    return lambda frame: before + encode(sign(message(frame))) + after


def _signer(algorithm: Algorithm, decoding: KeyDecoding, key: str) -> Signer:
    return make_signer(algorithm, decode_key(decoding, key))


_provider_signer = lru_cache(maxsize=PROVIDER_SIGNERS)(_signer)
# Not for the endpoints' secrets: there are too many of them.


@lru_cache(maxsize=COMPILED)
def _compiled_message(template: str, url: str) -> BytesGetter:
    return compile_bytes(template, constants={"url": url}, extra={"form_sorted": sorted_text})


def _url_for(wire: Wire, *templates: str) -> str:
    """The endpoint's URL where one of the templates names it; otherwise all endpoints share what is compiled."""
    return wire.target.url if any("{url" in template for template in templates) else ""


def _constants(wire: Wire) -> dict[str, str]:
    return {"url": wire.target.url}
