"""The list of endpoints and the page of one: states, figures, each tab, and the end."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from deliveries.models import Lane, LaneEntry
from deliveries.services import publish
from subscriptions.models import AuditEntry, Endpoint, SigningSecret
from tests.deliveries.portal.figures import count_hour, hours_ago
from tests.deliveries.portal.visitors import Visitor, words_of

Make = Callable[..., Any]
SCRIPT = "<script>alert(1)</script>"


def page(endpoint: Endpoint) -> str:
    return f"endpoints/{endpoint.public_id}/"


class TestList:
    def test_each_with_state_types_ratio_and_last(
        self, alice: Visitor, endpoint: Endpoint, make_endpoint: Make, owe: Make, now_ish: datetime
    ) -> None:
        Endpoint.objects.update(description="Bookkeeping")
        types = ["invoice.*", "payout.failed", "x"]
        other = make_endpoint(
            alice.merchant, target="https://b.example", event_types=types, is_active=False, disabled_reason="paused"
        )
        owe(endpoint, ago=timedelta(minutes=30))
        count_hour(endpoint, hours_ago(now_ish, 30), delivered=999, failed=1)
        text = alice.read("endpoints/")
        assert "https://shop.example/in Bookkeeping Active All events 99.9 % 1 000 30 min ago" in text
        assert "https://b.example Paused invoice.* and 2 more" in text
        assert [row.endpoint.id for row in alice.get("endpoints/").context["rows"]] == [endpoint.id, other.id]

    def test_a_failing_one_says_why(self, alice: Visitor, endpoint: Endpoint, owe: Make, now_ish: datetime) -> None:
        owe(endpoint, status="failed", reasons=(("tls_cert_hostname", None),))
        Lane.objects.create(endpoint_id=endpoint.id, failing_since=now_ish)
        assert "Failing The certificate is for another host name" in alice.read("endpoints/")

    def test_an_empty_list_teaches(self, alice: Visitor, viewer: Visitor) -> None:
        assert "No endpoint yet" in alice.read("endpoints/")
        assert "Create webhook" in alice.read("endpoints/")
        assert "Create webhook" not in viewer.read("endpoints/")

    def test_deleted_ones_are_gone(self, alice: Visitor, endpoint: Endpoint, now: datetime) -> None:
        Endpoint.objects.update(deleted_at=now, is_active=False)
        assert "shop.example" not in alice.read("endpoints/")
        assert alice.get(page(endpoint)).status_code == 404


class TestHealth:
    def test_figures_and_the_newest_deliveries(
        self, alice: Visitor, endpoint: Endpoint, make_endpoint: Make, owe: Make, now_ish: datetime
    ) -> None:
        other = make_endpoint(alice.merchant)
        owe(other, type="payout.failed")
        for number in range(12):
            owe(endpoint, ago=timedelta(minutes=number + 1))
        count_hour(endpoint, hours_ago(now_ish, 5), delivered=3, failed=1)
        answer = alice.get(page(endpoint))
        assert [row.delivery.endpoint_id for row in answer.context["rows"]] == [endpoint.id] * 10
        text = words_of(answer)
        assert "Success, 7 days 75.0 % 3 delivered, 1 failed" in text
        assert "Breaker closed" in text

    def test_the_breaker_that_is_open_is_told(self, alice: Visitor, endpoint: Endpoint, now_ish: datetime) -> None:
        Lane.objects.create(endpoint_id=endpoint.id, open_until=now_ish + timedelta(minutes=2), open_s=120)
        text = alice.read(page(endpoint))
        assert "Breaker open : next probe" in text
        assert "Why is this failing?" in text
        Lane.objects.update(open_until=now_ish - timedelta(minutes=2))
        assert "a probe is under way" in alice.read(page(endpoint))

    def test_why_it_fails_how_much_waits_and_when_it_ends(
        self, alice: Visitor, endpoint: Endpoint, owe: Make, now_ish: datetime, settings: Any
    ) -> None:
        settings.DISABLE_AFTER_DAYS = 5
        row = owe(endpoint, status="pending", reasons=(("http_server_error", 500),))
        LaneEntry.objects.create(
            delivery_id=row.id, endpoint_id=endpoint.id, due_at=row.next_attempt_at, trigger="retry"
        )
        Lane.objects.create(
            endpoint_id=endpoint.id, failing_since=now_ish - timedelta(days=1), due_at=row.next_attempt_at
        )
        count_hour(endpoint, hours_ago(now_ish, 0), failed=9)
        text = alice.read(page(endpoint))
        assert "Why is this failing? Answered 500. Look into the receiver's own log at the time of the attempt." in text
        assert "Waiting 1 event, next try" in text
        assert "Disabled in 3 d" in text or "Disabled in 4 d" in text
        assert "Test it now Change the URL" in text

    def test_an_endpoint_that_was_disabled_offers_what_helps(self, alice: Visitor, endpoint: Endpoint) -> None:
        Endpoint.objects.update(is_active=False, disabled_reason="failing")
        text = alice.read(page(endpoint))
        assert "Disabled after days in which it took nothing" in text
        assert "Enable" in text

    def test_paused_by_hand_is_no_trouble(self, alice: Visitor, endpoint: Endpoint, now_ish: datetime) -> None:
        Endpoint.objects.update(is_active=False, disabled_reason="paused", disabled_at=now_ish - timedelta(hours=2))
        text = alice.read(page(endpoint))
        assert "Paused 2 h ago . Events that come now are held" in text
        assert "Why" not in text


class TestTabs:
    @pytest.mark.parametrize("tab", ["health", "signing", "test", "again", "settings", "nonsense", ""])
    def test_each_opens(self, alice: Visitor, endpoint: Endpoint, tab: str) -> None:
        answer = alice.get(page(endpoint), tab=tab)
        assert answer.status_code == 200
        assert answer.context["tab"] == (tab if tab in {"signing", "test", "again", "settings"} else "health")

    @pytest.mark.parametrize(
        ("language", "filename"),
        [("python", ".py"), ("node", ".js"), ("php", ".php"), ("java", ".java"), ("go", ".go"), ("ruby", ".rb")],
    )
    def test_the_code_for_its_format(self, alice: Visitor, endpoint: Endpoint, language: str, filename: str) -> None:
        answer = alice.get(page(endpoint), tab="signing", language=language)
        snippet = answer.context["snippet"]
        assert filename in snippet["filename"] or language == "node"
        assert len(snippet["code"]) > 500
        assert "••••" in words_of(answer)

    def test_the_secret_is_nowhere_on_the_page(self, alice: Visitor, endpoint: Endpoint) -> None:
        for tab in ("health", "signing", "test", "again", "settings"):
            assert "QUJDQUJD" not in alice.get(page(endpoint), tab=tab).content.decode()

    def test_an_unsigned_endpoint_says_what_that_means(self, alice: Visitor, endpoint: Endpoint) -> None:
        SigningSecret.objects.all().delete()
        text = alice.read(page(endpoint), tab="signing")
        assert "Requests are not signed: your server cannot tell them from forged ones." in text
        assert "Set a secret" in text

    def test_the_settings_in_words(self, alice: Visitor, endpoint: Endpoint) -> None:
        Endpoint.objects.update(
            event_types=["invoice.paid"], accounts=["card-1"], headers={"X-A": SCRIPT}, retry_schedule=[10, 90, 7200],
            rate_limit=5, ordered=True, auth_type="basic", auth_name="robot",
        )  # fmt: skip
        answer = alice.get(page(endpoint), tab="settings")
        text = words_of(answer)
        assert "Retries 10 s, 1 min 30 s, 2 h" in text
        assert "Rate limit 5 a second" in text
        assert "In flight At most 50; in order" in text
        assert ", robot" in text
        assert SCRIPT not in answer.content.decode()

    def test_the_sample_of_the_chosen_type(self, alice: Visitor, endpoint: Endpoint) -> None:
        part = alice.part(f"{page(endpoint)}sample", event_type="invoice.sent").content.decode()
        assert "&quot;id&quot;: &quot;1&quot;" in part
        assert part.startswith('<div class="field" id="test-payload">')

    def test_what_others_wrote_does_nothing(
        self, alice: Visitor, endpoint: Endpoint, owe: Make, make_type: Make
    ) -> None:
        make_type("invoice.evil", group=SCRIPT, description=SCRIPT, example={SCRIPT: SCRIPT})
        Endpoint.objects.update(description=SCRIPT, target=f"https://x.example/{SCRIPT}", event_types=[SCRIPT])
        owe(endpoint, type=SCRIPT)
        for tab in ("health", "signing", "test&event_type=invoice.evil", "again", "settings"):
            assert SCRIPT not in alice.client.get(alice.address(page(endpoint)) + f"?tab={tab}").content.decode()
        assert SCRIPT not in alice.get("endpoints/").content.decode()
        assert SCRIPT not in alice.get("").content.decode()


class TestDelete:
    def test_first_says_what_happens_to_what(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        publish("invoice.paid", b"{}", merchant="alice")
        publish("invoice.paid", b"{}", merchant="alice")
        owe(endpoint, status="held")
        text = alice.read(f"{page(endpoint)}delete")
        assert "2 waiting deliveries will be cancelled. 1 held delivery can no longer be sent." in text
        assert text.index("Keep it") < text.index("Keep it Delete") + 8
        assert Endpoint.objects.get().deleted_at is None

    def test_then_does_it(self, alice: Visitor, endpoint: Endpoint) -> None:
        answer = alice.post(f"{page(endpoint)}delete")
        assert (answer.status_code, answer.headers["Location"]) == (303, alice.address("endpoints/"))
        assert Endpoint.objects.get().deleted_at is not None
        assert not SigningSecret.objects.exists()
        assert AuditEntry.objects.latest("id").action == "endpoint.deleted"
        assert "https://shop.example/in was deleted. Its log stays." in alice.read("endpoints/")
