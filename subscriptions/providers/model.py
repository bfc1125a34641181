"""What a ready catalogue holds: a payment system's event types, its wire format and the keys that the format needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CatalogueType:
    """One type of event. `example` is a payload that satisfies `schema` (JSON Schema 2020-12)."""

    name: str
    group: str
    description: str
    schema: JsonObject
    example: JsonObject


@dataclass(frozen=True, slots=True)
class Provider:
    """One system. `source` says where its rules were read, and what in the catalogue is ours.

    `profile` is what its merchants' endpoints use unless they choose one of `other_profiles`; `key_families` are those
    of the provider's own keys that these formats sign with.
    """

    name: str
    title: str
    source: str
    profile: str
    types: tuple[CatalogueType, ...]
    other_profiles: tuple[str, ...] = ()
    key_families: tuple[str, ...] = ()
