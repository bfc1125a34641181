"""A line of the log is an object with the ids that a search needs, and without what nobody may read."""

import io
import json
import logging
from typing import Any

import pytest
import structlog
from django.test import Client

from config.logging import FORMAT, JsonFormatter, StderrHandler, UtcFormatter, logging_config
from config.redaction import HIDDEN
from deliveries.engine import process
from deliveries.models import Attempt, Delivery, Lane
from deliveries.services import publish
from dispatcher.ids import Prefix, show
from tests.observability.conftest import BROKEN, OK, Lines, Shop
from tests.receivers.receiver import Connection
from tests.receivers.scripts import keep_alive
from tests.security.test_redaction import NEVER, PAYLOAD, SECRET, crash
from tests.subscriptions.conftest import NOW, Api, Person


def of(found: list[dict[str, Any]], message: str) -> list[dict[str, Any]]:
    return [line for line in found if line["message"] == message]


def test_a_line_says_when_who_and_what(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNET_ROLE", "drain")
    record = logging.makeLogRecord(
        {"name": "x", "levelno": 20, "levelname": "INFO", "msg": "%d of %s", "args": (3, "them"), "lanes": 3}
    )
    record.created, record.msecs, record.process = 1_769_769_600.25, 250.0, 42
    logging.getLogger().handle(record)

    assert lines() == [
        {
            "time": "2026-01-30T10:40:00.250Z",
            "level": "info",
            "logger": "x",
            "message": "3 of them",
            "process": "drain",
            "pid": 42,
            "lanes": 3,
        }
    ]


def test_fields_are_scrubbed_and_objects_stay_out(lines: Lines) -> None:
    class Thing:
        def __repr__(self) -> str:
            return SECRET

    extra = {
        "note": f"with {SECRET}",
        "password": "x",
        "api_key": "x",
        "payload": "x",
        "body": "x",
        "request": Thing(),
        "rows": [SECRET],
        "count": 1,
        "ratio": 0.5,
        "is_it": True,
        "nothing": None,
    }
    logging.getLogger("x").warning("a %s b", SECRET, extra=extra)

    (line,) = lines()
    kept = {name: line[name] for name in extra.keys() & line.keys()}
    assert line["message"] == f"a whsec_{HIDDEN} b"
    assert kept == {"note": f"with whsec_{HIDDEN}", "count": 1, "ratio": 0.5, "is_it": True}


def test_an_exception_tells_where_and_not_what(lines: Lines) -> None:
    try:
        crash(PAYLOAD)
    except KeyError:
        logging.getLogger("x").exception("it failed")

    (line,) = lines()
    assert line["error"] == "KeyError"
    assert "in crash" in line["traceback"]
    assert not [word for word in NEVER if word in json.dumps(line)]


def test_people_get_the_same_as_text() -> None:
    out = io.StringIO()
    handler = StderrHandler(out)
    handler.setFormatter(UtcFormatter(FORMAT))
    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": "told", "lane": "ep_1", "token": "t"})
    handler.emit(record)
    assert out.getvalue().endswith(" INFO x told lane=ep_1\n")


@pytest.mark.parametrize(("form", "kind"), [("json", JsonFormatter), ("line", UtcFormatter)])
def test_the_setting_chooses(form: str, kind: type) -> None:
    chosen = logging_config("INFO", form)
    assert chosen["formatters"][chosen["handlers"]["stderr"]["formatter"]]["()"] is kind


def test_a_request_has_a_line_with_whose_it_was(alice: Person, lines: Lines) -> None:
    answer = alice.api.get("/endpoints?limit=1", X_Request_Id="from-the-caller")
    assert answer.status_code == 200

    (line,) = of(lines(), "request")
    assert {name: line[name] for name in ("level", "request_id", "method", "route", "status", "merchant_id")} == {
        "level": "info",
        "request_id": "from-the-caller",
        "method": "GET",
        "route": "api/v2/webhooks/endpoints",
        "status": 200,
        "merchant_id": alice.merchant.public_id,
    }
    assert line["key_id"].startswith("key_")
    assert line["ms"] > 0
    assert structlog.contextvars.get_contextvars() == {}


def test_what_one_request_was_about_is_not_said_of_the_next(alice: Person, lines: Lines) -> None:
    alice.api.get("/endpoints")
    Client().get("/nowhere")

    first, second = of(lines(), "request")
    assert first["merchant_id"] == alice.merchant.public_id
    assert (second["route"], second["status"]) == ("none", 404)
    assert second.keys().isdisjoint({"merchant_id", "key_id"})
    assert second["request_id"] != first["request_id"]


def test_a_publish_that_goes_well_is_told_only_to_those_who_ask(
    provider: Api, alice: Person, types: list[str], lines: Lines
) -> None:
    answer = provider.post("/events", {"type": "invoice.paid", "merchant": "alice", "payload": PAYLOAD})
    assert answer.status_code == 202
    refused = provider.post("/events", {"type": "invoice.paid", "merchant": "nobody", "payload": PAYLOAD})
    assert refused.status_code == 422

    found = lines()
    (told,) = of(found, "published")
    assert (told["level"], told["event_id"], told["event_type"], told["deliveries"]) == (
        "debug",
        answer.json()["id"],
        "invoice.paid",
        0,
    )
    assert told["request_id"] == answer["X-Request-Id"]
    assert [(line["level"], line["status"]) for line in of(found, "request")] == [("debug", 202), ("info", 422)]
    assert not [word for word in NEVER if word in json.dumps(found)]


def test_an_attempt_is_told_with_all_its_ids_and_a_final_failure_to_everybody(
    shop: Shop, lines: Lines, settings: Any
) -> None:
    settings.RETRY_SCHEDULE = ()
    shop.add("invoice.paid", secret=SECRET)
    shop.add("invoice.lost", keep_alive(BROKEN))
    publish("invoice.paid", PAYLOAD, merchant="shop")
    publish("invoice.lost", PAYLOAD, merchant="shop", id="lost-1")
    process.drain()

    found = lines()
    (made,), (failed,) = of(found, "attempt"), of(found, "delivery failed")
    attempt = Attempt.objects.get(reason="delivered")
    delivery = Delivery.objects.get(id=attempt.delivery_id)
    names = ("level", "event_id", "delivery_id", "endpoint_id", "merchant_id", "attempt_id", "attempt", "reason")
    assert [made[name] for name in names] == [
        "debug",
        show(Prefix.EVENT, delivery.event_id),
        show(Prefix.DELIVERY, delivery.id),
        show(Prefix.ENDPOINT, delivery.endpoint_id),
        shop.merchant.public_id,
        show(Prefix.ATTEMPT, attempt.id),
        1,
        "delivered",
    ]
    assert (made["delivery_status"], made["response_status"]) == ("delivered", 200)
    assert [failed[name] for name in ("level", "event_id", "reason", "delivery_status", "response_status")] == [
        "info",
        "lost-1",
        "http_server_error",
        "failed",
        500,
    ]
    assert not [word for word in NEVER if word in json.dumps(found)]


def test_a_breaker_that_opens_and_closes_is_told_once_each(shop: Shop, lines: Lines) -> None:
    answers = [BROKEN]

    def moody(connection: Connection) -> None:
        while connection.read_request() is not None:
            connection.send(answers[0])

    endpoint, _ = shop.add("invoice.paid", moody)
    for _ in range(30):
        publish("invoice.paid", {}, merchant="shop")
    process.drain()
    assert [(line["level"], line["endpoint_id"]) for line in of(lines(), "breaker opened")] == [
        ("info", endpoint.public_id)
    ]
    answers[0] = OK
    # Time goes by.
    Lane.objects.update(open_until=NOW, due_at=NOW)
    process.drain()

    assert [line["endpoint_id"] for line in of(lines(), "breaker closed")] == [endpoint.public_id]
    assert len(of(lines(), "breaker opened")) == 1
