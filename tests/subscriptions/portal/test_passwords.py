"""A forgotten password: by mail, once, without telling who is here; and a changed one."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client

from deliveries.channels import account_letters
from subscriptions.models import AuditEntry
from subscriptions.services import members
from tests.subscriptions.conftest import NOW, Person
from tests.subscriptions.portal.conftest import PASSWORD, Browser, join, make_user

FORGOTTEN = "/portal/password/"
NEW = "another long passphrase"


def link_for(user: User) -> str:
    return urlsplit(account_letters._link(user)).path


def choose(link: str, password: str = NEW, again: str = NEW, client: Client | None = None) -> Any:
    client = client or Client()
    shown = client.get(link, follow=True)
    return client.post(shown.request["PATH_INFO"], {"new_password1": password, "new_password2": again})


def test_known_and_unknown_addresses_get_the_same_answer_and_ring_alike(
    db: None, has_mail: None, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    rung: list[list[str]] = []
    monkeypatch.setattr("subscriptions.services.bell._send_password_links", rung.append)
    ann = make_user("ann")
    make_user("off", is_active=False)
    invited = User.objects.create_user("invited", "invited@shop.example")
    assert not invited.has_usable_password()
    addresses = ["ann@shop.example", "nobody@shop.example", "off@shop.example", "invited@shop.example"]
    with django_capture_on_commit_callbacks(execute=True):
        answers = [Client().post(FORGOTTEN, {"email": address}) for address in addresses]
    assert {(answer.status_code, answer.headers["Location"]) for answer in answers} == {(302, "/portal/password/sent")}
    assert rung == [[str(ann.pk)], [], [], []]
    assert Client().get("/portal/password/sent").status_code == 200


def test_without_mail_the_login_page_says_whom_to_ask(db: None, no_mail: None) -> None:
    for answer in (Client().get(FORGOTTEN), Client().post(FORGOTTEN, {"email": "ann@shop.example"})):
        assert answer.headers["Location"] == "/portal/login/"
    shown = Client().get("/portal/login/").content.decode()
    assert "Ask an owner of your team" in shown
    assert FORGOTTEN not in shown


def test_with_mail_the_login_page_leads_there(db: None, has_mail: None) -> None:
    assert f'href="{FORGOTTEN}"' in Client().get("/portal/login/").content.decode()
    assert Client().post(FORGOTTEN, {"email": "no address"}).status_code == 200


def test_asking_often_is_slowed(db: None, has_mail: None) -> None:
    statuses = [Client().post(FORGOTTEN, {"email": "ann@shop.example"}).status_code for _ in range(6)]
    assert statuses == [302] * 5 + [429]


def test_the_link_sets_a_password_once_and_logs_in(db: None) -> None:
    ann = make_user("ann")
    elsewhere, client = Client(), Client()
    elsewhere.force_login(ann)
    link = link_for(ann)
    answer = choose(link, client=client)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/portal/")
    ann.refresh_from_db()
    assert ann.check_password(NEW)
    assert client.get("/portal/account/").status_code == 200
    assert elsewhere.get("/portal/account/").status_code == 302
    assert "no longer good" in Client().get(link, follow=True).content.decode()
    assert AuditEntry.objects.get(action="user.password_changed").actor == "user:ann"


def test_the_token_does_not_stay_in_the_address(db: None) -> None:
    link = link_for(make_user("ann"))
    shown = Client().get(link)
    assert (shown.status_code, shown.headers["Location"]) == (302, f"{link.rsplit('/', 2)[0]}/set-password/")


@pytest.mark.parametrize(
    "link", ["/portal/password/MQ/x-y/", "/portal/password/%FF/set-password/", f"{FORGOTTEN}OTk5/a-b/"]
)
def test_a_forged_link_says_what_to_do(db: None, link: str) -> None:
    shown = Client().get(link)
    assert shown.status_code == 200
    assert "no longer good" in shown.content.decode()


@pytest.mark.parametrize(
    ("password", "again"),
    [("short", "short"), ("password123", "password123"), (NEW, "something else"), ("annannann1", "annannann1")],
)
def test_a_weak_or_mistyped_password_is_refused(db: None, password: str, again: str) -> None:
    ann = User.objects.create_user("annannann", "ann@shop.example", PASSWORD)
    assert choose(link_for(ann), password, again).status_code == 200
    ann.refresh_from_db()
    assert ann.check_password(PASSWORD)


def test_an_invited_person_begins_with_it(alice: Person, has_mail: None) -> None:
    invited = User.objects.create_user("new@shop.example", "new@shop.example")
    choose(link_for(invited))
    assert Client().login(username="new@shop.example", password=NEW)


class TestAccount:
    def change(self, client: Client, **sent: str) -> Any:
        form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
        return client.post("/portal/account/", form | sent)

    def test_changes_ends_other_sessions_and_is_written_down(self, browser: Browser) -> None:
        client, elsewhere = browser(name="ann"), Client()
        elsewhere.force_login(User.objects.get(username="ann"))
        assert self.change(client).headers["Location"] == "/portal/account/"
        assert client.get("/portal/account/").status_code == 200
        assert elsewhere.get("/portal/account/").status_code == 302
        assert User.objects.get(username="ann").check_password(NEW)
        assert [(row.actor, row.target) for row in AuditEntry.objects.filter(action="user.password_changed")] == [
            ("user:ann", "user:ann")
        ]

    @pytest.mark.parametrize("wrong", [{"old_password": "x"}, {"new_password2": "x"}, {"new_password1": "short"}])
    def test_a_wrong_one_is_told_beside_the_field(self, browser: Browser, wrong: dict[str, str]) -> None:
        client = browser(name="ann")
        answer = self.change(client, **wrong)
        assert answer.status_code == 422
        assert 'class="error"' in answer.content.decode()
        assert User.objects.get(username="ann").check_password(PASSWORD)

    def test_is_for_those_who_are_logged_in(self, db: None) -> None:
        for answer in (Client().get("/portal/account/"), Client().post("/portal/account/")):
            assert answer.headers["Location"] == "/portal/login/?next=%2Fportal%2Faccount%2F"


def test_an_invitation_that_waited_goes_to_nobody_who_needs_none(alice: Person, has_mail: None) -> None:
    member = join(alice.merchant, make_user("ann"), "owner")
    assert account_letters.invite(member_id=member.id, now=NOW) is None
    other = join(alice.merchant, User.objects.create_user("new", "new@shop.example"), "viewer")
    members.remove(merchant=alice.merchant, member_id=other.id, now=NOW, actor="x")
    assert account_letters.invite(member_id=other.id, now=NOW) is None
