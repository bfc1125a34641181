"""Finds wire formats by name: those that come with the platform, and those that the provider has defined."""

from collections.abc import Collection

from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.model import Profile
from subscriptions.models import WireProfile


def names() -> list[str]:
    """All that an endpoint may name: built-in ones first."""
    return [*PROFILES, *WireProfile.objects.order_by("name").values_list("name", flat=True)]


def find(name: str) -> Profile | None:
    return find_many([name]).get(name)


def find_many(wanted: Collection[str]) -> dict[str, Profile]:
    """Those of the wanted that exist and can be read. One statement when a name is not built in, else none."""
    return {name: PROFILES[name] for name in wanted if name in PROFILES}
