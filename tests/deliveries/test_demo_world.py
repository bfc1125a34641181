"""The demo's world is built once, found again, and left as somebody has changed it."""

from datetime import datetime
from ipaddress import ip_network
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connections
from pytest_django import Settings

from deliveries.demo import access, world
from deliveries.demo.cast import ENDPOINTS, MERCHANTS
from subscriptions.errors import Invalid
from subscriptions.models import Account, ApiKey, AuditEntry, Endpoint, EventType, Merchant, SigningSecret
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
    models = (EventType, Merchant, Account, Endpoint, SigningSecret, AuditEntry)
    return {model.__name__: list(model.objects.order_by("id").values()) for model in models}


def test_a_second_build_changes_nothing(now: datetime) -> None:
    world.build(receiver_url=URL, now=now)
    first = rows()
    world.build(receiver_url=URL, now=now)

    assert rows() == first
    assert Endpoint.objects.count() == len(ENDPOINTS)
    assert EventType.objects.count() == 8
    assert Account.objects.count() == 6 * len(MERCHANTS)


def test_the_world_has_a_hierarchy_and_a_secret_for_each_endpoint(now: datetime) -> None:
    world.build(receiver_url=URL, now=now)

    linden = merchant_rows.get("demo-linden")
    assert linden.parent
    assert (linden.parent.kind, linden.parent.parent and linden.parent.parent.kind) == ("portfolio", "reseller")
    secrets = world.secrets_by_path(URL)
    assert set(secrets) == {planned.path for planned in ENDPOINTS}
    assert len(set(secrets.values())) == len(ENDPOINTS)
    assert all(secret and secret.startswith("whsec_") for secret in secrets.values())
    assert Endpoint.objects.get(is_primary=True).target == f"{URL}/bramble/everything"


def test_another_port_moves_the_endpoints_and_keeps_their_secrets(now: datetime) -> None:
    world.build(receiver_url=URL, now=now)
    before = world.secrets_by_path(URL)
    world.build(receiver_url=OTHER_URL, now=now)

    assert world.secrets_by_path(OTHER_URL) == before
    assert world.secrets_by_path(URL) == {}
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
    EventType.objects.filter(name="card_state").update(description="Ours")

    world.build(receiver_url=OTHER_URL, now=now)

    own.refresh_from_db()
    quiet.refresh_from_db()
    assert own.target == "http://127.0.0.1:45009/mine"
    assert (quiet.target, quiet.is_active) == (f"{OTHER_URL}/linden/cards", False)
    assert EventType.objects.get(name="card_state").description == "Ours"
    assert not Endpoint.objects.get(target=f"{OTHER_URL}/bramble/everything").is_primary


def test_an_endpoint_that_somebody_adds_is_verified_as_well(now: datetime) -> None:
    world.build(receiver_url=URL, now=now)
    corvid = merchant_rows.get("demo-corvid")
    own = endpoints.create(merchant=corvid, data={"url": f"{URL}/own"}, now=now, actor="test")
    odd = {"url": f"{URL}/odd", "profile": "stripe"}
    endpoints.create(merchant=corvid, data=odd, now=now, actor="test")

    secrets = world.secrets_by_path(URL)

    assert (secrets["/own"], secrets["/odd"]) == (own.generated, None)


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
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [world.DEMO_LOCK])
            assert cursor.fetchone() == (True,)
        assert not world.claim()
    finally:
        other.close()
    assert world.claim()
    world.disclaim()
