"""Tells members by e-mail what became of their endpoints."""

from collections.abc import Collection
from contextlib import closing
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings

from deliveries.channels import email
from deliveries.channels.carrier import Carrier
from deliveries.channels.letters import Letter
from deliveries.models import Lane
from dispatcher.outcomes import Outcome, Reason
from dispatcher.streak import NOTICE
from dispatcher.words import WORDS
from subscriptions.models import Endpoint, Notice
from subscriptions.services import notices

FAILING_TEXT = """\
{what} has taken nothing that was sent to it since {since} UTC.

Last result: {result}.

What happens next: everything is tried again as its schedule says. If still nothing is taken after {end} UTC, the
endpoint is switched off at the next failure. What comes for it then is kept for {days} days, and can be sent once it is
switched on again.
"""
DISABLED_TEXT = """\
{what} has taken nothing that was sent to it since {since} UTC, and was switched off at {at} UTC.

Last result: {result}.

What happens next: nothing more is sent there. What waited for it, and what comes for it from now on, is kept for {days}
days. When the receiver works again, switch the endpoint on and release what was held.
"""
GONE_TEXT = """\
{what} answered "410 Gone" at {since} UTC, which says that it wants nothing more. It was switched off.

What happens next: nothing more is sent there. What waited for it, and what comes for it from now on, is kept for {days}
days. If the answer was a mistake, switch the endpoint on and release what was held.
"""
NAME_LENGTH = 120
# Of a merchant, a host or a description in these texts.


def send(notice_ids: Collection[UUID], *, now: datetime) -> int:
    """Send those that are due and that nobody else has taken. All at once, so within the time of one attempt."""
    taken = notices.take(notice_ids, now=now)
    stale = [notice for notice in taken if not _is_so(notice)]
    notices.drop(stale, "It is no longer so.")
    owed = [notice for notice in taken if notice not in stale]
    for notice, outcome in _carry_all(owed, now=now):
        if outcome.received:
            notices.note_sent(notice, now=now)
        else:
            is_final = outcome.reason is Reason.RECIPIENT_REFUSED
            notices.note_failure(notice, outcome.detail or WORDS[outcome.reason], is_final=is_final, now=now)
    return len(owed)


def _is_so(notice: Notice) -> bool:
    """A mail may have waited: what it says must still hold."""
    endpoint = notice.endpoint
    if endpoint.deleted_at is not None or not notice.user.is_active:
        return False
    if notice.kind == Notice.Kind.DISABLED:
        return not endpoint.is_active
    is_failing = Lane.objects.filter(endpoint_id=endpoint.id, failing_since=notice.since).exists()
    return endpoint.is_active and is_failing


def _carry_all(owed: list[Notice], *, now: datetime) -> list[tuple[Notice, Outcome]]:
    if not owed:
        return []
    done: list[tuple[Notice, Outcome]] = []
    with closing(Carrier(deadline_s=settings.DELIVERY_TIMEOUT, threads=notices.ROUND_MOST)) as carrier:
        for number, notice in enumerate(owed):
            carrier.submit(number, _letter(notice, now=now).carry)
        while carrier.in_flight:
            for finished in carrier.poll(settings.DELIVERY_TIMEOUT):
                assert isinstance(finished.key, int)  # noqa: S101 - for the type checker: as submitted
                done.append((owed[finished.key], finished.outcome))
    return done


def _letter(notice: Notice, *, now: datetime) -> Letter:
    host = _host(notice.endpoint)
    is_end = notice.kind == Notice.Kind.DISABLED
    return email.write(
        to=notice.user.email,
        subject=f"{host} was switched off: nothing more is sent there" if is_end else f"{host} takes nothing",
        text=_text(notice),
        # The same for every try: a mail server or program that gets it twice can tell.
        headers={"Message-ID": f"<{notice.id}@{email.id_host()}>"},
        now=now,
    )


def _text(notice: Notice) -> str:
    text = FAILING_TEXT
    if notice.kind == Notice.Kind.DISABLED:
        text = GONE_TEXT if notice.reason == Reason.HTTP_GONE else DISABLED_TEXT
    limit = timedelta(days=settings.DISABLE_AFTER_DAYS)
    return text.format(
        what=_name(notice.endpoint),
        since=_shown(notice.since),
        at=_shown(notice.endpoint.disabled_at or notice.created_at),
        end=_shown(max(notice.since + limit, notice.created_at + limit * NOTICE)),
        result=_result(notice),
        days=settings.RETENTION_DAYS,
    )


def _name(endpoint: Endpoint) -> str:
    """Enough to find it. No path and no query: some receivers keep a token there."""
    description = f", “{_line(endpoint.description)}”" if endpoint.description else ""
    return f"The endpoint {endpoint.public_id} of {_line(endpoint.owner.name)} ({_host(endpoint)}{description})"


def _host(endpoint: Endpoint) -> str:
    if endpoint.channel != Endpoint.Channel.WEBHOOK:
        return _line(endpoint.target.partition(":")[2])
    return _line(urlsplit(endpoint.target).hostname or endpoint.public_id)


def _result(notice: Notice) -> str:
    words = WORDS.get(notice.reason, notice.reason)
    return f"{words} (HTTP {notice.status})" if notice.status is not None else words


def _line(text: str) -> str:
    return " ".join(text.split())[:NAME_LENGTH]


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
