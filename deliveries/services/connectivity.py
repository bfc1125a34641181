"""The connectivity test: whether anybody answers at an endpoint's URL, found out without sending anything of worth."""

from contextlib import closing
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from deliveries.services import waiting
from dispatcher.addresses import AddressRules
from dispatcher.http import Client, Limits, Request, make_client
from dispatcher.ids import first_id
from dispatcher.outcomes import Outcome, Reason
from dispatcher.profiles.engine import USER_AGENT
from dispatcher.targets import InvalidUrl, parse_target
from subscriptions.errors import Conflict, TooMany
from subscriptions.models import AuditEntry, Endpoint
from subscriptions.services import audit
from subscriptions.services.endpoint_urls import target_rules
from subscriptions.services.locks import lock_merchant

ACTION = "endpoint.connectivity_tested"
MOST = 10
WINDOW = timedelta(minutes=1)
# Tests of one merchant: plenty for somebody who is setting up a receiver, useless for looking around in the network.
POLL_S = 1.0


def check(*, endpoint: Endpoint, actor: str, now: datetime) -> Outcome:
    """What came of one HEAD request to the URL; any status means that somebody is there. Call it outside of any
    transaction. Raises Conflict for an endpoint without a URL, TooMany and Overloaded.

    Resolved, judged and connected to as a delivery would be, but without event, signature, credentials or headers of
    the endpoint's own. The endpoint may be disabled: merchants try before they enable.
    """
    if endpoint.channel != Endpoint.Channel.WEBHOOK:
        raise Conflict("Only a webhook has a URL that can be connected to.", code="not_a_webhook")
    with waiting.slot():
        _note(endpoint, actor=actor, now=now)
        return _connect(endpoint)


def _connect(endpoint: Endpoint) -> Outcome:
    try:
        target = parse_target(endpoint.target, rules=target_rules())
    except InvalidUrl as refusal:
        return Outcome(Reason(refusal.code), detail=str(refusal))
    with closing(_client()) as client:
        client.submit(Request(endpoint.id, target, (("User-Agent", USER_AGENT),), b"", method="HEAD"))
        while not (finished := client.poll(POLL_S)):
            pass
    return finished[0].outcome


@transaction.atomic
def _note(endpoint: Endpoint, *, actor: str, now: datetime) -> None:
    """Count and write down in one: the merchant's lock makes the count exact. Raises TooMany."""
    lock_merchant(endpoint.owner_id)
    recent = AuditEntry.objects.filter(merchant_id=endpoint.owner_id, id__gte=first_id(now - WINDOW), action=ACTION)
    if recent.count() >= MOST:
        wait_s = int(WINDOW.total_seconds())
        raise TooMany(f"At most {MOST} connectivity tests are made in {wait_s} seconds.", retry_after_s=wait_s)
    audit.note(actor=actor, action=ACTION, target=endpoint.public_id, merchant_id=endpoint.owner_id, now=now)


def _client() -> Client:
    """A client of its own: none is for sharing between threads, and tests are rare."""
    rules = AddressRules(allowed_networks=tuple(settings.ALLOWED_TARGET_NETWORKS))
    return make_client(settings.HTTP_CLIENT, rules=rules, limits=Limits(deadline_s=settings.DELIVERY_TIMEOUT))
