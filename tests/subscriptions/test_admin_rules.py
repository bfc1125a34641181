"""The admin's pages of rules: there to be read, with the way to every recipient."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from subscriptions.models import Endpoint, Rule
from tests.subscriptions.conftest import URL, Person

LIST = "admin:subscriptions_rule_changelist"


@pytest.fixture
def admin(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    return client


@pytest.fixture
def rule(alice: Person, types: list[str]) -> Rule:
    sent = {
        "name": "Incoming <b>payments</b>",
        "event_types": ["invoice.paid"],
        "accounts": ["LT1"],
        "recipients": [{"url": URL}, {"url": f"{URL}/2"}],
    }
    assert alice.api.post("/rules", sent).status_code == 201
    return Rule.objects.get()


def page(row: Any) -> str:
    return reverse(f"admin:subscriptions_{row._meta.model_name}_change", args=[row.pk])


def test_the_page_leads_to_every_recipient_and_back(admin: Client, rule: Rule) -> None:
    shown = admin.get(page(rule)).content.decode()
    assert "Incoming &lt;b&gt;payments" in shown
    assert "<b>payments" not in shown
    for text in (rule.public_id, "invoice.paid", "LT1"):
        assert text in shown
    assert re.search(r"Version:</label>\s*<div class=\"readonly\">3</div>", shown)
    for endpoint in Endpoint.objects.all():
        assert f'href="{page(endpoint)}"' in shown
        assert f'href="{page(rule)}"' in admin.get(page(endpoint)).content.decode()


def test_deleted_recipients_are_left_out(admin: Client, alice: Person, rule: Rule) -> None:
    gone, stays = Endpoint.objects.order_by("id")
    alice.api.delete(f"/endpoints/{gone.public_id}")
    shown = admin.get(page(rule)).content.decode()
    assert f'href="{page(stays)}"' in shown
    assert f'href="{page(gone)}"' not in shown
    alice.api.delete(f"/endpoints/{stays.public_id}")
    assert "None is left." in admin.get(page(rule)).content.decode()


def test_the_list_finds_rules(admin: Client, alice: Person, charlie: Person, rule: Rule) -> None:
    assert charlie.api.post("/rules", {"recipients": [{"url": URL}]}).status_code == 201
    recipient = Endpoint.objects.filter(rule=rule).order_by("id")[0]
    for term in (rule.public_id, alice.merchant.public_id, recipient.public_id, "alice", "incoming"):
        found = admin.get(reverse(LIST), {"q": term}).context["cl"].result_list
        assert [(row.pk, row.living) for row in found] == [(rule.pk, 2)]
    narrowed = admin.get(reverse(LIST), {"merchant": alice.merchant.public_id}).context["cl"].result_list
    assert [row.pk for row in narrowed] == [rule.pk]


def test_nobody_writes_here(admin: Client, rule: Rule) -> None:
    assert admin.get(reverse("admin:subscriptions_rule_add")).status_code == 403
    assert admin.post(page(rule), {"name": "mine"}).status_code == 403
    assert admin.post(reverse("admin:subscriptions_rule_delete", args=[rule.pk]), {"post": "yes"}).status_code == 403
    assert Rule.objects.get().name == rule.name


def test_what_a_recipient_gets_is_not_changed_on_its_own_page(admin: Client, rule: Rule) -> None:
    endpoint = Endpoint.objects.order_by("id")[0]
    form = admin.get(page(endpoint)).context["adminform"].form
    sent = {name: "" if value is None else value for name, value in form.initial.items() if name in form.fields}
    sent |= {"event_types": "invoice.voided", "accounts": "LT1", "headers": "", "retry_schedule": "", "metadata": "{}"}
    answer = admin.post(page(endpoint), sent)
    assert answer.status_code == 200
    assert "change the rule" in answer.content.decode()
    endpoint.refresh_from_db()
    assert endpoint.event_types == ["invoice.paid"]


def test_a_list_asks_the_same_number_of_questions_however_long(
    admin: Client, alice: Person, rule: Rule, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        alice.api.post("/rules", {"recipients": [{"url": URL}]})
    with django_assert_max_num_queries(9):
        admin.get(reverse(LIST))
