"""Guessing passwords is slow, knowing them is not, and nobody can lock out somebody else."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
import time_machine
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from config import login_throttle
from subscriptions.models import AuditEntry, LoginTries
from subscriptions.services import login_tries
from subscriptions.services.login_tries import FIRST_WAIT_S, FREE_OF_ADDRESS, FREE_OF_NAME, LONGEST_WAIT_S

LOGIN = "/admin/login/"
PORTAL_LOGIN = "/portal/login/"
PASSWORD = "correct horse battery staple"
START = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
HTML = {"Accept": "text/html"}
judged: list[str] = []


class CountingHasher(PBKDF2PasswordHasher):
    """Quick, and tells how often a password was looked at."""

    iterations = 1

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        judged.append(password)
        return super().encode(password, salt, iterations)


@pytest.fixture(autouse=True)
def hasher(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["tests.security.test_login_throttle.CountingHasher"]


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def admin(db: None) -> User:
    user = User.objects.create_superuser("admin", password=PASSWORD)
    judged.clear()
    return user


def log_in(
    password: str,
    *,
    name: str = "admin",
    address: str = "198.18.0.1",
    client: Client | None = None,
    at: str = LOGIN,
) -> Any:
    form = {"username": name, "password": password, "next": "/admin/"}
    return (client or Client()).post(at, form, REMOTE_ADDR=address, headers=HTML)


def fail(times: int, **who: Any) -> list[int]:
    return [log_in("wrong", **who).status_code for _ in range(times)]


def test_both_doors_count_the_same_tries(admin: User, clock: Any) -> None:
    assert fail(FREE_OF_NAME - 1) == [200] * (FREE_OF_NAME - 1)
    assert fail(2, at=PORTAL_LOGIN) == [200, 429]
    assert log_in(PASSWORD).status_code == 429


def test_known_and_unknown_names_cost_the_portal_one_look_each(admin: User, clock: Any) -> None:
    User.objects.filter(username="admin").update(email="admin@shop.example")
    for name in ("admin", "nobody", "admin@shop.example", "nobody@shop.example"):
        judged.clear()
        assert log_in("wrong", name=name, at=PORTAL_LOGIN).status_code == 200
        assert judged == ["wrong"]


@pytest.mark.parametrize("at", [LOGIN, PORTAL_LOGIN])
def test_a_slip_costs_nothing(admin: User, clock: Any, at: str) -> None:
    assert fail(FREE_OF_NAME - 1, at=at) == [200] * (FREE_OF_NAME - 1)
    assert log_in(PASSWORD, at=at).status_code == 302
    # And with it all is forgotten.
    assert fail(FREE_OF_NAME - 1, at=at) == [200] * (FREE_OF_NAME - 1)
    assert log_in(PASSWORD, at=at).status_code == 302


@pytest.mark.parametrize("at", [LOGIN, PORTAL_LOGIN])
def test_every_further_try_waits_twice_as_long(admin: User, clock: Any, at: str) -> None:
    fail(FREE_OF_NAME, at=at)
    waits = []
    for _ in range(12):
        judged.clear()
        refused = log_in(PASSWORD, at=at)
        assert refused.status_code == 429
        assert judged == []
        waits.append(int(refused.headers["Retry-After"]))
        clock.shift(timedelta(seconds=waits[-1] - 1))
        # Asking again early makes it no longer.
        assert log_in("wrong", at=at).headers["Retry-After"] == "1"
        clock.shift(timedelta(seconds=1))
        assert log_in("wrong", at=at).status_code == 200
        assert judged == ["wrong"]
    assert waits == [min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**n) for n in range(12)]
    clock.shift(timedelta(seconds=LONGEST_WAIT_S))
    assert log_in(PASSWORD, at=at).status_code == 302


def test_the_page_says_how_long(admin: User, clock: Any) -> None:
    fail(FREE_OF_NAME)
    page = log_in("wrong")
    assert "Wait 2 seconds, then log in again." in page.content.decode()
    assert page.headers["Cache-Control"] == "no-store"
    plain = Client().post(LOGIN, {"username": "admin"}, REMOTE_ADDR="198.18.0.1")
    assert (plain.status_code, plain.headers["Content-Type"]) == (429, "application/problem+json")
    assert (plain.json()["status"], plain.headers["Retry-After"]) == (429, "2")


def test_nobody_locks_out_somebody_elsewhere(admin: User, clock: Any) -> None:
    fail(FREE_OF_NAME + 5, address="203.0.113.9")
    assert log_in(PASSWORD, address="203.0.113.9").status_code == 429
    assert log_in(PASSWORD, address="198.18.0.1").status_code == 302
    assert log_in(PASSWORD, name="other", address="203.0.113.9").status_code == 200


def test_many_names_from_one_address_wait_together(admin: User, clock: Any) -> None:
    assert [log_in("wrong", name=f"n{n}").status_code for n in range(FREE_OF_ADDRESS)] == [200] * FREE_OF_ADDRESS
    assert log_in("wrong", name="fresh").status_code == 429
    assert log_in("wrong", name="fresh", address="198.18.0.2").status_code == 200


def test_own_account_earns_no_guesses_at_others(admin: User, clock: Any) -> None:
    User.objects.create_superuser("mallory", password="mine")
    for n in range(FREE_OF_ADDRESS):
        assert log_in("wrong", name=f"victim{n}").status_code == 200
        if n < FREE_OF_ADDRESS - 1:
            assert log_in("mine", name="mallory").status_code == 302
    assert log_in("mine", name="mallory").status_code == 429


@pytest.mark.parametrize("address", ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9"])
def test_a_network_of_ipv6_counts_as_one_address(admin: User, clock: Any, address: str) -> None:
    fail(FREE_OF_NAME, address="2001:db8:1:2::7")
    assert log_in("wrong", address=address).status_code == 429
    assert log_in("wrong", address="2001:db8:1:3::7").status_code == 200
    fail(FREE_OF_NAME, address="::ffff:198.18.7.1")
    assert log_in("wrong", address="198.18.7.1").status_code == 429


@pytest.mark.parametrize("name", ["ADMIN", " admin ", "\uff41dmin"])
def test_other_spellings_of_a_name_are_the_same_name(admin: User, clock: Any, name: str) -> None:
    fail(FREE_OF_NAME)
    assert log_in("wrong", name=name).status_code == 429


def test_known_and_unknown_names_cost_and_say_the_same(admin: User, clock: Any) -> None:
    answers = {}
    for name in ("admin", "nobody"):
        judged.clear()
        answer = log_in("wrong", name=name)
        assert len(judged) == 1
        answers[name] = answer.context["form"].non_field_errors()
    assert answers["admin"] == answers["nobody"]
    for name in ("admin", "nobody"):
        fail(FREE_OF_NAME - 1, name=name)
        answers[name] = log_in("wrong", name=name).content
    assert answers["admin"] == answers["nobody"]


@pytest.mark.parametrize("at", [LOGIN, PORTAL_LOGIN])
def test_a_foreign_page_uses_up_nobodys_tries(admin: User, clock: Any, at: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    for _ in range(FREE_OF_NAME + 1):
        assert log_in("wrong", client=strict, at=at).status_code == 403
    assert not LoginTries.objects.exists()


def test_behind_a_proxy_the_proxys_word_counts(admin: User, clock: Any, settings: Any) -> None:
    settings.BEHIND_TLS_PROXY = settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

    def via(forwarded: str) -> int:
        headers = {**HTML, "X-Forwarded-For": forwarded, "X-Forwarded-Proto": "https"}
        form = {"username": "admin", "password": "wrong"}
        status: int = Client().post(LOGIN, form, REMOTE_ADDR="10.0.0.1", headers=headers).status_code
        return status

    # What the caller put in front of it changes nothing.
    assert [via(f"198.51.100.{n}, 203.0.113.5") for n in range(FREE_OF_NAME + 1)] == [200] * FREE_OF_NAME + [429]
    assert via("203.0.113.5, 203.0.113.6") == 200


def test_it_is_written_down_without_what_was_typed(admin: User, clock: Any) -> None:
    fail(FREE_OF_NAME + 2)
    fail(FREE_OF_NAME + 2, name="my-password-in-the-wrong-field")
    clock.shift(timedelta(hours=1))
    log_in(PASSWORD)
    found = AuditEntry.objects.order_by("id").values_list("actor", "action", "target", "detail")
    slowed = {"address": "198.18.0.1", "tries": FREE_OF_NAME}
    assert list(found) == [
        ("system", "login.slowed", "user:admin", slowed),
        ("system", "login.slowed", "unknown name", slowed),
        ("user:admin", "login.succeeded", "user:admin", {"address": "198.18.0.1"}),
    ]
    assert "wrong-field" not in str(list(LoginTries.objects.values()))


def test_what_is_old_is_forgotten(admin: User, clock: Any) -> None:
    fail(FREE_OF_NAME, address="203.0.113.9")
    clock.shift(login_tries.FORGET + timedelta(seconds=1))
    assert fail(1) == [200]
    assert LoginTries.objects.count() == 2
    assert fail(1, address="203.0.113.9") == [200]


def test_without_redis_nothing_changes(admin: User, clock: Any, settings: Any) -> None:
    settings.REDIS_URL = settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(redis.ConnectionError):
        redis.Redis.from_url(settings.REDIS_URL).ping()
    assert fail(FREE_OF_NAME + 1) == [200] * FREE_OF_NAME + [429]
    assert log_in(PASSWORD, address="198.18.0.2").status_code == 302


@pytest.mark.django_db(transaction=True)
def test_of_many_tries_at_once_no_more_are_judged() -> None:
    User.objects.create_superuser("admin", password=PASSWORD)
    judged.clear()

    def guess(_: int) -> int:
        try:
            status: int = log_in("wrong").status_code
            return status
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(guess, range(24)))
    assert sorted(set(answers)) == [200, 429]
    assert answers.count(200) == len(judged) == FREE_OF_NAME


def test_every_form_that_takes_a_password_is_known(db: None) -> None:
    """A new login (of the portal, say) has to be named in LOGIN_VIEWS."""
    from tests.security.routes import every_route

    asking = {route.view_name for route in every_route() if "login" in route.path and "logout" not in route.path}
    # And the one that mails a link to whoever forgot it.
    assert asking | {"portal-password"} == login_throttle.LOGIN_VIEWS
