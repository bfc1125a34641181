"""Browsers of the people who come to Alice's portal."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from subscriptions.models import Membership, Merchant
from subscriptions.services import members
from tests.subscriptions.conftest import NOW, Person

PASSWORD = "correct horse battery staple"
Browser = Callable[..., Client]


def make_user(name: str, **values: Any) -> User:
    return User.objects.create_user(name, f"{name}@shop.example", PASSWORD, **values)


def join(merchant: Merchant, user: User, role: str) -> Membership:
    return members.add(merchant=merchant, user=user, data={"role": role}, now=NOW, actor="system")


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def browser(alice: Person) -> Browser:
    """Of somebody with this role at Alice's; `at` is another merchant."""

    def make(role: str = "owner", *, at: Merchant | None = None, name: str = "") -> Client:
        user = make_user(name or role)
        join(at or alice.merchant, user, role)
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def page(alice: Person) -> Callable[..., str]:
    """The address of a page of Alice's."""

    def address(path: str = "") -> str:
        return f"/portal/{alice.merchant.public_id}/{path}"

    return address


@pytest.fixture
def invited(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The members whose invitation would be sent by a worker."""
    called: list[str] = []
    monkeypatch.setattr("subscriptions.services.bell._send_invitation", called.append)
    return called


@pytest.fixture
def commit(django_capture_on_commit_callbacks: Any) -> Any:
    """What waits for the commit happens where the block ends: `with commit(execute=True)`."""
    return django_capture_on_commit_callbacks


@pytest.fixture
def has_mail(settings: Any) -> None:
    settings.HAS_EMAIL, settings.PUBLIC_URL = True, "https://webhooks.example"


@pytest.fixture
def no_mail(settings: Any) -> None:
    settings.HAS_EMAIL = False
