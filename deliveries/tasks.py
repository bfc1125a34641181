"""What Celery runs: each task makes one call into this app."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from celery import shared_task
from celery.signals import task_prerun, worker_shutting_down
from django.db import close_old_connections
from django.utils import timezone

from deliveries import doorbell
from deliveries.channels import account_letters, notices, questions
from deliveries.engine import process, stopping
from deliveries.services import exports, expunges, lanes, operations, partitions, replays, retention_runs, statistics
from deliveries.services import publish as publish_event
from deliveries.services import sweep as sweeping
from deliveries.services.alone import alone
from deliveries.services.retention import Deleted
from dispatcher.ids import Prefix, parse
from subscriptions.advisory_locks import AdvisoryLock
from subscriptions.services import bell
from subscriptions.services.bell import SEND_CODE, SEND_INVITATION, SEND_NOTICES, SEND_PASSWORD_LINKS
from subscriptions.services.notices import due as due_notices


@shared_task(name=doorbell.DRAIN_TASK, ignore_result=True)
def drain() -> None:
    """Deliver until nothing is due."""
    process.drain()


@shared_task(name="deliveries.sweep", ignore_result=True)
def sweep() -> None:
    """Repair what a crash or a lost doorbell left behind, and see to it that the next days have partitions."""
    sweeping.sweep()
    partitions.keep_ahead(now=timezone.now())
    bell.ring_for_notices(due_notices(now=timezone.now()))


@shared_task(name="deliveries.replays", ignore_result=True)
def advance_replays() -> None:
    """Take every running replay a step further. Ticks that come meanwhile have nothing to do, and do not pile up."""
    with alone(AdvisoryLock.REPLAYS) as is_alone:
        if is_alone:
            replays.advance(clock=timezone.now)


@shared_task(name="deliveries.operations", ignore_result=True)
def publish_operations() -> None:
    """Publish what happened to the platform itself."""
    with alone(AdvisoryLock.OPERATIONS) as is_alone:
        if is_alone:
            operations.publish_occurrences(clock=timezone.now)


@shared_task(name="deliveries.expunges", ignore_result=True)
def advance_expunges() -> None:
    """Take every running expunge a step further."""
    with alone(AdvisoryLock.EXPUNGES) as is_alone:
        if is_alone:
            expunges.advance(clock=timezone.now)


@shared_task(name="deliveries.exports", ignore_result=True)
def advance_exports() -> None:
    """Take every running export a step further, and drop the files whose time is over."""
    with alone(AdvisoryLock.EXPORTS) as is_alone:
        if is_alone:
            exports.advance(clock=timezone.now)


@shared_task(name="deliveries.roll_up", ignore_result=True)
def roll_up() -> None:
    """Add what drains counted to the hourly counts."""
    statistics.roll_up()


@shared_task(name="deliveries.settle_endpoints", ignore_result=True)
def settle_endpoints(endpoint_ids: list[str]) -> None:
    """An endpoint was disabled, deleted or changed: let a drain look at its lane now. Takes public or plain ids."""
    ids = [_endpoint_id(text) for text in endpoint_ids]
    # Whoever changed it may have mended it.
    lanes.probe_now(ids, now=timezone.now())
    lanes.forget_order(ids)
    doorbell.wake(ids)


@shared_task(name=SEND_CODE, ignore_result=True)
def send_address_check(endpoint_id: str) -> None:
    """Ask the owner of an endpoint's address whether letters are welcome."""
    questions.send(endpoint_id=UUID(endpoint_id), now=timezone.now())


@shared_task(name=SEND_NOTICES, ignore_result=True)
def send_notices(notice_ids: list[str]) -> None:
    """Tell members what became of their endpoints."""
    notices.send([UUID(notice_id) for notice_id in notice_ids], now=timezone.now())


@shared_task(name=SEND_INVITATION, ignore_result=True)
def send_invitation(member_id: str) -> None:
    """Ask a new member to choose a password."""
    account_letters.invite(member_id=UUID(member_id), now=timezone.now())


@shared_task(name=SEND_PASSWORD_LINKS, ignore_result=True)
def send_password_links(user_ids: list[str]) -> None:
    """Send users who forgot their password a link that sets a new one."""
    account_letters.send_password_links([int(user_id) for user_id in user_ids], now=timezone.now())


@shared_task(name=retention_runs.RUN, ignore_result=True)
def run_retention(so_far: dict[str, int], before: str, actor: str) -> None:
    """Delete old events for a while, then make room for other chores and go on."""
    with alone(AdvisoryLock.RETENTION) as is_alone:
        if not is_alone:
            return
        limit = datetime.fromisoformat(before)
        deleted, is_done = retention_runs.run_slice(Deleted(**so_far), before=limit, actor=actor, clock=timezone.now)
    if not is_done:
        retention_runs.send(deleted, before=limit, actor=actor)


@shared_task(name="deliveries.publish", ignore_result=True)
def publish(type: str, payload: Any, **options: Any) -> None:  # noqa: A002 - the word of the API
    """Publish one event from any Celery producer; takes what `deliveries.services.publish` takes.

    A payload of `bytes` is delivered exactly so; Celery's JSON keeps bytes apart from text.
    """
    if isinstance(options.get("occurred_at"), str):
        options["occurred_at"] = datetime.fromisoformat(options["occurred_at"]).astimezone(UTC)
    publish_event(type, payload, **options)


def _endpoint_id(text: str) -> UUID:
    return parse(Prefix.ENDPOINT, text) if text.startswith(Prefix.ENDPOINT.value) else UUID(text)


@task_prerun.connect
def _drop_broken_connection(**_: Any) -> None:
    """Celery keeps a connection for CELERY_DB_REUSE_MAX tasks, also a broken one: after a restart of Postgres each of
    them would fail."""
    close_old_connections()


@worker_shutting_down.connect
def _stop_drains(**_: Any) -> None:
    stopping.stop()
