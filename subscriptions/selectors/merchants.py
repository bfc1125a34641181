"""Reads merchants and their accounts."""

from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from dispatcher.ids import InvalidId, Prefix, parse
from subscriptions.errors import NotFound
from subscriptions.models import Merchant


def living() -> QuerySet[Merchant]:
    return Merchant.objects.filter(deleted_at=None).select_related("parent")


def find(named: str) -> Merchant | None:
    """The living merchant with this id, or with this reference. No reference looks like an id: services refuse it."""
    try:
        return living().filter(id=parse(Prefix.MERCHANT, named)).first()
    except InvalidId:
        return living().filter(reference=named).first()


def get(named: str) -> Merchant:
    """As `find`, but raises NotFound."""
    if merchant := find(named):
        return merchant
    raise NotFound("There is no such merchant.")


CHAIN = """
WITH RECURSIVE chain (id, parent_id) AS (
    SELECT id, parent_id FROM subscriptions_merchant WHERE id = %s
    UNION
    SELECT m.id, m.parent_id FROM subscriptions_merchant m JOIN chain c ON m.id = c.parent_id
)
SELECT id FROM chain
"""


def chain_ids(merchant: Merchant) -> set[UUID]:
    """The merchant and everybody above it."""
    with connection.cursor() as cursor:
        cursor.execute(CHAIN, [merchant.id])
        return {row[0] for row in cursor.fetchall()}
