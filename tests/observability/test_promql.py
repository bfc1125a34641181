"""The reader that checks dashboards and alerts sees what they ask for, and refuses what it does not know."""

import pytest

from tests.observability.promql import Unreadable, read


def test_metrics_labels_and_groups_are_seen() -> None:
    asked = read(
        'histogram_quantile(0.99, sum by (le, route) (rate(a_bucket{b="c", d!~"e"}[5m]))) > 1 and max(f) < 2.5'
    )
    assert asked.metrics == {"a_bucket", "f"}
    assert asked.grouped == {"le", "route"}
    assert asked.selected == [("a_bucket", "b", "=", "c"), ("a_bucket", "d", "!~", "e")]


@pytest.mark.parametrize(
    "expression",
    ["", "sum(", "sum(a))", "sum", "1 + 2", "{a}", "a{b}", "a{b=", "rate(a[5m)", "a $ b", ")a("],
)
def test_what_is_no_promql_is_refused(expression: str) -> None:
    with pytest.raises(Unreadable):
        read(expression)
