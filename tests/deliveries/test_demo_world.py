"""The demo's world is built once, found again, and left as somebody has changed it."""

import time
from collections import Counter
from dataclasses import replace
from datetime import datetime
from ipaddress import ip_network
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connections
from pytest_django import Settings

from deliveries.demo import access, screen, world
from deliveries.demo.receivers import Known
from deliveries.demo.systems import SYSTEMS
from subscriptions.advisory_locks import AdvisoryLock
from subscriptions.errors import Invalid
from subscriptions.models import (
    Account,
    ApiKey,
    AuditEntry,
    Endpoint,
    EventType,
    Membership,
    Merchant,
    ProviderKey,
    Rule,
    SigningSecret,
)
from subscriptions.providers import PROVIDERS
from subscriptions.selectors import merchants as merchant_rows
from subscriptions.services import endpoints, keys, primary

pytestmark = pytest.mark.django_db

URL = "http://127.0.0.1:45001"
OTHER_URL = "http://127.0.0.1:45002"


@pytest.fixture(autouse=True)
def _loopback(settings: Settings) -> None:
    settings.ALLOW_HTTP_TARGETS = True
    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)


def rows() -> dict[str, list[Any]]:
    """Everything that a second build could have changed."""
    models = (EventType, Merchant, Account, Endpoint, Rule, SigningSecret, ProviderKey, AuditEntry)
    return {model.__name__: list(model.objects.order_by("id").values()) for model in models}


def test_a_second_build_changes_nothing(now: datetime) -> None:
    world.build(receiver_url=URL, now=now)
    first = rows()
    world.build(receiver_url=URL, now=now)

    assert rows() == first
    assert Endpoint.objects.filter(channel="webhook").count() == len(world.WEBHOOKS) == 17
    assert EventType.objects.count() == sum(len(provider.types) for provider in PROVIDERS.values()) == 58
    assert Account.objects.count() == 30


def test_every_system_has_its_merchants_and_its_format(now: datetime) -> None:
    world.build(receiver_url=URL, now=now)

    profiles = {
        system.name: set(
            Endpoint.objects.filter(
                owner__reference__in=[merchant.reference for merchant in system.hierarchy], channel="webhook"
            ).values_list("profile", flat=True)
        )
        for system in SYSTEMS
    }
    assert profiles == {
        "paysera": {"paysera"},
        "paysafe": {"paysafe"},
        "paisr": {"paisr", "paisr-v2"},
        "gateway": {"gateway"},
        "card": {"default"},
    }
    assert set(Merchant.objects.filter(mode="test").values_list("reference", flat=True)) == {"demo-meridian-test"}
    assert ProviderKey.objects.get().family == "rsa"


def test_paysera_has_a_rule_with_several_recipients(now: datetime) -> None:
    world.build(receiver_url=URL, now=now)

    rule = Rule.objects.get()
    assert rule.owner == merchant_rows.get("demo-lagoon")
    assert rule.event_types == ["payment.incoming", "payment.outgoing", "deposit.received"]
    webhooks = rule.recipients.filter(channel="webhook").order_by("target")
    assert [endpoint.target for endpoint in webhooks] == [f"{URL}/lagoon/bookkeeping", f"{URL}/lagoon/payments"]
    assert {tuple(endpoint.accounts) for endpoint in webhooks} == {("EVP9900000000011",)}
    assert {tuple(endpoint.event_types or ()) for endpoint in webhooks} == {tuple(rule.event_types)}


def test_the_gateway_is_heard_at_two_levels_above_the_merchants(now: datetime) -> None:
    world.build(receiver_url=URL, now=now)

    pelican = merchant_rows.get("demo-pelican")
    assert pelican.parent
    assert (pelican.parent.kind, pelican.parent.parent and pelican.parent.parent.kind) == ("portfolio", "reseller")
    known = world.known_by_path(URL)
    assert known["/harbour/billing"] == Known(
        "gateway", "gateway", known["/harbour/billing"].secret, "harbour", "copper-4-orchid"
    )
    assert Endpoint.objects.get(target=f"{URL}/harbour/billing").retry_schedule == [2, 4, 8, 15]


def test_each_endpoint_is_known_with_what_its_merchant_noted(now: datetime) -> None:
    world.build(receiver_url=URL, now=now)
    known = world.known_by_path(URL)

    assert set(known) == {planned.path for planned in world.WEBHOOKS}
    assert {path: one.system for path, one in known.items()} == {
        webhook.path: system.name for system in SYSTEMS for webhook in system.webhooks
    }
    assert {one.profile for one in known.values() if one.secret is None} == {"paysera", "gateway"}
    signed = [one.secret for one in known.values() if one.secret]
    assert len(set(signed)) == len(signed) == 12
    assert Endpoint.objects.get(is_primary=True).target == f"{URL}/bramble/everything"


def test_another_port_moves_the_endpoints_and_keeps_secrets_and_credentials(now: datetime) -> None:
    world.build(receiver_url=URL, now=now)
    before = world.known_by_path(URL)
    world.build(receiver_url=OTHER_URL, now=now)

    assert world.known_by_path(OTHER_URL) == before
    assert world.known_by_path(URL) == {}
    assert world.remembered_port() == 45002


def test_there_is_no_port_to_remember_in_an_empty_database() -> None:
    assert world.remembered_port() == 0


def test_what_somebody_changed_stays(now: datetime) -> None:
    world.build(receiver_url=URL, now=now)
    bramble = merchant_rows.get("demo-bramble")
    elsewhere = {"url": "http://127.0.0.1:45009/mine"}
    own = primary.put(merchant=bramble, data=elsewhere, now=now, actor="test").endpoint
    quiet = Endpoint.objects.get(target__endswith="/linden/cards")
    endpoints.update(merchant=quiet.owner, endpoint_id=quiet.id, data={"is_active": False}, now=now, actor="test")
    theirs = Endpoint.objects.get(target__endswith="/northgate/everything")
    auth = {"type": "basic", "username": "of-my-own", "password": "secret"}
    endpoints.update(merchant=theirs.owner, endpoint_id=theirs.id, data={"auth": auth}, now=now, actor="test")
    gone = Endpoint.objects.get(target__endswith="/lagoon/bookkeeping")
    endpoints.delete(merchant=gone.owner, endpoint_id=gone.id, now=now, actor="test")
    EventType.objects.filter(name="card_state").update(description="Ours")

    world.build(receiver_url=OTHER_URL, now=now)

    own.refresh_from_db()
    quiet.refresh_from_db()
    theirs.refresh_from_db()
    assert own.target == "http://127.0.0.1:45009/mine"
    assert (quiet.target, quiet.is_active) == (f"{OTHER_URL}/linden/cards", False)
    # The platform does not show credentials to another port unasked, and the demo does not know these.
    assert (theirs.target, theirs.auth_type) == (f"{OTHER_URL}/northgate/everything", "none")
    assert not Endpoint.objects.filter(target=f"{OTHER_URL}/lagoon/bookkeeping").exists()
    assert EventType.objects.get(name="card_state").description == "Ours"
    assert not Endpoint.objects.get(target=f"{OTHER_URL}/bramble/everything").is_primary


def test_an_endpoint_that_somebody_adds_is_verified_as_well(now: datetime) -> None:
    world.build(receiver_url=URL, now=now)
    corvid = merchant_rows.get("demo-corvid")
    own = endpoints.create(merchant=corvid, data={"url": f"{URL}/own"}, now=now, actor="test")
    odd = {"url": f"{URL}/odd", "profile": "stripe"}
    endpoints.create(merchant=corvid, data=odd, now=now, actor="test")
    new = Merchant.objects.create(name="New", reference="new", created_at=now, updated_at=now)
    endpoints.create(merchant=new, data={"url": f"{URL}/new", "profile": "paisr"}, now=now, actor="test")

    known = world.known_by_path(URL)

    assert known["/own"] == Known("card", "default", own.generated)
    assert replace(known["/odd"], secret=None) == Known("card", "stripe")
    assert replace(known["/new"], secret=None) == Known("paisr", "paisr")


def test_only_the_demo_s_merchants_are_counted(now: datetime) -> None:
    world.build(receiver_url=URL, now=now)
    lagoon, harbour = merchant_rows.get("demo-lagoon"), merchant_rows.get("demo-harbour")
    stranger = Merchant.objects.create(name="Charlie", reference="charlie", created_at=now, updated_at=now)
    counts = Counter(
        {
            (lagoon.id, "delivered"): 3,
            (merchant_rows.get("demo-juniper").id, "delivered"): 2,
            (harbour.id, "pending"): 1,
            (stranger.id, "delivered"): 9,
        }
    )

    assert world.by_system(counts) == {"paysera": {"delivered": 5}, "gateway": {"pending": 1}}


def test_without_leave_for_loopback_it_says_what_is_missing(settings: Settings, now: datetime) -> None:
    settings.ALLOWED_TARGET_NETWORKS = ()

    with pytest.raises(Invalid):
        world.build(receiver_url=URL, now=now)
    with pytest.raises(CommandError, match="ALLOWED_TARGET_NETWORKS=127"):
        call_command("demo", "--yes")


def test_without_debug_it_wants_to_be_asked_twice(settings: Settings) -> None:
    settings.DEBUG = False

    with pytest.raises(CommandError, match="--yes"):
        call_command("demo")
    assert not Merchant.objects.exists()


def test_keys_are_new_at_each_start_and_the_last_ones_end(now: datetime) -> None:
    world.build(receiver_url=URL, now=now)
    first = access.grant(is_debug=True, now=now)
    second = access.grant(is_debug=True, now=now)

    assert keys.authenticate(first.provider_key, now=now) is None
    assert keys.authenticate(first.merchant_key, now=now) is None
    provider, merchant = (keys.authenticate(text, now=now) for text in (second.provider_key, second.merchant_key))
    assert provider
    assert merchant
    assert (provider.merchant, merchant.merchant) == (None, merchant_rows.get("demo-bramble"))
    assert ApiKey.objects.filter(revoked_at=None).count() == 2


def test_the_login_is_shown_again_unless_somebody_took_it_over(now: datetime) -> None:
    world.build(receiver_url=URL, now=now)
    assert access.grant(is_debug=True, now=now).password == access.DEBUG_PASSWORD
    assert access.grant(is_debug=True, now=now).password == access.DEBUG_PASSWORD
    # Where DEBUG is off, nobody is told to use the public password.
    assert access.grant(is_debug=False, now=now).password is None

    admin = get_user_model().objects.get(username="admin")
    admin.set_password("of-my-own")
    admin.save()

    assert access.grant(is_debug=True, now=now).password is None
    admin.refresh_from_db()
    assert admin.check_password("of-my-own")


def test_the_portals_logins_are_members_of_demo_merchants(now: datetime) -> None:
    world.build(receiver_url=URL, now=now)
    first = access.grant(is_debug=True, now=now)
    assert first.portal_passwords == {"merchant": access.DEBUG_PASSWORD, "viewer": access.DEBUG_PASSWORD}
    rows = Membership.objects.order_by("merchant__reference")
    places = [
        (name, dict(rows.filter(user__username=name).values_list("merchant__reference", "role")))
        for name in ("merchant", "viewer")
    ]
    assert places == [
        (
            "merchant",
            {
                "demo-bramble": "owner",
                **dict.fromkeys(("demo-harbour", "demo-lagoon", "demo-meridian", "demo-meridian-test"), "developer"),
            },
        ),
        ("viewer", {"demo-bramble": "viewer"}),
    ]
    Membership.objects.filter(role="viewer").delete()
    assert access.grant(is_debug=True, now=now).portal_passwords == first.portal_passwords
    assert access.grant(is_debug=False, now=now).portal_passwords == {"merchant": None, "viewer": None}
    # Whom somebody let out stays out.
    assert not Membership.objects.filter(role="viewer").exists()


def test_the_welcome_says_how_to_get_in(now: datetime) -> None:
    world.build(receiver_url=URL, now=now)
    said = screen.welcome(access.grant(is_debug=True, now=now), url="http://127.0.0.1:8000", receiver_url=URL, rate=1)
    logins = "login merchant, password signet-demo; login viewer, password signet-demo"
    assert f"  Portal        http://127.0.0.1:8000/portal/  ({logins})" in said


def test_without_debug_the_password_is_a_fresh_one(now: datetime) -> None:
    world.build(receiver_url=URL, now=now)
    granted = access.grant(is_debug=False, now=now)

    assert granted.password
    assert granted.password != access.DEBUG_PASSWORD
    assert get_user_model().objects.get(username="admin").check_password(granted.password)


def test_two_demos_do_not_share_a_database() -> None:
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [AdvisoryLock.DEMO])
            assert cursor.fetchone() == (True,)
        assert not world.claim()
    finally:
        other.close()
    # The server notices a little later that the connection has ended.
    deadline = time.monotonic() + 5
    while not (is_ours := world.claim()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert is_ours
    world.disclaim()
