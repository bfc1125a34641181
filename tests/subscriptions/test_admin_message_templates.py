"""Texts of e-mails and SMS in the admin, and endpoints that people read: both by way of the services."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from subscriptions.models import AuditEntry, Endpoint, MessageTemplate
from subscriptions.services import endpoints
from tests.subscriptions.conftest import NOW, Person, make_type

LIST = "admin:subscriptions_messagetemplate_changelist"
ADD = "admin:subscriptions_messagetemplate_add"
CHANGE = "admin:subscriptions_messagetemplate_change"
DELETE = "admin:subscriptions_messagetemplate_delete"


@pytest.fixture
def browser(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    return client


def add(browser: Client, **fields: Any) -> Any:
    given = {"channel": "email", "event_type": "", "subject": "", "body": "Hello {{ payload.id }}"}
    return browser.post(reverse(ADD), given | fields)


def test_made_changed_deleted_and_audited(browser: Client) -> None:
    make_type("invoice.paid", example={"id": "in_9"})
    assert add(browser, event_type="invoice.paid", subject="{{ payload.id }}!").status_code == 302
    row = MessageTemplate.objects.get()
    page = browser.get(reverse(CHANGE, args=[row.pk])).content.decode()
    assert "Subject: in_9!" in page
    assert "Hello in_9" in page
    answer = browser.post(reverse(CHANGE, args=[row.pk]), {"subject": row.subject, "body": "Bye\r\n{{ id }}"})
    assert answer.status_code == 302
    row.refresh_from_db()
    assert (row.body, row.event_type) == ("Bye\n{{ id }}", "invoice.paid")
    assert "invoice.paid" in browser.get(reverse(LIST)).content.decode()
    assert browser.post(reverse(DELETE, args=[row.pk]), {"post": "yes"}).status_code == 302
    assert not MessageTemplate.objects.exists()
    rows = AuditEntry.objects.filter(actor="user:admin").order_by("id").values_list("action", flat=True)
    assert list(rows) == [f"message_template.{what}" for what in ("created", "updated", "deleted")]


def test_a_broken_text_is_told_at_its_field(browser: Client) -> None:
    answer = add(browser, body="{% include 'x' %}")
    assert "body" in answer.context["adminform"].form.errors
    assert not MessageTemplate.objects.exists()


def test_a_second_one_for_all_types_is_refused(browser: Client) -> None:
    add(browser)
    answer = add(browser)
    assert "There is a template for this channel and event type." in answer.content.decode()
    assert MessageTemplate.objects.count() == 1


def test_an_sms_shows_its_segments_and_nothing_is_run(browser: Client) -> None:
    add(browser, channel="sms", body="<script>{{ id }}</script>")
    page = browser.get(reverse(CHANGE, args=[MessageTemplate.objects.get().pk])).content.decode()
    assert "segment, GSM-7" in page or "segments, GSM-7" in page
    assert "&lt;script&gt;evt_" in page
    assert "<script>evt_" not in page


def test_nobody_enables_an_endpoint_whose_reader_said_nothing(
    browser: Client, alice: Person, monkeypatch: pytest.MonkeyPatch, rung: list[list[str]]
) -> None:
    monkeypatch.setattr("subscriptions.services.bell._send_code", lambda _: None)
    made = endpoints.create(merchant=alice.merchant, data={"url": "mailto:a@b.example"}, now=NOW, actor="system")
    page = browser.get(reverse("admin:subscriptions_endpoint_change", args=[made.endpoint.pk])).content.decode()
    assert "Disabled: unverified" in page
    data = {"action": "enable", "_selected_action": str(made.endpoint.pk)}
    answer = browser.post(reverse("admin:subscriptions_endpoint_changelist"), data, follow=True)
    assert "has not confirmed it yet" in answer.content.decode()
    assert Endpoint.objects.get().is_active is False
