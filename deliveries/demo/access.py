"""The ways into the demo: a login for the admin and two API keys."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth import get_user_model

from deliveries.demo.systems import SHOWN_MERCHANT
from deliveries.demo.world import ACTOR
from subscriptions.models import ApiKey, Merchant
from subscriptions.selectors import merchants as merchant_rows
from subscriptions.services import keys

LOGIN = "admin"
DEBUG_PASSWORD = "signet-demo"  # noqa: S105 - public on purpose, and for development only
KEY_NAME = "Demo, new at each start"


@dataclass(frozen=True, slots=True)
class Access:
    """`password` is None where the login is somebody's own already, and not to be touched."""

    login: str
    password: str | None
    provider_key: str
    merchant_key: str


def grant(*, is_debug: bool, now: datetime) -> Access:
    """Make what is missing. Keys cannot be shown twice, so they are new at each start and the last ones are revoked."""
    return Access(
        login=LOGIN,
        password=_password(is_debug=is_debug),
        provider_key=_renew_key(None, now),
        merchant_key=_renew_key(merchant_rows.get(SHOWN_MERCHANT), now),
    )


def _password(*, is_debug: bool) -> str | None:
    users = get_user_model().objects
    user = users.filter(username=LOGIN).first()
    if user is not None:
        return DEBUG_PASSWORD if is_debug and user.check_password(DEBUG_PASSWORD) else None
    password = DEBUG_PASSWORD if is_debug else secrets.token_urlsafe(16)
    users.create_superuser(LOGIN, password=password)
    return password


def _renew_key(merchant: Merchant | None, now: datetime) -> str:
    for old in ApiKey.objects.filter(name=KEY_NAME, merchant=merchant, revoked_at=None):
        keys.revoke(key_id=old.id, merchant=merchant, now=now, actor=ACTOR)
    return keys.create(name=KEY_NAME, merchant=merchant, now=now, actor=ACTOR).text
