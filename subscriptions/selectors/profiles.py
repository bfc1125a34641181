"""Finds wire formats by name: those that come with the platform, and those that the provider has defined."""

import json
import logging
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from django.db.models import TextField
from django.db.models.functions import Cast

from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.declaration import DeclarationError, parse_profile
from dispatcher.profiles.model import Profile
from subscriptions.models import WireProfile

KEPT = 256
# Parsed own profiles, some kilobytes each; to parse one takes up to a millisecond. Providers have a handful.

TEXT = Cast("definition", TextField())
# What is stored, as a key for what was made of it.

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listed:
    """A profile on offer. `format` is None for one of the provider's own that cannot be read any more."""

    name: str
    description: str
    is_built_in: bool
    format: Profile | None


def names() -> list[str]:
    """All that an endpoint may name: built-in ones first."""
    return [*PROFILES, *WireProfile.objects.order_by("name").values_list("name", flat=True)]


def find(name: str) -> Profile | None:
    return find_many([name]).get(name)


def find_many(wanted: Collection[str]) -> dict[str, Profile]:
    """Those of the wanted that exist and can be read. One statement when a name is not built in, else none."""
    found = {name: PROFILES[name] for name in wanted if name in PROFILES}
    if own := [name for name in wanted if name not in PROFILES]:
        rows = WireProfile.objects.filter(name__in=own).values_list("id", "version", "name", TEXT)
        parsed = {name: _parsed(row_id, version, name, text) for row_id, version, name, text in rows}
        found |= {name: profile for name, profile in parsed.items() if profile}
    return found


def read(row: WireProfile) -> Profile | None:
    """The profile behind a stored row; None when it cannot be read any more."""
    return _parsed(row.id, row.version, row.name, json.dumps(row.definition))


def listed(*, after: str | None, limit: int) -> list[Listed]:
    """The profiles that follow the one of the name `after`: built-in ones as in their catalogue, then own by name."""
    built_in = list(PROFILES)
    is_among_own = after is not None and after not in PROFILES
    start = len(built_in) if is_among_own else built_in.index(after) + 1 if after else 0
    shown = [_built_in(name) for name in built_in[start : start + limit]]
    rows = WireProfile.objects.exclude(name__in=built_in).order_by("name")
    if is_among_own:
        rows = rows.filter(name__gt=after)
    own = rows.values_list("id", "version", "name", "description", TEXT)[: limit - len(shown)]
    return shown + [_own(*row) for row in own]


def _built_in(name: str) -> Listed:
    return Listed(name, description=PROFILES[name].source, is_built_in=True, format=PROFILES[name])


def _own(row_id: UUID, version: int, name: str, description: str, text: str) -> Listed:
    return Listed(name, description, is_built_in=False, format=_parsed(row_id, version, name, text))


@lru_cache(maxsize=KEPT)
def _parsed(row_id: UUID, version: int, name: str, text: str) -> Profile | None:
    """None for what cannot be read. The text is part of the key, so that what is kept can never be another's."""
    try:
        return parse_profile(name, json.loads(text))
    except DeclarationError as trouble:
        told = "; ".join(f"{pointer or '/'}: {message}" for pointer, message in trouble.faults)
        logger.error("profile %s (%s, version %d) cannot be read: %s", name, row_id, version, told)
        return None
