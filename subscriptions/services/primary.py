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

    What /config does not show (headers, auth, profile …) is left as it is.
    """
    present = selectors.find_primary(merchant)
    if present is not None:
        check_version(present, expected)
    given = endpoint_rules.check(data, endpoint_rules.CONFIG, required=("url",), present=present)
    values = {"event_types": None, "is_active": True, **given}
    with transaction.atomic():
        # Two first PUTs at once: the second finds what the first made.
        lock_merchant(merchant.id)
        changed = _write(merchant, values, now=now, actor=actor, expected=expected)
        if "secret" in values:
            signing_secrets.replace_all(changed.endpoint, values["secret"], now=now)
    return changed


def _write(
    merchant: Merchant,
    values: Mapping[str, Any],
    *,
    now: datetime,
    actor: str,
    expected: Collection[int] | None,
) -> Changed:
    found = selectors.find_primary(merchant)
    if found is None:
        if expected is not None:
            raise Stale(NOT_SET)
        made = endpoints.insert(merchant=merchant, values=values, now=now, actor=actor, is_primary=True)
        return Changed(made, is_auth_reset=False)
    endpoint = lock_endpoint(found.id, merchant=merchant, expected=expected)
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
