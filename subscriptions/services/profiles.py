"""Everything that happens to the provider's own wire formats. Those that come with the platform never change."""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet

from dispatcher.ids import Prefix, show
from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.declaration import DeclarationError, declare, parse_profile
from dispatcher.profiles.engine import provider_families
from dispatcher.profiles.model import Profile
from dispatcher.profiles.secrets import InvalidSecret, check_secret
from subscriptions.errors import Conflict, FieldError, Invalid, NotFound
from subscriptions.models import Endpoint, SigningSecret, WireProfile
from subscriptions.models.formats import PROFILE_NAME_LENGTH, PROFILE_NAME_PATTERN
from subscriptions.selectors import profiles
from subscriptions.services import audit, bell, provider_keys, shapes, signing_secrets
from subscriptions.services.conflicts import refuse_duplicate
from subscriptions.services.locks import check_version, lock_provider_keys
from subscriptions.services.provider_keys import RING
from subscriptions.services.shapes import Shape, wrong

MOST_SECRETS = 10_000
# Opened and tried against a changed format in one transaction: about a quarter of a second, while its endpoints wait.

_NAME = re.compile(PROFILE_NAME_PATTERN, re.ASCII)


def check_name(value: Any) -> str:
    name: str = shapes.line(most=PROFILE_NAME_LENGTH)(value)
    if not _NAME.fullmatch(name):
        raise wrong("invalid_name", "A name is groups of lower-case letters and digits joined by single hyphens.")
    if name in PROFILES:
        raise wrong("name_taken", "A profile of this name comes with the platform.")
    return name


CHANGES: Shape = {"description": shapes.prose(most=1024), "definition": shapes.json_object}
NEW: Shape = {"name": check_name, **CHANGES}


@transaction.atomic
def create(*, data: Mapping[str, Any], now: datetime, actor: str) -> WireProfile:
    """A new profile. Raises Invalid with every fault of its definition, or Conflict when the name is taken."""
    values = _check(data, NEW, required=("name", "definition"))
    with refuse_duplicate("wire_profile_name_unique", "There is a profile of this name.", code="name_taken"):
        profile = WireProfile.objects.create(created_at=now, updated_at=now, **values)
    _note(profile, "profile.created", {"fields": sorted(values)}, now=now, actor=actor)
    return profile


@transaction.atomic
def update(
    *, name: str, data: Mapping[str, Any], now: datetime, actor: str, expected: Collection[int] | None = None
) -> WireProfile:
    """Change the fields in `data`; the name is for good. Raises NotFound, Stale, Invalid or Conflict.

    1. Lock out those who are about to give an endpoint this profile, then every living endpoint that uses it: no secret
       is added or rotated meanwhile.
    2. Refuse a format that the secrets stored there cannot sign.
    3. Give those endpoints their next version, and ring: senders keep what they prepared for one version only.
    """
    values = _check(data, CHANGES, name=name)
    lock_provider_keys()
    profile = _lock(name, expected)
    before = profiles.find(name)
    for field, value in values.items():
        setattr(profile, field, value)
    detail: dict[str, Any] = {"fields": sorted(values)}
    if "definition" in values and (after := parse_profile(name, profile.definition)) != before:
        detail["endpoints"] = _put_into_use(after, before, now=now, actor=actor)
    profile.version += 1
    profile.updated_at = now
    profile.save()
    _note(profile, "profile.updated", detail, now=now, actor=actor)
    return profile


@transaction.atomic
def delete(*, name: str, now: datetime, actor: str) -> None:
    """Raises NotFound, or Conflict while a living endpoint uses it: its deliveries would fail."""
    lock_provider_keys()
    profile = _lock(name, None)
    if users := _users(name).count():
        who = "An endpoint still uses" if users == 1 else f"{users} endpoints still use"
        raise Conflict(f"{who} this profile. Choose another for each of them first.", code="in_use")
    _note(profile, "profile.deleted", {}, now=now, actor=actor)
    profile.delete()


def _lock(name: str, expected: Collection[int] | None) -> WireProfile:
    profile = WireProfile.objects.select_for_update().filter(name=name).first()
    if profile is None:
        raise NotFound("There is no such profile of the provider's own.")
    check_version(profile, expected)
    return profile


def _users(name: str) -> QuerySet[Endpoint]:
    """The living endpoints that use it; none where a release has brought a built-in profile of the same name."""
    return Endpoint.objects.none() if name in PROFILES else Endpoint.objects.filter(profile=name, deleted_at=None)


def _put_into_use(after: Profile, before: Profile | None, *, now: datetime, actor: str) -> int:
    """How many endpoints use it from now on in its new form."""
    users = _users(after.name)
    if users.exists():
        for family in sorted(provider_families(after)):
            provider_keys.ensure(family=family, now=now, actor=actor)
    # In the order of their ids, so that two changes cannot wait for each other.
    ids = list(users.select_for_update(no_key=True).order_by("id").values_list("id", flat=True))
    _refuse_unsigned(users, after, before)
    _refuse_unfit_secrets(users, after, before)
    users.update(version=F("version") + 1, updated_at=now)
    for start in range(0, len(ids), RING):
        bell.ring(ids[start : start + RING])
    return len(ids)


def _needs(profile: Profile) -> set[tuple[str, str]]:
    """What an endpoint's secret must be good for."""
    return {(item.algorithm, item.key) for item in profile.signatures if item.signer == "endpoint"}


def _refuse_unsigned(users: QuerySet[Endpoint], after: Profile, before: Profile | None) -> None:
    """Where secrets did not sign so far, there may be none: such deliveries would go out unsigned, and nobody told."""
    if before is None or _needs(before) or not _needs(after):
        return
    secrets = SigningSecret.objects.filter(endpoint=OuterRef("pk"))
    webhooks = users.filter(channel=Endpoint.Channel.WEBHOOK)
    if without := list(webhooks.filter(~Exists(secrets)).order_by("id").values_list("id", flat=True)):
        detail = "They have no secret that could make this profile's signatures."
        raise _unfit(without, detail)


def _refuse_unfit_secrets(users: QuerySet[Endpoint], after: Profile, before: Profile | None) -> None:
    """Secrets that have run out count as well: they are prepared with the others."""
    if before is not None and _needs(after) <= _needs(before):
        return
    rows = list(SigningSecret.objects.filter(endpoint__in=users).order_by("endpoint_id", "id")[: MOST_SECRETS + 1])
    if len(rows) > MOST_SECRETS:
        detail = f"Its endpoints have more than {MOST_SECRETS} secrets, too many to check. Write it as a new profile."
        raise Conflict(detail, code="too_many_secrets")
    faults: dict[UUID, str] = {}
    for row in rows:
        try:
            check_secret(after, signing_secrets.open_text(row))
        except InvalidSecret as trouble:
            faults[row.endpoint_id] = str(trouble)
    if faults:
        raise _unfit(list(faults), next(iter(faults.values())))


def _unfit(endpoint_ids: list[UUID], why: str) -> Invalid:
    first = show(Prefix.ENDPOINT, endpoint_ids[0])
    who = "1 endpoint uses" if len(endpoint_ids) == 1 else f"{len(endpoint_ids)} endpoints use"
    way = "Choose another profile there first, or write this as a new one."
    return Invalid(
        FieldError(
            "/definition/signatures", "unfit_secrets", f"{who} this profile with other secrets ({first}). {why} {way}"
        )
    )


def _check(data: Mapping[str, Any], shape: Shape, *, required: tuple[str, ...] = (), name: str = "") -> dict[str, Any]:
    """The checked fields, the definition in the one form in which it is stored."""
    values, faults = shapes.read(data, shape, required=required)
    if "definition" in values:
        try:
            values["definition"] = declare(parse_profile(values.get("name", name), values["definition"]))
        except DeclarationError as trouble:
            faults += [FieldError(f"/definition{at}", "invalid_profile", message) for at, message in trouble.faults]
    if faults:
        raise Invalid(*faults)
    return values


def _note(profile: WireProfile, action: str, detail: dict[str, Any], *, now: datetime, actor: str) -> None:
    """A profile is known by its name: endpoints say it, and it is for good."""
    audit.note(actor=actor, action=action, target=profile.name, detail=detail, now=now)
