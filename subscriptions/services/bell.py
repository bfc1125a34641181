"""Tells the deliveries side, after commit, that endpoints changed. It looks at the rows itself: this only wakes it."""

import logging
from collections.abc import Iterable
from functools import partial
from uuid import UUID

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

SETTLE = "deliveries.settle_endpoints"
SEND_CODE = "deliveries.send_address_check"
SEND_NOTICES = "deliveries.send_notices"
SEND_INVITATION = "deliveries.send_invitation"
SEND_PASSWORD_LINKS = "deliveries.send_password_links"  # noqa: S105 - a task's name
IMPATIENT = {"socket_timeout": 0.3, "socket_connect_timeout": 0.3, "max_retries": 0}
# Seconds. A healthy Redis answers within a millisecond; a change of an endpoint may wait this long for a sick one.

log = logging.getLogger(__name__)


def ring(endpoint_ids: Iterable[UUID]) -> None:
    """Ask for these endpoints' queued deliveries to be settled once the present transaction is committed."""
    ids = [str(endpoint_id) for endpoint_id in endpoint_ids]
    if ids:
        transaction.on_commit(partial(_send, ids), robust=True)


def ring_for_code(endpoint_id: UUID) -> None:
    """Have the open question to an address's owner sent once the present transaction is committed."""
    transaction.on_commit(partial(_send_code, str(endpoint_id)), robust=True)


def ring_for_notices(notice_ids: Iterable[UUID]) -> None:
    """Have these notices sent once the present transaction is committed."""
    ids = [str(notice_id) for notice_id in notice_ids]
    if ids:
        transaction.on_commit(partial(_send_notices, ids), robust=True)


def ring_for_invitation(member_id: UUID) -> None:
    """Have a new member asked to choose a password once the present transaction is committed."""
    transaction.on_commit(partial(_send_invitation, str(member_id)), robust=True)


def ring_for_password_links(user_ids: Iterable[int]) -> None:
    """Have these users sent a link that sets a new password. Rings for nobody too: how long it takes tells nothing."""
    ids = [str(user_id) for user_id in user_ids]
    transaction.on_commit(partial(_send_password_links, ids), robust=True)


def _send(ids: list[str]) -> None:
    """A lost ring costs time only: the sweep finds what it would have announced."""
    _call(SETTLE, ids)


def _send_code(endpoint_id: str) -> None:
    """A lost ring costs a code: whoever waits for it asks for another."""
    _call(SEND_CODE, endpoint_id)


def _send_notices(ids: list[str]) -> None:
    """A lost ring costs time only: the sweep rings again for what is owed."""
    _call(SEND_NOTICES, ids)


def _send_invitation(member_id: str) -> None:
    """A lost ring costs a mail: an owner has it sent again."""
    _call(SEND_INVITATION, member_id)


def _send_password_links(ids: list[str]) -> None:
    """A lost ring costs a mail: whoever waits for it asks for another."""
    _call(SEND_PASSWORD_LINKS, ids)


def _call(task: str, argument: list[str] | str) -> None:
    try:
        with current_app.connection_for_write(transport_options=IMPATIENT) as connection:
            current_app.send_task(task, args=[argument], connection=connection, ignore_result=True, retry=False)
    except (OperationalError, RedisError, OSError) as trouble:
        log.warning("Could not ring for %s: %s", task, type(trouble).__name__)
