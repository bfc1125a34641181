"""From a new endpoint to its first letter: the code that is sent, the yes, the test button, the way out."""

import re
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from deliveries import tasks
from deliveries.api import representations
from deliveries.engine import process
from deliveries.models import Attempt, Delivery, Event
from deliveries.services import publish
from subscriptions.models import AddressCheck, AuditEntry, Endpoint, Merchant
from subscriptions.services import endpoints
from tests.deliveries.api.conftest import code_of
from tests.deliveries.channels.conftest import Make, send
from tests.receivers.mail import HANG, MailServer
from tests.receivers.receiver import Receiver
from tests.receivers.scripts import keep_alive

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def queued(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would be called by name; the tests run it themselves."""
    called: list[str] = []
    monkeypatch.setattr("subscriptions.services.bell._send_code", called.append)
    return called


def make(merchant: Merchant, url: str) -> Endpoint:
    made = endpoints.create(merchant=merchant, data={"url": url}, now=timezone.now(), actor="test")
    return made.endpoint


class TestCode:
    def test_by_email_with_a_link(self, mail: MailServer, alice: Merchant, queued: list[str]) -> None:
        endpoint = make(alice, "mailto:a@b.example")
        [argument] = queued
        tasks.send_address_check(argument)
        [taken] = mail.taken
        found = re.search(r"^Your code: (\d{6})$", taken.text, re.MULTILINE)
        assert found is not None
        assert taken.message["Subject"] == f"{found[1]} is your code for messages from Alice"
        assert taken.recipients == ["a@b.example"]
        link = re.search(r"https://webhooks\.example(/confirm/\S+)", taken.text)
        assert link is not None
        browser = Client(enforce_csrf_checks=True)
        assert browser.get(link[1]).status_code == 200
        assert Endpoint.objects.get().is_active is False
        assert browser.post(link[1]).status_code == 200
        endpoint.refresh_from_db()
        assert endpoint.is_active

    def test_by_sms(self, alice: Merchant, settings: Any, queued: list[str]) -> None:
        with Receiver(keep_alive()) as gateway:
            settings.SMS_BACKEND, settings.SMS_GATEWAY_URL = "http", gateway.url("/send")
            make(alice, "sms:+37060000000")
            tasks.send_address_check(queued[0])
            [request] = gateway.requests
        assert re.search(rb'"text": "\d{6} is your code for messages from Alice\.', request.body)

    def test_nothing_of_it_in_the_ledger_or_on_the_broker(
        self, mail: MailServer, alice: Merchant, queued: list[str]
    ) -> None:
        endpoint = make(alice, "mailto:a@b.example")
        tasks.send_address_check(queued[0])
        assert queued == [str(endpoint.id)]
        assert (Attempt.objects.count(), Delivery.objects.count(), Event.objects.count()) == (0, 0, 0)

    def test_a_question_that_was_answered_or_ran_out_is_not_sent(
        self, mail: MailServer, alice: Merchant, queued: list[str]
    ) -> None:
        make(alice, "mailto:a@b.example")
        AddressCheck.objects.update(
            sent_at=timezone.now() - timedelta(hours=2), expires_at=timezone.now() - timedelta(hours=1)
        )
        tasks.send_address_check(queued[0])
        AddressCheck.objects.all().delete()
        tasks.send_address_check(queued[0])
        assert mail.steps == []

    @pytest.mark.parametrize(
        ("answer", "reason"), [("550 no such user", "recipient_refused"), (HANG, "response_timeout")]
    )
    def test_a_code_that_could_not_be_sent_is_told(
        self, mail: MailServer, alice: Merchant, queued: list[str], settings: Any, answer: str, reason: str
    ) -> None:
        settings.DELIVERY_TIMEOUT = 0.5
        mail.answers["RCPT"] = answer
        endpoint = make(alice, "mailto:a@b.example")
        tasks.send_address_check(queued[0])
        entry = AuditEntry.objects.latest("id")
        assert (entry.action, entry.target, entry.merchant_id) == (
            *("endpoint.verification_unsent", endpoint.public_id),
            alice.id,
        )
        assert entry.detail["reason"] == reason
        assert endpoint.public_id


class TestWholeWay:
    def test_from_registration_to_the_first_letter_and_out_again(
        self, mail: MailServer, alice: Merchant, queued: list[str]
    ) -> None:
        make(alice, "mailto:a@b.example")
        send()
        assert (Delivery.objects.get().status, mail.taken) == ("held", [])
        tasks.send_address_check(queued[0])
        link = re.search(r"https://webhooks\.example(/confirm/\S+)", mail.taken[0].text)
        assert link is not None
        Client().post(link[1])
        send()
        assert [taken.message["Subject"] for taken in mail.taken[1:]] == ["An invoice was paid (Alice)"]
        out = re.fullmatch(r"<https://webhooks\.example(/u/\w+)>", mail.taken[1].message["List-Unsubscribe"])
        assert out is not None
        browser = Client(enforce_csrf_checks=True)
        assert browser.post(out[1], {"List-Unsubscribe": "One-Click"}).status_code == 200
        send()
        assert len(mail.taken) == 2
        assert sorted(delivery.status for delivery in Delivery.objects.all()) == ["delivered", "held", "held"]


class TestTestButton:
    @staticmethod
    def url(endpoint: Endpoint) -> str:
        return f"/api/v2/webhooks/endpoints/{endpoint.public_id}/test"

    def test_an_email_goes_out_and_the_attempt_comes_back(
        self,
        mail: MailServer,
        reader: Endpoint,
        alice: Merchant,
        caller_of: Make,
    ) -> None:
        answer = caller_of(alice).post(self.url(reader))
        shown = answer.json()
        assert (answer.status_code, shown["delivery_status"], shown["trigger"]) == (200, "delivered", "test")
        assert shown["response"]["status"] == 250
        assert shown["request"]["url"] == "mailto:reader@shop.example"
        assert {"name": "To", "value": "reader@shop.example"} in shown["request"]["headers"]
        assert [taken.recipients for taken in mail.taken] == [["reader@shop.example"]]
        assert mail.taken[0].text == shown["request"]["body"]

    def test_a_refused_one(self, mail: MailServer, reader: Endpoint, alice: Merchant, caller_of: Make) -> None:
        mail.answers["RCPT"] = "550 no such user"
        shown = caller_of(alice).post(self.url(reader)).json()
        assert (shown["reason"], shown["delivery_status"]) == ("recipient_refused", "failed")

    def test_an_sms(self, phone: Endpoint, alice: Merchant, settings: Any, caller_of: Make) -> None:
        with Receiver(keep_alive()) as gateway:
            settings.SMS_BACKEND, settings.SMS_GATEWAY_URL = "http", gateway.url("/send")
            shown = caller_of(alice).post(self.url(phone)).json()
            assert (shown["delivery_status"], len(gateway.requests)) == ("delivered", 1)

    @pytest.mark.parametrize("reason", ["unverified", "unsubscribed"])
    def test_nobody_is_written_to_without_a_yes(
        self,
        mail: MailServer,
        reader: Endpoint,
        alice: Merchant,
        caller_of: Make,
        reason: str,
    ) -> None:
        Endpoint.objects.update(is_active=False, disabled_reason=reason, verified_at=None)
        assert code_of(caller_of(alice).post(self.url(reader))) == (409, "unverified")
        assert (mail.steps, Event.objects.count(), Delivery.objects.count()) == ([], 0, 0)

    def test_a_paused_one_may_be_tried(
        self,
        mail: MailServer,
        reader: Endpoint,
        alice: Merchant,
        caller_of: Make,
    ) -> None:
        Endpoint.objects.update(is_active=False, disabled_reason="paused")
        assert caller_of(alice).post(self.url(reader)).json()["delivery_status"] == "delivered"

    def test_a_stranger(
        self,
        mail: MailServer,
        reader: Endpoint,
        make_merchant: Make,
        caller_of: Make,
    ) -> None:
        charlie = make_merchant("charlie")
        assert code_of(caller_of(charlie).post(self.url(reader))) == (404, "not_found")
        assert (mail.steps, Event.objects.count()) == ([], 0)


class TestTenancy:
    def test_letters_go_to_the_owners_readers_only(
        self, mail: MailServer, reader: Endpoint, make_merchant: Make, make_endpoint: Make
    ) -> None:
        charlie = make_merchant("charlie")
        make_endpoint(charlie, channel="email", target="mailto:charlie@x.example", verified_at=timezone.now())
        publish("invoice.paid", b"{}", merchant="alice")
        process.drain()
        assert [taken.recipients for taken in mail.taken] == [["reader@shop.example"]]
        [delivery] = Delivery.objects.all()
        assert delivery.owner_id == reader.owner_id
        assert "charlie" not in str(representations.attempt(Attempt.objects.get(), is_for_provider=True))


def test_the_test_button_leaves_no_thread_behind(
    mail: MailServer, reader: Endpoint, alice: Merchant, caller_of: Make
) -> None:
    answer = caller_of(alice).post(f"/api/v2/webhooks/endpoints/{reader.public_id}/test")
    assert answer.json()["delivery_status"] == "delivered"
    until = time.monotonic() + 5
    while _carriers() and time.monotonic() < until:
        time.sleep(0.01)
    assert _carriers() == []


def _carriers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "letter-carrier"]
