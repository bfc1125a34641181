"""One delivery looked at closely: what it shows, what it must not do, and sending it again."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from deliveries.models import Attempt, Delivery, Event, LaneEntry
from deliveries.portal import panel
from subscriptions.models import AuditEntry, Endpoint
from tests.deliveries.portal.visitors import Visitor, words_of

Make = Callable[..., Any]
PAGE = b"<html><script>alert(1)</script><body onload=alert(1) style='color:red'>hello</body></html>"


@pytest.fixture
def failing(endpoint: Endpoint, owe: Make) -> Delivery:
    """Tried three times; waits for its fourth."""
    reasons = (("dns_not_found", None), ("http_server_error", 503), ("response_timeout", None))
    made: Delivery = owe(endpoint, status="pending", reasons=reasons, response_body=b"")
    return made


def path(row: Delivery, rest: str = "") -> str:
    return f"log/{row.public_id}/{rest}"


class TestPanel:
    def test_every_attempt_with_its_reason_newest_first(self, alice: Visitor, failing: Delivery) -> None:
        text = alice.read(path(failing))
        found = [
            text.index(words) for words in ("No complete answer in time", "Answered 503", "The host name does not")
        ]
        assert found == sorted(found)
        assert "Answer as soon as the event is stored, and do the work afterwards." in text
        assert "Check the host name for a slip of the pen" in text
        assert "Next try in" in text
        assert f"{failing.next_attempt_at:%-d %b %Y, %H:%M:%S} UTC" in text
        assert "Send now" in text

    def test_for_htmx_the_panel_alone(self, alice: Visitor, failing: Delivery) -> None:
        part = alice.part(path(failing)).content.decode()
        assert part.lstrip().startswith('<section class="panel" id="panel" role="dialog"')
        assert "data-waiting" in part
        assert "<!doctype" not in part

    def test_one_that_is_over_is_not_asked_for_again(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        part = alice.part(path(owe(endpoint))).content.decode()
        assert "data-waiting" not in part
        assert "tail-panel" not in part

    def test_the_event_with_its_payload_as_it_came(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        row = owe(endpoint, payload=b'{"total": 12.50,"b":[1e2]}')
        answer = alice.get(path(row), tab="event")
        assert answer.context["payload"].text == '{"total": 12.50,"b":[1e2]}'
        assert '"total": 12.50,' in words_of(answer)

    def test_scripts_in_payloads_and_answers_do_nothing(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        row = owe(
            endpoint, status="failed", payload=PAGE, response_body=PAGE, response_headers="X: <img src=x onerror=a>"
        )
        for page in (path(row), path(row) + "?tab=event", path(row, "1")):
            body = alice.client.get(alice.address(page)).content.decode()
            assert "<script>alert(1)" not in body
            assert "onload=alert" not in body.replace("&lt;body onload=alert", "")
            assert "<img src=x" not in body
            assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body

    def test_bytes_that_are_no_text_are_shown_as_numbers(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        row = owe(endpoint, response_body=b"\x00\xff\x10PNG")
        assert "00 ff 10 50 4e 47" in alice.read(path(row))

    def test_contents_that_were_taken_away_are_said_to_be(
        self, alice: Visitor, endpoint: Endpoint, owe: Make, now_ish: datetime
    ) -> None:
        row = owe(endpoint, payload=b"", event={"expunged_at": now_ish})
        text = alice.read(path(row), tab="event")
        assert "The event's contents were taken away" in text
        assert "Payload" not in text
        told = alice.read(path(row))
        assert "The event's contents were taken away, so it cannot be sent again." in told
        assert "What was sent was taken away with the event's contents." in told
        assert "Copy as curl" not in told

    def test_an_event_that_retention_took_leaves_the_delivery_readable(
        self, alice: Visitor, endpoint: Endpoint, owe: Make
    ) -> None:
        row = owe(endpoint)
        Event.objects.all().delete()
        text = alice.read(path(row))
        assert "invoice.paid" in text
        assert "Test mode" not in text

    @pytest.mark.parametrize(
        ("status", "sentence"),
        [
            ("held", "Held: the endpoint was paused when this event came."),
            ("cancelled", "Cancelled: the endpoint was deleted before this was delivered."),
        ],
    )
    def test_why_nothing_is_sent(
        self, alice: Visitor, endpoint: Endpoint, owe: Make, status: str, sentence: str
    ) -> None:
        assert sentence in alice.read(path(owe(endpoint, status=status, reasons=())))

    def test_one_that_was_cancelled_with_its_contents_says_so(
        self, alice: Visitor, endpoint: Endpoint, owe: Make, now_ish: datetime
    ) -> None:
        row = owe(endpoint, status="cancelled", reasons=(), event={"expunged_at": now_ish}, payload=b"")
        text = alice.read(path(row))
        assert "Cancelled: the event's contents were taken away before it was delivered." in text
        assert "endpoint was deleted" not in text

    def test_test_events_and_test_mode_are_marked(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        row = owe(endpoint, event={"is_test": True, "is_live": False})
        assert "Delivered Test Test mode invoice.paid" in alice.read(path(row))


class TestAttempt:
    def test_the_request_as_a_command(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        row = owe(endpoint, payload=b'{"name": "O\'Hara"}')
        found = alice.get(path(row, "1")).context["curl"]
        assert found == (
            "curl -X POST https://shop.example/in \\\n"
            "  -H 'Content-Type: application/json' \\\n"
            "  -H 'X-Webhook-Id: evt_1' \\\n"
            '  --data-raw \'{"name": "O\'"\'"\'Hara"}\''
        )

    def test_without_an_answer_it_says_so(self, alice: Visitor, failing: Delivery) -> None:
        text = alice.read(path(failing, "1"))
        assert "No answer came." in text

    def test_where_the_time_went(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        row = owe(endpoint, dns_ms=10.0, connect_ms=20.0, tls_ms=None, send_ms=0.0, wait_ms=30.0, total_ms=100.0)
        phases = alice.get(path(row, "1")).context["phases"]
        assert [(one.name, one.ms, one.start, one.width) for one in phases] == [
            ("DNS", 10.0, 0.0, 10.0),
            ("Connect", 20.0, 10.0, 20.0),
            ("Wait", 30.0, 30.0, 30.0),
            ("Receive", 40.0, 60.0, 40.0),
        ]
        assert "DNS 10 ms Connect 20 ms Wait 30 ms Receive 40 ms Total 100 ms" in alice.read(path(row, "1"))

    @pytest.mark.parametrize("number", ["4", "0", "99999999999"])
    def test_one_that_never_was_is_not_there(self, alice: Visitor, failing: Delivery, number: str) -> None:
        assert alice.get(path(failing, number)).status_code == 404

    def test_a_long_timeline_is_cut(self, alice: Visitor, failing: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(panel, "ATTEMPTS_MOST", 2)
        assert [step.attempt.number for step in alice.get(path(failing)).context["panel"].steps] == [3, 2]


class TestResend:
    def test_it_goes_out_now_and_leads_back(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        row = owe(endpoint, status="failed", reasons=(("http_gone", 410),), ago=timedelta(days=2))
        back = f"{alice.address('log/')}?status=failed&open={row.public_id}"
        answer = alice.post(path(row, "resend"), {"back": back})
        assert (answer.status_code, answer.headers["Location"]) == (303, back)
        row.refresh_from_db()
        assert (row.status, row.attempts_made, row.attempts_counted) == ("pending", 1, 0)
        assert LaneEntry.objects.get().trigger == "replay"
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.actor) == ("deliveries.resent", "user:alice-owner")
        assert "The delivery is being sent again." in alice.read("log/")

    @pytest.mark.parametrize("why", ["paused", "expunged"])
    def test_what_cannot_be_sent_is_said(
        self, why: str, alice: Visitor, endpoint: Endpoint, owe: Make, now_ish: datetime
    ) -> None:
        row = owe(endpoint, status="failed", event={"expunged_at": now_ish} if why == "expunged" else {})
        if why == "paused":
            Endpoint.objects.update(is_active=False, disabled_reason="paused")
        answer = alice.post(path(row, "resend"))
        assert answer.status_code == 409
        assert "It was not sent: its endpoint is paused or deleted, or its contents were taken away." in words_of(
            answer
        )
        assert not LaneEntry.objects.exists()
        assert "data-resend" not in alice.get(path(row)).content.decode()

    def test_a_paused_endpoint_has_no_button_but_a_reason(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        row = owe(endpoint, status="failed")
        Endpoint.objects.update(is_active=False, disabled_reason="paused")
        assert "The endpoint is paused, so nothing can be sent to it." in alice.read(path(row))

    def test_looking_at_the_address_sends_nothing(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        row = owe(endpoint, status="failed")
        assert alice.get(path(row, "resend")).status_code == 404
        assert Delivery.objects.get().status == "failed"
        assert Attempt.objects.count() == 1
