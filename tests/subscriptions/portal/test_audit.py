"""The audit log: who did what, in words, of this merchant only."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from subscriptions.models import AuditEntry
from subscriptions.portal.audit import GROUPS
from subscriptions.portal.audit_words import ACTIONS
from subscriptions.services import audit, keys, members
from tests.subscriptions.conftest import NOW, URL, Api, Person
from tests.subscriptions.portal.conftest import Browser, join, make_user


@pytest.fixture
def viewer(browser: Browser) -> Client:
    client = browser("viewer")
    AuditEntry.objects.all().delete()
    return client


def lines(client: Client, path: str, **query: str) -> list[tuple[str, str, str]]:
    return [(line.who, line.what, line.detail) for line in client.get(path, query).context["lines"]]


def test_in_words_with_names(viewer: Client, alice: Person, provider: Api, page: Any) -> None:
    endpoint = alice.api.post("/endpoints", {"url": URL, "event_types": None}).json()
    provider.patch("/merchants/alice", {"mode": "test"})
    join(alice.merchant, make_user("eve"), "owner")
    link = provider.post("/merchants/alice/portal-links", {"access": "read_only"}).json()
    Client().post("/portal/enter/" + link["url"].rsplit("/", 1)[1])
    found = lines(viewer, page("audit/"))
    until = f"{AuditEntry.objects.get(action='portal_link.used').detail['expires_at'][11:16]} UTC"
    assert [(who, what) for who, what, _ in found] == [
        ("Guest by link", "Came in by a portal link"),
        ("The provider", "Made a portal link"),
        ("The platform", "Added a person"),
        ("The provider", "Changed the merchant"),
        ("API key “Alice's key”", "Created an endpoint"),
    ]
    details = [detail for _, _, detail in found]
    assert details[0].startswith("read only, good until ")
    assert details[0].endswith(until)
    assert details[2:] == ["eve, as owner", "mode", "event types, URL"]
    shown = viewer.get(page("audit/")).content.decode()
    assert f'href="{page("endpoints/" + endpoint["id"] + "/")}"' in shown


def test_narrowed_by_who_what_and_to_what(viewer: Client, alice: Person, page: Any) -> None:
    ids = [alice.api.post("/endpoints", {"url": f"{URL}/{n}"}).json()["id"] for n in range(2)]
    alice.api.patch(f"/endpoints/{ids[0]}", {"description": "x"})
    user = make_user("eve")
    for actor in ("user:eve", "user:ann"):
        keys.create(name="k", merchant=alice.merchant, now=NOW, actor=actor)
    key = alice.merchant.api_keys.order_by("id")[0]
    path = page("audit/")
    assert len(lines(viewer, path)) == 5
    assert [what for _, what, _ in lines(viewer, path, target=ids[0])] == ["Changed an endpoint", "Created an endpoint"]
    assert len(lines(viewer, path, action="endpoint.created")) == 2
    assert len(lines(viewer, path, actor=user.username)) == 1
    assert len(lines(viewer, path, actor=f"key:{key.public_id}", action="endpoint.created")) == 2
    assert lines(viewer, path, actor="nobody") == []


def test_pages_by_key(viewer: Client, alice: Person, page: Any) -> None:
    for number in range(120):
        audit.note(actor="system", action="key.created", target=f"key_{number}", merchant_id=alice.merchant.id, now=NOW)
    seen, before = [], ""
    for _ in range(3):
        shown = viewer.get(page("audit/"), {"before": before, "action": "key.created"})
        seen += [line.entry.target for line in shown.context["lines"]]
        before = shown.context["page"].next_before
    assert seen == [f"key_{number}" for number in reversed(range(120))]
    assert before == ""
    assert len(viewer.get(page("audit/"), {"before": "nonsense"}).context["lines"]) == 50


def test_a_strangers_entries_and_names_are_not_there(viewer: Client, alice: Person, charlie: Person, page: Any) -> None:
    theirs = charlie.api.post("/endpoints", {"url": f"{URL}/charlies"}).json()["id"]
    assert lines(viewer, page("audit/")) == []
    # Not even where an entry of Alice's names something of theirs.
    key = charlie.merchant.api_keys.get().public_id
    audit.note(actor=f"key:{key}", action="endpoint.updated", target=theirs, merchant_id=alice.merchant.id, now=NOW)
    assert lines(viewer, page("audit/")) == [("The provider", "Changed an endpoint", "")]
    shown = viewer.get(page("audit/")).content.decode()
    assert "charlie" not in shown.lower()
    assert f'href="{page("endpoints/" + theirs + "/")}"' not in shown


def test_what_nobody_thought_of_is_shown_all_the_same_and_inert(viewer: Client, alice: Person, page: Any) -> None:
    detail = {"odd_name": "<script>alert(1)</script>", "list": [1], "fields": ["url"], "user": 999_999}
    audit.note(actor="odd", action="new.action", target="x", merchant_id=alice.merchant.id, detail=detail, now=NOW)
    [(who, what, said)] = lines(viewer, page("audit/"))
    assert (who, what) == ("The platform", "new.action")
    assert said == "a user who is gone, URL, odd name: <script>alert(1)</script>"
    assert "<script>alert(1)" not in viewer.get(page("audit/")).content.decode()


def test_seven_statements_however_many(
    viewer: Client, alice: Person, page: Any, django_assert_num_queries: Any
) -> None:
    for number in range(20):
        alice.api.post("/rules", {"recipients": [{"url": URL}]})
        join(alice.merchant, make_user(f"user{number}"), "viewer")
    with django_assert_num_queries(7):
        viewer.get(page("audit/"))


def test_every_action_has_a_group_to_choose_it_from() -> None:
    assert {action.partition(".")[0] for action in ACTIONS} == set(GROUPS)


def test_who_was_removed_is_still_named(viewer: Client, alice: Person, page: Any) -> None:
    member = join(alice.merchant, make_user("eve"), "viewer")
    members.remove(merchant=alice.merchant, member_id=member.id, now=NOW, actor="user:ann")
    assert User.objects.filter(username="eve").exists()
    assert lines(viewer, page("audit/"))[0] == ("ann", "Removed a person", "eve, as viewer")
