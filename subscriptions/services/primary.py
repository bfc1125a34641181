"""The merchant's one configuration, as /config shows it: the endpoint that is marked primary."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from subscriptions.errors import NotFound, Stale
from subscriptions.models import Endpoint, Merchant
from subscriptions.selectors import endpoints as selectors
from subscriptions.services import endpoint_rows, endpoint_rules, endpoints, signing_secrets
from subscriptions.services.endpoints import Changed
from subscriptions.services.locks import check_version, lock_endpoint, lock_merchant

NOT_SET = "No configuration is set."


def put(
    *,
    merchant: Merchant,
    data: Mapping[str, Any],
    now: datetime,
    actor: str,
    expected: Collection[int] | None = None,
) -> Changed:
    """Create or replace it. An absent `secret` leaves the stored one, null removes it. Raises Stale or Invalid.

    What /config does not show (headers, auth, profile …) is left as it is. Checked against the row as read, before the
    transaction; then applied to the row as locked, which must be of the same version, or the check is done again.
    """
    while True:
        seen = selectors.find_primary(merchant)
        if seen is not None:
            check_version(seen, expected)
        given = endpoint_rules.check(data, endpoint_rules.CONFIG, required=("url",), present=seen)
        values = {"event_types": None, "is_active": True, **given}
        with transaction.atomic():
            # Two first PUTs at once: the second finds what the first made.
            lock_merchant(merchant.id)
            found = _lock_primary(merchant, expected)
            if (found and (found.id, found.version)) != (seen and (seen.id, seen.version)):
                continue
            changed = _write(merchant, found, values, now=now, actor=actor)
            if "secret" in values:
                signing_secrets.replace_all(changed.endpoint, values["secret"], now=now)
        return changed


def _lock_primary(merchant: Merchant, expected: Collection[int] | None) -> Endpoint | None:
    """Raises Stale also where a version is expected of nothing."""
    found = selectors.find_primary(merchant)
    if found is not None:
        return lock_endpoint(found.id, merchant=merchant, expected=expected)
    if expected is not None:
        raise Stale(NOT_SET)
    return None


def _write(
    merchant: Merchant, endpoint: Endpoint | None, values: Mapping[str, Any], *, now: datetime, actor: str
) -> Changed:
    if endpoint is None:
        made = endpoints.insert(merchant=merchant, values=values, now=now, actor=actor, is_primary=True)
        return Changed(made, is_auth_reset=False)
    is_auth_reset = endpoints.apply(endpoint, values, now=now)
    endpoint_rows.save(endpoint, now=now)
    endpoints.note(endpoint, "endpoint.updated", fields=values, now=now, actor=actor)
    return Changed(endpoint, is_auth_reset)


@transaction.atomic
def delete(*, merchant: Merchant, now: datetime, actor: str, expected: Collection[int] | None = None) -> None:
    """Deliveries to it stop at once. Raises NotFound or Stale."""
    endpoint: Endpoint | None = selectors.find_primary(merchant)
    if endpoint is None:
        raise NotFound(NOT_SET)
    endpoints.delete(merchant=merchant, endpoint_id=endpoint.id, now=now, actor=actor, expected=expected)
