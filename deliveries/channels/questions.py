"""Sends the owner of an address the question whether letters are welcome: a code, and in an e-mail a link beside it."""

from contextlib import closing
from datetime import datetime
from uuid import UUID

from django.conf import settings

from deliveries.channels import email, sms
from deliveries.channels.carrier import Carrier
from deliveries.channels.letters import Letter
from dispatcher.ids import new_id
from dispatcher.outcomes import Outcome
from subscriptions.models import Endpoint
from subscriptions.services import address_checks, audit
from subscriptions.services.address_checks import Question
from subscriptions.services.endpoint_addresses import recipient

EMAIL_TEXT = """\
{merchant} wants to send messages about its events to this address.

Your code: {code}

Enter it where you were asked for it, or confirm here:
{link}

Code and link are good until {until} UTC. If you did not expect this, do nothing: without your yes nothing more is
sent here.
"""
SMS_TEXT = "{code} is your code for messages from {merchant}. Did not ask for it? Then do nothing."
NAME_LENGTH = 60
# Of a merchant in these texts, so that an SMS stays one.


def send(*, endpoint_id: UUID, now: datetime) -> Outcome | None:
    """Carry the open question once, and wait for what comes of it; None where none is open any more.

    A failure is written down where the merchant sees it. It is not tried again: whoever waits for a code asks anew.
    """
    question = address_checks.find_open(endpoint_id, now=now)
    if question is None:
        return None
    outcome = _carry(_letter(question, now=now))
    if not outcome.received:
        _note_failure(question, outcome, now=now)
    return outcome


def _letter(question: Question, *, now: datetime) -> Letter:
    endpoint, check = question.endpoint, question.check
    merchant = " ".join(endpoint.owner.name.split())[:NAME_LENGTH]
    to = recipient(endpoint.target)
    if endpoint.channel == Endpoint.Channel.SMS:
        return sms.write(
            to=to,
            text=SMS_TEXT.format(code=question.code, merchant=merchant),
            reference=f"{endpoint.public_id}.{int(check.sent_at.timestamp())}",
            headers=[],
        )
    until = f"{check.expires_at:%Y-%m-%d %H:%M}"
    return email.write(
        to=to,
        subject=f"{question.code} is your code for messages from {merchant}",
        text=EMAIL_TEXT.format(merchant=merchant, code=question.code, link=question.link, until=until),
        headers={"Message-ID": f"<{new_id()}@{email.id_host()}>"},
        now=now,
    )


def _carry(letter: Letter) -> Outcome:
    """Within the time of one attempt, whatever the back end does."""
    with closing(Carrier(deadline_s=settings.DELIVERY_TIMEOUT, threads=1)) as carrier:
        carrier.submit(None, letter.carry)
        while not (finished := carrier.poll(settings.DELIVERY_TIMEOUT)):
            pass
        return finished[0].outcome


def _note_failure(question: Question, outcome: Outcome, *, now: datetime) -> None:
    audit.note(
        actor="system",
        action="endpoint.verification_unsent",
        target=question.endpoint.public_id,
        merchant_id=question.endpoint.owner_id,
        detail={"reason": outcome.reason.value, "status": outcome.status, "detail": outcome.detail},
        now=now,
    )
