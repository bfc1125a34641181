"""SMS through a real drain to a real gateway: what it is asked, and what is made of every way to fail."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest

from deliveries.channels import sms
from deliveries.channels.sms import Sms
from deliveries.engine import process
from deliveries.models import Attempt, Delivery
from dispatcher.outcomes import Outcome, Reason
from subscriptions.models import Endpoint, MessageTemplate
from subscriptions.services import address_tokens
from tests.deliveries.channels.conftest import headers_of, last, make_due, send
from tests.deliveries.conftest import NOW
from tests.receivers.receiver import Receiver, Script
from tests.receivers.scripts import endless, hold, once

pytestmark = pytest.mark.django_db(transaction=True)

Receive = Callable[[Script], Receiver]


def answer(status: str, body: bytes = b"{}", *headers: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in headers)
    return f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture
def gateway(settings: Any, receive: Receive) -> Callable[[Script], Receiver]:
    """The gateway that this installation uses, behaving as the test says."""

    def start(script: Script) -> Receiver:
        running = receive(script)
        settings.SMS_BACKEND, settings.SMS_FROM = "http", "Bank"
        settings.SMS_GATEWAY_URL, settings.SMS_GATEWAY_TOKEN = running.url("/send"), "s3cret"
        return running

    return start


@pytest.fixture
def twilio(settings: Any, receive: Receive) -> Callable[[Script], Receiver]:
    def start(script: Script) -> Receiver:
        running = receive(script)
        settings.SMS_BACKEND, settings.SMS_FROM = "twilio", "+15005550006"
        settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = "AC1", "tok"
        settings.TWILIO_API_URL = running.url("").rstrip("/")
        return running

    return start


class TestGateway:
    def test_what_is_asked(self, gateway: Callable[[Script], Receiver], phone: Endpoint) -> None:
        receiver = gateway(once(answer("202 Accepted", b'{"id":7}')))
        event_id = send()
        [request], (delivery, attempt) = receiver.requests, last()
        link = address_tokens.unsubscribe_url(phone.id, phone.target)
        text = f"Alice: An invoice was paid, id in_1, total 1.10 Stop: {link}"
        assert request.line == "POST /send HTTP/1.1"
        assert request.header("authorization") == "Bearer s3cret"
        assert json.loads(request.body) == {
            "to": "+37060000000",
            "from": "Bank",
            "text": text,
            "reference": f"{delivery.public_id}.1",
        }
        assert (delivery.status, delivery.last_status, attempt.reason) == ("delivered", 202, "delivered")
        assert headers_of(attempt) == {
            "To": "+37060000000",
            "From": "Bank",
            "Segments": "1",
            "Encoding": "GSM-7",
            "X-Webhook-Id": event_id,
        }
        assert attempt.request_body is not None
        assert bytes(attempt.request_body).decode() == text
        assert bytes(attempt.response_body) == b'{"id":7}'
        assert attempt.url == phone.target
        assert "s3cret" not in str(Attempt.objects.values().get())

    def test_a_long_text_is_cut_to_the_setting(
        self, gateway: Callable[[Script], Receiver], phone: Endpoint, settings: Any
    ) -> None:
        settings.SMS_MAX_SEGMENTS = 2
        MessageTemplate.objects.create(channel="sms", body="{{ payload.text }}", created_at=NOW, updated_at=NOW)
        receiver = gateway(once(answer("200 OK")))
        send(json.dumps({"text": "žodis " * 200}).encode())
        text = json.loads(receiver.requests[0].body)["text"]
        link = address_tokens.unsubscribe_url(phone.id, phone.target)
        assert text.endswith(f"žodis… Stop: {link}")
        assert (headers_of(last()[1])["Segments"], headers_of(last()[1])["Encoding"]) == ("2", "UCS-2")

    @pytest.mark.parametrize(
        ("status", "reason", "after"),
        [
            ("400 Bad Request", "recipient_refused", "failed"),
            ("410 Gone", "recipient_refused", "failed"),
            ("422 Unprocessable", "recipient_refused", "failed"),
            ("401 Unauthorized", "gateway_refused", "pending"),
            ("403 Forbidden", "gateway_refused", "pending"),
            ("404 Not Found", "gateway_refused", "pending"),
            ("429 Too Many", "gateway_refused", "pending"),
            ("500 Oops", "gateway_refused", "pending"),
            ("503 Busy", "gateway_refused", "pending"),
        ],
    )
    def test_refused(
        self, gateway: Callable[[Script], Receiver], phone: Endpoint, status: str, reason: str, after: str
    ) -> None:
        gateway(once(answer(status)))
        send()
        delivery, attempt = last()
        assert (attempt.reason, attempt.response_status, delivery.status) == (reason, int(status[:3]), after)
        phone.refresh_from_db()
        assert phone.is_active

    def test_retry_after_is_honoured(self, gateway: Callable[[Script], Receiver], phone: Endpoint) -> None:
        gateway(once(answer("429 Too Many", b"", "Retry-After: 3600")))
        send()
        delivery, attempt = last()
        assert delivery.next_attempt_at is not None
        assert 3_590 < (delivery.next_attempt_at - attempt.started_at).total_seconds() < 3_610

    def test_a_retry_has_a_reference_of_its_own(self, gateway: Callable[[Script], Receiver], phone: Endpoint) -> None:
        receiver = gateway(once(answer("500 Oops")))
        send()
        make_due()
        process.drain()
        references = [json.loads(request.body)["reference"] for request in receiver.requests]
        assert [reference.rpartition(".")[2] for reference in references] == ["1", "2"]

    def test_a_redirect_is_not_followed(
        self, gateway: Callable[[Script], Receiver], phone: Endpoint, receive: Receive
    ) -> None:
        elsewhere = receive(once())
        gateway(once(answer("307 Moved", b"", f"Location: {elsewhere.url('/')}")))
        send()
        assert (last()[1].reason, last()[1].response_status, elsewhere.connections) == ("gateway_refused", 307, 0)

    def test_proxies_of_the_environment_are_not_asked(
        self,
        gateway: Callable[[Script], Receiver],
        phone: Endpoint,
        receive: Receive,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        proxy = receive(once())
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        monkeypatch.setenv("NO_PROXY", "")
        gateway(once(answer("200 OK")))
        send()
        assert (last()[1].reason, proxy.connections) == ("delivered", 0)

    def test_hanging(self, gateway: Callable[[Script], Receiver], phone: Endpoint, settings: Any) -> None:
        settings.DELIVERY_TIMEOUT = 0.6
        gateway(hold)
        send()
        attempt = last()[1]
        assert attempt.reason == "response_timeout"
        assert 400 < attempt.total_ms < 1_100

    def test_an_answer_drop_by_drop(
        self, gateway: Callable[[Script], Receiver], phone: Endpoint, settings: Any
    ) -> None:
        """Every byte comes in time, the answer never does."""
        settings.DELIVERY_TIMEOUT = 0.6
        gateway(endless(b"HTTP/1.1 200 OK\r\nX: ", b"x", every_s=0.05))
        send()
        attempt = last()[1]
        assert attempt.reason == "response_timeout"
        assert 400 < attempt.total_ms < 1_100

    def test_an_endless_body_is_cut(self, gateway: Callable[[Script], Receiver], phone: Endpoint) -> None:
        gateway(endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4_096))
        send()
        attempt = last()[1]
        assert (attempt.reason, len(bytes(attempt.response_body))) == ("delivered", 16_384)

    def test_hung_up_on(self, gateway: Callable[[Script], Receiver], phone: Endpoint) -> None:
        gateway(once(b""))
        send()
        assert last()[1].reason == "connection_closed"

    def test_garbage(self, gateway: Callable[[Script], Receiver], phone: Endpoint) -> None:
        gateway(once(b"220 mail.example ESMTP\r\n"))
        send()
        assert last()[1].reason in {"protocol_error", "connection_closed"}

    def test_nobody_there(self, gateway: Callable[[Script], Receiver], phone: Endpoint, settings: Any) -> None:
        with Receiver(hold) as closed:
            settings.SMS_BACKEND, settings.SMS_GATEWAY_URL = "http", closed.url("/send")
        send()
        assert (last()[1].reason, last()[0].status) == ("connect_refused", "pending")

    def test_a_name_that_is_not_there(self, phone: Endpoint, settings: Any) -> None:
        settings.SMS_BACKEND, settings.SMS_GATEWAY_URL = "http", "http://gateway.invalid/send"
        send()
        assert last()[1].reason in {"dns_not_found", "dns_error"}

    def test_tls_that_is_none(self, gateway: Callable[[Script], Receiver], phone: Endpoint, settings: Any) -> None:
        receiver = gateway(lambda connection: connection.send(answer("400 Plain")))
        settings.SMS_GATEWAY_URL = receiver.url("/send").replace("http:", "https:")
        send()
        assert last()[1].reason == "tls_protocol"


class TestTwilio:
    def test_what_is_asked(self, twilio: Callable[[Script], Receiver], phone: Endpoint) -> None:
        receiver = twilio(once(answer("201 Created", b'{"sid":"SM1","status":"queued"}')))
        send()
        [request] = receiver.requests
        assert request.line == "POST /2010-04-01/Accounts/AC1/Messages.json HTTP/1.1"
        assert request.header("authorization") == "Basic " + base64.b64encode(b"AC1:tok").decode()
        form = parse_qs(request.body.decode())
        assert (form["To"], form["From"]) == (["+37060000000"], ["+15005550006"])
        assert form["Body"][0].startswith("Alice: An invoice was paid")
        assert (last()[0].status, last()[1].response_status) == ("delivered", 201)

    def test_a_messaging_service(self, twilio: Callable[[Script], Receiver], phone: Endpoint, settings: Any) -> None:
        receiver = twilio(once(answer("201 Created")))
        settings.SMS_FROM = "MG" + "0" * 32
        send()
        form = parse_qs(receiver.requests[0].body.decode())
        assert (form["MessagingServiceSid"], "From" in form) == ([settings.SMS_FROM], False)

    @pytest.mark.parametrize(
        ("status", "body", "reason"),
        [
            ("400 Bad", b'{"code":21211,"status":400}', "recipient_refused"),
            ("400 Bad", b'{"code":21610,"status":400}', "recipient_refused"),
            ("400 Bad", b'{"code":21606,"status":400}', "gateway_refused"),
            ("400 Bad", b'{"code":"21211"}', "gateway_refused"),
            ("400 Bad", b"[]", "gateway_refused"),
            ("400 Bad", b"no json", "gateway_refused"),
            ("401 No", b'{"code":20003}', "gateway_refused"),
            ("429 Slow", b'{"code":20429}', "gateway_refused"),
        ],
    )
    def test_refused(
        self, twilio: Callable[[Script], Receiver], phone: Endpoint, status: str, body: bytes, reason: str
    ) -> None:
        twilio(once(answer(status, body)))
        send()
        attempt = last()[1]
        assert (attempt.reason, attempt.response_status, bytes(attempt.response_body)) == (
            reason,
            int(status[:3]),
            body,
        )


class OwnBackend:
    """A provider's own: remembers what it was given."""

    sent: list[Sms] = []

    def send(self, sms: Sms, *, timeout_s: float) -> Outcome:
        self.sent.append(sms)
        if "boom" in sms.text:
            raise ConnectionResetError(104, "reset")
        return Outcome(Reason.DELIVERED)


class TestOthers:
    def test_a_class_of_the_providers(self, phone: Endpoint, settings: Any) -> None:
        OwnBackend.sent.clear()
        settings.SMS_BACKEND = f"{__name__}.OwnBackend"
        send()
        assert [one.to for one in OwnBackend.sent] == ["+37060000000"]
        assert last()[0].status == "delivered"
        send(b'{"id":"boom"}')
        assert Attempt.objects.latest("id").reason == "connection_reset"

    def test_a_class_that_is_not_there(self, phone: Endpoint, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
        settings.SMS_BACKEND = "nowhere.Backend"
        send()
        assert (last()[1].reason, last()[0].status) == ("internal_error", "pending")

    def test_the_terminal(self, phone: Endpoint, settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
        settings.SMS_BACKEND = "console"
        send()
        assert last()[0].status == "delivered"
        assert "SMS to +37060000000 from -: Alice: An invoice was paid" in capsys.readouterr().out

    def test_no_longer_set_up(self, phone: Endpoint, settings: Any) -> None:
        settings.SMS_BACKEND = "none"
        send()
        delivery, attempt = last()
        assert (attempt.reason, attempt.is_counted, delivery.status) == ("internal_error", False, "pending")
        assert attempt.detail == "SMS are not set up on this installation."

    def test_every_back_end_is_made_once(self, settings: Any) -> None:
        assert sms._backend("console") is sms._backend("console")
        assert Delivery.objects.count() == 0
