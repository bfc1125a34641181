"""Mails about accounts, taken by a real mail server: what they say, where their links lead, and how many go out."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from deliveries import tasks
from subscriptions.models import Membership, Merchant
from subscriptions.services import members
from subscriptions.services.login_tries import FREE_MAILS
from tests.receivers.mail import MailServer

pytestmark = pytest.mark.django_db(transaction=True)
NEW = "correct horse battery staple"


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would be called by name; the tests run it themselves."""
    called: list[Any] = []
    monkeypatch.setattr("subscriptions.services.bell._send_invitation", called.append)
    monkeypatch.setattr("subscriptions.services.bell._send_password_links", called.append)
    return called


def link_in(text: str) -> str:
    found = re.search(r"^https://webhooks\.example(/portal/password/\S+)$", text, re.MULTILINE)
    assert found is not None
    return found[1]


def choose(link: str) -> Client:
    client = Client()
    shown = client.get(link, follow=True)
    client.post(shown.request["PATH_INFO"], {"new_password1": NEW, "new_password2": NEW})
    return client


def test_from_the_invitation_to_the_portal(mail: MailServer, alice: Merchant, rung: list[Any]) -> None:
    data = {"email": "new@shop.example", "role": "developer"}
    members.add_by_email(merchant=alice, data=data, now=timezone.now(), actor="user:ann")
    [argument] = rung
    tasks.send_invitation(argument)
    [taken] = mail.taken
    assert taken.recipients == ["new@shop.example"]
    assert taken.message["Subject"] == "Alice invites you to its webhooks"
    assert taken.message["Auto-Submitted"] == "auto-generated"
    assert "and set them up." in taken.text
    client = choose(link_in(taken.text))
    assert client.get("/portal/").headers["Location"] == f"/portal/{alice.public_id}/"
    assert client.get(f"/portal/{alice.public_id}/team/").status_code == 200
    # Once a password is there, nobody is asked to choose one.
    tasks.send_invitation(argument)
    assert len(mail.taken) == 1


def test_a_forgotten_password_by_way_of_the_form(mail: MailServer, alice: Merchant, rung: list[Any]) -> None:
    User.objects.create_user("ann", "ann@shop.example", "something old and long")
    forged = {"Host": "127.0.0.1", "X-Forwarded-Host": "evil.example"}
    assert Client().post("/portal/password/", {"email": "ann@shop.example"}, headers=forged).status_code == 302
    [users] = rung
    tasks.send_password_links(users)
    [taken] = mail.taken
    assert taken.recipients == ["ann@shop.example"]
    assert "evil" not in taken.text
    assert "ann at https://webhooks.example" in taken.text
    choose(link_in(taken.text))
    assert User.objects.get(username="ann").check_password(NEW)
    assert "no longer good" in Client().get(link_in(taken.text), follow=True).content.decode()


def test_nobodys_letterbox_is_filled(mail: MailServer, alice: Merchant) -> None:
    ann = User.objects.create_user("ann", "ann@shop.example", "something old and long")
    eve = User.objects.create_user("eve", "eve@shop.example", "something old and long")
    for _ in range(FREE_MAILS + 3):
        tasks.send_password_links([str(ann.pk)])
    assert len(mail.taken) == FREE_MAILS
    tasks.send_password_links([str(eve.pk)])
    assert mail.taken[-1].recipients == ["eve@shop.example"]


def test_a_merchants_name_puts_nothing_into_the_head_of_a_mail(
    mail: MailServer, alice: Merchant, rung: list[Any]
) -> None:
    Merchant.objects.update(name="Alice\r\nBcc: evil@evil.example")
    data = {"email": "new@shop.example", "role": "viewer"}
    members.add_by_email(merchant=alice, data=data, now=timezone.now(), actor="x")
    tasks.send_invitation(rung[0])
    [taken] = mail.taken
    assert taken.message["Bcc"] is None
    assert taken.recipients == ["new@shop.example"]


def test_a_mail_server_that_refuses_is_no_error_and_shows_no_address_in_logs(
    mail: MailServer, alice: Merchant, rung: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    mail.answers["RCPT"] = "550 no such user"
    data = {"email": "new@shop.example", "role": "viewer"}
    members.add_by_email(merchant=alice, data=data, now=timezone.now(), actor="x")
    tasks.send_invitation(rung[0])
    assert mail.taken == []
    assert "could not be sent: recipient_refused" in caplog.text
    assert "new@shop.example" not in caplog.text
    assert Membership.objects.count() == 1


def test_where_mail_is_not_set_up_none_is_tried(mail: MailServer, alice: Merchant, settings: Any) -> None:
    ann = User.objects.create_user("ann", "ann@shop.example", "something old and long")
    settings.PUBLIC_URL = ""
    tasks.send_password_links([str(ann.pk)])
    settings.PUBLIC_URL, settings.HAS_EMAIL = "https://webhooks.example", False
    tasks.send_password_links([str(ann.pk)])
    assert mail.steps == []
