"""How objects look from outside. Secrets and credentials never do."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from dispatcher.ids import Prefix, show
from subscriptions.models import Account, ApiKey, Endpoint, EventType, Membership, Merchant
from subscriptions.selectors.endpoints import signed_ids
from subscriptions.selectors.rules import RuleDetail
from subscriptions.selectors.samples import sample_of
from subscriptions.services.endpoint_auth import NAME_OF, SECRET_OF

Shown = dict[str, Any]


def endpoints(rows: Collection[Endpoint]) -> list[Shown]:
    signed = signed_ids([row.id for row in rows])
    return [_endpoint(row, signed) for row in rows]


def endpoint(row: Endpoint) -> Shown:
    return endpoints([row])[0]


def _endpoint(row: Endpoint, signed: Collection[UUID]) -> Shown:
    return {
        "id": row.public_id,
        "url": row.target,
        "description": row.description,
        "channel": row.channel,
        "profile": row.profile,
        "primary": row.is_primary,
        "rule": show(Prefix.RULE, row.rule_id) if row.rule_id else None,
        "event_types": row.event_types,
        "accounts": row.accounts,
        "is_active": row.is_active,
        "disabled_reason": row.disabled_reason or None,
        "disabled_at": row.disabled_at,
        "unreadable_since": row.unreadable_since,
        "verified_at": row.verified_at,
        "secret_set": row.id in signed,
        "auth": auth(row),
        "headers": row.headers,
        "ack": row.ack,
        "retry_schedule": row.retry_schedule,
        "rate_limit": row.rate_limit,
        "max_in_flight": row.max_in_flight,
        "ordered": row.ordered,
        "metadata": row.metadata,
        "version": row.version,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def rules(found: Collection[RuleDetail]) -> list[Shown]:
    shown = {one["id"]: one for one in endpoints([row for detail in found for row in detail.recipients])}
    return [
        {
            "id": detail.rule.public_id,
            "name": detail.rule.name,
            "event_types": detail.rule.event_types,
            "accounts": detail.rule.accounts,
            "recipients": [shown[row.public_id] for row in detail.recipients],
            "version": detail.version,
            "created_at": detail.rule.created_at,
            "updated_at": max([detail.rule.updated_at, *(row.updated_at for row in detail.recipients)]),
        }
        for detail in found
    ]


def auth(row: Endpoint) -> Shown:
    """The kind of credentials and the name in them; whether there is a secret part, never which."""
    shown: Shown = {"type": row.auth_type}
    if name := NAME_OF.get(row.auth_type):
        shown[name] = row.auth_name
    if secret := SECRET_OF.get(row.auth_type):
        shown[f"{secret}_set"] = row.auth_ciphertext is not None
    return shown


def config(row: Endpoint) -> Shown:
    """The primary endpoint as the merchant API v2 shows it, and what its ETag stands for."""
    whole = endpoint(row)
    names = ("url", "secret_set", "event_types", "is_active", "disabled_reason", "version", "created_at", "updated_at")
    return {**{name: whole[name] for name in names}, "endpoint_id": whole["id"]}


def merchant(row: Merchant) -> Shown:
    return {
        "id": row.public_id,
        "name": row.name,
        "reference": row.reference,
        "kind": row.kind,
        "mode": row.mode,
        "parent": row.parent.public_id if row.parent else None,
        "retention_days": row.retention_days,
        "hears_all_operations": row.hears_all_operations,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def account(row: Account) -> Shown:
    return {"reference": row.reference, "merchant": row.merchant.public_id, "created_at": row.created_at}


def key(row: ApiKey) -> Shown:
    return {
        "id": row.public_id,
        "name": row.name,
        "scope": row.scope,
        "merchant": row.merchant.public_id if row.merchant else None,
        "prefix": row.prefix,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
        "last_used_at": row.last_used_at,
    }


def member(row: Membership) -> Shown:
    """`invited`: no password was chosen yet."""
    return {
        "id": row.public_id,
        "user": row.user.get_username(),
        "email": row.user.email or None,
        "role": row.role,
        "invited": not row.user.has_usable_password(),
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def event_type(row: EventType) -> Shown:
    return {
        "name": row.name,
        "group": row.group,
        "description": row.description,
        "schema": row.schema,
        "strict": row.strict,
        "example": row.example,
        "archived": row.archived,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def event_type_with_sample(row: EventType) -> Shown:
    """The type and a payload to look at or try with; `sample_source` says where it is from."""
    made = sample_of(row)
    return event_type(row) | {"sample": made.value, "sample_source": made.source}
