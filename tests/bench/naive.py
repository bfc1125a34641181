"""The classic shape, to compare with: one Celery task for each delivery, the ORM, `requests`.

Written as a competent team would write it on the same tables: one transaction for attempt and delivery, the default
prefetch, and tasks that are on the broker before the clock starts. With NAIVE_IS_TUNED=true it also gets what costs no
redesign: a kept-alive session for each worker process, and database connections that outlive their task.
"""

import base64
import hashlib
import hmac
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from celery import Celery
from celery.signals import worker_ready
from requests.adapters import HTTPAdapter

from config.environment import Env, broker_url, redis_url

QUEUE = "naive"
IS_TUNED = os.environ.get("NAIVE_IS_TUNED") == "true"
PARKED = "naive-parked"
# Tasks wait here until the clock starts; then the list is renamed.
TASK = "bench.deliver"
TIMEOUT_S = 10
CONNECTIONS = 100
EXCERPT_BYTES = 16_384
SCHEDULE = (10, 40, 160, 640, 2560, 10_240, 28_800, 28_800, 28_800)
AGENT = "Signet/naive"

app = Celery("naive", set_as_current=False)
app.conf.update(
    broker_url=broker_url(redis_url(Env())),
    task_ignore_result=True,
    task_default_queue=QUEUE,
    CELERY_DB_REUSE_MAX=1000 if IS_TUNED else None,
)
_sessions: list[requests.Session] = []


@worker_ready.connect
def _tell_bench(**_: object) -> None:
    if os.environ.get("SIGNET_READY_FILE"):
        Path(os.environ["SIGNET_READY_FILE"]).touch()


@app.task(name=TASK)
def deliver(delivery_id: str) -> None:
    """Load, sign, post, record."""
    from deliveries.models import Delivery, Event
    from subscriptions.models import Endpoint
    from subscriptions.services import vault

    delivery = Delivery.objects.get(id=delivery_id)
    if delivery.status != Delivery.Status.PENDING:
        return
    event = Event.objects.get(id=delivery.event_id)
    endpoint = Endpoint.objects.get(id=delivery.endpoint_id)
    secret = endpoint.secrets.get(expires_at=None)
    text = vault.open_sealed(vault.SIGNING_SECRET, secret.id, secret.ciphertext).decode()
    number = delivery.attempts_made + 1
    headers = sign(bytes(event.payload), text, event_id=event.public_id, event_type=event.type, number=number)
    started_at, began = datetime.now(UTC), time.monotonic()
    answer = post(endpoint.target, bytes(event.payload), headers)
    record(delivery, endpoint.target, headers, answer, started_at=started_at, total_s=time.monotonic() - began)


def sign(body: bytes, secret: str, *, event_id: str, event_type: str, number: int) -> dict[str, str]:
    """The headers of the `default` profile."""
    now = str(int(time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    standard = hmac.digest(key, f"{event_id}.{now}.".encode() + body, "sha256")
    return {
        "Content-Type": "application/json",
        "User-Agent": AGENT,
        "X-Webhook-Event": event_type,
        "X-Webhook-Id": event_id,
        "X-Webhook-Attempt": str(number),
        "X-Webhook-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        "webhook-id": event_id,
        "webhook-timestamp": now,
        "webhook-signature": "v1," + base64.b64encode(standard).decode(),
    }


def post(url: str, body: bytes, headers: dict[str, str]) -> requests.Response | requests.RequestException:
    try:
        send = _session().post if IS_TUNED else requests.post
        return send(url, data=body, headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
    except requests.RequestException as error:
        return error


def record(
    delivery: Any,
    url: str,
    headers: dict[str, str],
    answer: requests.Response | requests.RequestException,
    *,
    started_at: datetime,
    total_s: float,
) -> None:
    """Attempt and delivery in one transaction."""
    from django.db import transaction

    from deliveries.models import Attempt

    response = answer if isinstance(answer, requests.Response) else None
    is_delivered = response is not None and response.ok
    reason = "delivered" if is_delivered else "http_server_error" if response is not None else "connection_reset"
    with transaction.atomic():
        Attempt.objects.create(
            delivery_id=delivery.id,
            number=delivery.attempts_made + 1,
            trigger="event",
            is_counted=True,
            reason=reason,
            url=url,
            request_headers=_lines(headers),
            response_status=None if response is None else response.status_code,
            response_headers="" if response is None else _lines(response.headers),
            response_body=b"" if response is None else response.content[:EXCERPT_BYTES],
            total_ms=total_s * 1000,
            started_at=started_at,
        )
        delivery.attempts_made += 1
        delivery.attempts_counted += 1
        delivery.last_reason, delivery.last_attempt_at = reason, started_at
        delivery.last_status = None if response is None else response.status_code
        _conclude(delivery, is_delivered=is_delivered)
        delivery.save()


def _conclude(delivery: Any, *, is_delivered: bool) -> None:
    now = datetime.now(UTC)
    delivery.next_attempt_at = None
    if is_delivered or delivery.attempts_counted > len(SCHEDULE):
        delivery.status = "delivered" if is_delivered else "failed"
        delivery.finished_at = now
    else:
        delivery.next_attempt_at = now + timedelta(seconds=SCHEDULE[delivery.attempts_counted - 1])


def _session() -> requests.Session:
    """This process's own; `requests.post` makes a session and a connection for each delivery."""
    if not _sessions:
        session = requests.Session()
        session.mount("http://", HTTPAdapter(pool_connections=CONNECTIONS))
        _sessions.append(session)
    return _sessions[0]


def _lines(headers: Any) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
