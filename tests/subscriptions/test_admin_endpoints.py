"""Endpoints in the admin: the API's rules, the API's audit, nothing shown that the API would not show."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from subscriptions.models import AuditEntry, Endpoint, SigningSecret
from subscriptions.services import profiles, vault
from tests.subscriptions.conftest import NOW, URL, Person
from tests.subscriptions.test_admin import PASSWORD, SECRET, audited, errors, fields, listing, make_endpoint, page

ADD = {"owner": "alice", "url": URL, "profile": "default", "auth_type": "none", "max_in_flight": "50"}
ELSEWHERE = "https://93.184.215.15/in"


def credential(endpoint: Endpoint) -> bytes:
    return vault.open_sealed(vault.ENDPOINT_AUTH, endpoint.id, endpoint.auth_ciphertext or b"")


def press(client: Client, name: str, endpoint: Endpoint, **more: Any) -> Any:
    posted = {"action": name, "_selected_action": str(endpoint.pk), "from_page": "1"} | more
    return client.post(listing(Endpoint), posted)


def test_made_with_everything_by_the_service(admin_client: Client, alice: Person, types: list[str]) -> None:
    posted = ADD | {
        "event_types": "invoice.*\r\n\r\nPAYMENT_COMPLETED",
        "accounts": "A1\r\nA2",
        "auth_type": "basic",
        "auth_name": "shop",
        "auth_secret": PASSWORD,
        "headers": "X-Team: billing: a\r\n",
        "ack": '{"type": "body_contains", "value": "OK"}',
        "retry_schedule": "10, 60",
        "rate_limit": "5",
        "ordered": "on",
        "metadata": '{"shop": "1"}',
    }
    answer = admin_client.post(listing(Endpoint, "add"), posted, follow=True)
    made = Endpoint.objects.get()
    assert (made.owner, made.target, made.event_types) == (alice.merchant, URL, ["invoice.*", "PAYMENT_COMPLETED"])
    assert (made.accounts, made.headers, made.retry_schedule) == (["A1", "A2"], {"X-Team": "billing: a"}, [10, 60])
    assert (made.rate_limit, made.ordered, made.metadata) == (5, True, {"shop": "1"})
    assert made.ack == {"type": "body_contains", "value": "OK"}
    assert credential(made) == PASSWORD.encode()
    assert audited() == [("endpoint.created", made.public_id)]
    secret = vault.open_sealed(vault.SIGNING_SECRET, made.secrets.get().id, made.secrets.get().ciphertext).decode()
    assert secret.startswith("whsec_")
    assert secret not in answer.content.decode()


def test_the_services_refusals_stand_beside_their_fields(admin_client: Client, alice: Person, types: list[str]) -> None:
    posted = ADD | {
        "url": "https://10.0.0.1/x",
        "event_types": "invoice.paid\nnope",
        "auth_type": "basic",
        "headers": "Host: x",
        "max_in_flight": "9000",
        "ack": '{"type": "?"}',
    }
    told = errors(admin_client.post(listing(Endpoint, "add"), posted))
    assert sorted(told) == ["ack", "auth_name", "event_types", "headers", "max_in_flight", "url"]
    assert told["event_types"] == ["nope: There is no such event type."]
    assert told["headers"] == ["Host: This header is not yours to set."]
    assert not Endpoint.objects.exists()
    assert audited() == []


@pytest.mark.parametrize(
    ("field", "text"),
    [("headers", "no colon"), ("headers", "A: 1\nA: 2"), ("retry_schedule", "soon"), ("metadata", "{"), ("ack", "NaN")],
)
def test_what_cannot_be_read_is_told(field: str, text: str, admin_client: Client, alice: Person) -> None:
    assert list(errors(admin_client.post(listing(Endpoint, "add"), ADD | {field: text}))) == [field]


def test_the_providers_own_profiles_are_on_offer(admin_client: Client, alice: Person) -> None:
    profiles.create(data={"name": "acme", "definition": {"key_form": "none"}}, now=NOW, actor="system")
    admin_client.post(listing(Endpoint, "add"), ADD | {"profile": "acme"})
    made = Endpoint.objects.get()
    assert made.profile == "acme"
    assert '<option value="acme" selected>acme</option>' in admin_client.get(page(made)).content.decode()
    assert list(errors(admin_client.post(page(made), fields(made, profile="nobody")))) == ["profile"]


def test_only_what_was_changed_is_written(admin_client: Client, alice: Person) -> None:
    endpoint = make_endpoint(alice, auth={"type": "basic", "username": "shop", "password": PASSWORD})
    admin_client.post(page(endpoint), fields(endpoint))
    assert audited() == []
    admin_client.post(page(endpoint), fields(endpoint, description="Mine"))
    endpoint.refresh_from_db()
    assert (endpoint.description, endpoint.version, credential(endpoint)) == ("Mine", 2, PASSWORD.encode())
    assert AuditEntry.objects.get(actor="user:admin").detail == {"fields": ["description"]}


def test_of_two_changes_at_once_the_second_is_told(admin_client: Client, alice: Person) -> None:
    endpoint = make_endpoint(alice)
    admin_client.post(page(endpoint), fields(endpoint, description="First"))
    told = errors(admin_client.post(page(endpoint), fields(endpoint, description="Second")))
    assert told == {"__all__": ["The object has changed meanwhile: its version is 2."]}
    endpoint.refresh_from_db()
    assert endpoint.description == "First"


def test_a_credential_does_not_follow_the_url_to_another_host(admin_client: Client, alice: Person) -> None:
    endpoint = make_endpoint(alice, auth={"type": "bearer", "token": PASSWORD})
    answer = admin_client.post(page(endpoint), fields(endpoint, url=ELSEWHERE), follow=True)
    assert "the stored credential was erased" in answer.content.decode()
    endpoint.refresh_from_db()
    assert (endpoint.auth_type, endpoint.auth_ciphertext) == ("none", None)


def test_a_secret_that_does_not_open_is_told(admin_client: Client, alice: Person) -> None:
    endpoint = make_endpoint(alice, secret=SECRET)
    SigningSecret.objects.update(ciphertext=b"spoilt" * 20)
    told = errors(admin_client.post(page(endpoint), fields(endpoint, profile="standard")))
    assert list(told) == ["__all__"]


def test_disabled_for_a_reason_and_enabled(admin_client: Client, alice: Person) -> None:
    endpoint = make_endpoint(alice)
    asked = press(admin_client, "disable", endpoint)
    assert endpoint.public_id in asked.content.decode()
    endpoint.refresh_from_db()
    assert endpoint.is_active
    assert press(admin_client, "disable", endpoint, reason="").status_code == 200
    assert press(admin_client, "disable", endpoint, reason="flooded").headers["Location"] == page(endpoint)
    endpoint.refresh_from_db()
    assert (endpoint.is_active, endpoint.disabled_reason) == (False, "flooded")
    press(admin_client, "enable", endpoint)
    endpoint.refresh_from_db()
    assert endpoint.is_active
    assert [action for action, _ in audited()] == ["endpoint.disabled", "endpoint.enabled"]


def test_deleted_with_its_secrets_and_shown_still(admin_client: Client, alice: Person) -> None:
    endpoint = make_endpoint(alice, secret=SECRET, auth={"type": "bearer", "token": PASSWORD})
    assert "secrets and credentials are erased" in admin_client.get(page(endpoint, "delete")).content.decode()
    admin_client.post(page(endpoint, "delete"), {"post": "yes"})
    endpoint.refresh_from_db()
    assert endpoint.deleted_at is not None
    assert not SigningSecret.objects.exists()
    assert audited() == [("endpoint.deleted", endpoint.public_id)]
    assert admin_client.get(page(endpoint)).status_code == 200
    assert admin_client.post(page(endpoint), fields(endpoint)).status_code == 403
    assert press(admin_client, "enable", endpoint).status_code == 302
    assert audited() == [("endpoint.deleted", endpoint.public_id)]


def test_secrets_are_neither_added_nor_changed_nor_deleted(admin_client: Client, alice: Person) -> None:
    secret = make_endpoint(alice, secret=SECRET).secrets.get()
    assert admin_client.get(listing(SigningSecret, "add")).status_code == 403
    assert admin_client.post(page(secret), {"ciphertext": "x"}).status_code == 403
    assert admin_client.post(page(secret, "delete"), {"post": "yes"}).status_code == 403
    assert SigningSecret.objects.count() == 1


def test_its_page_leads_to_its_deliveries_lane_and_audit(admin_client: Client, alice: Person) -> None:
    endpoint = make_endpoint(alice)
    text = admin_client.get(page(endpoint)).content.decode()
    assert f"/admin/deliveries/delivery/?endpoint={endpoint.public_id}" in text
    assert f"/admin/deliveries/lane/{endpoint.pk}/change/" in text
    audit = admin_client.get(
        listing(AuditEntry), {"merchant": alice.merchant.public_id, "target": endpoint.public_id, "within": "all"}
    )
    assert [entry.action for entry in audit.context["cl"].result_list] == ["endpoint.created"]


def test_found_by_ids_reference_and_a_part_of_the_url(admin_client: Client, alice: Person, bob: Person) -> None:
    endpoint = make_endpoint(alice)
    make_endpoint(bob, url=ELSEWHERE)
    for term in (endpoint.public_id, alice.merchant.public_id, "alice", "184.215.14"):
        assert list(admin_client.get(listing(Endpoint), {"q": term}).context["cl"].result_list) == [endpoint]


def test_a_page_takes_a_fixed_number_of_queries(admin_client: Client, alice: Person) -> None:
    endpoint = make_endpoint(alice, secret=SECRET)
    with CaptureQueriesContext(connection) as captured:
        admin_client.get(page(endpoint))
    # The session, the user, the endpoint with its owner, its secrets, and the profiles that it may choose from; how its
    # last day went, what waits for it, and whether it fails.
    assert len(captured) == 8
    assert not [query for query in captured if "auth_ciphertext" in query["sql"] or '"ciphertext"' in query["sql"]]


class TestAudit:
    def test_nobody_adds_changes_or_deletes_an_entry(self, admin_client: Client, alice: Person) -> None:
        entry = AuditEntry.objects.get()
        assert admin_client.get(page(entry)).status_code == 200
        assert admin_client.get(listing(AuditEntry, "add")).status_code == 403
        assert admin_client.post(listing(AuditEntry, "add"), {}).status_code == 403
        assert admin_client.post(page(entry), {"actor": "x"}).status_code == 403
        assert admin_client.post(page(entry, "delete"), {"post": "yes"}).status_code == 403
        gone = {"action": "delete_selected", "_selected_action": str(entry.pk), "post": "yes"}
        admin_client.post(listing(AuditEntry), gone)
        assert AuditEntry.objects.get() == entry

    def test_searched_by_target_merchant_actor_and_action(
        self, admin_client: Client, alice: Person, bob: Person
    ) -> None:
        endpoint = make_endpoint(alice)
        made = AuditEntry.objects.get(action="endpoint.created")
        key = AuditEntry.objects.get(merchant=alice.merchant, action="key.created")
        for term, expected in (
            (endpoint.public_id, [made]),
            (made.public_id, [made]),
            ("endpoint.created", [made]),
            ("alice", [made, key]),
            (alice.merchant.public_id, [made, key]),
        ):
            found = admin_client.get(listing(AuditEntry), {"q": term}).context["cl"].result_list
            assert found == expected, term
