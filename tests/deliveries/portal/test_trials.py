"""Trying an endpoint from its page: real requests to a real receiver, and the answer in words at once."""

import socket
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest

from deliveries.models import Attempt, Delivery, Event
from deliveries.services import waiting
from subscriptions.models import AuditEntry, Endpoint
from tests.deliveries.portal.visitors import Visitor, words_of
from tests.receivers.receiver import Receiver, Script
from tests.receivers.scripts import keep_alive

pytestmark = pytest.mark.django_db(transaction=True)
Receive = Callable[[Script], Receiver]
REFUSING = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 25\r\n\r\n<script>alert(1)</script>"


@pytest.fixture
def reached(settings: Any, endpoint: Endpoint) -> Callable[[Receiver], None]:
    """Point the endpoint at the receiver."""
    settings.ALLOW_HTTP_TARGETS = True
    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)

    def aim(receiver: Receiver) -> None:
        Endpoint.objects.update(target=f"http://127.0.0.1:{receiver.port}/in")

    return aim


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def send(visitor: Visitor, endpoint: Endpoint, what: str = "test", *, htmx: bool = True, **data: Any) -> Any:
    headers = {"HX_Request": "true"} if htmx else {}
    return visitor.post(f"endpoints/{endpoint.public_id}/{what}", data, **headers)


class TestConnectivity:
    def test_somebody_answers(
        self, alice: Visitor, endpoint: Endpoint, receive: Receive, reached: Callable[[Receiver], None]
    ) -> None:
        receiver = receive(keep_alive())
        reached(receiver)
        text = words_of(send(alice, endpoint, "connectivity"))
        assert text.startswith("Reached: answered 200 after")
        assert [one.line.split(" ")[0] for one in receiver.requests] == ["HEAD"]
        assert AuditEntry.objects.get().action == "endpoint.connectivity_tested"

    def test_an_answer_that_refuses_is_an_answer(
        self, alice: Visitor, endpoint: Endpoint, receive: Receive, reached: Callable[[Receiver], None]
    ) -> None:
        reached(receive(keep_alive(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")))
        text = words_of(send(alice, endpoint, "connectivity"))
        assert "Reached: answered 405" in text
        assert "Many servers refuse this kind of request and take events all the same" in text

    def test_nobody_answers(self, alice: Visitor, endpoint: Endpoint, reached: Callable[..., None]) -> None:
        Endpoint.objects.update(target=f"http://127.0.0.1:{unused_port()}/in")
        text = words_of(send(alice, endpoint, "connectivity"))
        assert "The connection was refused" in text
        assert "Nothing listens at that port" in text

    def test_too_often_is_refused_with_a_time(
        self, alice: Visitor, endpoint: Endpoint, receive: Receive, reached: Callable[[Receiver], None]
    ) -> None:
        reached(receive(keep_alive()))
        answers = [send(alice, endpoint, "connectivity") for _ in range(11)]
        assert [one.status_code for one in answers] == [200] * 10 + [429]
        assert answers[-1].headers["Retry-After"] == "60"
        assert "At most 10 connectivity tests are made in 60 seconds." in words_of(answers[-1])

    def test_while_too_many_wait_it_is_503(
        self, alice: Visitor, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(waiting, "_slots", type("Full", (), {"acquire": lambda *_, **__: False})())
        answer = send(alice, endpoint, "connectivity")
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert not AuditEntry.objects.exists()


class TestEvent:
    def test_goes_out_signed_with_what_was_typed(
        self, alice: Visitor, endpoint: Endpoint, receive: Receive, reached: Callable[[Receiver], None]
    ) -> None:
        receiver = receive(keep_alive())
        reached(receiver)
        answer = send(alice, endpoint, event_type="invoice.sent", payload='{"a": 1.10}')
        assert "Delivered" in words_of(answer)
        (came,) = receiver.requests
        assert came.body == b'{"a": 1.10}'
        assert came.header("X-Webhook-Event") == "invoice.sent"
        assert came.header("webhook-signature")
        assert Event.objects.get().is_test
        assert f"log/{Delivery.objects.get().public_id}/" in answer.content.decode()

    def test_the_answer_is_shown_and_does_nothing(
        self, alice: Visitor, endpoint: Endpoint, receive: Receive, reached: Callable[[Receiver], None]
    ) -> None:
        reached(receive(keep_alive(REFUSING)))
        answer = send(alice, endpoint)
        body = answer.content.decode()
        assert "Answered 503" in words_of(answer)
        assert "Look into the receiver's own log at the time of the attempt." in words_of(answer)
        assert "<script>" not in body
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body

    def test_without_scripts_it_is_the_whole_page(
        self, alice: Visitor, endpoint: Endpoint, receive: Receive, reached: Callable[[Receiver], None]
    ) -> None:
        reached(receive(keep_alive()))
        answer = send(alice, endpoint, htmx=False)
        assert "<!doctype html>" in answer.content.decode()
        assert "Send test event" in words_of(answer)
        assert "In the log" in words_of(answer)

    @pytest.mark.parametrize(
        ("data", "sentence"),
        [
            ({"payload": "{"}, "The payload is not JSON"),
            ({"payload": '{"a": NaN}'}, "The payload is not JSON"),
            ({"payload": '{"a": 1, "a": 2}'}, "twice"),
            ({"event_type": "no.such"}, "No such event type."),
            ({"payload": '"' + "x" * 300_000 + '"'}, "The payload has more than 262144 bytes."),
        ],
    )
    def test_what_cannot_be_sent_is_said(
        self, alice: Visitor, endpoint: Endpoint, data: dict[str, Any], sentence: str
    ) -> None:
        answer = send(alice, endpoint, **data)
        assert answer.status_code == 422
        assert sentence in words_of(answer)
        assert not Attempt.objects.exists()

    def test_what_was_typed_stays_when_it_is_refused(self, alice: Visitor, endpoint: Endpoint) -> None:
        answer = send(alice, endpoint, htmx=False, payload='{"mine": ', event_type="invoice.sent")
        assert answer.status_code == 422
        assert "{&quot;mine&quot;:" in answer.content.decode()
        assert "<option selected>invoice.sent" in answer.content.decode()

    def test_looking_at_the_address_sends_nothing(self, alice: Visitor, endpoint: Endpoint) -> None:
        for what in ("test", "connectivity"):
            assert alice.get(f"endpoints/{endpoint.public_id}/{what}").status_code == 404
        assert not Event.objects.exists()
