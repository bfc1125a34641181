"""The admin of subscriptions: every write goes through the services, and no secret is ever on a page."""

import base64
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from subscriptions.models import Account, ApiKey, AuditEntry, Endpoint, EventType, Merchant, SigningSecret
from subscriptions.services import endpoints, keys, merchants
from tests.subscriptions.conftest import NOW, URL, Person, make_person, make_type

ACTOR = "user:admin"
MODELS = (Merchant, Account, ApiKey, EventType, Endpoint, SigningSecret, AuditEntry)
PASSWORD = "hunter2-credential"
SECRET = "whsec_c2VjcmV0LXRoYXQtc2lnbnMtZXZlcnl0aGluZw=="


def page(row: Any, view: str = "change") -> str:
    return reverse(f"admin:subscriptions_{row._meta.model_name}_{view}", args=[row.pk])


def listing(model: Any, view: str = "changelist") -> str:
    return reverse(f"admin:subscriptions_{model._meta.model_name}_{view}")


def make_endpoint(person: Person, **values: Any) -> Endpoint:
    return endpoints.create(merchant=person.merchant, data={"url": URL} | values, now=NOW, actor="system").endpoint


def fields(endpoint: Endpoint, **changed: Any) -> dict[str, Any]:
    """What a browser posts for an endpoint that is left as it is, apart from `changed`."""
    return {
        "url": endpoint.target,
        "description": endpoint.description,
        "profile": endpoint.profile,
        "auth_type": endpoint.auth_type,
        "auth_name": endpoint.auth_name,
        "event_types": "\n".join(endpoint.event_types or []),
        "max_in_flight": endpoint.max_in_flight,
        "metadata": "{}",
        "version": endpoint.version,
    } | changed


def audited() -> list[tuple[str, str]]:
    rows = AuditEntry.objects.filter(actor=ACTOR).order_by("id")
    return list(rows.values_list("action", "target"))


def errors(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def staff_with(*permissions: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def world(alice: Person) -> list[Any]:
    """One row of each model."""
    endpoint = make_endpoint(
        alice, secret=SECRET, auth={"type": "basic", "username": "shop", "password": PASSWORD}, headers={"X-Team": "a"}
    )
    account, _ = merchants.put_account(merchant=alice.merchant, reference="ACC-1", now=NOW, actor="system")
    rows = [alice.merchant, account, ApiKey.objects.get(), make_type("invoice.paid", schema={}), endpoint]
    return [*rows, endpoint.secrets.get(), AuditEntry.objects.order_by("id")[0]]


class TestPages:
    def test_every_list_and_page_opens_under_signets_name(self, admin_client: Client, world: list[Any]) -> None:
        assert "Signet" in admin_client.get("/admin/").content.decode()
        for row in world:
            assert admin_client.get(listing(row)).status_code == 200
            assert admin_client.get(page(row)).status_code == 200

    def test_stored_answers_have_no_page(self, admin_client: Client) -> None:
        assert admin_client.get("/admin/subscriptions/storedanswer/").status_code == 404

    def test_no_page_shows_a_secret_or_what_keeps_it(
        self, admin_client: Client, alice: Person, world: list[Any]
    ) -> None:
        key, endpoint, secret = world[2], world[4], world[5]
        hidden = [SECRET, PASSWORD, alice.api.key, alice.api.key.rpartition("_")[2]]
        for column in (key.digest, endpoint.auth_ciphertext, secret.ciphertext):
            raw = bytes(column)
            hidden += [raw.hex(), base64.b64encode(raw).decode(), repr(raw)[2:-1]]
        addresses = [address for row in world for address in (listing(row), page(row), page(row, "history"))]
        for address in [*addresses, listing(Endpoint, "add"), page(endpoint, "delete")]:
            text = admin_client.get(address).content.decode()
            assert [word for word in hidden if word in text] == [], address
        assert "whsec_••••••" in admin_client.get(page(endpoint)).content.decode()
        assert "whsec_••••••" in admin_client.get(listing(SigningSecret)).content.decode()

    def test_a_column_that_is_not_shown_cannot_be_asked_for(self, admin_client: Client, world: list[Any]) -> None:
        for model, lookup in ((ApiKey, "digest"), (Endpoint, "auth_name__startswith"), (Merchant, "api_keys__digest")):
            assert admin_client.get(listing(model), {lookup: "a"}).status_code == 400

    @pytest.mark.parametrize("model", MODELS)
    def test_more_rows_take_no_more_queries(
        self, model: Any, admin_client: Client, world: list[Any], make_more: Callable[[], None]
    ) -> None:
        admin_client.get(listing(model))
        with CaptureQueriesContext(connection) as few:
            admin_client.get(listing(model))
        make_more()
        with CaptureQueriesContext(connection) as many:
            admin_client.get(listing(model))
        assert len(many) == len(few) <= 6

    def test_without_a_permission_there_is_no_page(self, world: list[Any]) -> None:
        client = staff_with("view_merchant")
        assert client.get(listing(Merchant)).status_code == 200
        assert client.post(listing(Merchant, "add"), {"name": "X", "kind": "merchant"}).status_code == 403
        for row in world[1:]:
            assert client.get(listing(row)).status_code == 403
            assert client.get(page(row)).status_code == 403

    def test_viewers_see_an_endpoint_and_change_nothing(self, alice: Person) -> None:
        endpoint = make_endpoint(alice, auth={"type": "bearer", "token": PASSWORD}, event_types=None)
        client = staff_with("view_endpoint")
        text = client.get(page(endpoint)).content.decode()
        assert "••••••" in text
        assert PASSWORD not in text
        assert client.post(page(endpoint), fields(endpoint, description="x")).status_code == 403
        client.post(listing(Endpoint), {"action": "enable", "_selected_action": str(endpoint.pk)})
        assert audited() == []


@pytest.fixture
def make_more(alice: Person) -> Callable[[], None]:
    def make() -> None:
        for number in range(5):
            person = make_person(f"More{number}")
            person.merchant.parent = alice.merchant
            person.merchant.save()
            make_endpoint(person, secret=SECRET)
            make_type(f"more.{number}")
            merchants.put_account(merchant=person.merchant, reference=f"M{number}", now=NOW, actor="system")

    return make


class TestMerchants:
    def test_a_merchant_is_made_changed_and_deleted_by_the_services(self, admin_client: Client, alice: Person) -> None:
        posted = {"name": "Bob", "reference": "", "kind": "merchant", "mode": "test", "parent": "alice"}
        admin_client.post(listing(Merchant, "add"), posted)
        bob = Merchant.objects.get(name="Bob")
        assert (bob.reference, bob.parent, bob.mode) == (None, alice.merchant, "test")
        admin_client.post(page(bob), posted | {"name": "Robert", "parent": alice.merchant.public_id})
        admin_client.post(page(bob, "delete"), {"post": "yes"})
        bob.refresh_from_db()
        assert (bob.name, bob.deleted_at is not None) == ("Robert", True)
        assert audited() == [(f"merchant.{verb}", bob.public_id) for verb in ("created", "updated", "deleted")]
        assert AuditEntry.objects.get(action="merchant.updated").detail == {"fields": ["name"]}

    def test_refusals_stand_in_the_form(self, admin_client: Client, alice: Person, bob: Person) -> None:
        alice.merchant.parent = bob.merchant
        alice.merchant.save()
        posted = {"name": "Bob", "reference": "alice", "kind": "merchant", "mode": "live", "parent": ""}
        told = errors(admin_client.post(page(bob.merchant), posted))
        assert told == {"__all__": ["Another merchant has this reference."]}
        told = errors(admin_client.post(page(bob.merchant), posted | {"reference": "bob", "parent": "alice"}))
        assert told == {"parent": ["A merchant cannot stand below itself."]}
        told = errors(admin_client.post(page(bob.merchant), posted | {"reference": "mer_x", "parent": "nobody"}))
        assert list(told) == ["parent"]
        assert audited() == []

    def test_one_with_merchants_below_is_not_deleted(self, admin_client: Client, alice: Person, bob: Person) -> None:
        alice.merchant.parent = bob.merchant
        alice.merchant.save()
        assert "API keys revoked: 1." in admin_client.get(page(bob.merchant, "delete")).content.decode()
        answer = admin_client.post(page(bob.merchant, "delete"), {"post": "yes"}, follow=True)
        assert "Move or delete them first" in answer.content.decode()
        bob.merchant.refresh_from_db()
        assert bob.merchant.deleted_at is None
        assert audited() == []

    def test_a_deleted_one_can_only_be_looked_at(self, admin_client: Client, alice: Person) -> None:
        merchants.delete(merchant=alice.merchant, now=NOW, actor="system")
        assert admin_client.get(page(alice.merchant)).status_code == 200
        assert admin_client.post(page(alice.merchant), {"name": "x"}).status_code == 403

    def test_found_by_id_reference_and_name(self, admin_client: Client, alice: Person, bob: Person) -> None:
        for term in (alice.merchant.public_id, "alice", "Ali"):
            found = admin_client.get(listing(Merchant), {"q": term}).context["cl"].result_list
            assert list(found) == [alice.merchant]
        assert admin_client.get(listing(Merchant), {"q": "a\0"}).status_code == 200

    def test_accounts_are_registered_and_removed(self, admin_client: Client, alice: Person, bob: Person) -> None:
        admin_client.post(listing(Account, "add"), {"merchant": "alice", "reference": "ACC-1"})
        account = Account.objects.get()
        assert account.merchant == alice.merchant
        told = errors(admin_client.post(listing(Account, "add"), {"merchant": "bob", "reference": "ACC-1"}))
        assert told == {"__all__": ["This account belongs to another merchant."]}
        assert admin_client.post(page(account), {"reference": "x"}).status_code == 403
        admin_client.post(page(account, "delete"), {"post": "yes"})
        assert not Account.objects.exists()
        assert [action for action, _ in audited()] == ["account.registered", "account.removed"]


class TestKeys:
    def test_a_key_is_shown_once_and_stored_nowhere(self, admin_client: Client, alice: Person) -> None:
        made = admin_client.post(listing(ApiKey, "add"), {"name": "Server", "merchant": "alice"})
        row = ApiKey.objects.get(name="Server")
        shown = re.search(rf"{row.prefix}_[\w-]+", made.content.decode())
        assert shown is not None
        text = shown[0]
        found = keys.authenticate(text, now=NOW)
        assert found == row
        assert "no-store" in made.headers["Cache-Control"]
        assert text not in str(admin_client.cookies)
        assert text not in str(dict(admin_client.session.items()))
        for address in (page(row), listing(ApiKey), listing(AuditEntry)):
            assert text not in admin_client.get(address).content.decode()
        assert audited() == [("key.created", row.public_id)]

    def test_a_provider_key_needs_no_merchant_and_an_end_lies_ahead(self, admin_client: Client) -> None:
        past = {"name": "Ops", "merchant": "", "expires_at_0": "2020-01-01", "expires_at_1": "00:00"}
        assert errors(admin_client.post(listing(ApiKey, "add"), past)) == {
            "expires_at": ["This must be in the future."]
        }
        admin_client.post(listing(ApiKey, "add"), past | {"expires_at_0": "2999-01-01"})
        assert ApiKey.objects.get().scope == "provider"

    @pytest.mark.parametrize("is_provider", [True, False])
    def test_a_key_is_revoked_and_never_changed_or_deleted(
        self, is_provider: bool, admin_client: Client, alice: Person
    ) -> None:
        owner = None if is_provider else alice.merchant
        key = keys.create(name="Old", merchant=owner, now=NOW, actor="system").row
        assert admin_client.post(page(key), {"name": "x"}).status_code == 403
        assert admin_client.post(page(key, "delete"), {"post": "yes"}).status_code == 403
        pressed = {"action": "revoke", "_selected_action": str(key.pk), "from_page": "1"}
        assert admin_client.post(listing(ApiKey), pressed).headers["Location"] == page(key)
        key.refresh_from_db()
        assert key.revoked_at is not None
        assert "There is no such key" in admin_client.post(listing(ApiKey), pressed, follow=True).content.decode()
        assert audited() == [("key.revoked", key.public_id)]

    def test_viewers_do_not_revoke(self, alice: Person) -> None:
        key = ApiKey.objects.get()
        staff_with("view_apikey").post(listing(ApiKey), {"action": "revoke", "_selected_action": str(key.pk)})
        key.refresh_from_db()
        assert key.revoked_at is None


class TestEventTypes:
    def test_made_and_changed_by_the_services(self, admin_client: Client) -> None:
        posted = {"name": "invoice.paid", "example": '{"amount": 1}', "schema": ""}
        admin_client.post(listing(EventType, "add"), posted)
        row = EventType.objects.get()
        assert (row.example, row.schema) == ({"amount": 1}, None)
        admin_client.post(page(row), posted | {"name": "other", "archived": "on"})
        row.refresh_from_db()
        assert (row.name, row.archived) == ("invoice.paid", True)
        assert [action for action, _ in audited()] == ["event_type.created", "event_type.updated"]

    @pytest.mark.parametrize("example", ["NaN", "1e999", '"\\u0000"', '{"a":1,"a":2}', "[" * 1000, "{"])
    def test_json_is_taken_as_the_api_takes_it(self, example: str, admin_client: Client) -> None:
        told = errors(admin_client.post(listing(EventType, "add"), {"name": "a", "example": example}))
        assert list(told) == ["example"]
        assert not EventType.objects.exists()

    def test_refusals_stand_beside_their_field(self, admin_client: Client, types: list[str]) -> None:
        told = errors(admin_client.post(listing(EventType, "add"), {"name": "no spaces", "schema": "[1]"}))
        assert sorted(told) == ["name", "schema"]
        told = errors(admin_client.post(listing(EventType, "add"), {"name": "invoice.paid"}))
        assert told == {"__all__": ["There is a type of this name."]}
        posted = {"name": "a", "schema": '{"required": ["id"]}', "strict": "on", "example": "{}"}
        told = errors(admin_client.post(listing(EventType, "add"), posted))
        assert told == {"example": ["id: The schema asks for this member."]}
        told = errors(admin_client.post(listing(EventType, "add"), posted | {"schema": ""}))
        assert told == {"strict": ["A type can be strict only with a schema."]}
        admin_client.post(listing(EventType, "add"), posted | {"example": ""})
        assert EventType.objects.get(name="a").strict

    def test_one_that_an_endpoint_names_is_not_deleted(
        self, admin_client: Client, alice: Person, types: list[str]
    ) -> None:
        make_endpoint(alice, event_types=["invoice.paid"])
        paid, voided = (EventType.objects.get(name=name) for name in ("invoice.paid", "invoice.voided"))
        answer = admin_client.post(page(paid, "delete"), {"post": "yes"}, follow=True)
        assert "Archive it instead" in answer.content.decode()
        admin_client.post(page(voided, "delete"), {"post": "yes"})
        assert set(EventType.objects.values_list("name", flat=True)) == {"invoice.paid", "PAYMENT_COMPLETED"}
