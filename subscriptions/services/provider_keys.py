"""Everything that happens to the provider's own keys: made, rotated with time to learn the new one, withdrawn."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F

from dispatcher.ids import Prefix, new_id, show
from dispatcher.profiles.engine import provider_families
from dispatcher.profiles.key_pairs import fingerprint, make_key_pair
from subscriptions.errors import Conflict, FieldError, Invalid, NotFound
from subscriptions.killpoints import reached
from subscriptions.models import Endpoint, ProviderKey
from subscriptions.selectors import profiles
from subscriptions.selectors import provider_keys as selectors
from subscriptions.services import audit, bell, vault
from subscriptions.services.locks import lock_provider_keys, share_provider_keys

LEAD = timedelta(hours=24)
# Before a new key signs. Receivers that fetch the published keys once a day have it by then.
OVERLAP = timedelta(days=7)
# In which the old key signs beside the new one: time for those who must put a key in place by hand.
LONGEST = timedelta(days=365)
# Of either. Longer than any notice that a provider gives; a slip of the keyboard must not last for ever.

MOST_ALIVE = 2
# Keys of a family that sign or are going to. Where there is room for one signature, the newest and the one before it
# share it: a third would sign nowhere, and a receiver that knows no other would lose events.

RING = 1_000
# Endpoints in one message of the bell, some 40 kB.


@dataclass(frozen=True, slots=True)
class Rotated:
    """`previous` is the one that the new key follows, with its end; None where there was none."""

    row: ProviderKey
    previous: ProviderKey | None


@transaction.atomic
def ensure(*, family: str, now: datetime, actor: str) -> ProviderKey:
    """The newest key of the family; the first one is made, and signs at once. Raises NotFound for an unknown family.

    Of two that come at once both make a key and the constraint keeps one. No rotation until the transaction ends.
    """
    _check_family(family)
    share_provider_keys()
    if found := _find_newest(family):
        return found
    made = _make(family, now=now)
    ProviderKey.objects.bulk_create([made], ignore_conflicts=True)
    newest = ProviderKey.objects.get(family=family, signs_until=None)
    if newest.id == made.id:
        _note(made, "provider_key.created", now=now, actor=actor)
        _raise_versions(family, now=now)
    return newest


def ensure_for(profile: str, *, now: datetime, actor: str) -> None:
    """For services that make an endpoint of this profile, or give it to one: the keys that sign there exist, and none
    is rotated until the transaction ends, nor does a format of the provider's own change or go. To be called before any
    endpoint is locked; see `locks` for the order. Raises Conflict for a format that is not there."""
    share_provider_keys()
    # Looked for again: a format of the provider's own may have gone since the endpoint's fields were checked.
    found = profiles.find(profile)
    if found is None:
        raise Conflict(f"There is no profile {profile}.", code="unknown_profile")
    for family in sorted(provider_families(found)):
        ensure(family=family, now=now, actor=actor)


def rotate(*, family: str, lead: timedelta, overlap: timedelta, now: datetime, actor: str) -> Rotated:
    """A new key, published at once: it signs from `lead` on, and the one before it goes on for `overlap` after that.

    1. Lock: of two rotations the second sees what the first left.
    2. Drop what is published no longer, then count: more than MOST_ALIVE is a Conflict and changes nothing.
    3. Give the newest its end, then add the new one. Where there was none, it signs at once.
    4. Raise the versions of the endpoints, so that senders read the keys again.

    Raises NotFound for an unknown family and Invalid for a span that is not from nothing to LONGEST.
    """
    _check_family(family)
    _check_spans(lead=lead, overlap=overlap)
    # Before the lock: an RSA key takes some tenths of a second.
    made = _make(family, now=now)
    with transaction.atomic():
        lock_provider_keys()
        ProviderKey.objects.filter(signs_until__lte=now - selectors.PUBLISHED_AFTER_END).delete()
        previous = _find_newest(family)
        if previous is not None:
            # Whatever the clock of the one's host said, this comes after it: by their times the newest is known.
            now = max(now, previous.created_at + timedelta.resolution)
            made.created_at = now
            made.signs_from = max(now + lead, previous.signs_from + timedelta.resolution)
            _end(previous, at=made.signs_from + overlap, now=now)
        made.save(force_insert=True)
        _note(made, "provider_key.rotated" if previous else "provider_key.created", now=now, actor=actor)
        _raise_versions(family, now=now)
        reached("provider_key.rotated")
    return Rotated(made, previous)


@transaction.atomic
def withdraw(*, key_id: UUID, now: datetime, actor: str) -> None:
    """Of a key that others may know: it signs no more, is published no more, and its private half is erased.

    The other living key of the family signs from now on, alone and without an end. Raises NotFound, or Conflict for the
    only one. What is in the air may still carry the old signature; a receiver that refuses it gets the next attempt.
    """
    lock_provider_keys()
    row = ProviderKey.objects.filter(id=key_id).first()
    if row is None:
        raise NotFound("There is no such key.")
    others = selectors.alive(now=now).filter(family=row.family).exclude(id=row.id)
    heir = others.order_by("-signs_from").first()
    if heir is None:
        detail = "This is the only key of its family. Rotate it without lead and overlap: then it can be withdrawn."
        raise Conflict(detail, code="only_key")
    _note(row, "provider_key.withdrawn", now=now, actor=actor)
    row.delete()
    heir.signs_until = None
    if not others.filter(signs_from__lte=now).exists():
        heir.signs_from = now
    heir.save(update_fields=["signs_from", "signs_until"])
    _raise_versions(row.family, now=now)


def _check_family(family: str) -> None:
    if family not in ProviderKey.Family.values:
        raise NotFound(f"There is no family of keys {family}: it is one of {', '.join(ProviderKey.Family.values)}.")


def _check_spans(**spans: timedelta) -> None:
    sentence = f"This is from 0 to {LONGEST // timedelta(hours=1)} hours."
    if faults := [name for name, span in spans.items() if not timedelta(0) <= span <= LONGEST]:
        raise Invalid(*[FieldError(f"/{name}", "out_of_range", sentence) for name in faults])


def _find_newest(family: str) -> ProviderKey | None:
    return ProviderKey.objects.filter(family=family, signs_until=None).first()


def _make(family: str, *, now: datetime) -> ProviderKey:
    """A key that signs from now on; it is not stored yet."""
    key_id = new_id()
    pair = make_key_pair(family, common_name=f"Signet webhook signatures {show(Prefix.PROVIDER_KEY, key_id)}", now=now)
    return ProviderKey(
        id=key_id,
        family=family,
        ciphertext=vault.seal(vault.PROVIDER_KEY, key_id, pair.private_pem.encode()),
        public_pem=pair.public_pem,
        certificate_pem=pair.certificate_pem,
        signs_from=now,
        created_at=now,
    )


def _end(row: ProviderKey, *, at: datetime, now: datetime) -> None:
    others = selectors.alive(now=now).filter(family=row.family).exclude(id=row.id).order_by("signs_until")
    if len(others) + (at > now) >= MOST_ALIVE:
        until = f"{others[0].signs_until:%Y-%m-%d %H:%M} UTC"
        detail = f"At most {MOST_ALIVE} keys may overlap: wait until {until}, or withdraw {others[0].public_id}."
        raise Conflict(detail, code="too_many_keys")
    row.signs_until = at
    row.save(update_fields=["signs_until"])


def _raise_versions(family: str, *, now: datetime) -> None:
    """Senders keep keys for as long as an endpoint's version stays."""
    known = profiles.find_many(profiles.names())
    signed = [name for name, profile in known.items() if family in provider_families(profile)]
    rows = Endpoint.objects.filter(profile__in=signed, deleted_at=None)
    ids = list(rows.select_for_update(no_key=True).order_by("id").values_list("id", flat=True))
    if ids:
        rows.update(version=F("version") + 1, updated_at=now)
    for start in range(0, len(ids), RING):
        bell.ring(ids[start : start + RING])


def _note(row: ProviderKey, action: str, *, now: datetime, actor: str) -> None:
    """With what tells the key from all others, as the row of a withdrawn one is gone."""
    detail = {"family": row.family, "sha256": fingerprint(row.public_pem)}
    audit.note(actor=actor, action=action, target=row.public_id, detail=detail, now=now)
