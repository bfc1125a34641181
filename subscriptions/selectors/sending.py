"""What a sender must know of endpoints, in one statement however many they are."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from dispatcher.profiles.model import Profile, is_provider_signed
from subscriptions.selectors import profiles, provider_keys
from subscriptions.selectors.provider_keys import SealedProviderKey
from subscriptions.services import vault

PROFILE_COLUMN = 4

SENDING = """
SELECT e.id, e.version, e.channel, e.target, e.profile, e.headers::text, e.ack::text, e.retry_schedule,
    e.auth_type, e.auth_name, e.auth_ciphertext, e.unreadable_since IS NOT NULL,
    -- The current secret, then those that still overlap, newest first. Not by id: hosts' clocks differ, while a
    -- rotation sees to it that each was created after the one before it.
    ARRAY(
        SELECT s.id FROM subscriptions_signingsecret s WHERE s.endpoint_id = e.id
        ORDER BY s.expires_at IS NULL DESC, s.created_at DESC, s.id DESC
    ),
    ARRAY(
        SELECT s.ciphertext FROM subscriptions_signingsecret s WHERE s.endpoint_id = e.id
        ORDER BY s.expires_at IS NULL DESC, s.created_at DESC, s.id DESC
    ),
    ARRAY(
        SELECT s.expires_at FROM subscriptions_signingsecret s WHERE s.endpoint_id = e.id
        ORDER BY s.expires_at IS NULL DESC, s.created_at DESC, s.id DESC
    )
FROM subscriptions_endpoint e WHERE e.id = ANY (%s)
"""


@dataclass(frozen=True, slots=True)
class SealedSecret:
    id: UUID
    ciphertext: bytes
    expires_at: datetime | None

    def open(self) -> str:
        """The secret's text. Raises DecryptionFailed."""
        return vault.open_sealed(vault.SIGNING_SECRET, self.id, self.ciphertext).decode()


@dataclass(frozen=True, slots=True)
class Sending:
    """An endpoint's settings for sending, its secrets and credentials still sealed."""

    id: UUID
    version: int
    channel: str
    url: str
    profile: str
    # None for a format that is not there, or whose stored data cannot be read.
    format: Profile | None
    # The provider's own, where the format wants them.
    provider_keys: tuple[SealedProviderKey, ...]
    headers: dict[str, str]
    ack: dict[str, Any] | None
    retry_schedule: tuple[int, ...] | None
    auth_type: str
    auth_name: str
    auth_ciphertext: bytes | None
    is_marked_unreadable: bool
    secrets: tuple[SealedSecret, ...]

    def open_auth(self) -> str:
        """The credential's text, empty without one. Raises DecryptionFailed."""
        if self.auth_ciphertext is None:
            return ""
        return vault.open_sealed(vault.ENDPOINT_AUTH, self.id, self.auth_ciphertext).decode()


def endpoints_to_send(endpoint_ids: Collection[UUID]) -> list[Sending]:
    """The settings of these endpoints; opening a secret is left to the caller, so that a bad one harms only itself."""
    with connection.cursor() as cursor:
        cursor.execute(SENDING, [list(endpoint_ids)])
        rows = cursor.fetchall()
    formats = profiles.find_many({row[PROFILE_COLUMN] for row in rows})
    # Read only where a format wants them; then one statement for all.
    keys = provider_keys.sealed() if any(map(is_provider_signed, formats.values())) else ()
    return [_sending(row, formats, keys) for row in rows]


def _sending(row: tuple[Any, ...], formats: Mapping[str, Profile], keys: tuple[SealedProviderKey, ...]) -> Sending:
    (id_, version, channel, url, profile, headers, ack, schedule, auth_type, auth_name, auth, *more) = row
    marked, *secrets = more
    found = formats.get(profile)
    return Sending(
        id=id_,
        version=version,
        channel=channel,
        url=url,
        profile=profile,
        format=found,
        provider_keys=keys if found and is_provider_signed(found) else (),
        headers=json.loads(headers),
        ack=None if ack is None else json.loads(ack),
        retry_schedule=None if schedule is None else tuple(schedule),
        auth_type=auth_type,
        auth_name=auth_name,
        auth_ciphertext=None if auth is None else bytes(auth),
        is_marked_unreadable=marked,
        secrets=tuple(SealedSecret(sid, bytes(text), end) for sid, text, end in zip(*secrets, strict=True)),
    )
