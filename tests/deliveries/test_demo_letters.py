"""The demo's e-mails and SMS stay on this machine, where both are taken and counted."""

import http.client
import json
import socket
from collections.abc import Iterator
from datetime import datetime
from ipaddress import ip_network

import pytest
from django.core.mail import EmailMessage, get_connection
from pytest_django import Settings

from config import plans
from deliveries.demo import world
from deliveries.demo.letters import SMTP, Letterbox, Letters, Ports, local_ports
from subscriptions.models import Endpoint, Rule
from subscriptions.selectors import merchants as merchant_rows
from subscriptions.services import endpoints

URL = "http://127.0.0.1:45001"
OTHER_URL = "http://127.0.0.1:45002"


def free_ports() -> Ports:
    given = plans.demo_letters({})
    return Ports(*(int(given[name].rpartition(":")[2]) for name in ("EMAIL_URL", "SMS_GATEWAY_URL")))


@pytest.fixture
def ports() -> Ports:
    return free_ports()


@pytest.fixture
def box(ports: Ports) -> Iterator[Letterbox]:
    made = Letterbox(ports)
    yield made
    made.end()


def send_email(port: int, *, headers: dict[str, str], body: str = "Money arrived.\n.\n..dots") -> int:
    connection = get_connection(SMTP, host="127.0.0.1", port=port, timeout=5)
    mail = EmailMessage("Subject", body, "signet@localhost", ["a@shop.example"], headers=headers)
    return connection.send_messages([mail, mail]) or 0


def send_sms(port: int, body: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_what_django_sends_is_taken_and_events_are_counted(box: Letterbox, ports: Ports) -> None:
    assert send_email(ports.mail, headers={"X-Webhook-Event": "payment.incoming"}) == 2
    assert send_email(ports.mail, headers={}) == 2

    assert box.read() == Letters(emails=2, sms=0)


def test_sms_about_events_are_counted_and_nonsense_is_refused(box: Letterbox, ports: Ports) -> None:
    sms = {"to": "+447700900123", "from": "", "text": "Money arrived.", "reference": "del_1.1"}

    assert send_sms(ports.sms, json.dumps(sms).encode()) == 202
    assert send_sms(ports.sms, json.dumps({**sms, "reference": "ep_1.1700000000"}).encode()) == 202
    assert [send_sms(ports.sms, body) for body in (b"no", b"[]", b"{}", b'{"to": 1}')] == [400] * 4

    assert box.read() == Letters(emails=0, sms=1)


def test_a_port_that_is_taken_is_left_to_whom_it_belongs(ports: Ports) -> None:
    with socket.create_server(("127.0.0.1", ports.mail)):
        box = Letterbox(ports)
        assert box.read() == Letters()
        box.end()


class TestWhereLettersGo:
    @pytest.fixture(autouse=True)
    def _local(self, settings: Settings) -> None:
        settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = SMTP, "127.0.0.1", 1025
        settings.SMS_BACKEND, settings.SMS_GATEWAY_URL = "http", "http://127.0.0.1:1026"

    def test_they_stay_here(self) -> None:
        assert local_ports() == Ports(1025, 1026)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend"),
            ("EMAIL_HOST", "mail.bank.example"),
            ("SMS_BACKEND", "twilio"),
            ("SMS_GATEWAY_URL", "https://sms.example/send"),
            ("SMS_GATEWAY_URL", ""),
        ],
    )
    def test_the_demo_writes_none_that_would_leave(self, settings: Settings, name: str, value: str) -> None:
        setattr(settings, name, value)

        assert local_ports() is None


def test_serve_gives_the_demo_s_letters_two_ports_of_this_machine() -> None:
    given = plans.demo_letters({"PATH": "/bin"})

    assert set(given) == {"EMAIL_URL", "SMS_BACKEND", "SMS_GATEWAY_URL"}
    assert given["SMS_BACKEND"] == "http"
    assert len({given[name].rpartition(":")[2] for name in ("EMAIL_URL", "SMS_GATEWAY_URL")}) == 2
    assert given["EMAIL_URL"].startswith("smtp://127.0.0.1:")


@pytest.mark.parametrize("name", ["EMAIL_URL", "SMS_BACKEND", "SMS_GATEWAY_URL"])
def test_serve_leaves_what_somebody_has_set(name: str) -> None:
    assert plans.demo_letters({name: "mine"}) == {}


@pytest.mark.django_db
class TestRecipients:
    @pytest.fixture(autouse=True)
    def _set_up(self, settings: Settings) -> None:
        settings.ALLOW_HTTP_TARGETS = True
        settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)
        settings.HAS_EMAIL, settings.SMS_BACKEND, settings.PUBLIC_URL = True, "http", "http://127.0.0.1:8000"

    def letters(self) -> list[tuple[str, str, bool, bool]]:
        rows = Rule.objects.get().recipients.exclude(channel="webhook").filter(deleted_at=None).order_by("channel")
        return [(row.channel, row.target, row.is_active, row.verified_at is not None) for row in rows]

    def test_the_rule_has_an_email_and_an_sms_recipient_who_said_yes(self, now: datetime) -> None:
        world.build(receiver_url=URL, now=now, has_letters=True)

        assert self.letters() == [
            ("email", "mailto:office@lagoon-ceramics.example", True, True),
            ("sms", "sms:+447700900123", True, True),
        ]
        assert Rule.objects.get().recipients.count() == 4

    def test_a_later_run_adds_them_once(self, now: datetime) -> None:
        world.build(receiver_url=URL, now=now)
        assert self.letters() == []
        world.build(receiver_url=OTHER_URL, now=now, has_letters=True)
        first = list(Endpoint.objects.order_by("id").values())
        world.build(receiver_url=OTHER_URL, now=now, has_letters=True)

        assert len(self.letters()) == 2
        assert list(Endpoint.objects.order_by("id").values()) == first

    def test_who_was_taken_out_stays_out(self, now: datetime) -> None:
        world.build(receiver_url=URL, now=now, has_letters=True)
        lagoon = merchant_rows.get("demo-lagoon")
        gone = Endpoint.objects.get(channel="sms")
        endpoints.delete(merchant=lagoon, endpoint_id=gone.id, now=now, actor="test")
        world.build(receiver_url=URL, now=now, has_letters=True)

        assert [channel for channel, *_ in self.letters()] == ["email"]
