"""The broker's transport: kombu's for Redis, with its two ways to lose a worker closed.

Whatever lies in a queue there is read by every worker. kombu and Celery take for granted that they wrote it themselves:
one line of something else, and the node ends with an exception, takes up its next message, and ends again. Here it is
dropped.

And a worker may hold only so many messages. One whose acknowledgement Redis did not hear (frozen, restarted) is counted
as held for ever: after as many as the worker has children it stands still, healthy to look at. Here it is let go.
"""

import binascii
import json
import logging
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import current_app
from kombu.transport import redis, virtual

logger = logging.getLogger(__name__)


class QoS(redis.QoS):
    """Counts what this worker holds."""

    def ack(self, delivery_tag: str) -> None:
        """What Redis did not hear stays in its list of held messages, comes again after the visibility timeout, and
        finds nothing to do."""
        with self._let_go_anyway(delivery_tag):
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        with self._let_go_anyway(delivery_tag):
            super().reject(delivery_tag, requeue=requeue)

    @contextmanager
    def _let_go_anyway(self, delivery_tag: str) -> Iterator[None]:
        try:
            yield
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise


class Channel(redis.Channel):
    """Reads queues."""

    QoS = QoS

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc] # not in kombu's stubs
        except ValueError:
            # It is no JSON. Without its text: nobody knows what it holds.
            logger.error("something that is no message was dropped from the broker")
            return True


class Transport(redis.Transport):
    """Delivers what was read."""

    Channel = Channel

    def _deliver(self, message: Any, queue: str | None) -> None:
        if is_message(message):
            super()._deliver(message, queue)
        else:
            logger.error("something that is no message of ours was dropped from the queue %s", queue)


def is_message(found: Any) -> bool:
    """Whether kombu wrote it, for a task that there is, with arguments as Celery writes them."""
    try:
        headers, properties = found["headers"], found["properties"]
        info = properties["delivery_info"]
        is_known = headers["task"] in current_app.tasks and isinstance(headers["id"], str)
        is_addressed = isinstance(properties["delivery_tag"], str) and isinstance(info["routing_key"], str)
        is_json = found["content-type"] == "application/json" and found["content-encoding"] == "utf-8"
        arguments = json.loads(b64decode(found["body"], validate=True))
        return is_known and is_addressed and is_json and properties["body_encoding"] == "base64" and _fit(*arguments)
    except (LookupError, TypeError, ValueError, RecursionError, binascii.Error):
        return False


def _fit(args: Any, kwargs: Any, embedded: Any) -> bool:
    return isinstance(args, list) and isinstance(kwargs, dict) and isinstance(embedded, dict | None)
