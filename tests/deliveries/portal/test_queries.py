"""How many queries each page takes: fixed numbers, whatever the log holds; and what an address can mean."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deliveries.models import Lane
from deliveries.portal import queries
from subscriptions.errors import Invalid
from subscriptions.models import Endpoint
from tests.deliveries.portal.figures import count_hour, hours_ago
from tests.deliveries.portal.visitors import Visitor

Make = Callable[..., Any]
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
COMMON = 3
# The session, the user, the member with the merchant.

PAGES = {
    "": 6,
    "?period=30d": 6,
    "log/": 5,
    "log/?status=failed": 6,
    "log/?status=failed&type=invoice.paid&range=7d": 6,
    "log/?q=del_01kfxwm9jc": 3,
    "log/?open={delivery}": 9,
    "log/{delivery}/": 5,
    "log/{delivery}/?tab=event": 5,
    "log/{delivery}/1": 3,
    "endpoints/": 4,
    "endpoints/{endpoint}/": 8,
    "endpoints/{endpoint}/?tab=signing": 3,
    "endpoints/{endpoint}/?tab=test": 4,
    "endpoints/{endpoint}/?tab=again": 5,
    "endpoints/{endpoint}/?tab=settings": 2,
    "endpoints/{endpoint}/delete": 3,
    "endpoints/new": 2,
    "endpoints/{endpoint}/edit": 3,
    "exports/": 1,
}
# Besides the common ones. A list of deliveries that the last days do not fill takes one more than one that they fill.


@pytest.fixture
def rows(endpoint: Endpoint, make_endpoint: Make, owe: Make, now_ish: datetime) -> dict[str, str]:
    """More of everything than would fit into a query for each."""
    shop = endpoint.owner
    Lane.objects.create(endpoint_id=endpoint.id, failing_since=now_ish)
    for number in range(8):
        other = make_endpoint(shop, target=f"https://{number}.example/in")
        count_hour(other, hours_ago(now_ish, number), delivered=1)
        owe(other, external_id=f"e{number}")
    for number in range(9):
        row = owe(endpoint, status="failed", reasons=(("http_gone", 410),) * 4, ago=timedelta(minutes=number + 2))
    return {"delivery": row.public_id, "endpoint": endpoint.public_id}


@pytest.mark.parametrize("page", PAGES)
def test_queries_of(page: str, alice: Visitor, rows: dict[str, str]) -> None:
    alice.get("log/")
    assert alice.count(page.format(**rows)) - COMMON == PAGES[page]
    assert PAGES[page] + COMMON <= 13


class TestMoments:
    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("2026-03-01T12:00:00Z", NOW),
            ("2026-03-01T12:00", NOW),
            (" 2026-03-01T14:00:00+02:00 ", NOW),
            ("2026-03-01T14:00:00 02:00", NOW),  # a plus that a browser took for a space
            ("2026-03-01", NOW - timedelta(hours=12)),
            ("0001-01-01T00:00:00+14:00", None),
            ("soon", None),
            ("", None),
            (None, None),
        ],
    )
    def test_are_read_as_utc(self, text: str | None, moment: datetime | None) -> None:
        assert queries.moment(text) == moment

    def test_a_range_counts_back_from_now_unless_a_moment_is_named(self) -> None:
        assert queries.read_log({"range": "24h"}, now=NOW).where.since == NOW - timedelta(days=1)
        named = queries.read_log({"range": "24h", "since": "2026-01-01T00:00:00Z"}, now=NOW)
        assert named.where.since == datetime(2026, 1, 1, tzinfo=UTC)

    def test_an_address_that_means_nothing_asks_for_everything(self) -> None:
        query = queries.read_log(
            {"range": "9y", "status": "x", "endpoint": "del_0", "before": "?", "since": "x", "q": " "}, now=NOW
        )
        assert not query.is_filtered
        assert (query.before, query.range_name) == (None, "")

    def test_a_window_that_cannot_be_read_is_refused(self) -> None:
        assert queries.read_window({"since": "2026-03-01T12:00", "until": ""}) == (NOW, None)
        with pytest.raises(Invalid) as refused:
            queries.read_window({"since": "", "until": "tomorrow"})
        assert refused.value.errors[0].pointer == "/until"
