"""The ways into the demo: logins for the admin and the portal, and two API keys."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth import get_user_model

from deliveries.demo.systems import SHOWN_MERCHANT
from deliveries.demo.world import ACTOR
from subscriptions.models import ApiKey, Merchant
from subscriptions.selectors import merchants as merchant_rows
from subscriptions.services import keys, members

LOGIN, PORTAL_LOGIN, VIEWER_LOGIN = "admin", "merchant", "viewer"
DEBUG_PASSWORD = "signet-demo"  # noqa: S105 - public on purpose, and for development only
KEY_NAME = "Demo, new at each start"


OTHER_MERCHANTS = ("demo-lagoon", "demo-meridian", "demo-meridian-test", "demo-harbour")
PLACES = {
    PORTAL_LOGIN: {SHOWN_MERCHANT: "owner", **dict.fromkeys(OTHER_MERCHANTS, "developer")},
    VIEWER_LOGIN: {SHOWN_MERCHANT: "viewer"},
}
# Where the portal's logins are members, and as what.


@dataclass(frozen=True, slots=True)
class Access:
    """A password is None where the login is somebody's own already, and not to be touched."""

    login: str
    password: str | None
    portal_passwords: Mapping[str, str | None]
    provider_key: str
    merchant_key: str


def grant(*, is_debug: bool, now: datetime) -> Access:
    """Make what is missing; a login that is there keeps the places it has. Keys cannot be shown twice, so they are new
    at each start and the last ones are revoked."""
    return Access(
        login=LOGIN,
        password=_password(LOGIN, is_debug=is_debug, now=now),
        portal_passwords={name: _password(name, is_debug=is_debug, now=now) for name in PLACES},
        provider_key=_renew_key(None, now),
        merchant_key=_renew_key(merchant_rows.get(SHOWN_MERCHANT), now),
    )


def _password(name: str, *, is_debug: bool, now: datetime) -> str | None:
    users = get_user_model().objects
    user = users.filter(username=name).first()
    if user is not None:
        return DEBUG_PASSWORD if is_debug and user.check_password(DEBUG_PASSWORD) else None
    password = DEBUG_PASSWORD if is_debug else secrets.token_urlsafe(16)
    if name == LOGIN:
        users.create_superuser(name, password=password)
        return password
    user = users.create_user(name, password=password)
    for reference, role in PLACES[name].items():
        members.add(merchant=merchant_rows.get(reference), user=user, data={"role": role}, now=now, actor=ACTOR)
    return password


def _renew_key(merchant: Merchant | None, now: datetime) -> str:
    for old in ApiKey.objects.filter(name=KEY_NAME, merchant=merchant, revoked_at=None):
        keys.revoke(key_id=old.id, merchant=merchant, now=now, actor=ACTOR)
    return keys.create(name=KEY_NAME, merchant=merchant, now=now, actor=ACTOR).text
