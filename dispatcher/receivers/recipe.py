"""What a receiver has to do to verify a profile's deliveries: worked out once, for every language to write down."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal, NamedTuple

from dispatcher.ack import AckRule, BodyContains, BodyStartsWith, PointerEquals, StatusIn
from dispatcher.profiles.headers import previous
from dispatcher.profiles.model import Encoding, Profile, ProfileError, Signature

Scheme = Literal["hmac", "md5", "rsa", "ed25519", "es256", "basic"]

STRENGTH = (
    *("md5-concat", "rsa-sha1", "hmac-sha1", "hmac-sha256", "hmac-sha512"),
    *("rsa-sha256", "jws-es256", "ed25519"),
)
# Weakest first. Where several signatures are sent, the strongest is worth verifying and the others add nothing.

CONTENT = frozenset({"body", "payload", "data", "form_sorted"})
# A message without one of these says nothing of what was sent.

REFUSALS = (400, 403, 422, 503)
# Of these the first at which the profile tries again: during a rotation the next attempt may fit.

_SLOT = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_ALPHABETS: dict[Encoding, re.Pattern[str]] = {
    "hex": re.compile(r"[0-9a-f]+"),
    "base64": re.compile(r"[A-Za-z0-9+/=]+"),
    "base64url": re.compile(r"[A-Za-z0-9_=-]+"),
    "text": re.compile(r"[A-Za-z0-9_.-]+"),
}


class Unverifiable(ProfileError):
    """No receiver can verify what is sent in this profile. The sentence says what it lacks and is meant for people."""


class Piece(NamedTuple):
    """A part of a template: fixed text, or what stands in the place of `{text}`."""

    kind: Literal["text", "slot"]
    text: str


class Answer(NamedTuple):
    """What the provider takes for an acknowledgement."""

    status: int
    body: str = ""
    content_type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to verify and answer. `signature` is the one worth verifying, None where none is made: then the user name
    and password are what tells the provider from others.

    `message` is what was signed. `carriers` are pairs of a value in it and the header that carries it; the other
    values are in the signature's own value. `event_id` is where the event's id is found.
    """

    profile: Profile
    path: str
    signature: Signature | None
    message: tuple[Piece, ...] = ()
    carriers: tuple[tuple[str, str], ...] = ()

    @property
    def scheme(self) -> Scheme:
        if self.signature is None:
            return "basic"
        algorithm = self.signature.algorithm
        for scheme in ("hmac", "md5", "rsa"):
            if algorithm.startswith(scheme):
                return scheme
        return "ed25519" if algorithm == "ed25519" else "es256"

    @property
    def digest(self) -> str:
        """`sha256` and the like; empty where the scheme has its own."""
        parts = re.findall(r"sha\d+", self.signature.algorithm if self.signature else "")
        return parts[0] if parts else ""

    @property
    def slots(self) -> tuple[str, ...]:
        return tuple(piece.text for piece in self.message if piece.kind == "slot")

    @property
    def is_timed(self) -> bool:
        return "timestamp" in self.slots

    @property
    def is_list(self) -> bool:
        return self.signature is not None and self.signature.join is not None

    @property
    def previous(self) -> str:
        """The header with the signature of the secret before; empty where there is none."""
        if self.signature is None or self.is_list or self.signature.place == "field":
            return ""
        return previous(self.signature.name)

    @property
    def value(self) -> tuple[Piece, ...]:
        """What stands around the signatures in their header or field; empty when they stand alone."""
        pieces = tuple(split(self.signature.value)) if self.signature else ()
        return () if pieces == (Piece("slot", "items"),) else pieces

    @property
    def prefix(self) -> str:
        return self.signature.item.partition("{signature}")[0] if self.signature else ""

    @property
    def suffix(self) -> str:
        return self.signature.item.partition("{signature}")[2] if self.signature else ""

    @property
    def reads_form(self) -> bool:
        """Whether the form has to be taken apart before it is verified."""
        is_field = self.signature is not None and self.signature.place == "field"
        return is_field or not {"data", "form_sorted"}.isdisjoint(self.slots)

    @property
    def signature_fields(self) -> tuple[str, ...]:
        return tuple(item.name for item in self.profile.signatures if item.place == "field")

    @property
    def answer(self) -> Answer:
        return _answer(self.profile.ack)

    @property
    def refusal(self) -> int:
        stops = self.profile.retry.stop_statuses
        return next((status for status in REFUSALS if status not in stops), REFUSALS[0])

    @property
    def id_header(self) -> str:
        """The header that is the event's id; empty where there is none."""
        return _carriers(self.profile, self.signature).get("id", "")

    @property
    def id_member(self) -> str:
        """The member of the body that is the event's id; empty where a header says it, or nothing does."""
        if self.id_header or not self.profile.body.template:
            return ""
        tree = json.loads(self.profile.body.template)
        members = tree.items() if isinstance(tree, dict) else ()
        return next((name for name, value in members if value == "{id}"), "")


def recipe(profile: Profile, *, path: str) -> Recipe:
    """Raises Unverifiable for a profile of which no signature can be verified."""
    if not profile.signatures:
        return Recipe(profile, path, None)
    found, troubles = [], []
    for signature in profile.signatures:
        try:
            found.append(_recipe(profile, path, signature))
        except Unverifiable as trouble:
            troubles.append(trouble)
    if not found:
        raise troubles[0]
    return max(found, key=_worth)


def split(template: str) -> Iterator[Piece]:
    for index, piece in enumerate(_SLOT.split(template)):
        if index % 2:
            yield Piece("slot", piece)
        elif piece:
            yield Piece("text", piece)


def _worth(made: Recipe) -> tuple[bool, bool, int]:
    """What covers the content goes before what does not, then what ends replays, then the stronger algorithm."""
    algorithm = made.signature.algorithm if made.signature else ""
    return not CONTENT.isdisjoint(made.slots), made.is_timed, STRENGTH.index(algorithm)


def _recipe(profile: Profile, path: str, signature: Signature) -> Recipe:
    _require_readable(signature)
    message = tuple(_message(profile, signature))
    in_value = {piece.text for piece in split(signature.value)}
    carriers = _carriers(profile, signature)
    needed = [piece.text for piece in message if piece.kind == "slot" and piece.text not in {*CONTENT, "url"}]
    read = []
    for name in dict.fromkeys(needed):
        if name in in_value:
            continue
        if name not in carriers:
            raise Unverifiable(
                f"The signature {signature.name} is made over {{{name}}}, which receivers are not told: add a header"
                f" that is exactly {{{name}}}."
            )
        read.append((name, carriers[name]))
    return Recipe(profile, path, signature, message, tuple(read))


def _message(profile: Profile, signature: Signature) -> Iterator[Piece]:
    for piece in split(signature.message):
        if piece != Piece("slot", "payload"):
            yield piece
        elif profile.body.kind == "raw":
            yield Piece("slot", "body")
        else:
            raise Unverifiable(
                f"The signature {signature.name} is made over the payload, whose bytes receivers cannot tell from the"
                " body around them: sign {body} or {data}."
            )


def _carriers(profile: Profile, signature: Signature | None) -> dict[str, str]:
    """The header that is exactly a value, for each value that has one. Of several that whose name begins most like the
    signature's: they belong to one scheme."""
    kin = signature.name.lower() if signature else ""
    found: dict[str, str] = {}
    for name, template in sorted(profile.headers, key=lambda header: -_kinship(header[0].lower(), kin)):
        pieces = tuple(split(template))
        if len(pieces) == 1 and pieces[0].kind == "slot":
            found.setdefault(pieces[0].text, name)
    return found


def _kinship(name: str, other: str) -> int:
    """How many characters they have in common from the beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(name, other, strict=False)))


def _require_readable(signature: Signature) -> None:
    """Receivers must be able to take its value apart, and to write it down in any language."""
    if not f"{signature.item}{signature.value}{signature.join or ''}".isascii():
        raise Unverifiable(f"The signature {signature.name} has more than ASCII around it, which servers read unlike.")
    join = signature.join
    if join is None:
        return
    fixed = signature.item.split("{signature}", 1)
    if not join or _ALPHABETS[signature.encoding].fullmatch(join) or any(join in text for text in fixed):
        raise Unverifiable(f"The items of {signature.name} cannot be told apart by their separator {join!r}.")


def _answer(rule: AckRule) -> Answer:
    match rule:
        case StatusIn(statuses):
            return Answer(statuses[0])
        case BodyStartsWith(text) | BodyContains(text):
            return Answer(200, text)
        case PointerEquals(pointer, value):
            return Answer(200, json.dumps(_nested(pointer, value)), "application/json")
    return Answer(200)


def _nested(pointer: str, value: Any) -> Any:
    """The smallest document that has the value at this place. Source: RFC 6901."""
    for token in reversed(pointer.split("/")[1:]):
        value = {token.replace("~1", "/").replace("~0", "~"): value}
    return value
