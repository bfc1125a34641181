"""E-mails through a real drain to a real mail server: what arrives, and what is made of every way to fail."""

import re
from collections.abc import Callable
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from django.core import mail as outbox
from django.db import connection

from deliveries.api import representations
from deliveries.engine import process
from deliveries.models import Attempt, Delivery, LaneEntry
from deliveries.services import publish, replay
from subscriptions.models import Endpoint, Merchant, MessageTemplate
from subscriptions.services import address_checks, address_tokens
from tests.deliveries.channels.conftest import Make, headers_of, last, make_due, send, use
from tests.deliveries.conftest import NOW
from tests.receivers.certificates import certificates
from tests.receivers.mail import HANG, HANG_UP, MailServer
from tests.receivers.receiver import Receiver, Script
from tests.receivers.scripts import hold, keep_alive

pytestmark = pytest.mark.django_db(transaction=True)


class TestArrived:
    def test_the_letter(self, mail: MailServer, reader: Endpoint) -> None:
        event_id = send(account=None)
        [taken] = mail.taken
        delivery, attempt = last()
        message = taken.message
        assert (taken.sender, taken.recipients) == ("events@bank.example", ["reader@shop.example"])
        assert message["From"] == "Bank <events@bank.example>"
        assert message["To"] == "reader@shop.example"
        assert message["Subject"] == "An invoice was paid (Alice)"
        assert message["Message-ID"] == f"<{delivery.public_id}.1@bank.example>"
        assert message["References"] == f"<{event_id}@bank.example>"
        assert message["X-Webhook-Id"] == event_id
        assert message["X-Webhook-Event"] == "invoice.paid"
        assert message["Auto-Submitted"] == "auto-generated"
        assert message.get_content_type() == "text/plain"
        link = address_tokens.unsubscribe_url(reader.id, reader.target)
        assert message["List-Unsubscribe"] == f"<{link}>"
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        body = taken.text
        assert "id: in_1\ntotal: 1.10\n" in body
        assert link in body
        assert parsedate_to_datetime(message["Date"]) == attempt.started_at.replace(microsecond=0)

    def test_the_log_shows_what_was_sent(self, mail: MailServer, reader: Endpoint) -> None:
        send()
        [taken], (delivery, attempt) = mail.taken, last()
        assert (delivery.status, delivery.last_status, delivery.attempts_made) == ("delivered", 250, 1)
        assert (attempt.reason, attempt.response_status, attempt.url) == ("delivered", 250, reader.target)
        assert attempt.request_body is not None
        assert bytes(attempt.request_body).decode() == taken.text
        assert attempt.peer == f"127.0.0.1:{mail.port}"
        assert 0 < attempt.total_ms < 2_000
        shown = headers_of(attempt)
        assert shown == {name: " ".join(value.split()) for name, value in _raw_headers(taken.raw).items()}
        assert {"To", "Subject", "Message-ID", "List-Unsubscribe"} <= shown.keys()
        assert not LaneEntry.objects.exists()

    def test_the_log_shows_it_by_the_api(self, mail: MailServer, reader: Endpoint) -> None:
        send()
        shown = representations.attempt(last()[1], is_for_provider=False)
        assert {"name": "To", "value": "reader@shop.example"} in shown["request"]["headers"]
        assert "total: 1.10" in shown["request"]["body"]
        assert (shown["response"]["status"], shown["peer"]) == (250, "")

    def test_other_scripts(self, mail: MailServer, reader: Endpoint) -> None:
        send('{"name":"Žalia 😀"}'.encode())
        assert "name: Žalia 😀" in mail.taken[0].text

    def test_the_providers_text(self, mail: MailServer, reader: Endpoint) -> None:
        template(None, "All: {{ payload.id }}", subject="For all")
        template(
            "invoice.paid", "Paid: {{ payload.id }} {{ payload.total }}", subject="{{ payload.id }} at {{ merchant }}"
        )
        send()
        [taken] = mail.taken
        assert taken.message["Subject"] == "in_1 at Alice"
        assert taken.text.startswith("Paid: in_1 1.10\n\n-- \n")

    def test_the_text_for_all_types(self, mail: MailServer, reader: Endpoint) -> None:
        template(None, "All: {{ payload.id }}")
        send()
        assert mail.taken[0].text.startswith("All: in_1\n")

    def test_two_events_stand_apart_and_two_attempts_together(self, mail: MailServer, reader: Endpoint) -> None:
        mail.answers["DATA"] = "451 later"
        send()
        mail.answers.clear()
        make_due()
        process.drain()
        send()
        first, second = (taken.message for taken in mail.taken)
        assert first["Message-ID"].endswith(".2@bank.example>")
        assert first["References"] != second["References"]

    def test_beside_a_webhook(
        self,
        mail: MailServer,
        reader: Endpoint,
        alice: Merchant,
        make_endpoint: Make,
        receive: Callable[[Script], Receiver],
    ) -> None:
        receiver = receive(keep_alive())
        make_endpoint(alice, target=receiver.url("/in"))
        for _ in range(20):
            publish("invoice.paid", b"{}", merchant="alice")
        assert process.drain() == 40
        assert (len(mail.taken), len(receiver.requests)) == (20, 20)
        assert {delivery.status for delivery in Delivery.objects.all()} == {"delivered"}

    def test_other_back_ends_of_django(self, settings: Any, reader: Endpoint) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
        send()
        delivery, attempt = last()
        assert (delivery.status, attempt.response_status, attempt.peer) == ("delivered", None, "")
        assert [message.to for message in outbox.outbox] == [["reader@shop.example"]]


class TestInjection:
    def test_nothing_published_becomes_a_header_or_a_recipient(
        self, mail: MailServer, reader: Endpoint, alice: Merchant
    ) -> None:
        Merchant.objects.update(name="Evil\r\nBcc: victim@x.example")
        template("invoice.paid", "{{ payload.a }}", subject="{{ payload.a }} {{ merchant }}")
        send(b'{"a":"x\\r\\nBcc: victim@x.example\\r\\n\\r\\nbody\\r\\n.\\r\\nMAIL FROM:<x>"}')
        [taken] = mail.taken
        assert taken.recipients == ["reader@shop.example"]
        assert taken.message["Bcc"] is None
        assert "Bcc: victim@x.example" in taken.message["Subject"]
        assert "\n.\nMAIL FROM:<x>" in taken.text

    def test_an_id_of_the_providers_with_odd_characters(self, mail: MailServer, reader: Endpoint) -> None:
        send(id='<a@b>,"(c)\\')
        message = mail.taken[0].message
        assert message["X-Webhook-Id"] == '<a@b>,"(c)\\'
        assert re.fullmatch(r"<evt_[0-9a-z]{26}@bank\.example>", message["References"])

    def test_a_row_that_nobody_checked(self, mail: MailServer, reader: Endpoint, make_endpoint: Make) -> None:
        """An address that never went through the rules harms only itself."""
        Endpoint.objects.filter(id=reader.id).update(target="mailto:a@b.example\nBcc: c@d.example")
        make_endpoint(reader.owner, channel="email", target="mailto:good@shop.example", verified_at=NOW)
        send()
        assert [taken.recipients for taken in mail.taken] == [["good@shop.example"]]
        assert sorted(attempt.reason for attempt in Attempt.objects.all()) == ["delivered", "internal_error"]


class TestRefused:
    @pytest.mark.parametrize(
        ("step", "answer", "reason", "status", "after"),
        [
            ("EHLO", "421 too busy", "gateway_refused", 421, "pending"),
            ("EHLO", "554 go away", "gateway_refused", 554, "pending"),
            ("MAIL", "451 later", "gateway_refused", 451, "pending"),
            ("MAIL", "550 not from you", "gateway_refused", 550, "pending"),
            ("RCPT", "450 greylisted", "gateway_refused", 450, "pending"),
            ("RCPT", "550 no such user", "recipient_refused", 550, "failed"),
            ("RCPT", "530 log in first", "gateway_refused", 530, "pending"),
            ("DATA", "452 full", "gateway_refused", 452, "pending"),
            ("DATA", "554 spam", "recipient_refused", 554, "failed"),
        ],
    )
    def test_by_the_server(
        self, mail: MailServer, reader: Endpoint, step: str, answer: str, reason: str, status: int, after: str
    ) -> None:
        mail.answers[step] = answer
        send()
        delivery, attempt = last()
        assert (attempt.reason, attempt.response_status, delivery.status) == (reason, status, after)
        assert attempt.is_counted is True
        assert bytes(attempt.response_body).decode() == answer[4:]
        assert mail.taken == []

    def test_final_is_final(self, mail: MailServer, reader: Endpoint) -> None:
        mail.answers["RCPT"] = "550 no such user"
        send()
        make_due()
        process.drain()
        assert (Attempt.objects.count(), LaneEntry.objects.count()) == (1, 0)
        reader.refresh_from_db()
        assert reader.is_active

    def test_a_retry_arrives(self, mail: MailServer, reader: Endpoint) -> None:
        mail.answers["RCPT"] = "450 greylisted"
        send()
        mail.answers.clear()
        make_due()
        process.drain()
        assert [(a.number, a.trigger, a.reason) for a in Attempt.objects.order_by("number")] == [
            (1, "event", "gateway_refused"),
            (2, "retry", "delivered"),
        ]
        assert last()[0].status == "delivered"

    def test_resent_by_hand(self, mail: MailServer, reader: Endpoint) -> None:
        event_id = send()
        replay.resend(event=event_id, owner_id=reader.owner_id, actor="test", now=_now())
        process.drain()
        assert [taken.message["Message-ID"].rpartition(".1@")[1] for taken in mail.taken] == [".1@", ""]
        assert [attempt.trigger for attempt in Attempt.objects.order_by("number")] == ["event", "replay"]

    @pytest.mark.parametrize("step", ["EHLO", "MAIL", "RCPT", "DATA"])
    def test_hung_up_on(self, mail: MailServer, reader: Endpoint, step: str) -> None:
        mail.answers[step] = HANG_UP
        send()
        delivery, attempt = last()
        assert (attempt.reason, attempt.response_status, delivery.status) == ("connection_closed", None, "pending")

    @pytest.mark.parametrize("step", ["EHLO", "RCPT", "DATA"])
    def test_hanging(self, mail: MailServer, reader: Endpoint, settings: Any, step: str) -> None:
        settings.DELIVERY_TIMEOUT = 0.6
        mail.answers[step] = HANG
        send()
        delivery, attempt = last()
        assert (attempt.reason, delivery.status) == ("response_timeout", "pending")
        assert 400 < attempt.total_ms < 1_100

    def test_a_server_that_never_greets(
        self, reader: Endpoint, settings: Any, receive: Callable[[Script], Receiver]
    ) -> None:
        settings.DELIVERY_TIMEOUT = 0.6
        settings.EMAIL_BACKEND, settings.EMAIL_HOST = "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1"
        settings.EMAIL_PORT = receive(hold).port
        send()
        assert last()[1].reason == "response_timeout"

    @pytest.mark.parametrize(
        ("greeting", "reason", "status"),
        [
            (b"554 not here\r\n", "gateway_refused", 554),
            (b"421 busy\r\n", "gateway_refused", 421),
            (b"HTTP/1.1 400 Bad\r\n\r\n", "protocol_error", None),
            (b"", "connection_closed", None),
        ],
    )
    def test_no_welcome(
        self,
        reader: Endpoint,
        settings: Any,
        receive: Callable[[Script], Receiver],
        greeting: bytes,
        reason: str,
        status: int | None,
    ) -> None:
        receiver = receive(lambda connection: connection.send(greeting))
        settings.EMAIL_BACKEND, settings.EMAIL_HOST = "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1"
        settings.EMAIL_PORT = receiver.port
        send()
        attempt = last()[1]
        assert (attempt.reason, attempt.response_status) == (reason, status)

    def test_nobody_there(self, mail: MailServer, reader: Endpoint, settings: Any) -> None:
        with Receiver(hold) as closed:
            settings.EMAIL_PORT = closed.port
        send()
        assert last()[1].reason == "connect_refused"

    def test_a_name_that_is_not_there(self, mail: MailServer, reader: Endpoint, settings: Any) -> None:
        settings.EMAIL_HOST = "mail.invalid"
        send()
        assert last()[1].reason in {"dns_not_found", "dns_error"}


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
class TestSecured:
    def test_starttls_and_login(
        self, reader: Endpoint, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", certificates().write_ca(tmp_path))
        with MailServer(tls=certificates().valid(), login=("u", "p")) as server:
            use(server, settings, EMAIL_USE_TLS=True, EMAIL_HOST_USER="u", EMAIL_HOST_PASSWORD="p")
            send()
        assert [taken.is_encrypted for taken in server.taken] == [True]

    def test_a_wrong_password_is_between_us_and_the_server(self, reader: Endpoint, settings: Any) -> None:
        with MailServer(login=("u", "p")) as server:
            use(server, settings, EMAIL_HOST_USER="u", EMAIL_HOST_PASSWORD="wrong")
            send()
        delivery, attempt = last()
        assert (attempt.reason, attempt.response_status, delivery.status) == ("gateway_refused", 535, "pending")
        assert "wrong" not in str(Attempt.objects.values().get())

    @pytest.mark.parametrize(
        ("kind", "reason"),
        [
            ("expired", "tls_cert_expired"),
            ("wrong_name", "tls_cert_hostname"),
            ("unknown_authority", "tls_cert_untrusted"),
        ],
    )
    def test_a_bad_certificate(
        self, reader: Endpoint, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, reason: str
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", certificates().write_ca(tmp_path))
        with MailServer(tls=getattr(certificates(), kind)()) as server:
            use(server, settings, EMAIL_USE_TLS=True)
            send()
        assert (last()[1].reason, server.taken) == (reason, [])

    def test_no_tls_on_offer(self, mail: MailServer, reader: Endpoint, settings: Any) -> None:
        settings.EMAIL_USE_TLS = True
        send()
        assert (last()[1].reason, mail.taken) == ("gateway_refused", [])


class TestTexts:
    def test_a_text_that_fails_is_tried_like_a_row_of_ours_and_then_held(
        self, mail: MailServer, reader: Endpoint, settings: Any
    ) -> None:
        settings.RETRY_SCHEDULE = (1, 1)
        template("invoice.paid", "{% for a, b in payload.id %}{% endfor %}")
        send()
        delivery, attempt = last()
        assert (attempt.reason, attempt.is_counted, delivery.status) == ("internal_error", False, "pending")
        assert attempt.detail == "The template cannot take this event (ValueError)."
        for _ in range(2):
            make_due()
            process.drain()
        assert (last()[0].status, Attempt.objects.count(), mail.taken) == ("held", 3, [])

    def test_a_stored_text_that_cannot_be_read(self, mail: MailServer, reader: Endpoint, make_endpoint: Make) -> None:
        template(None, "{% gone %}")
        send()
        assert last()[1].reason == "internal_error"
        assert "gone" in last()[1].detail


class TestConsent:
    def test_before_the_yes_events_are_held_and_nothing_is_sent(self, mail: MailServer, reader: Endpoint) -> None:
        Endpoint.objects.update(is_active=False, disabled_reason="unverified", verified_at=None)
        send()
        assert (Delivery.objects.get().status, mail.steps) == ("held", [])

    def test_after_the_way_out_what_waits_is_held(self, mail: MailServer, reader: Endpoint) -> None:
        mail.answers["RCPT"] = "450 later"
        send()
        token = address_tokens.unsubscribe_url(reader.id, reader.target).rpartition("/")[2]
        assert address_checks.unsubscribe(token, now=_now()) is not None
        mail.answers.clear()
        make_due()
        process.drain()
        assert (Delivery.objects.get().status, mail.taken) == ("held", [])
        send()
        assert [delivery.status for delivery in Delivery.objects.all()] == ["held", "held"]
        assert mail.taken == []


def template(event_type: str | None, body: str, *, subject: str = "") -> None:
    MessageTemplate.objects.create(
        channel="email", event_type=event_type, subject=subject, body=body, created_at=NOW, updated_at=NOW
    )


def _raw_headers(raw: bytes) -> dict[str, str]:
    head = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode().replace("\n ", " ")
    found = dict(line.split(": ", 1) for line in head.split("\n"))
    # Written by the server that took it.
    return {name: value for name, value in found.items() if name not in {"X-Peer", "X-MailFrom", "X-RcptTo"}}


def _now() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0] + timedelta(milliseconds=1)
