"""API keys: shown once, revoked after a question, and only by those who may."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from subscriptions.models import ApiKey, AuditEntry
from subscriptions.services import keys, portal_links
from tests.subscriptions.conftest import NOW, Person
from tests.subscriptions.portal.conftest import Browser


def make(person: Person, name: str = "Shop", **values: Any) -> ApiKey:
    return keys.create(name=name, merchant=person.merchant, now=NOW, actor="system", **values).row


@pytest.fixture
def developer(browser: Browser) -> Client:
    return browser("developer", name="dan")


def test_a_new_key_works_and_is_shown_this_once(developer: Client, alice: Person, page: Any) -> None:
    made = developer.post(page("keys/new"), {"name": "Order service", "days": ""})
    assert made.status_code == 200
    assert made.headers["Cache-Control"] == "no-store"
    [text] = set(re.findall(r"sgn_mer_[a-z0-9]{12}_[A-Za-z0-9_-]{43}", made.content.decode()))
    key = keys.authenticate(text, now=timezone.now())
    assert key is not None
    assert (key.merchant, key.name, key.expires_at) == (alice.merchant, "Order service", None)
    assert AuditEntry.objects.get(action="key.created", target=key.public_id).actor == "user:dan"
    listed = developer.get(page("keys/")).content.decode()
    assert key.prefix in listed
    assert text not in listed


def test_it_ends_when_it_shall(developer: Client, alice: Person, page: Any) -> None:
    before = timezone.now()
    developer.post(page("keys/new"), {"name": "For a while", "days": "90"})
    key = ApiKey.objects.get(name="For a while")
    assert key.expires_at is not None
    assert timedelta(days=90) <= key.expires_at - before < timedelta(days=90, minutes=5)


@pytest.mark.parametrize(
    ("sent", "field"),
    [({"name": "", "days": ""}, "name"), ({"name": "a" * 256}, "name"), ({"name": "x", "days": "7"}, "days")],
)
def test_what_is_wrong_is_told_and_nothing_made(developer: Client, page: Any, sent: dict[str, str], field: str) -> None:
    answer = developer.post(page("keys/new"), sent)
    assert answer.status_code == 422
    assert set(answer.context["errors"]) == {field}
    assert not ApiKey.objects.filter(name=sent["name"]).exists()


def test_revoked_only_after_the_question(developer: Client, alice: Person, page: Any) -> None:
    key = make(alice)
    path = page(f"keys/{key.public_id}/revoke")
    assert key.prefix in developer.get(path).content.decode()
    assert ApiKey.objects.filter(id=key.id, revoked_at=None).exists()
    assert developer.post(path).headers["Location"] == page("keys/")
    assert not ApiKey.objects.filter(id=key.id, revoked_at=None).exists()
    assert developer.post(path).status_code == 404
    assert key.prefix not in developer.get(page("keys/")).content.decode()
    assert key.prefix in developer.get(page("keys/?all=1")).content.decode()


def test_a_viewer_sees_them_and_changes_nothing(browser: Browser, alice: Person, page: Any) -> None:
    client, key = browser("viewer"), make(alice)
    assert key.prefix in client.get(page("keys/")).content.decode()
    for path in ("keys/new", f"keys/{key.public_id}/revoke"):
        assert client.get(page(path)).status_code == 403
        assert client.post(page(path), {"name": "mine"}).status_code == 403
    key.refresh_from_db()
    assert key.revoked_at is None
    assert not ApiKey.objects.filter(name="mine").exists()


def test_a_strangers_key_is_not_there(developer: Client, charlie: Person, page: Any) -> None:
    theirs = make(charlie, "Charlie's other")
    for answer in (developer.get, developer.post):
        assert answer(page(f"keys/{theirs.public_id}/revoke")).status_code == 404
    assert theirs.prefix not in developer.get(page("keys/?all=1")).content.decode()
    theirs.refresh_from_db()
    assert theirs.revoked_at is None


def test_four_statements_however_many(
    developer: Client, alice: Person, page: Any, django_assert_num_queries: Any
) -> None:
    for number in range(60):
        make(alice, f"Key {number}", expires_at=NOW)
    with django_assert_num_queries(4):
        shown = developer.get(page("keys/"))
    assert [row.name for row in shown.context["page"].rows[:2]] == ["Key 59", "Key 58"]
    rest = developer.get(page("keys/"), {"before": shown.context["page"].next_before})
    assert len(rest.context["page"].rows) == 11


def test_who_came_by_a_link_makes_no_key(alice: Person, page: Any) -> None:
    """The visit ends within hours; the key would not."""
    made = portal_links.create(merchant=alice.merchant, data={}, now=timezone.now(), actor="system")
    client = Client()
    assert client.post(f"/portal/enter/{made.token}").status_code in {302, 303}
    assert client.get(page("keys/")).status_code == 200
    assert "keys/new" not in client.get(page("keys/")).content.decode()
    for answer in (client.get(page("keys/new")), client.post(page("keys/new"), {"name": "Mine", "days": ""})):
        assert answer.status_code == 403
    assert not ApiKey.objects.filter(name="Mine").exists()
