"""Slows down whoever guesses passwords: tries are counted by address, and by name and address, before they are judged.

The counts lie in Postgres. Without it nobody can log in anyhow, so counting there neither opens the door nor closes it
to anybody when something breaks; a count in Redis would do one or the other whenever Redis is away or was flushed.

There is no count by name alone: with one, any stranger could lock any user out.
"""

import math
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.utils.crypto import salted_hmac

from subscriptions.errors import TooMany
from subscriptions.services import audit

FREE_OF_NAME = 5
# Slips of a person who knows the password.
FREE_OF_ADDRESS = 30
# Several people behind one address, each with a slip or two.
FREE_MAILS = 3
# To one address: the first was mistyped, the second went to the spam folder.
FIRST_WAIT_S = 2
LONGEST_WAIT_S = 900
# Doubling from the first to the longest takes nine tries; from then on it is four an hour and name.
FORGET = timedelta(hours=24)
# After the last try. Longer than any wait, so that waiting one out does not start anew.
IPV6_BITS = 64
# Who has one address of such a network has them all.
USER_NAME_LENGTH = 150
TARGET_LENGTH = 64

CLAIM = """
INSERT INTO subscriptions_logintries AS t (who, count, last_at, closed_until)
VALUES (%(who)s, 1, %(now)s, %(now)s)
ON CONFLICT (who) DO UPDATE SET
    count = CASE WHEN t.last_at < %(forgotten)s THEN 1 ELSE t.count + 1 END,
    last_at = %(now)s,
    closed_until = CASE
        WHEN t.last_at >= %(forgotten)s AND t.count + 1 >= %(free)s THEN
            %(now)s + LEAST(%(longest)s, %(first)s * 2 ^ LEAST(t.count + 1 - %(free)s, 30)) * interval '1 second'
        ELSE %(now)s
    END
WHERE t.closed_until <= %(now)s
RETURNING count, closed_until
"""
# A row that is closed is not touched: asking again makes no wait longer.
FORGET_OLD = """
DELETE FROM subscriptions_logintries WHERE who IN (
    SELECT who FROM subscriptions_logintries WHERE last_at < %(forgotten)s LIMIT 100 FOR UPDATE SKIP LOCKED
)
"""


@dataclass(frozen=True, slots=True)
class Try:
    """One try that may be judged now. `key_of_address` and `key_of_name` are what it was counted under."""

    name: str
    address: str
    key_of_address: str
    key_of_name: str


def begin(*, name: str, address: str, now: datetime) -> Try:
    """Count a try before the password is looked at, so that many at once are not all judged. Raises TooMany.

    1. Forget what is old.
    2. Count under the address, then under name and address; each order is the same, so tries cannot deadlock.
    3. If one of them is closed, count neither: what was not judged tells the guesser nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute(FORGET_OLD, {"forgotten": now - FORGET})
    tried = Try(
        name, address, _key("address", _network(address)), _key("name", _network(address), _plain(name).casefold())
    )
    with transaction.atomic():
        _claim(tried.key_of_address, free=FREE_OF_ADDRESS, tried=tried, now=now)
        _claim(tried.key_of_name, free=FREE_OF_NAME, tried=tried, now=now)
    return tried


def succeed(tried: Try, *, user_name: str, now: datetime) -> None:
    """The name starts anew. The address gets back this one try only: who has one account must not earn guesses at
    others with it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE subscriptions_logintries SET count = greatest(count - 1, 0), closed_until = %s WHERE who = %s",
            [now, tried.key_of_address],
        )
        cursor.execute("DELETE FROM subscriptions_logintries WHERE who = %s", [tried.key_of_name])
        detail = {"address": tried.address}
        audit.note(actor=f"user:{user_name}", action="login.succeeded", target=_user(user_name), detail=detail, now=now)


def may_mail(address: str, *, now: datetime) -> bool:
    """Whether another mail about an account may go to the address: nobody's letterbox is filled by strangers who say
    that they forgot a password."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CLAIM, _values(_key("mail", address.casefold()), free=FREE_MAILS, now=now))
        return cursor.fetchone() is not None


def _values(key: str, *, free: int, now: datetime) -> dict[str, Any]:
    return {
        "who": key,
        "now": now,
        "forgotten": now - FORGET,
        "free": free,
        "first": FIRST_WAIT_S,
        "longest": LONGEST_WAIT_S,
    }


def _claim(key: str, *, free: int, tried: Try, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, _values(key, free=free, now=now))
        row = cursor.fetchone()
        if row is None:
            cursor.execute("SELECT closed_until FROM subscriptions_logintries WHERE who = %s", [key])
            (closed_until,) = cursor.fetchone()
            wait_s = max(1, math.ceil((closed_until - now).total_seconds()))
            raise TooMany("Too many failed logins.", retry_after_s=wait_s, code="too_many_logins")
    count, _ = row
    if count == free:
        detail = {"address": tried.address, "tries": count}
        audit.note(actor="system", action="login.slowed", target=_target(tried.name), detail=detail, now=now)


def _target(name: str) -> str:
    """Only names that exist: what was typed may be a password in the wrong field."""
    user = get_user_model()
    is_known = user._default_manager.filter(**{user.USERNAME_FIELD: _plain(name)}).exists()  # noqa: SLF001 - Django's way
    return _user(_plain(name)) if is_known else "unknown name"


def _user(name: str) -> str:
    return f"user:{name}"[:TARGET_LENGTH]


def _plain(name: str) -> str:
    """As Django's login forms read it; without U+0000, which no name has and Postgres does not take."""
    return unicodedata.normalize("NFKC", name[:USER_NAME_LENGTH]).replace("\x00", "").strip()


def _network(address: str) -> str:
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or ip_network((ip, IPV6_BITS), strict=False))
    return str(ip)


def _key(*parts: str) -> str:
    """Names and addresses do not lie in the database as they are, for a name may be a password."""
    return salted_hmac("signet.login_tries", "\n".join(parts), algorithm="sha256").hexdigest()
