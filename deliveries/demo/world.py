"""Builds the demo's world, or finds it: what is there stays as somebody has changed it meanwhile."""

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import connection

from deliveries.demo.cast import COMPANIES, DESKS, Company, Desk
from deliveries.demo.catalogue import KINDS
from subscriptions.models import Endpoint, EventType, Merchant
from subscriptions.selectors import endpoints as endpoint_rows
from subscriptions.selectors import merchants as merchant_rows
from subscriptions.selectors.sending import endpoints_to_send
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
    """Make this process the only demo on the database, for as long as its connection lives. False: there is another."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [DEMO_LOCK])
        return bool(cursor.fetchone()[0])


def build(*, receiver_url: str, now: datetime) -> None:
    """Everything that is missing, and the endpoints' URLs brought to where the receiver listens now. Raises Refusal."""
    _catalogue(now)
    for company in COMPANIES:
        _company(company, now)
    for desk in DESKS:
        _desk(desk, receiver_url, now)


def remembered_port() -> int:
    """Where the receiver listened last time: what still waits to be sent has that address. 0 if there is none."""
    for desk in DESKS:
        owner = merchant_rows.find(desk.company)
        endpoint = _find_desk(desk, owner) if owner else None
        if endpoint is not None:
            return urlsplit(endpoint.target).port or 0
    return 0


def secrets_by_path(receiver_url: str) -> dict[str, str | None]:
    """What the receiver checks deliveries with, at each path that an endpoint leads to. None: it cannot check."""
    living = Endpoint.objects.filter(deleted_at=None, target__startswith=f"{receiver_url}/")
    sendings = endpoints_to_send(living.values_list("id", flat=True)[:CHECKED_MOST])
    return {
        sending.url.removeprefix(receiver_url): sending.secrets[0].open()
        if sending.secrets and sending.profile == CHECKED_PROFILE
        else None
        for sending in sendings
    }


def _catalogue(now: datetime) -> None:
    present = set(EventType.objects.values_list("name", flat=True))
    for kind in KINDS:
        if kind.name not in present:
            data = {name: getattr(kind, name) for name in ("name", "group", "description", "schema", "example")}
            event_types.create(data=data, now=now, actor=ACTOR)


def _company(company: Company, now: datetime) -> None:
    merchant = merchant_rows.find(company.reference)
    if merchant is None:
        data = {"name": company.name, "reference": company.reference, "kind": company.kind, "parent": company.parent}
        merchant = merchants.create(data=data, now=now, actor=ACTOR)
    if company.kind == Merchant.Kind.MERCHANT:
        for reference in (*company.accounts, *(card.reference for card in company.cards)):
            merchants.put_account(merchant=merchant, reference=reference, now=now, actor=ACTOR)


def _desk(desk: Desk, receiver_url: str, now: datetime) -> None:
    owner = merchant_rows.get(desk.company)
    url = receiver_url + desk.path
    endpoint = _find_desk(desk, owner)
    if endpoint is None:
        _open_desk(desk, owner, url, now)
    elif endpoint.target != url:
        endpoints.update(merchant=owner, endpoint_id=endpoint.id, data={"url": url}, now=now, actor=ACTOR)


def _find_desk(desk: Desk, owner: Merchant) -> Endpoint | None:
    for endpoint in endpoint_rows.living(owner):
        parts = urlsplit(endpoint.target)
        if (parts.hostname, parts.path) == (RECEIVER_HOST, desk.path):
            return endpoint
    return None


def _open_desk(desk: Desk, owner: Merchant, url: str, now: datetime) -> None:
    types = None if desk.event_types is None else list(desk.event_types)
    data: dict[str, Any] = {"url": url, "event_types": types}
    rest = {"description": desk.description, **desk.fields}
    if desk.is_primary and endpoint_rows.find_primary(owner) is None:
        secret = signing_secrets.generate_for(CHECKED_PROFILE)
        made = primary.put(merchant=owner, data={**data, "secret": secret}, now=now, actor=ACTOR)
        endpoints.update(merchant=owner, endpoint_id=made.endpoint.id, data=rest, now=now, actor=ACTOR)
    else:
        endpoints.create(merchant=owner, data={**data, **rest}, now=now, actor=ACTOR)
