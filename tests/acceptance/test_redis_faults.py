"""Redis is flushed, killed, frozen, or full of what nobody understands: it costs time, and no delivery."""

import json
import os
import threading
import time

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.provider import Provider
from tests.acceptance.stack import wait_until

pytestmark = pytest.mark.acceptance

PATIENCE_S = 60.0
GARBAGE = [
    os.urandom(200),
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"body": "!", "headers": 1}',
    json.dumps({"body": "e30=", "headers": {}, "properties": {}, "content-type": "application/json"}).encode(),
    json.dumps({"body": "e30=", "headers": {"task": "deliveries.drain", "id": "1"}, "properties": None}).encode(),
    b"x" * 5_000_000,
]
KOMBU = {
    "content-encoding": "utf-8",
    "content-type": "application/json",
    "properties": {
        "correlation_id": "1",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "drain"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": "1",
    },
}


@pytest.fixture(scope="module")
def hurt(start: Start) -> Provider:
    return start(RETRY_SCHEDULE="1,1,1,1")


def message(task: str, body: str) -> bytes:
    """A message as kombu writes it."""
    headers = {"lang": "py", "task": task, "id": "1", "root_id": "1", "argsrepr": "()", "kwargsrepr": "{}"}
    return json.dumps({"body": body, "headers": headers, **KOMBU}).encode()


def test_garbage_on_the_broker_stops_nobody(hurt: Provider) -> None:
    """Random bytes, half a message, an unknown task, arguments that fit nothing, a pickle, five megabytes."""
    here = hurt.add_endpoint(hurt.add_merchant("garbage"), "garbage")
    whole = [
        message("os.system", "W1tdLCB7fSwge31d"),
        message("deliveries.drain", "W1sxLDIsM10sIHt9LCB7fV0="),
        message("deliveries.drain", "bm90IGpzb24="),
        message("deliveries.publish", "W1tdLCB7fSwge31d"),
        message("deliveries.settle_endpoints", "W1tbIm5vLXN1Y2giXV0sIHt9LCB7fV0="),
        message("deliveries.drain", "gASVAAAA").replace(b"application/json", b"application/x-python-serialize"),
    ]
    before = {node: hurt.stack.node_pid(node) for node in ("drain", "tasks")}
    with hurt.stack.redis_client() as client:
        for queue in ("drain", "deliveries"):
            client.lpush(queue, *GARBAGE, *whole)
    hurt.publish(here.merchant, 20)
    hurt.wait_for_end(seconds=PATIENCE_S)
    with hurt.stack.redis_client() as client:
        wait_until(
            lambda: client.llen("drain") < 5 and client.llen("deliveries") < 5, seconds=PATIENCE_S, what="queues empty"
        )
    hurt.disable(here)
    hurt.publish(here.merchant, 1)
    hurt.ledger(is_faultless=True).check()
    assert {node: hurt.stack.node_pid(node) for node in ("drain", "tasks")} == before


def test_the_same_message_many_times_does_the_same_once(hurt: Provider) -> None:
    here = hurt.add_endpoint(hurt.add_merchant("same"), "same")
    hurt.recorder.behave("/same/", delay_s=0.05)
    hurt.publish(here.merchant, 200)
    with hurt.stack.redis_client() as client:
        for _ in range(5):
            client.lpush("drain", *[message("deliveries.drain", "W1tdLCB7fSwge31d")] * 20)
            time.sleep(0.1)
    hurt.wait_for_end(seconds=PATIENCE_S)
    hurt.ledger(is_faultless=True).check()
    assert hurt.recorder.count("/same/") == 200


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["flushed", "killed", "frozen"])
def test_redis_is_lost_again_and_again_with_a_backlog(hurt: Provider, harm: str) -> None:
    places = [hurt.add_endpoint(hurt.add_merchant(f"{harm}-{n}"), f"{harm}-{n}") for n in range(5)]
    for place in places:
        hurt.recorder.behave(f"/{place.name}/", failing=0.2, delay_s=0.1)
    stopping = threading.Event()

    def publish() -> None:
        while not stopping.wait(0.05):
            hurt.publish_one(places[0].merchant)

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        for place in places:
            hurt.publish(place.merchant, 200)
            hurt_redis(hurt, harm)
            time.sleep(2)
    finally:
        stopping.set()
        publisher.join()
    hurt.wait_for_end(seconds=PATIENCE_S)
    hurt.ledger(is_faultless=True).check()
    # And the bell rings again: nobody waits for beat's tick.
    hurt.recorder.behave(f"/{places[0].name}/")
    count = hurt.recorder.count(f"/{places[0].name}/")
    hurt.publish_one(places[0].merchant)
    wait_until(lambda: hurt.recorder.count(f"/{places[0].name}/") > count, seconds=10, what="it is sent")


def hurt_redis(hurt: Provider, harm: str) -> None:
    if harm == "flushed":
        with hurt.stack.redis_client() as client:
            client.flushall()
    elif harm == "killed":
        hurt.stack.restart_redis()
    else:
        hurt.stack.freeze_redis()
        time.sleep(8)
        hurt.stack.thaw_redis()
