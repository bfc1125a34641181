"""Builds the demo's world, or finds it: what is there stays as somebody has changed it meanwhile."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db import connection

from deliveries.demo.model import PlannedEndpoint, PlannedMerchant, PlannedRule
from deliveries.demo.receivers import Known
from deliveries.demo.systems import SYSTEMS
from dispatcher.keyring import DecryptionFailed
from subscriptions.advisory_locks import AdvisoryLock
from subscriptions.models import Endpoint, Merchant, Rule
from subscriptions.providers import PROVIDERS
from subscriptions.selectors import endpoints as endpoint_rows
from subscriptions.selectors import merchants as merchant_rows
from subscriptions.selectors import rules as rule_rows
from subscriptions.selectors.sending import Sending, endpoints_to_send
from subscriptions.services import (
    address_checks,
    catalogues,
    endpoints,
    merchants,
    primary,
    rules,
    signing_secrets,
)

ACTOR = "system"
RECEIVER_HOST = "127.0.0.1"
CHECKED_MOST = 200
# Endpoints at the receiver. More than the demo has: own ones may be added in the admin or by the API.

WEBHOOKS = tuple(planned for system in SYSTEMS for planned in system.webhooks)
SYSTEM_OF = {merchant.reference: system.name for system in SYSTEMS for merchant in system.hierarchy}
# By the merchant's reference.
SYSTEM_OF_PROFILE = {
    profile: provider.name
    for provider in PROVIDERS.values()
    for profile in (provider.profile, *provider.other_profiles)
}


def claim() -> bool:
    """Make this process the only demo on the database, at most until its connection ends. False: there is another."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [AdvisoryLock.DEMO])
        return bool(cursor.fetchone()[0])


def disclaim() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s)", [AdvisoryLock.DEMO])


def build(*, receiver_url: str, now: datetime, has_letters: bool = False) -> None:
    """Everything that is missing, and the endpoints' URLs brought to where the receiver listens now. Raises Refusal."""
    for system in SYSTEMS:
        catalogues.load(PROVIDERS[system.name], now=now, actor=ACTOR)
        for merchant in system.hierarchy:
            _merchant(merchant, now)
        for endpoint in system.endpoints:
            _endpoint(endpoint, receiver_url, now)
        for rule in system.rules:
            _rule(rule, receiver_url, now)
            if has_letters:
                _letters(rule, now)


def remembered_port() -> int:
    """Where the receiver listened last time: what still waits to be sent has that address. 0 if there is none."""
    for planned in WEBHOOKS:
        owner = merchant_rows.find(planned.owner)
        endpoint = _find_endpoint(planned, owner) if owner else None
        if endpoint is not None:
            return urlsplit(endpoint.target).port or 0
    return 0


def known_by_path(receiver_url: str) -> dict[str, Known]:
    """What the merchants know of each endpoint at the receiver, by its path. Those of others' merchants count with the
    system whose format they have."""
    living = Endpoint.objects.filter(deleted_at=None, target__startswith=f"{receiver_url}/")
    owners = dict(living.values_list("id", "owner__reference")[:CHECKED_MOST])
    return {
        sending.url.removeprefix(receiver_url): _known(sending, owners[sending.id])
        for sending in endpoints_to_send(owners)
    }


def by_system(counts: Mapping[tuple[UUID, str], int]) -> dict[str, Mapping[str, int]]:
    """What the ledger counted for each owner, for each system: other merchants' deliveries are left out."""
    living = Merchant.objects.filter(reference__in=SYSTEM_OF, deleted_at=None)
    systems = {row.id: SYSTEM_OF[row.reference or ""] for row in living}
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (owner_id, status), count in counts.items():
        if owner_id in systems:
            found[systems[owner_id]][status] += count
    return dict(found)


def _known(sending: Sending, reference: str | None) -> Known:
    """Without what does not decrypt: nothing is sent then, and the log says so."""
    system = SYSTEM_OF.get(reference or "") or SYSTEM_OF_PROFILE.get(sending.profile, "card")
    try:
        secret = sending.secrets[0].open() if sending.secrets else None
        return Known(system, sending.profile, secret, sending.auth_name, sending.open_auth())
    except DecryptionFailed:
        return Known(system, sending.profile)


def _merchant(planned: PlannedMerchant, now: datetime) -> None:
    merchant = merchant_rows.find(planned.reference)
    if merchant is None:
        data = {"name": planned.name, "reference": planned.reference, "kind": planned.kind, "parent": planned.parent}
        merchant = merchants.create(data={**data, "mode": planned.mode}, now=now, actor=ACTOR)
    for reference in planned.accounts:
        merchants.put_account(merchant=merchant, reference=reference, now=now, actor=ACTOR)


def _endpoint(planned: PlannedEndpoint, receiver_url: str, now: datetime) -> None:
    owner = merchant_rows.get(planned.owner)
    endpoint = _find_endpoint(planned, owner)
    if endpoint is None:
        _make_endpoint(planned, owner, receiver_url + planned.path, now)
    else:
        _move(endpoint, planned, receiver_url, now)


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
        secret = signing_secrets.generate_for("default")
        made = primary.put(merchant=owner, data={**data, "secret": secret}, now=now, actor=ACTOR)
        endpoints.update(merchant=owner, endpoint_id=made.endpoint.id, data=rest, now=now, actor=ACTOR)
    else:
        endpoints.create(merchant=owner, data={**data, **rest}, now=now, actor=ACTOR)


def _move(endpoint: Endpoint, planned: PlannedEndpoint, receiver_url: str, now: datetime) -> None:
    """Credentials do not follow a URL to another port by themselves; those that somebody changed are left behind."""
    url = receiver_url + planned.path
    if endpoint.target == url:
        return
    auth = planned.fields.get("auth", {})
    data = {"url": url, "auth": auth} if auth and auth["username"] == endpoint.auth_name else {"url": url}
    endpoints.update(merchant=endpoint.owner, endpoint_id=endpoint.id, data=data, now=now, actor=ACTOR)


def _rule(planned: PlannedRule, receiver_url: str, now: datetime) -> None:
    """Recipients that somebody took out of the rule stay out."""
    owner = merchant_rows.get(planned.owner)
    if not Rule.objects.filter(owner=owner, name=planned.name).exists():
        _make_rule(planned, owner, receiver_url, now)
        return
    for webhook in planned.webhooks:
        if endpoint := _find_endpoint(webhook, owner):
            _move(endpoint, webhook, receiver_url, now)


def _letters(planned: PlannedRule, now: datetime) -> None:
    """E-mail and SMS recipients that never were; their owner's yes is given by the code that they are sent."""
    owner = merchant_rows.get(planned.owner)
    rule = Rule.objects.filter(owner=owner, name=planned.name).first()
    known = set(Endpoint.objects.filter(owner=owner, target__in=planned.letters).values_list("target", flat=True))
    new = [url for url in planned.letters if url not in known]
    if rule is None or not new:
        return
    present = [{"id": endpoint.public_id} for endpoint in rule_rows.get(owner, rule.id).recipients]
    recipients = [*present, *({"url": url} for url in new)]
    rules.update(merchant=owner, rule_id=rule.id, data={"recipients": recipients}, now=now, actor=ACTOR)
    for endpoint in endpoint_rows.living(owner).filter(target__in=new):
        if question := address_checks.find_open(endpoint.id, now=now):
            code = question.code
            address_checks.confirm(merchant=owner, endpoint_id=endpoint.id, code=code, now=now, actor=ACTOR)


def _make_rule(planned: PlannedRule, owner: Merchant, receiver_url: str, now: datetime) -> None:
    recipients = [
        {"url": receiver_url + webhook.path, "description": webhook.description, **webhook.fields}
        for webhook in planned.webhooks
    ]
    data = {
        "name": planned.name,
        "event_types": list(planned.event_types),
        "accounts": list(planned.accounts),
        "recipients": recipients,
    }
    rules.create(merchant=owner, data=data, now=now, actor=ACTOR)
