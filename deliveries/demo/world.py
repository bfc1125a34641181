"""Builds the demo's world, or finds it: what is there stays as somebody has changed it meanwhile."""

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import connection

from deliveries.demo.cast import ENDPOINTS, HIERARCHY, PlannedEndpoint, PlannedMerchant
from deliveries.demo.catalogue import TYPES
from dispatcher.keyring import DecryptionFailed
from subscriptions.models import Endpoint, EventType, Merchant
from subscriptions.selectors import endpoints as endpoint_rows
from subscriptions.selectors import merchants as merchant_rows
from subscriptions.selectors.sending import Sending, endpoints_to_send
from subscriptions.services import endpoints, event_types, merchants, primary, signing_secrets

ACTOR = "system"
RECEIVER_HOST = "127.0.0.1"
CHECKED_PROFILE = "default"
# The one format that the receiver can verify.
CHECKED_MOST = 200
# Endpoints at the receiver. More than the demo has: own ones may be added in the admin or by the API.
DEMO_LOCK = 7_415_101
# Any number that no other advisory lock of this database uses.


def claim() -> bool:
    """Make this process the only demo on the database, at most until its connection ends. False: there is another."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [DEMO_LOCK])
        return bool(cursor.fetchone()[0])


def disclaim() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s)", [DEMO_LOCK])


def build(*, receiver_url: str, now: datetime) -> None:
    """Everything that is missing, and the endpoints' URLs brought to where the receiver listens now. Raises Refusal."""
    _catalogue(now)
    for merchant in HIERARCHY:
        _merchant(merchant, now)
    for endpoint in ENDPOINTS:
        _endpoint(endpoint, receiver_url, now)


def remembered_port() -> int:
    """Where the receiver listened last time: what still waits to be sent has that address. 0 if there is none."""
    for planned in ENDPOINTS:
        owner = merchant_rows.find(planned.owner)
        endpoint = _find_endpoint(planned, owner) if owner else None
        if endpoint is not None:
            return urlsplit(endpoint.target).port or 0
    return 0


def secrets_by_path(receiver_url: str) -> dict[str, str | None]:
    """What the receiver checks deliveries with, at each path that an endpoint leads to. None: it cannot check."""
    living = Endpoint.objects.filter(deleted_at=None, target__startswith=f"{receiver_url}/")
    sendings = endpoints_to_send(living.values_list("id", flat=True)[:CHECKED_MOST])
    return {
        sending.url.removeprefix(receiver_url): _secret(sending) if sending.profile == CHECKED_PROFILE else None
        for sending in sendings
    }


def _secret(sending: Sending) -> str | None:
    """The current one. None too if it does not decrypt: nothing is sent then, and the log says so."""
    try:
        return sending.secrets[0].open() if sending.secrets else None
    except DecryptionFailed:
        return None


def _catalogue(now: datetime) -> None:
    present = set(EventType.objects.values_list("name", flat=True))
    for planned in TYPES:
        if planned.name not in present:
            data = {name: getattr(planned, name) for name in ("name", "group", "description", "schema", "example")}
            event_types.create(data=data, now=now, actor=ACTOR)


def _merchant(planned: PlannedMerchant, now: datetime) -> None:
    merchant = merchant_rows.find(planned.reference)
    if merchant is None:
        data = {"name": planned.name, "reference": planned.reference, "kind": planned.kind, "parent": planned.parent}
        merchant = merchants.create(data=data, now=now, actor=ACTOR)
    if planned.kind == Merchant.Kind.MERCHANT:
        for reference in (*planned.accounts, *(card.reference for card in planned.cards)):
            merchants.put_account(merchant=merchant, reference=reference, now=now, actor=ACTOR)


def _endpoint(planned: PlannedEndpoint, receiver_url: str, now: datetime) -> None:
    owner = merchant_rows.get(planned.owner)
    url = receiver_url + planned.path
    endpoint = _find_endpoint(planned, owner)
    if endpoint is None:
        _make_endpoint(planned, owner, url, now)
    elif endpoint.target != url:
        endpoints.update(merchant=owner, endpoint_id=endpoint.id, data={"url": url}, now=now, actor=ACTOR)


def _find_endpoint(planned: PlannedEndpoint, owner: Merchant) -> Endpoint | None:
    for endpoint in endpoint_rows.living(owner):
        parts = urlsplit(endpoint.target)
        if (parts.hostname, parts.path) == (RECEIVER_HOST, planned.path):
            return endpoint
    return None


def _make_endpoint(planned: PlannedEndpoint, owner: Merchant, url: str, now: datetime) -> None:
    types = None if planned.event_types is None else list(planned.event_types)
    data: dict[str, Any] = {"url": url, "event_types": types}
    rest = {"description": planned.description, **planned.fields}
    if planned.is_primary and endpoint_rows.find_primary(owner) is None:
        secret = signing_secrets.generate_for(CHECKED_PROFILE)
        made = primary.put(merchant=owner, data={**data, "secret": secret}, now=now, actor=ACTOR)
        endpoints.update(merchant=owner, endpoint_id=made.endpoint.id, data=rest, now=now, actor=ACTOR)
    else:
        endpoints.create(merchant=owner, data={**data, **rest}, now=now, actor=ACTOR)
