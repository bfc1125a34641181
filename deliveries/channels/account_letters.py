"""Mails about accounts of the portal: an invitation to a merchant's team, and a link for a forgotten password."""

import logging
from collections.abc import Collection
from contextlib import closing
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from deliveries.channels import email
from deliveries.channels.carrier import Carrier
from dispatcher.ids import new_id
from dispatcher.outcomes import Outcome
from subscriptions.models import Membership
from subscriptions.services import login_tries
from subscriptions.services.endpoint_channels import missing

INVITATION = """\
{merchant} lets you see its webhooks{role}.

Choose a password to begin:
{link}

The link is good for {days} days. You then log in with this e-mail address. If you did not expect this, do nothing.
"""
FORGOTTEN = """\
Somebody, most likely you, asked for a new password for {name} at {url}.

Choose it here:
{link}

The link is good for {days} days, and once. If it was not you, do nothing: the password stays as it is.
"""
ROLES = {
    Membership.Role.OWNER: ", as one of its owners",
    Membership.Role.DEVELOPER: " and set them up",
    Membership.Role.VIEWER: "",
}
NAME_LENGTH = 120
# Of a merchant in these texts.
DAY_S = 86_400
logger = logging.getLogger(__name__)


def invite(*, member_id: UUID, now: datetime) -> Outcome | None:
    """Carry the invitation once; None where it makes no sense any more, or too many went to this address."""
    rows = Membership.objects.select_related("user", "merchant").filter(id=member_id, merchant__deleted_at=None)
    member = rows.first()
    if member is None or member.user.has_usable_password():
        return None
    merchant = " ".join(member.merchant.name.split())[:NAME_LENGTH]
    text = INVITATION.format(
        merchant=merchant, role=ROLES[Membership.Role(member.role)], link=_link(member.user), days=_days()
    )
    return _send(member.user, subject=f"{merchant} invites you to its webhooks", text=text, now=now)


def send_password_links(user_ids: Collection[int], *, now: datetime) -> list[Outcome]:
    """Carry a link to each of the users; whoever gets too many gets none for a while."""
    outcomes = []
    for user in User.objects.filter(id__in=user_ids, is_active=True).order_by("id"):
        text = FORGOTTEN.format(name=user.get_username(), url=settings.PUBLIC_URL, link=_link(user), days=_days())
        outcomes.append(_send(user, subject="Choose a new password", text=text, now=now))
    return [outcome for outcome in outcomes if outcome]


def _link(user: User) -> str:
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    path = reverse("portal-password-choose", args=[uid, default_token_generator.make_token(user)])
    return f"{settings.PUBLIC_URL}{path}"


def _days() -> int:
    return int(settings.PASSWORD_RESET_TIMEOUT // DAY_S)


def _send(user: User, *, subject: str, text: str, now: datetime) -> Outcome | None:
    """Within the time of one attempt, whatever the back end does."""
    if missing("email") or not user.email or not login_tries.may_mail(user.email, now=now):
        return None
    headers = {"Message-ID": f"<{new_id()}@{email.id_host()}>"}
    letter = email.write(to=user.email, subject=subject, text=text, headers=headers, now=now)
    with closing(Carrier(deadline_s=settings.DELIVERY_TIMEOUT, threads=1)) as carrier:
        carrier.submit(None, letter.carry)
        while not (finished := carrier.poll(settings.DELIVERY_TIMEOUT)):
            pass
    outcome = finished[0].outcome
    if not outcome.received:
        logger.warning("a mail about the account %s could not be sent: %s", user.pk, outcome.reason.value)
    return outcome
