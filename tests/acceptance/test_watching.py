"""A running platform is told about truly: its numbers, its dashboards and alerts, its probes when deliveries stall."""

import http.client
import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from celery import states
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from deliveries.models import Delivery, Heartbeat
from deliveries.selectors.platform import LANE_STATES
from dispatcher.outcomes import Reason
from tests.acceptance.conftest import Start
from tests.acceptance.provider import MARK, Provider
from tests.acceptance.stack import ROOT, Stack, wait_until
from tests.observability import promql
from tests.observability.collector import Collector, collecting

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

TOKEN = "the-token-of-this-test"
STALL_S = 15
SEEN_WITHIN_S = 45.0
# The stall itself, a heartbeat's age, and a busy machine.
DASHBOARDS = sorted((ROOT / "deploy" / "grafana").glob("*.json"))
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
VALUES = {
    "reason": {reason.value for reason in Reason},
    "kind": set(Heartbeat.Kind.values),
    "state": {*LANE_STATES, *(state.lower() for state in states.ALL_STATES)},
    "status": {*Delivery.Status.values},
    "result": {"accepted", "duplicate", "queued", "coalesced"},
    "size": {"one", "batch"},
    "code": {"overloaded", "invalid", "body_too_large"},
}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def worker_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def provider(start: Start, collector: Collector, worker_port: int) -> Provider:
    return start(
        METRICS_TOKEN=TOKEN,
        METRICS_PORT=str(worker_port),
        STALL_AFTER_S=str(STALL_S),
        LOG_FORMAT="json",
        LOG_LEVEL="DEBUG",
        TRACES="otlp",
        TRACEPARENT_TO_RECEIVERS="true",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.address,
        OTEL_BSP_SCHEDULE_DELAY="200",
    )


def get(port: int, path: str, *, timeout_s: float = 10.0) -> tuple[int, bytes]:
    caller = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        caller.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
        answer = caller.getresponse()
        return answer.status, answer.read()
    finally:
        caller.close()


def families(port: int) -> dict[str, Metric]:
    status, text = get(port, "/metrics")
    assert status == 200
    found = {family.name: family for family in text_string_to_metric_families(text.decode())}
    assert found
    return found


def samples(port: int) -> dict[str, set[str]]:
    """Each sample's name with the names of its labels."""
    found: dict[str, set[str]] = {}
    for family in families(port).values():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def value(port: int, name: str, **labels: str) -> float:
    """The sum of all samples with this name and these labels."""
    return sum(
        sample.value
        for family in families(port).values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def all_sorts_of_things(provider: Provider) -> None:
    """What every counter with labels needs to be there: a delivery, a refusal, a request that is too large."""
    stack = provider.stack
    provider.publish(provider.add_merchant("shop"), 3)
    provider.add_endpoint("shop", "fine")
    provider.publish("shop", 5)
    provider.publish_one("shop")
    assert stack.call("POST", "/api/v2/events", {"type": "no.such", "merchant": "shop", "payload": 1})[0] == 422
    caller = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=10)
    caller.putrequest("POST", "/api/v2/events")
    caller.putheader("Content-Length", str(1024**3))
    caller.endheaders()
    assert caller.getresponse().status == 413
    caller.close()
    provider.wait_for_end(seconds=30)


@pytest.fixture(scope="module")
def busy(provider: Provider) -> Stack:
    all_sorts_of_things(provider)
    return provider.stack


def test_all_processes_are_counted_together(busy: Stack, worker_port: int) -> None:
    assert value(busy.port, "signet_events_total", result="accepted") == 9
    assert value(busy.port, "signet_deliveries_owed_total") == 6
    assert value(busy.port, "signet_attempts_total", reason="delivered") == 6
    assert value(busy.port, "signet_deliveries_ended_total", status="delivered") == 6
    assert value(busy.port, "signet_http_requests_total", route="api/v2/events", status="202") == 1
    assert value(busy.port, "signet_http_requests_turned_away_total", code="body_too_large") == 1
    assert value(busy.port, "signet_nodes") == 3
    # One directory for all processes of this host, whoever is asked.
    assert value(worker_port, "signet_attempts_total", reason="delivered") == 6
    assert "signet_nodes" not in families(worker_port)


def test_each_web_process_tells_the_same(busy: Stack) -> None:
    assert {value(busy.port, "signet_attempts_total", reason="delivered") for _ in range(12)} == {6.0}


def dashboard_expressions() -> list[tuple[str, str]]:
    return [
        (panel["title"], re.sub(r"\$__rate_interval", "5m", target["expr"]))
        for path in DASHBOARDS
        for panel in json.loads(path.read_text())["panels"]
        for target in panel.get("targets", ())
    ]


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def test_dashboards_and_alerts_ask_for_what_there_is(busy: Stack) -> None:
    there = samples(busy.port)
    expressions = dashboard_expressions() + [(rule["alert"], rule["expr"]) for rule in rules()]
    assert len(expressions) > 60
    for title, expression in expressions:
        asked = promql.read(expression)
        labels = set().union(*(there.get(metric, set()) for metric in asked.metrics))
        assert asked.metrics <= there.keys(), title
        assert asked.grouped - {"le"} <= labels, title
        for metric, label, comparison, compared in asked.selected:
            assert label in there[metric], title
            known = VALUES[label] if not metric.startswith("signet_http") else None
            assert comparison == "=~" or known is None or compared in known or metric.startswith("signet_http"), title


def test_a_dashboard_shows_every_number_there_is(busy: Stack) -> None:
    shown = set().union(*(promql.read(expression).metrics for _, expression in dashboard_expressions()))
    stems = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    assert {name.removesuffix("_total") for name in families(busy.port)} <= {
        name.removesuffix("_total") for name in stems
    }


def test_every_number_and_every_alert_is_explained(busy: Stack) -> None:
    text = (ROOT / "docs" / "observability.md").read_text()
    there = {re.sub(r"_(bucket|sum|count)$", "", name) for name in samples(busy.port)}
    assert {name for name in there if f"`{name}" not in text} == set()
    assert {rule["alert"] for rule in rules() if f"### {rule['alert']}\n" not in text} == set()
    assert set(re.findall(r"^### (Signet\w+)$", text, re.MULTILINE)) == {rule["alert"] for rule in rules()}
    explained = set(re.findall(r"`(signet_[a-z_]+)", text))
    assert explained - there == set()


def test_dashboards_and_alerts_are_whole() -> None:
    for path in DASHBOARDS:
        panels = json.loads(path.read_text())["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        places = [tuple(panel["gridPos"].values()) for panel in panels]
        assert len(set(places)) == len(places)
        assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"].endswith(".")


def test_a_trace_goes_through_all_processes_to_the_receiver(
    busy: Stack, provider: Provider, collector: Collector
) -> None:
    [event_id] = [provider.publish_one("shop")]
    provider.wait_for_end(seconds=30)

    def attempt() -> Any:
        found = [span for span in collector.named("attempt") if span.attributes["signet.event_id"] == event_id]
        return found[0] if found else None

    wait_until(lambda: attempt() is not None, seconds=20, what="the attempt's span comes")
    published = [span for span in collector.named("publish") if span.span_id == attempt().parent_id]
    wait_until(
        lambda: any(span.span_id == published[0].parent_id for span in collector.named("POST api/v2/events")),
        seconds=20,
        what="the request's span comes",
    )
    assert {span.trace_id for span in published} == {attempt().trace_id}
    headers = busy.sql(
        "SELECT a.request_headers FROM deliveries_attempt a WHERE a.request_headers LIKE %s",
        f"%{attempt().trace_id}-{attempt().span_id}%",
    )
    assert len(headers) == 1


def test_every_line_is_an_object_without_a_payload(busy: Stack) -> None:
    lines = [line for line in busy.lines if not line.startswith(("ready http://", "Running as root"))]
    told = [json.loads(line) for line in lines]
    assert {"web", "drain", "tasks"} <= {line["process"] for line in told}
    assert all({"time", "level", "logger", "message", "process"} <= line.keys() for line in told)
    attempts = [line for line in told if line["message"] == "attempt"]
    assert {"event_id", "delivery_id", "attempt_id", "endpoint_id", "trace_id"} <= attempts[0].keys()
    requests = [line for line in told if line["message"] == "request"]
    assert {"request_id", "key_id", "route", "status", "ms"} <= requests[-1].keys()
    assert not [line for line in lines if MARK in line]


def is_good(port: int, path: str) -> bool:
    """False also for no answer at all."""
    try:
        return get(port, path, timeout_s=2.0)[0] == 200
    except OSError:
        return False


def probe(stack: Stack, what: str) -> str:
    done = stack.try_manage("probe", what)
    return done.stdout + done.stderr if done.returncode else "ok"


@pytest.mark.parametrize("frozen", ["the whole node", "its pool"])
def test_probes_turn_bad_while_deliveries_stall_and_good_again(
    busy: Stack, provider: Provider, worker_port: int, frozen: str
) -> None:
    """Nobody died. Publishing goes on, and a router that leaves deliveries out sees no fault."""
    stack = busy
    assert is_good(stack.port, "/readyz")
    assert is_good(worker_port, "/livez")
    assert is_good(worker_port, "/readyz")
    pids = stack.pool_pids("drain") + ([stack.node_pid("drain")] if frozen == "the whole node" else [])
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        provider.publish_one("shop")
        assert is_good(stack.port, "/readyz")
        wait_until(lambda: not is_good(stack.port, "/readyz"), seconds=SEEN_WITHIN_S, what="web says so")
        wait_until(lambda: not is_good(worker_port, "/livez"), seconds=SEEN_WITHIN_S, what="the worker says so")
        assert not is_good(worker_port, "/readyz")
        wait_until(
            lambda: "drain-" in (told := probe(stack, "worker")) and ("stalled: " in told or "silent for " in told),
            seconds=SEEN_WITHIN_S,
            what="the probe says so",
        )
        assert value(stack.port, "signet_stalled") == 1
        assert value(stack.port, "signet_oldest_due_seconds") > STALL_S
        status, answer = get(stack.port, "/readyz")
        assert (status, json.loads(answer)["checks"]["deliveries"][:8]) == (503, "stalled:")

        assert is_good(stack.port, "/readyz?exclude=deliveries")
        assert is_good(stack.port, "/livez")
        provider.publish_one("shop")
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    wait_until(lambda: is_good(stack.port, "/readyz"), seconds=SEEN_WITHIN_S, what="web is content again")
    wait_until(lambda: is_good(worker_port, "/livez"), seconds=SEEN_WITHIN_S, what="the worker is content again")
    provider.wait_for_end(seconds=30)
    wait_until(lambda: probe(stack, "worker") == "ok", seconds=SEEN_WITHIN_S, what="the probe is content again")
    assert value(stack.port, "signet_stalled") == 0


def test_beat_is_probed_by_its_ticks(busy: Stack) -> None:
    assert probe(busy, "beat") == "ok"
    beat = busy.node_pid("beat")
    os.kill(beat, signal.SIGSTOP)
    try:
        wait_until(lambda: "silent for " in probe(busy, "beat"), seconds=SEEN_WITHIN_S, what="the probe says so")
        assert value(busy.port, "signet_nodes", kind="beat") == 0
    finally:
        os.kill(beat, signal.SIGCONT)
    wait_until(lambda: probe(busy, "beat") == "ok", seconds=SEEN_WITHIN_S, what="beat is back")


def test_a_node_that_stops_as_it_should_is_not_missed(busy: Stack) -> None:
    before = busy.sql("SELECT pid FROM deliveries_heartbeat WHERE kind = 'tasks'")
    os.kill(busy.node_pid("tasks"), signal.SIGTERM)
    wait_until(
        lambda: (
            before != (now := busy.sql("SELECT pid FROM deliveries_heartbeat WHERE kind = 'tasks'")) and len(now) == 1
        ),
        seconds=60,
        what="its successor beats",
    )


def test_without_redis_no_worker_is_restarted_for_it(busy: Stack, provider: Provider, worker_port: int) -> None:
    busy.freeze_redis()
    try:
        failed = value(busy.port, "signet_doorbell_failures_total")
        provider.publish_one("shop")
        assert value(busy.port, "signet_doorbell_failures_total") > failed
        assert is_good(worker_port, "/livez")
    finally:
        busy.thaw_redis()
    provider.wait_for_end(seconds=60)
