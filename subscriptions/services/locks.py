"""Every row lock of this app. Taken in this order, never backwards, so that two changes cannot wait for each other:
the tree of merchants, one merchant, the provider's keys, endpoints by their ids. All of them last until the transaction
ends.
"""

from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from django.db import connection

from subscriptions.advisory_locks import AdvisoryLock
from subscriptions.errors import NotFound, Stale
from subscriptions.models import Endpoint, Merchant


def lock_tree() -> None:
    """Who stands above whom does not change meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [AdvisoryLock.TREE])


def lock_merchant(merchant_id: UUID) -> Merchant:
    """The merchant as it is now. Raises NotFound if it was deleted meanwhile."""
    merchant = Merchant.objects.select_for_update(no_key=True).filter(id=merchant_id, deleted_at=None).first()
    if merchant is None:
        raise NotFound("There is no such merchant.")
    return merchant


def lock_provider_keys() -> None:
    """The provider's keys and its own profiles are changed by nobody else meanwhile, and no endpoint comes to need one
    unseen."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [AdvisoryLock.PROVIDER_KEYS])


def share_provider_keys() -> None:
    """For those who give an endpoint a profile: until they are through no key is rotated, and none of the provider's
    own profiles changed.

    Otherwise a rotation could commit without seeing the endpoint, which would keep its version, and whoever had read
    it before would sign with the old key for ever.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [AdvisoryLock.PROVIDER_KEYS])


def lock_endpoint(
    endpoint_id: UUID, *, merchant: Merchant | None = None, expected: Collection[int] | None = None
) -> Endpoint:
    """The living endpoint as it is now. Raises NotFound, also for one of another merchant, or Stale when its version
    is not among `expected`."""
    rows = Endpoint.objects.select_for_update(no_key=True).filter(id=endpoint_id, deleted_at=None)
    endpoint = (rows.filter(owner=merchant) if merchant else rows).first()
    if endpoint is None:
        raise NotFound("There is no such endpoint.")
    check_version(endpoint, expected)
    return endpoint


def lock_recipients(rule_id: UUID, *, merchant: Merchant) -> list[Endpoint]:
    """The rule's living recipients as they are now, for those who hold the merchant's lock."""
    rows = Endpoint.objects.select_for_update(no_key=True).filter(rule_id=rule_id, owner=merchant, deleted_at=None)
    return list(rows.order_by("id"))


class Versioned(Protocol):
    """What a caller may name a version of."""

    @property
    def version(self) -> int: ...


def check_version(found: Versioned, expected: Collection[int] | None) -> None:
    if expected is not None and found.version not in expected:
        raise Stale(f"The object has changed meanwhile: its version is {found.version}.")
