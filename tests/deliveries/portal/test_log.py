"""The event log: what it shows of each delivery, how it is narrowed and searched, and how far a page looks."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from deliveries.models import Attempt, Delivery, LaneEntry
from deliveries.selectors import log_pages
from dispatcher.ids import Prefix, show
from subscriptions.models import AuditEntry, Endpoint, Merchant
from tests.deliveries.portal.visitors import Visitor, words_of

Make = Callable[..., Any]
SCRIPT = "<script>alert(1)</script>"


def shown_ids(answer: Any) -> list[str]:
    return [row.id for row in answer.context["rows"]]


class TestRows:
    def test_newest_first_with_state_and_reason_in_words(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        old = owe(endpoint, ago=timedelta(hours=2), external_id="order-7", account="card-1")
        new = owe(endpoint, status="failed", reasons=(("tls_cert_expired", None),), type="payout.failed")
        answer = alice.get("log/")
        assert shown_ids(answer) == [new.public_id, old.public_id]
        text = words_of(answer)
        assert "Failed payout.failed" in text
        assert "The certificate has expired 1 1 min ago" in text
        assert "Delivered invoice.paid card-1 order-7 shop.example/in 200 1 2 h ago" in text
        assert "That is all" in text

    def test_one_that_waits_says_why_and_when(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        row = owe(endpoint, status="pending", reasons=(("http_server_error", 503), ("response_timeout", None)))
        text = alice.read("log/")
        assert "Retrying invoice.paid" in text
        assert "No complete answer in time · next" in text
        moment = row.next_attempt_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        assert f'datetime="{moment}" data-time="countdown"' in alice.get("log/").content.decode()

    def test_one_that_was_never_tried_is_pending(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        owe(endpoint, status="pending", reasons=())
        assert "Pending invoice.paid" in alice.read("log/")

    def test_what_others_wrote_does_nothing(self, alice: Visitor, make_endpoint: Make, owe: Make) -> None:
        endpoint = make_endpoint(alice.merchant, target=f"https://shop.example/{SCRIPT}", description=SCRIPT)
        owe(endpoint, type=SCRIPT, external_id=SCRIPT, account=SCRIPT, payload=SCRIPT.encode())
        Merchant.objects.update(name=SCRIPT)
        body = alice.get("log/").content.decode()
        assert SCRIPT not in body
        assert body.count("&lt;script&gt;alert(1)") >= 6

    def test_deliveries_of_a_deleted_endpoint_stay(
        self, alice: Visitor, endpoint: Endpoint, owe: Make, now: datetime
    ) -> None:
        owe(endpoint)
        Endpoint.objects.update(deleted_at=now, is_active=False)
        assert "shop.example/in" in alice.read("log/")

    def test_endless_deleted_endpoints_are_not_all_offered_and_those_shown_have_their_names(
        self,
        alice: Visitor,
        endpoint: Endpoint,
        make_endpoint: Make,
        owe: Make,
        now: datetime,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("deliveries.portal.log.NAMES_MOST", 2)
        gone = [
            make_endpoint(
                endpoint.owner,
                target=f"https://shop.example/old-{number}",
                is_active=False,
                deleted_at=now + timedelta(days=number),
            )
            for number in range(3)
        ]
        owe(gone[0])
        text = alice.get("log/").content.decode()
        assert [f"old-{number}" in text for number in range(3)] == [True, False, True]

    def test_an_empty_log_is_followed_live_too(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        answer = alice.get("log/")
        version = answer.context["version"]
        assert f'data-tail hx-get="{alice.address("log/")}?v={version}"' in answer.content.decode()
        assert alice.part("log/", target="log", v=version).status_code == 204
        owe(endpoint)
        assert b'id="log-rows"' in alice.part("log/", target="log", v=version).content

    def test_an_empty_log_teaches(self, alice: Visitor) -> None:
        assert "Nothing was sent yet" in alice.read("log/")
        assert "Go to endpoints" in alice.read("log/")

    def test_a_filter_that_finds_nothing_says_so(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        owe(endpoint)
        text = alice.read("log/", status="failed")
        assert "Nothing fits. Try fewer filters or a longer time." in text
        assert "Show everything" in text

    def test_a_viewer_gets_no_boxes_and_no_buttons(self, viewer: Visitor, endpoint: Endpoint, owe: Make) -> None:
        owe(endpoint)
        body = viewer.get("log/").content.decode()
        assert 'name="delivery"' not in body
        assert "Resend" not in body


class TestNarrowed:
    @pytest.fixture
    def rows(self, alice: Visitor, endpoint: Endpoint, make_endpoint: Make, owe: Make) -> dict[str, Delivery]:
        other = make_endpoint(alice.merchant, target="https://other.example/in")
        return {
            "paid": owe(endpoint, ago=timedelta(minutes=1)),
            "failed": owe(endpoint, status="failed", reasons=(("http_gone", 410),), ago=timedelta(hours=3)),
            "sent": owe(endpoint, type="invoice.sent", ago=timedelta(days=2)),
            "other": owe(other, account="card-9", ago=timedelta(days=10)),
        }

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({}, ["paid", "failed", "sent", "other"]),
            ({"status": "failed"}, ["failed"]),
            ({"status": "nonsense"}, ["paid", "failed", "sent", "other"]),
            ({"type": "invoice.sent"}, ["sent"]),
            ({"type": " invoice.sent "}, ["sent"]),
            ({"account": "card-9"}, ["other"]),
            ({"range": "1h"}, ["paid"]),
            ({"range": "24h"}, ["paid", "failed"]),
            ({"range": "7d"}, ["paid", "failed", "sent"]),
            ({"range": "7d", "status": "delivered", "type": "invoice.sent"}, ["sent"]),
            ({"status": "held"}, []),
        ],
    )
    def test_by(self, alice: Visitor, rows: dict[str, Delivery], query: dict[str, str], expected: list[str]) -> None:
        assert shown_ids(alice.get("log/", **query)) == [rows[name].public_id for name in expected]

    def test_by_endpoint(self, alice: Visitor, rows: dict[str, Delivery]) -> None:
        named = show(Prefix.ENDPOINT, rows["other"].endpoint_id)
        assert shown_ids(alice.get("log/", endpoint=named)) == [rows["other"].public_id]

    def test_by_moments_the_first_included_the_last_not(self, alice: Visitor, rows: dict[str, Delivery]) -> None:
        since, until = rows["sent"].created_at.isoformat(), rows["failed"].created_at.isoformat()
        assert shown_ids(alice.get("log/", since=since, until=until)) == [rows["sent"].public_id]
        assert f'value="{rows["sent"].created_at.isoformat()}"' in alice.get("log/", since=since).content.decode()

    def test_the_form_keeps_what_was_chosen(self, alice: Visitor, rows: dict[str, Delivery]) -> None:
        body = alice.get(
            "log/", status="failed", type="payout.archived", account="a&b", q="", range="7d"
        ).content.decode()
        for kept in ('value="failed" selected', "selected>payout.archived", 'value="a&amp;b"', 'value="7d" selected'):
            assert kept in body


class TestSearch:
    @pytest.fixture
    def row(self, endpoint: Endpoint, owe: Make) -> Delivery:
        owe(endpoint, ago=timedelta(hours=4))
        made: Delivery = owe(endpoint, external_id="order/7 ä", ago=timedelta(minutes=2))
        return made

    def texts(self, row: Delivery) -> dict[str, str]:
        event, delivery = show(Prefix.EVENT, row.event_id), row.public_id
        return {
            "delivery": delivery,
            "beginning of a delivery": delivery[:16],
            "event": event,
            "beginning of an event": event[:14],
            "the provider's id": "order/7 ä",
            "attempt": Attempt.objects.get(delivery_id=row.id).public_id,
            "with spaces": f"  {delivery}\t",
        }

    @pytest.mark.parametrize(
        "kind",
        [
            "delivery",
            "beginning of a delivery",
            "event",
            "beginning of an event",
            "the provider's id",
            "attempt",
            "with spaces",
        ],
    )
    def test_finds_one_delivery_by(self, kind: str, alice: Visitor, row: Delivery) -> None:
        assert shown_ids(alice.get("log/", q=self.texts(row)[kind])) == [row.public_id]

    def test_finds_all_of_an_endpoint(self, alice: Visitor, row: Delivery, endpoint: Endpoint) -> None:
        assert len(shown_ids(alice.get("log/", q=endpoint.public_id))) == 2

    @pytest.mark.parametrize("text", ["del_0", "evt_", "del_!!!!!!!!!!", "att_0123", "order/7", "ep_0", "%", "mer_1"])
    def test_finds_nothing_by(self, text: str, alice: Visitor, row: Delivery) -> None:
        answer = alice.get("log/", q=text)
        assert answer.status_code == 200
        assert shown_ids(answer) == []

    def test_finds_nothing_of_another_merchants(self, row: Delivery, make_merchant: Make, endpoint: Endpoint) -> None:
        from tests.deliveries.portal.visitors import sign_in

        bob = sign_in(make_merchant("bob"))
        for text in [*self.texts(row).values(), endpoint.public_id]:
            assert shown_ids(bob.get("log/", q=text)) == []


class TestPages:
    @pytest.fixture
    def many(self, endpoint: Endpoint, owe: Make) -> list[Delivery]:
        """120, newest first; each tenth has failed."""
        states = {9: ("failed", (("http_gone", 410),))}
        rows = []
        for number in range(120):
            status, reasons = states.get(number % 10, ("delivered", (("delivered", 200),)))
            rows.append(owe(endpoint, status=status, reasons=reasons, ago=timedelta(minutes=number + 1)))
        return rows

    def test_page_after_page_nothing_twice_nothing_left_out(self, alice: Visitor, many: list[Delivery]) -> None:
        seen, query = [], dict[str, str]()
        while True:
            answer = alice.get("log/", **query)
            seen += shown_ids(answer)
            if not answer.context["next_before"]:
                break
            query = {"before": answer.context["next_before"]}
        assert seen == [row.public_id for row in many]

    def test_a_page_looks_at_a_slice_and_says_how_far(
        self, alice: Visitor, many: list[Delivery], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_pages, "SLICE", 30)
        answer = alice.get("log/", status="failed")
        assert shown_ids(answer) == [many[n].public_id for n in (9, 19, 29)]
        assert answer.context["page"].looked_back_to == many[29].created_at
        assert "Looked back to" in words_of(answer)
        assert "Look further back" in words_of(answer)
        further = alice.get("log/", status="failed", before=answer.context["next_before"])
        assert shown_ids(further) == [many[n].public_id for n in (39, 49, 59)]

    def test_an_empty_slice_is_no_empty_log(
        self, alice: Visitor, many: list[Delivery], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_pages, "SLICE", 5)
        answer = alice.get("log/", status="failed")
        assert shown_ids(answer) == []
        assert "Nothing fits among the newest of these; there is more further back." in words_of(answer)

    def test_the_end_of_the_log_ends_the_slices(
        self, alice: Visitor, many: list[Delivery], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_pages, "SLICE", 50)
        query, found = {"status": "failed"}, []
        for _ in range(4):
            answer = alice.get("log/", **query)
            found += shown_ids(answer)
            if not answer.context["next_before"]:
                break
            query = {"status": "failed", "before": answer.context["next_before"]}
        assert found == [many[n].public_id for n in range(9, 120, 10)]
        assert answer.context["next_before"] == ""

    def test_an_endpoint_alone_needs_no_slice(
        self, alice: Visitor, many: list[Delivery], endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_pages, "SLICE", 5)
        answer = alice.get("log/", endpoint=endpoint.public_id)
        assert len(shown_ids(answer)) == 50
        assert answer.context["page"].looked_back_to is None


class TestParts:
    def test_htmx_gets_the_list_or_the_rows(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        owe(endpoint)
        assert alice.part("log/", target="log").content.lstrip().startswith(b'<div id="log">')
        assert alice.part("log/", target="log-rows").content.lstrip().startswith(b'<tbody id="log-rows"')

    def test_the_tail_is_silent_until_something_changes(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        row = owe(endpoint, status="pending", reasons=())
        version = alice.get("log/").context["version"]
        assert alice.part("log/", target="log-rows", v=version).status_code == 204
        Delivery.objects.filter(id=row.id).update(attempts_made=1, last_reason="http_gone")
        changed = alice.part("log/", target="log-rows", v=version)
        assert (changed.status_code, changed.context["version"] != version) == (200, True)
        owe(endpoint)
        assert alice.part("log/", target="log-rows", v=changed.context["version"]).status_code == 200

    def test_a_page_that_history_restores_is_whole(self, alice: Visitor) -> None:
        headers = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
        assert b"<!doctype html>" in alice.client.get(alice.address("log/"), headers=headers).content

    def test_the_address_opens_the_panel(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        row = owe(endpoint)
        body = alice.get("log/", open=row.public_id).content.decode()
        assert f'id="panel" role="dialog" aria-labelledby="panel-title" tabindex="-1" data-id="{row.public_id}"' in body
        assert 'id="panel"' not in alice.get("log/", open="del_0").content.decode()

    def test_export_has_the_present_range(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        owe(endpoint)
        body = alice.get("log/", since="2026-01-01T00:00:00Z", until="2026-01-02T00:00:00Z").content.decode()
        assert "exports/?since=2026-01-01T00%3A00%3A00Z&amp;until=2026-01-02T00%3A00%3A00Z" in body


class TestResendPicked:
    def test_those_that_can_be_are_sent_and_the_others_counted(
        self, alice: Visitor, endpoint: Endpoint, make_endpoint: Make, owe: Make
    ) -> None:
        closed = make_endpoint(alice.merchant, is_active=False, disabled_reason="paused")
        good, late = owe(endpoint, status="failed", reasons=(("http_gone", 410),)), owe(closed, status="held")
        back = alice.address("log/") + "?status=failed"
        answer = alice.post("log/resend", {"delivery": [good.public_id, late.public_id, "del_0"], "back": back})
        assert (answer.status_code, answer.headers["Location"]) == (303, back)
        assert {row.status for row in Delivery.objects.filter(id=good.id)} == {"pending"}
        assert list(LaneEntry.objects.values_list("delivery_id", "trigger")) == [(good.id, "replay")]
        assert AuditEntry.objects.get().actor == "user:alice-owner"
        text = alice.read("log/")
        assert "1 delivery is being sent again. 1 not: the endpoint is paused, or the contents were taken away." in text

    def test_none_or_too_many_are_refused(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        assert alice.post("log/resend").status_code == 422
        assert "Pick from one to 200 deliveries." in words_of(alice.post("log/resend"))

    def test_nobody_is_led_away(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        row = owe(endpoint)
        for back in ("https://evil.example/portal/", "//evil.example", "/admin/", "javascript:alert(1)"):
            answer = alice.post("log/resend", {"delivery": row.public_id, "back": back})
            assert answer.headers["Location"] == alice.address("log/")
