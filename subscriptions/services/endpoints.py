"""Everything that happens to endpoints: made, changed, switched off and on, deleted."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from subscriptions.errors import Conflict
from subscriptions.models import AddressCheck, Endpoint, Merchant, Notice, Rule, SigningSecret
from subscriptions.selectors import endpoints as selectors
from subscriptions.services import (
    address_checks,
    audit,
    endpoint_rows,
    endpoint_rules,
    notices,
    provider_keys,
    signing_secrets,
    vault,
)
from subscriptions.services.endpoint_auth import NO_AUTH, Auth
from subscriptions.services.endpoint_channels import NOT_CONFIRMED, UNVERIFIED, is_letter, may_be_sent_to
from subscriptions.services.locks import check_version, lock_endpoint, lock_merchant, share_provider_keys
from subscriptions.services.notices import Failing

MOST_ENDPOINTS = 20
FAILING = "failing"
# The `disabled_reason` of an endpoint that has taken nothing for days.
OF_THE_RULE = frozenset({"event_types", "accounts"})
# What a rule says for all its recipients.

_COLUMNS = (
    *("event_types", "description", "channel", "profile", "accounts", "headers", "ack", "retry_schedule"),
    *("rate_limit", "max_in_flight", "ordered", "metadata"),
)
# The fields that are stored as they were checked.


@dataclass(frozen=True, slots=True)
class Made:
    """A new endpoint; `generated` is its secret where the caller left the choice to us, and is shown this once."""

    endpoint: Endpoint
    generated: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Changed:
    """`is_auth_reset`: the URL moved to another host, so the stored credentials were dropped."""

    endpoint: Endpoint
    is_auth_reset: bool


def create(*, merchant: Merchant, data: Mapping[str, Any], now: datetime, actor: str) -> Made:
    """A new endpoint. An absent `secret` is generated, null means unsigned. Raises Invalid or Conflict.

    The fields are checked, and the host's name resolved, before the transaction opens.
    """
    values = endpoint_rules.check(data, endpoint_rules.NEW, required=("url",))
    with transaction.atomic():
        return make(merchant=merchant, values=values, now=now, actor=actor)


def make(*, merchant: Merchant, values: Mapping[str, Any], now: datetime, actor: str, rule: Rule | None = None) -> Made:
    """For services: a new endpoint from checked values, as `create`, in the caller's transaction."""
    endpoint = insert(merchant=merchant, values=values, now=now, actor=actor, rule=rule)
    is_unsigned = "secret" in values or is_letter(endpoint)
    generated = None if is_unsigned else signing_secrets.generate_for(endpoint.profile)
    if text := values.get("secret") or generated:
        signing_secrets.add(endpoint, text, now=now)
    return Made(endpoint, generated)


def insert(
    *,
    merchant: Merchant,
    values: Mapping[str, Any],
    now: datetime,
    actor: str,
    is_primary: bool = False,
    rule: Rule | None = None,
) -> Endpoint:
    """For services: the row of an endpoint from checked values, without a secret. One that reaches people waits for
    the yes of the address's owner. Raises Conflict when there are too many; the merchant's lock makes the count exact.
    """
    lock_merchant(merchant.id)
    if selectors.living(merchant).count() >= MOST_ENDPOINTS:
        raise Conflict(f"A merchant has at most {MOST_ENDPOINTS} endpoints.", code="too_many_endpoints")
    if profile := values.get("profile"):
        provider_keys.ensure_for(profile, now=now, actor=actor)
    endpoint = Endpoint(owner=merchant, is_primary=is_primary, rule=rule, created_at=now, updated_at=now)
    apply(endpoint, values, now=now)
    if is_letter(endpoint):
        endpoint_rows.close(endpoint, reason=UNVERIFIED, now=now)
    endpoint.save(force_insert=True)
    note(endpoint, "endpoint.created", fields=values, now=now, actor=actor)
    if is_letter(endpoint):
        address_checks.ask(endpoint, now=now, actor=actor)
    return endpoint


def update(
    *,
    merchant: Merchant,
    endpoint_id: UUID,
    data: Mapping[str, Any],
    now: datetime,
    actor: str,
    expected: Collection[int] | None = None,
) -> Changed:
    """Change the fields in `data`. Raises NotFound, Stale, Invalid, or Conflict for what is a rule's to say.

    Checked against the row as read, before the transaction; then applied to the row as locked, which must be of the
    same version, or the check is done again.
    """
    while True:
        seen = selectors.get(merchant, endpoint_id)
        check_version(seen, expected)
        _leave_to_rule(seen, data)
        values = endpoint_rules.check(data, endpoint_rules.CHANGES, present=seen)
        with transaction.atomic():
            if "profile" in values:
                share_provider_keys()
            endpoint = lock_endpoint(endpoint_id, merchant=merchant, expected=expected)
            if endpoint.version != seen.version:
                continue
            return change(endpoint, values, now=now, actor=actor)


def _leave_to_rule(endpoint: Endpoint, fields: Collection[str]) -> None:
    if endpoint.rule_id is not None and not OF_THE_RULE.isdisjoint(fields):
        detail = "This endpoint is a recipient of a rule, which says what it gets: change the rule."
        raise Conflict(detail, code="belongs_to_rule")


def change(endpoint: Endpoint, values: Mapping[str, Any], *, now: datetime, actor: str) -> Changed:
    """For services that share the provider's keys and hold the endpoint's lock: put checked values on it, and give it
    its next version. The yes to one address is no yes to another."""
    if profile := values.get("profile"):
        provider_keys.ensure_for(profile, now=now, actor=actor)
    target = endpoint.target
    is_auth_reset = apply(endpoint, values, now=now)
    is_readdressed = is_letter(endpoint) and endpoint.target != target
    if is_readdressed:
        endpoint_rows.close(endpoint, reason=UNVERIFIED, now=now)
    endpoint_rows.save(endpoint, now=now)
    note(endpoint, "endpoint.updated", fields=values, now=now, actor=actor)
    if is_readdressed:
        address_checks.ask(endpoint, now=now, actor=actor)
    return Changed(endpoint, is_auth_reset)


def apply(endpoint: Endpoint, values: Mapping[str, Any], *, now: datetime) -> bool:
    """For services: put checked values on the row. Whether stored credentials were dropped with the old host."""
    has_auth = endpoint.auth_type != Endpoint.Auth.NONE
    is_moved = has_auth and not endpoint_rules.keeps_credentials(endpoint, values)
    for name in _COLUMNS:
        if name in values:
            setattr(endpoint, name, values[name])
    if "url" in values:
        endpoint.target = values["url"].url
    if "auth" in values or is_moved:
        _set_auth(endpoint, values.get("auth", NO_AUTH))
    endpoint_rows.switch(endpoint, is_active=values.get("is_active", endpoint.is_active), now=now)
    return is_moved and "auth" not in values


def _set_auth(endpoint: Endpoint, auth: Auth) -> None:
    endpoint.auth_type, endpoint.auth_name = auth.type, auth.name
    if auth.secret is not None:
        endpoint.unreadable_since = None
        endpoint.auth_ciphertext = vault.seal(vault.ENDPOINT_AUTH, endpoint.id, auth.secret.encode())
    elif auth.type == Endpoint.Auth.NONE:
        endpoint.auth_ciphertext = None


@transaction.atomic
def disable(
    *, endpoint_id: UUID, reason: str, now: datetime, actor: str = "system", failing: Failing | None = None
) -> bool:
    """Switch an endpoint off for a `reason` such as `http_gone`. False if it was off or gone already. Its members are
    told where `failing` says what they shall know."""
    endpoint = Endpoint.objects.select_for_update(no_key=True).filter(id=endpoint_id, is_active=True).first()
    if endpoint is None:
        return False
    endpoint_rows.switch(endpoint, is_active=False, now=now, reason=reason, failing=failing)
    endpoint_rows.save(endpoint, now=now)
    note(endpoint, "endpoint.disabled", fields=[reason], now=now, actor=actor)
    if failing is not None:
        notices.write(endpoint, Notice.Kind.DISABLED, failing, now=now)
    return True


@transaction.atomic
def warn(*, endpoint_id: UUID, failing: Failing, now: datetime, actor: str = "system") -> bool:
    """Tell the members that an endpoint has failed for half of the time after which it is disabled. False if it is
    off."""
    endpoint = Endpoint.objects.filter(id=endpoint_id, is_active=True).first()
    if endpoint is None:
        return False
    note(endpoint, "endpoint.failing", fields=(), now=now, actor=actor)
    notices.write(endpoint, Notice.Kind.FAILING, failing, now=now)
    return True


@transaction.atomic
def enable(*, merchant: Merchant, endpoint_id: UUID, now: datetime, actor: str) -> Endpoint:
    """Switch an endpoint on again; what is held stays held until it is released. Raises Conflict where the owner of
    the address has to say yes first."""
    endpoint = lock_endpoint(endpoint_id, merchant=merchant)
    if not may_be_sent_to(endpoint):
        raise Conflict(NOT_CONFIRMED, code=UNVERIFIED)
    endpoint_rows.switch(endpoint, is_active=True, now=now)
    endpoint_rows.save(endpoint, now=now)
    note(endpoint, "endpoint.enabled", fields=(), now=now, actor=actor)
    return endpoint


@transaction.atomic
def delete(
    *, merchant: Merchant, endpoint_id: UUID, now: datetime, actor: str, expected: Collection[int] | None = None
) -> None:
    """The row stays, so that the log can name it; secrets and credentials go. Raises NotFound or Stale."""
    bury(lock_endpoint(endpoint_id, merchant=merchant, expected=expected), now=now, actor=actor)


def bury(endpoint: Endpoint, *, now: datetime, actor: str) -> None:
    """For services that hold the endpoint's lock."""
    endpoint_rows.switch(endpoint, is_active=False, now=now, reason=endpoint_rows.DELETED)
    endpoint.deleted_at = now
    _set_auth(endpoint, NO_AUTH)
    SigningSecret.objects.filter(endpoint=endpoint).delete()
    AddressCheck.objects.filter(endpoint=endpoint).delete()
    endpoint_rows.save(endpoint, now=now)
    note(endpoint, "endpoint.deleted", fields=(), now=now, actor=actor)


def note(endpoint: Endpoint, action: str, *, fields: Collection[str], now: datetime, actor: str) -> None:
    """The names of what changed, never the values."""
    audit.note(
        actor=actor,
        action=action,
        target=endpoint.public_id,
        merchant_id=endpoint.owner_id,
        detail={"fields": sorted(fields)} if fields else {},
        now=now,
    )
