"""One-time links: made by the provider, used by whoever presses first, good for a visit."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.utils import timezone

from config.redaction import scrub
from deliveries.services import retention
from subscriptions.models import ApiKey, AuditEntry, PortalLink, StoredAnswer
from subscriptions.services import merchants, portal_links
from tests.subscriptions.conftest import Api, Person, faults, problem

LINKS = "/merchants/alice/portal-links"
ENDPOINT = {"channel": "webhook", "url": "https://93.184.215.14/in", "events": "all", "profile": "default"}


def make(person: Person, **data: Any) -> str:
    made = portal_links.create(merchant=person.merchant, data=data, now=timezone.now(), actor="system")
    return f"/portal/enter/{made.token}"


class TestApi:
    def test_makes_a_link_that_opens_the_portal(self, provider: Api, alice: Person, settings: Any) -> None:
        settings.PUBLIC_URL = "https://webhooks.example"
        answer = provider.post(LINKS, {"expires_in": 600, "access": "read_only"})
        assert answer.status_code == 201
        assert answer.headers["Cache-Control"] == "no-store"
        told = answer.json()
        assert set(told) == {"id", "url", "access", "expires_at"}
        assert told["url"].startswith("https://webhooks.example/portal/enter/")
        assert told["access"] == "read_only"
        row = PortalLink.objects.get()
        assert row.expires_at - row.created_at == timedelta(seconds=600)
        assert datetime.fromisoformat(told["expires_at"]) == row.expires_at
        client = Client()
        assert client.post(urlsplit(told["url"]).path).status_code == 303
        assert client.get(f"/portal/{alice.merchant.public_id}/team/").status_code == 200

    def test_is_full_and_for_an_hour_unless_it_says_otherwise(self, provider: Api, alice: Person) -> None:
        assert provider.post(LINKS).json()["access"] == "full"
        row = PortalLink.objects.get()
        assert row.expires_at - row.created_at == timedelta(hours=1)

    def test_without_a_public_url_it_begins_where_the_call_came_to(
        self, provider: Api, alice: Person, settings: Any
    ) -> None:
        settings.PUBLIC_URL = ""
        assert provider.post(LINKS).json()["url"].startswith("http://testserver/portal/enter/")

    def test_refuses_what_is_wrong(self, provider: Api, alice: Person) -> None:
        assert faults(provider.post(LINKS, {"expires_in": 59, "access": "owner", "x": 1})) == {
            "/expires_in": "out_of_range",
            "/access": "unknown_choice",
            "/x": "unknown_field",
        }
        assert faults(provider.post(LINKS, {"expires_in": 86_401})) == {"/expires_in": "out_of_range"}
        assert provider.post(LINKS, {"expires_in": 60}).status_code == 201
        assert provider.post(LINKS, {"expires_in": 86_400}).status_code == 201
        problem(provider.post("/merchants/nobody/portal-links"), 404, "not_found")
        problem(Api(alice.api.key, base="/api/v2").post(LINKS), 403, "provider_key_needed")

    def test_a_repeat_gets_the_same_link_and_the_database_never_holds_its_token(
        self, provider: Api, alice: Person
    ) -> None:
        first = provider.post(LINKS, {}, Idempotency_Key="k")
        again = provider.post(LINKS, {}, Idempotency_Key="k")
        assert first.json() == again.json()
        token = first.json()["url"].rsplit("/", 1)[1]
        row = PortalLink.objects.get()
        assert bytes(row.digest) == hashlib.sha256(token.encode()).digest()
        assert token.encode() not in bytes(StoredAnswer.objects.get().answer or b"")
        assert token not in str(list(AuditEntry.objects.values()))

    def test_is_written_down(self, provider: Api, alice: Person) -> None:
        told = provider.post(LINKS).json()
        entry = AuditEntry.objects.get(action="portal_link.created")
        assert (entry.merchant, entry.target) == (alice.merchant, told["id"])
        assert entry.detail["access"] == "full"


class TestPage:
    def test_a_get_uses_nothing_up(self, alice: Person) -> None:
        path = make(alice)
        for method in ("get", "head"):
            answer = getattr(Client(), method)(path)
            assert answer.status_code == 200
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cache-Control"] == "no-store"
        shown = Client().get(path).content.decode()
        assert "data-submit-at-once" in shown
        assert path.rsplit("/", 1)[1] not in shown
        assert PortalLink.objects.get().used_at is None
        assert Client().post(path).status_code == 303

    def test_a_post_that_another_site_made_only_shows_the_page(self, alice: Person) -> None:
        path = make(alice)
        for site in ("cross-site", "same-site"):
            answer = Client().post(path, headers={"Sec-Fetch-Site": site})
            assert answer.status_code == 200
        assert PortalLink.objects.get().used_at is None
        assert Client().post(path, headers={"Sec-Fetch-Site": "same-origin", "Origin": "null"}).status_code == 303

    def test_it_opens_once(self, alice: Person) -> None:
        path, first = make(alice), Client()
        assert first.post(path).headers["Location"] == f"/portal/{alice.merchant.public_id}/"
        second = Client()
        assert second.post(path).status_code == 404
        assert second.get(f"/portal/{alice.merchant.public_id}/team/").status_code == 302

    def test_used_expired_and_forged_are_told_alike(self, alice: Person, bob: Person) -> None:
        used, old, of_deleted = make(bob), make(bob, expires_in=60), make(alice)
        Client().post(used)
        merchants.delete(merchant=alice.merchant, now=timezone.now(), actor="system")
        answers = [Client().post(path) for path in (used, of_deleted, "/portal/enter/x", f"/portal/enter/{'a' * 43}")]
        with time_machine.travel(timezone.now() + timedelta(seconds=61)):
            answers.append(Client().post(old))
        assert {answer.status_code for answer in answers} == {404}
        assert len({answer.content for answer in answers}) == 1
        assert {answer.headers["Referrer-Policy"] for answer in answers} == {"no-referrer"}

    @pytest.mark.parametrize(("access", "role", "status"), [("full", "developer", 200), ("read_only", "viewer", 403)])
    def test_what_a_guest_may_do(self, alice: Person, access: str, role: str, status: int) -> None:
        client, page = Client(), f"/portal/{alice.merchant.public_id}"
        client.post(make(alice, access=access))
        assert client.post(f"{page}/endpoints/new", ENDPOINT).status_code == status
        # A key would outlive the visit.
        assert client.get(f"{page}/keys/new").status_code == 403
        assert client.post(f"{page}/keys/new", {"name": "k"}).status_code == 403
        assert not ApiKey.objects.filter(name="k").exists()
        assert client.post(f"{page}/team/", {"email": "a@shop.example", "role": "owner"}).status_code == 403
        [visit] = client.session["portal_visits"].values()
        link = PortalLink.objects.get()
        assert (visit["role"], visit["actor"], visit["way"]) == (role, f"link:{link.public_id}", "link")
        if status == 200:
            assert AuditEntry.objects.get(action="endpoint.created", actor=visit["actor"]).merchant == alice.merchant

    def test_the_session_has_a_key_that_nobody_could_plant(self, alice: Person) -> None:
        client = Client()
        client.get("/portal/login/")
        session = client.session
        session["x"] = 1
        session.save()
        planted = str(session.session_key)
        client.cookies["sessionid"] = planted
        client.post(make(alice))
        assert client.session.session_key != planted

    def test_a_visit_ends_after_eight_hours_and_with_the_merchant(self, alice: Person, bob: Person) -> None:
        now = timezone.now()
        client = Client()
        pages = [f"/portal/{person.merchant.public_id}/team/" for person in (alice, bob)]
        with time_machine.travel(now, tick=False) as clock:
            for person in (alice, bob):
                client.post(make(person))
            assert [client.get(page).status_code for page in pages] == [200, 200]
            merchants.delete(merchant=bob.merchant, now=timezone.now(), actor="system")
            assert [client.get(page).status_code for page in pages] == [200, 404]
            clock.shift(portal_links.VISIT)
            assert client.get(pages[0]).status_code == 302

    def test_only_the_one_merchant_and_straight_to_it(self, alice: Person, charlie: Person) -> None:
        client = Client()
        client.post(make(alice))
        assert client.get(f"/portal/{charlie.merchant.public_id}/team/").status_code == 404
        assert client.get("/portal/").headers["Location"] == f"/portal/{alice.merchant.public_id}/"
        assert client.post("/portal/logout/").status_code == 302
        assert client.get(f"/portal/{alice.merchant.public_id}/team/").status_code == 302

    def test_logs_do_not_show_the_token(self, alice: Person) -> None:
        path = make(alice)
        token = path.rsplit("/", 1)[1]
        for text in (f"Not Found: {path}", f"https://webhooks.example{path} was asked for", f'"POST {path} HTTP/1.1"'):
            assert token not in scrub(text)
        assert "c2-abc" not in scrub("https://webhooks.example/portal/password/MQ/c2-abc/ x")


def test_old_links_go_with_the_nights_keys(alice: Person) -> None:
    make(alice, expires_in=60)
    make(alice, expires_in=600)
    now = timezone.now() + timedelta(seconds=61)
    deleted = list(retention.purge(before=now - timedelta(days=90), now=now))
    assert sum(step.keys for step in deleted) == 1
    assert PortalLink.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_twenty_at_once_one_gets_in(alice: Person) -> None:
    path = make(alice)

    def press(_: int) -> int:
        try:
            status: int = Client().post(path).status_code
            return status
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(press, range(20)))
    assert sorted(answers) == [303] + [404] * 19
    assert AuditEntry.objects.filter(action="portal_link.used").count() == 1
