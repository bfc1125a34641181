"""The overview: figures against the period before, what needs somebody, and the first steps."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from deliveries.models import Lane
from deliveries.portal.overview import bucket_of
from deliveries.portal.periods import chosen
from deliveries.selectors.statistics import Figures
from subscriptions.models import Endpoint
from subscriptions.services.endpoint_channels import UNSUBSCRIBED, UNVERIFIED
from subscriptions.services.endpoints import FAILING
from subscriptions.services.holds import HELD
from tests.deliveries.portal.figures import count_hour, hours_ago
from tests.deliveries.portal.visitors import Visitor, words_of

Make = Callable[..., Any]


def fail(endpoint: Endpoint, now: datetime, **fields: Any) -> Lane:
    values = {"failing_since": now - timedelta(hours=5), "due_at": now + timedelta(minutes=4)} | fields
    return Lane.objects.create(endpoint_id=endpoint.id, **values)


class TestFigures:
    def test_four_cards_each_against_the_period_before(
        self, alice: Visitor, endpoint: Endpoint, now_ish: datetime
    ) -> None:
        count_hour(endpoint, hours_ago(now_ish, 1), delivered=190, failed=10)
        count_hour(endpoint, hours_ago(now_ish, 25), delivered=100, failed=20)
        text = alice.read("")
        assert "Delivered 190 90 % more than in the 24 hours before" in text
        assert "Failed 10 50 % less than in the 24 hours before" in text
        assert "Success ratio 95.0 % 11.7 points higher than in the 24 hours before" in text
        assert "the same as in the 24 hours before" in text
        cards = {card.name: card for card in alice.get("").context["cards"]}
        assert [card.tone for card in cards.values()] == ["", "better", "better", ""]
        assert cards["Failed"].href == alice.address("log/") + "?status=failed&range=24h"

    @pytest.mark.parametrize(("period", "delivered"), [("24h", 1), ("7d", 11), ("30d", 111), ("nonsense", 1)])
    def test_each_period_has_what_lies_in_it(
        self, alice: Visitor, endpoint: Endpoint, now_ish: datetime, period: str, delivered: int
    ) -> None:
        for hours, number in ((2, 1), (3 * 24, 10), (20 * 24, 100), (45 * 24, 1000)):
            count_hour(endpoint, hours_ago(now_ish, hours), delivered=number)
        answer = alice.get("", period=period)
        assert answer.context["cards"][0].value == delivered
        assert f'href="?period={answer.context["period"].name}" aria-current="true"' in answer.content.decode()

    def test_a_bar_leads_to_the_log_of_its_time(self, alice: Visitor, endpoint: Endpoint, now_ish: datetime) -> None:
        hour = hours_ago(now_ish, 3).replace(minute=0, second=0, microsecond=0)
        count_hour(endpoint, hour, delivered=4, failed=1)
        named = "%Y-%m-%dT%H%%3A%M%%3A%SZ"
        link = f"log/?since={hour:{named}}&amp;until={hour + timedelta(hours=1):{named}}"
        assert link in alice.get("").content.decode()

    def test_types_that_fail_come_first(self, alice: Visitor, endpoint: Endpoint, now_ish: datetime) -> None:
        count_hour(endpoint, hours_ago(now_ish, 1), delivered=1000)
        count_hour(endpoint, hours_ago(now_ish, 1), failed=2, delivered=1, type="payout.failed")
        rows = alice.get("").context["types"]
        assert [row.name for row in rows] == ["payout.failed", "invoice.paid"]
        assert "payout.failed 1 2 33.3 %" in alice.read("")

    def test_what_waits_and_what_is_held(self, alice: Visitor, endpoint: Endpoint, owe: Make) -> None:
        for _ in range(3):
            owe(endpoint, status="held")
        assert "Held 3 for endpoints that are paused" in alice.read("")

    def test_nothing_of_another_merchants(
        self, alice: Visitor, make_merchant: Make, make_endpoint: Make, now_ish: datetime
    ) -> None:
        other = make_endpoint(make_merchant("bob"), target="https://bob.example/in")
        count_hour(other, hours_ago(now_ish, 1), delivered=77)
        fail(other, now_ish)
        text = alice.read("")
        assert "77" not in text
        assert "bob.example" not in text


class TestAttention:
    def test_a_failing_endpoint_says_why_and_what_helps(
        self, alice: Visitor, endpoint: Endpoint, owe: Make, now_ish: datetime
    ) -> None:
        owe(endpoint, status="failed", reasons=(("connect_refused", None),))
        count_hour(endpoint, hours_ago(now_ish, 1), failed=6, delivered=1)
        fail(endpoint, now_ish)
        text = alice.read("")
        assert "One endpoint needs you" in text
        assert "Failing https://shop.example/in The connection was refused. Nothing listens at that port" in text
        assert "6 of 7 attempts failed in the last day." in text

    def test_the_worst_first_and_what_was_paused_by_hand_not_at_all(
        self, alice: Visitor, endpoint: Endpoint, make_endpoint: Make, now_ish: datetime
    ) -> None:
        shop = alice.merchant
        make_endpoint(shop, target="https://paused.example", is_active=False, disabled_reason="paused")
        make_endpoint(shop, target="https://unread.example", unreadable_since=now_ish)
        make_endpoint(shop, target="https://off.example", is_active=False, disabled_reason="failing")
        fail(endpoint, now_ish)
        found = alice.get("").context["attention"]
        assert [(one.state, one.endpoint.target) for one in found] == [
            ("disabled", "https://off.example"),
            ("unreadable", "https://unread.example"),
            ("failing", "https://shop.example/in"),
        ]
        assert "3 endpoints need you" in alice.read("")

    @pytest.mark.parametrize(
        ("reason", "words", "advice"),
        [
            (FAILING, "Disabled after days in which it took nothing", "Mend the receiver"),
            ("http_gone", "Disabled: the receiver answered 410, it wants no more", "Mend the receiver"),
            (HELD, "Held by the provider's operators", "Ask the provider why."),
            (UNVERIFIED, "The owner of the address has not confirmed it yet", "Send a new code"),
            (UNSUBSCRIBED, "The owner of the address wants nothing more", "Delete this endpoint"),
            ("something new", "Disabled", "Mend the receiver"),
        ],
    )
    def test_why_it_is_off(self, alice: Visitor, make_endpoint: Make, reason: str, words: str, advice: str) -> None:
        make_endpoint(alice.merchant, is_active=False, disabled_reason=reason)
        (found,) = alice.get("").context["attention"]
        assert found.title == words
        assert advice in found.advice


class TestFirstSteps:
    def test_a_new_merchant_is_led(self, alice: Visitor) -> None:
        text = alice.read("")
        assert "Three steps to your first webhook Create an endpoint" in text
        assert "curl http" in text
        assert "/api/v2/webhooks/endpoints" in text
        assert "Done:" not in text

    def test_a_viewer_is_told_who_can(self, viewer: Visitor) -> None:
        assert "A developer of your team can do this." in viewer.read("")
        assert "endpoints/new" not in viewer.get("").content.decode()

    def test_each_step_is_ticked_as_it_happens(self, alice: Visitor, endpoint: Endpoint, now_ish: datetime) -> None:
        assert "Done: Create an endpoint" in alice.read("")
        count_hour(endpoint, hours_ago(now_ish, 1), failed=1)
        assert "Done: Receive an event" in alice.read("")
        count_hour(endpoint, hours_ago(now_ish, 2), delivered=1)
        assert "Three steps" not in alice.read("")

    def test_a_test_event_ticks_the_step_though_statistics_leave_it_out(
        self, alice: Visitor, endpoint: Endpoint, owe: Make
    ) -> None:
        owe(endpoint, status="failed", reasons=(("http_gone", 410),), event={"is_test": True})
        assert "Done: Receive an event" in alice.read("")
        owe(endpoint, event={"is_test": True})
        assert "Three steps" not in alice.read("")


@pytest.mark.parametrize("hour", [0, 1, 12, 23])
@pytest.mark.parametrize("name", ["24h", "7d", "30d"])
def test_a_period_ends_with_the_present_step(name: str, hour: int) -> None:
    now = datetime.fromisoformat(f"2026-03-01T{hour:02}:30:00+00:00")
    period = chosen(name)
    starts = period.starts(now)
    assert starts[0] == period.since(now)
    assert starts[-1] + period.step == period.until(now)
    assert starts[-1] <= now < period.until(now)
    assert period.until(now) - period.since(now) == period.span


def test_a_part_for_htmx_is_the_body_alone(alice: Visitor) -> None:
    assert "<!doctype" not in alice.part("").content.decode()
    assert "Three steps" in words_of(alice.part(""))


@pytest.mark.parametrize("hour", range(24))
def test_a_week_names_each_day_once_whatever_the_hour(hour: int) -> None:
    now = datetime.fromisoformat(f"2026-03-10T{hour:02}:30:00+00:00")
    week = chosen("7d")
    buckets = [bucket_of(start, Figures(), week, "mer_1") for start in week.starts(now)]
    named = [bucket.tick for bucket in buckets if bucket.tick]
    assert len(named) == len(set(named))
    assert set(named) >= {f"{day} Mar" for day in range(4, 10)}
