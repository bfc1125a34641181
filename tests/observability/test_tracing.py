"""A trace goes from the caller's request through publish and Postgres to every attempt, and to receivers if they shall
know it. Where traces are off, nothing of it happens."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import environment
from config.environment import Env
from deliveries import tracing
from deliveries.engine import process
from deliveries.models import Attempt, Delivery, Event
from deliveries.services import publish
from dispatcher.ids import Prefix, show
from subscriptions.errors import Invalid
from tests.observability.collector import Collector, collecting
from tests.observability.conftest import BROKEN, Lines, Shop
from tests.receivers.scripts import keep_alive
from tests.statements import counting_statements
from tests.subscriptions.conftest import make_provider

ROOT = Path(__file__).resolve().parents[2]
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = CALLER[:-2] + "00"


@pytest.fixture
def collector(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Traces are on, and go there."""
    with collecting() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.address)
        settings.TRACES = "otlp"
        tracing._provider.cache_clear()
        yield running
        if tracing._provider.cache_info().currsize:
            tracing._provider().shutdown()
        tracing._provider.cache_clear()


def test_a_trace_reaches_from_the_caller_to_the_attempt(shop: Shop, collector: Collector, lines: Lines) -> None:
    shop.add("invoice.paid")
    event = {"type": "invoice.paid", "merchant": "shop", "payload": {"card": "4929"}}
    answer = make_provider().post("/events", event, traceparent=CALLER)
    assert answer.status_code == 202
    process.drain()
    tracing.close()

    (request,) = collector.wait_for("POST api/v2/events")
    (published,), (attempt,), (drain,) = (collector.wait_for(name) for name in ("publish", "attempt", "drain"))
    _, trace_id, caller_span, _ = CALLER.split("-")
    assert {request.trace_id, published.trace_id, attempt.trace_id} == {trace_id}
    assert (request.parent_id, published.parent_id, attempt.parent_id) == (
        caller_span,
        request.span_id,
        published.span_id,
    )
    assert (request.kind, published.kind, attempt.kind) == ("SERVER", "PRODUCER", "CLIENT")
    assert attempt.links == [drain.span_id]
    assert drain.trace_id != trace_id
    assert request.attributes["signet.request_id"] == answer["X-Request-Id"]
    row = Attempt.objects.get()
    delivery = Delivery.objects.get()
    assert attempt.attributes == {
        "signet.event_id": answer.json()["id"],
        "signet.event_type": "invoice.paid",
        "signet.delivery_id": show(Prefix.DELIVERY, delivery.id),
        "signet.endpoint_id": show(Prefix.ENDPOINT, delivery.endpoint_id),
        "signet.merchant_id": shop.merchant.public_id,
        "signet.attempt": 1,
        "signet.trigger": "event",
        "signet.attempt_id": show(Prefix.ATTEMPT, row.id),
        "signet.reason": "delivered",
        "signet.delivery_status": "delivered",
        "http.response.status_code": 200,
    }
    assert {span.service for span in collector.spans} == {"signet"}
    assert "4929" not in str(collector.spans)
    told = [line for line in lines() if line["message"] in ("request", "published", "attempt")]
    assert [line["trace_id"] for line in told] == [trace_id] * 3


def test_a_retry_is_a_part_of_the_same_trace_and_says_what_went_wrong(
    shop: Shop, collector: Collector, settings: Any
) -> None:
    settings.RETRY_SCHEDULE = (1,)
    shop.add("invoice.paid", keep_alive(BROKEN))
    publish("invoice.paid", {}, merchant="shop")
    process.drain()
    make_due()
    process.drain()
    tracing.close()

    (published,) = collector.wait_for("publish")
    attempts = collector.wait_for("attempt", 2)
    assert [span.parent_id for span in attempts] == [published.span_id] * 2
    assert [(span.attributes["signet.attempt"], span.status) for span in attempts] == [
        (1, "http_server_error"),
        (2, "http_server_error"),
    ]
    assert [span.attributes["signet.delivery_status"] for span in attempts] == ["pending", "failed"]


def make_due() -> None:
    from django.utils import timezone

    from deliveries.models import Lane, LaneEntry

    LaneEntry.objects.update(due_at=timezone.now())
    Lane.objects.update(due_at=timezone.now())


@pytest.mark.parametrize("is_handed_on", [True, False])
def test_receivers_learn_the_trace_where_they_shall(
    shop: Shop, collector: Collector, settings: Any, is_handed_on: bool
) -> None:
    settings.TRACEPARENT_TO_RECEIVERS = is_handed_on
    _, receiver = shop.add("invoice.paid")
    publish("invoice.paid", {}, merchant="shop")
    process.drain()
    tracing.close()

    (attempt,) = collector.wait_for("attempt")
    headers = {name.lower(): value for name, value in receiver.requests[0].headers}
    logged = Attempt.objects.get().request_headers
    if is_handed_on:
        version, trace_id, span_id, flags = headers["traceparent"].split("-")
        assert (version, trace_id, span_id) == ("00", attempt.trace_id, attempt.span_id)
        assert int(flags, 16) & 1 == 1
        assert f"traceparent: {headers['traceparent']}\r\n" in logged
    else:
        assert "traceparent" not in headers
        assert "traceparent" not in logged


def test_a_merchants_own_header_of_that_name_stays(shop: Shop, collector: Collector, settings: Any) -> None:
    settings.TRACEPARENT_TO_RECEIVERS = True
    _, receiver = shop.add("invoice.paid", headers={"Traceparent": "mine"})
    publish("invoice.paid", {}, merchant="shop")
    process.drain()

    assert [value for name, value in receiver.requests[0].headers if name.lower() == "traceparent"] == ["mine"]


def test_what_is_not_sampled_leaves_no_trace_anywhere(shop: Shop, collector: Collector, settings: Any) -> None:
    settings.TRACEPARENT_TO_RECEIVERS = True
    _, receiver = shop.add("invoice.paid")
    event = {"type": "invoice.paid", "merchant": "shop", "payload": {}}
    assert make_provider().post("/events", event, traceparent=UNSAMPLED).status_code == 202
    process.drain()
    tracing.close()

    assert collector.spans == []
    assert Event.objects.get().traceparent is None
    assert "traceparent" not in {name.lower() for name, _ in receiver.requests[0].headers}


def test_a_refused_publish_is_a_failed_span_and_stores_nothing(shop: Shop, collector: Collector) -> None:
    with pytest.raises(Invalid):
        publish("no.such.type", {}, merchant="shop")
    tracing.close()

    collector.wait_for("publish")
    assert not Event.objects.exists()


def test_without_traces_nothing_is_stored_sent_or_asked(shop: Shop, settings: Any) -> None:
    settings.TRACEPARENT_TO_RECEIVERS = True
    _, receiver = shop.add("invoice.paid")
    with counting_statements() as seen:
        publish("invoice.paid", {}, merchant="shop")
    process.drain()

    assert len(seen) == 2, seen
    assert Event.objects.get().traceparent is None
    assert "traceparent" not in {name.lower() for name, _ in receiver.requests[0].headers}


def test_events_of_a_traced_time_are_delivered_when_traces_are_off_again(
    shop: Shop, collector: Collector, settings: Any
) -> None:
    shop.add("invoice.paid")
    publish("invoice.paid", {}, merchant="shop")
    assert Event.objects.get().traceparent is not None
    settings.TRACES = "none"
    process.drain()

    assert Delivery.objects.get().status == "delivered"
    tracing.close()
    assert collector.named("attempt") == []


def test_a_collector_that_is_away_stops_nothing(shop: Shop, collector: Collector, monkeypatch: Any) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    shop.add("invoice.paid")
    publish("invoice.paid", {}, merchant="shop")
    process.drain()

    assert Delivery.objects.get().status == "delivered"


def test_where_traces_are_off_nothing_that_sends_them_is_even_imported() -> None:
    """What keeps metrics is imported by Redis' client, wherever it is installed."""
    script = (
        "import sys, django; django.setup(); import deliveries.engine.process, config.front, config.celery;"
        "sys.exit(any(name.startswith(('opentelemetry.sdk.trace', 'opentelemetry.exporter')) for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_traces_without_the_library_refuse_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.traces(Env({"TRACES": "otlp"})) == "otlp"
    monkeypatch.setattr("config.environment.find_spec", lambda name: None)
    with pytest.raises(ImproperlyConfigured, match="install signet-webhooks"):
        environment.traces(Env({"TRACES": "otlp"}))
    assert environment.traces(Env({})) == "none"
