"""What lies on the broker: our own messages pass, and nothing else reaches Celery."""

import base64
import json
from typing import Any

import pytest
import redis
from celery import current_app

import deliveries.tasks  # noqa: F401 - as a worker has them
from config.broker import Transport, is_message


@pytest.fixture
def ours(redis_client: "redis.Redis") -> dict[str, Any]:
    """A message as a producer puts it there."""
    current_app.send_task("deliveries.drain", queue="drain")
    [text] = redis_client.lrange("drain", 0, -1)
    found: dict[str, Any] = json.loads(text)
    return found


def body(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def test_the_platform_uses_the_careful_transport() -> None:
    with current_app.connection_for_read() as connection:
        assert isinstance(connection.transport, Transport)


def test_our_own_messages_pass(ours: dict[str, Any]) -> None:
    assert is_message(ours)


def test_one_for_another_known_task_with_arguments_passes(ours: dict[str, Any]) -> None:
    assert is_message(
        ours
        | {
            "headers": ours["headers"] | {"task": "deliveries.publish"},
            "body": body([["invoice.paid", {"n": 1}], {"merchant": "m"}, {"callbacks": None}]),
        }
    )


@pytest.mark.parametrize("found", [None, [], 7, "text", {}, {"headers": None}, {"headers": {}, "properties": {}}])
def test_what_has_not_the_form_of_a_message_is_none(found: object) -> None:
    assert not is_message(found)


@pytest.mark.parametrize(
    "change",
    [
        {"body": "!"},
        {"body": None},
        {"body": body({"a": 1})},
        {"body": body([1, 2, 3])},
        {"body": body([[], {}])},
        {"body": body([[], [], {}])},
        {"body": base64.b64encode(b"\xff\xfe").decode()},
        {"body": base64.b64encode(b"[" * 100_000).decode()},
        {"content-type": "application/x-python-serialize"},
        {"content-encoding": "binary"},
        {"headers": {"task": "os.system", "id": "1"}},
        {"headers": {"task": ["deliveries.drain"], "id": "1"}},
        {"headers": {"task": "deliveries.drain"}},
        {"properties": None},
        {"properties": {"delivery_tag": "1", "delivery_info": {}, "body_encoding": "base64"}},
        {"properties": {"delivery_tag": "1", "delivery_info": {"routing_key": "drain"}, "body_encoding": None}},
    ],
)
def test_a_message_with_one_thing_wrong_is_none(ours: dict[str, Any], change: dict[str, Any]) -> None:
    assert not is_message(ours | change)


@pytest.mark.parametrize("answer", ["ack", "reject", "requeue"])
def test_an_acknowledgement_that_redis_did_not_hear_uses_up_no_credit(redis_client: "redis.Redis", answer: str) -> None:
    """Celery only logs it. A worker that may hold two messages would read no third after two of those."""
    with current_app.connection_for_read(transport_options={"socket_timeout": 0.1, "max_retries": 0}) as connection:
        channel: Any = connection.channel()
        channel.basic_qos(0, 1, apply_global=False)
        current_app.send_task("deliveries.drain", queue="drain")
        message = channel.basic_get("drain")
        assert not channel.qos.can_consume()
        redis_client.client_pause(300, all=True)
        with pytest.raises(redis.TimeoutError):
            getattr(message, answer)()
        assert channel.qos.can_consume()


def test_an_acknowledgement_that_redis_hears_leaves_nothing_there(redis_client: "redis.Redis") -> None:
    with current_app.connection_for_read() as connection:
        channel: Any = connection.channel()
        channel.basic_qos(0, 1, apply_global=False)
        current_app.send_task("deliveries.drain", queue="drain")
        channel.basic_get("drain").ack()
        assert channel.qos.can_consume()
        assert redis_client.hlen(channel.unacked_key) == 0
