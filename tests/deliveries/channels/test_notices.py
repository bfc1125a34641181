"""Members hear of it when an endpoint fails for days, is switched off for it, or says that it is gone."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.db import OperationalError
from django.utils import timezone

from deliveries.engine import process
from deliveries.models import Delivery, Lane
from deliveries.tasks import send_notices, sweep
from subscriptions.models import AuditEntry, Endpoint, Membership, Merchant, Notice
from subscriptions.services import endpoints, notices
from subscriptions.services.notices import WAITS_S, Failing
from tests.deliveries.channels.conftest import make_due, send
from tests.receivers.mail import HANG_UP, MailServer
from tests.receivers.receiver import Receiver, Script
from tests.receivers.scripts import keep_alive

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Any]
NO = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
GONE = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"
SINCE = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _mail_is_set_up(settings: Any) -> None:
    settings.HAS_EMAIL = True


def join(merchant: Merchant, name: str, role: str, **fields: Any) -> User:
    user = User.objects.create_user(name, f"{name}@shop.example")
    User.objects.filter(pk=user.pk).update(**fields)
    now = timezone.now()
    Membership.objects.create(user=user, merchant=merchant, role=role, created_at=now, updated_at=now)
    return user


@pytest.fixture
def people(alice: Merchant, make_merchant: Make) -> None:
    """Of Alice: an owner, a developer, and those who are not told. Of Charlie: an owner."""
    join(alice, "olga", "owner")
    join(alice, "dan", "developer")
    join(alice, "vera", "viewer")
    join(alice, "mute", "owner", email="")
    join(alice, "left", "owner", is_active=False)
    join(make_merchant("charlie"), "chuck", "owner")


@pytest.fixture
def endpoint(alice: Merchant, make_endpoint: Make, receive: Callable[[Script], Receiver]) -> Endpoint:
    """Its URL holds a token, as some do."""
    made: Endpoint = make_endpoint(
        alice, target=receive(keep_alive(NO)).url("/in?token=hunter2"), description="Shop\r\nBcc: all@shop.example"
    )
    return made


def fail_since(since: datetime, *, warned_at: datetime | None = None) -> None:
    """One more failure of an endpoint that has failed since then."""
    if not Delivery.objects.exists():
        send()
    Lane.objects.update(failing_since=since, warned_at=warned_at, open_until=None, open_s=0, attempts=0, failures=0)
    make_due()
    process.drain()


def send_all() -> None:
    send_notices([str(notice_id) for notice_id in Notice.objects.values_list("id", flat=True)])


def test_half_way_its_members_are_told_since_when_why_and_what_next(
    mail: MailServer, people: None, endpoint: Endpoint, redis_client: "redis.Redis"
) -> None:
    since = timezone.now() - timedelta(days=2.6)
    fail_since(since)
    assert mail.taken == []
    [call] = [
        json.loads(base64.b64decode(json.loads(raw)["body"]))
        for raw in redis_client.lrange("deliveries", 0, -1)
        if json.loads(raw)["headers"]["task"] == "deliveries.send_notices"
    ]
    ids = [str(notice_id) for notice_id in Notice.objects.order_by("id").values_list("id", flat=True)]
    assert call[:2] == [[ids], {}]
    send_all()
    assert sorted(taken.recipients for taken in mail.taken) == [["dan@shop.example"], ["olga@shop.example"]]
    message = mail.taken[0].message
    assert message["Subject"] == "127.0.0.1 takes nothing"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Bcc"] is None
    text = mail.taken[0].text
    begin = f"The endpoint {endpoint.public_id} of Alice (127.0.0.1, “Shop Bcc: all@shop.example”) has taken nothing"
    assert text.startswith(begin)
    assert f"since {since:%Y-%m-%d %H:%M} UTC" in text
    assert "Last result: The receiver failed (HTTP 500)." in text
    assert f"after {since + timedelta(days=5):%Y-%m-%d %H:%M} UTC" in text
    assert "is kept for 90 days" in text
    assert "hunter2" not in mail.taken[0].raw.decode()
    endpoint.refresh_from_db()
    assert endpoint.is_active
    assert AuditEntry.objects.get(action="endpoint.failing").target == endpoint.public_id


def test_once_for_each_failing(mail: MailServer, people: None, endpoint: Endpoint) -> None:
    since = timezone.now() - timedelta(days=2.6)
    fail_since(since)
    fail_since(since, warned_at=None)
    send_all()
    send_all()
    assert len(mail.taken) == Notice.objects.count() == 2
    assert set(Notice.objects.values_list("tries", "next_try_at")) == {(1, None)}
    fail_since(since + timedelta(minutes=1))
    send_all()
    assert len(mail.taken) == 4


def test_at_the_end_it_is_switched_off_and_its_members_are_told(
    mail: MailServer, people: None, endpoint: Endpoint
) -> None:
    since = timezone.now() - timedelta(days=5)
    fail_since(since, warned_at=since + timedelta(days=2.5))
    endpoint.refresh_from_db()
    assert (endpoint.is_active, endpoint.disabled_reason) == (False, "failing")
    send_all()
    assert sorted(taken.recipients for taken in mail.taken) == [["dan@shop.example"], ["olga@shop.example"]]
    assert mail.taken[0].message["Subject"] == "127.0.0.1 was switched off: nothing more is sent there"
    assert f"was switched off at {endpoint.disabled_at:%Y-%m-%d %H:%M} UTC" in mail.taken[0].text
    assert "switch the endpoint on and release what was held" in mail.taken[0].text


def test_gone_is_told_at_once(
    mail: MailServer, people: None, alice: Merchant, make_endpoint: Make, receive: Callable[[Script], Receiver]
) -> None:
    endpoint = make_endpoint(alice, target=receive(keep_alive(GONE)).url(), max_in_flight=4)
    for _ in range(3):
        send()
    endpoint.refresh_from_db()
    assert endpoint.disabled_reason == "http_gone"
    send_all()
    assert len(mail.taken) == 2
    assert 'answered "410 Gone" at' in mail.taken[0].text


def test_what_could_not_be_written_down_at_once_is_written_after_a_later_turn(
    people: None, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    warn, calls = endpoints.warn, []

    def stumble(**given: Any) -> bool:
        calls.append(given)
        if len(calls) < 3:
            raise OperationalError("the connection is gone")
        return warn(**given)

    monkeypatch.setattr(endpoints, "warn", stumble)
    fail_since(timezone.now() - timedelta(days=2.6))
    assert len(calls) == 3
    assert Notice.objects.count() == 2
    assert AuditEntry.objects.filter(action="endpoint.failing").count() == 1


def test_without_members_there_is_only_the_audit_entry(mail: MailServer, alice: Merchant, endpoint: Endpoint) -> None:
    fail_since(timezone.now() - timedelta(days=2.6))
    assert not Notice.objects.exists()
    assert AuditEntry.objects.filter(action="endpoint.failing").count() == 1


def test_without_e_mail_nothing_is_owed(people: None, endpoint: Endpoint, settings: Any) -> None:
    settings.HAS_EMAIL = False
    fail_since(timezone.now() - timedelta(days=2.6))
    assert not Notice.objects.exists()


class TestTries:
    @pytest.fixture(autouse=True)
    def _owed(self, people: None, endpoint: Endpoint) -> None:
        """Both members are owed one about an endpoint that was switched off."""
        endpoints.disable(
            endpoint_id=endpoint.id, reason="failing", failing=Failing(SINCE, "dns_not_found"), now=timezone.now()
        )

    def test_five_with_growing_waits_and_then_the_audit_log(self, mail: MailServer, endpoint: Endpoint) -> None:
        mail.answers["EHLO"] = HANG_UP
        waits = []
        for _ in range(7):
            before = timezone.now()
            send_all()
            at = Notice.objects.order_by("id")[0].next_try_at
            waits.append(at and round((at - before).total_seconds()))
            Notice.objects.exclude(next_try_at=None).update(next_try_at=before)
        assert waits == [*WAITS_S, None, None, None]
        assert set(Notice.objects.values_list("tries", "sent_at")) == {(5, None)}
        assert mail.steps.count("EHLO") == 10
        assert AuditEntry.objects.filter(action="endpoint.notice_unsent", target=endpoint.public_id).count() == 2

    def test_the_sweep_rings_for_what_waits(self, mail: MailServer, redis_client: "redis.Redis") -> None:
        redis_client.delete("deliveries")
        sweep()
        sent = json.loads(redis_client.lrange("deliveries", 0, -1)[0])
        [ids], _, _ = json.loads(base64.b64decode(sent["body"]))
        assert set(ids) == {str(notice_id) for notice_id in Notice.objects.values_list("id", flat=True)}
        send_notices(ids)
        assert len(mail.taken) == 2
        redis_client.delete("deliveries")
        sweep()
        assert redis_client.llen("deliveries") == 0

    def test_two_who_are_rung_for_one_do_not_both_send_it(self, mail: MailServer) -> None:
        ids = list(Notice.objects.values_list("id", flat=True))
        now = timezone.now()
        assert len(notices.take(ids, now=now)) == 2
        assert notices.take(ids, now=now) == []
        send_all()
        assert mail.taken == []

    def test_an_address_that_takes_no_mail_is_not_tried_again(self, mail: MailServer) -> None:
        mail.answers["RCPT"] = "550 no such user"
        send_all()
        send_all()
        assert mail.steps.count("RCPT") == 2
        assert set(Notice.objects.values_list("next_try_at", "sent_at")) == {(None, None)}

    def test_nobody_is_told_what_is_no_longer_so(self, mail: MailServer, alice: Merchant, endpoint: Endpoint) -> None:
        endpoints.enable(merchant=alice, endpoint_id=endpoint.id, now=timezone.now(), actor="test")
        send_all()
        assert mail.taken == []
        assert set(Notice.objects.values_list("next_try_at", "trouble")) == {(None, "It is no longer so.")}

    def test_who_has_left_is_not_told(self, mail: MailServer) -> None:
        User.objects.filter(username="olga").update(is_active=False)
        send_all()
        assert [taken.recipients for taken in mail.taken] == [["dan@shop.example"]]


def test_a_hanging_mail_server_holds_nobody_longer_than_one_attempt(
    mail: MailServer, people: None, endpoint: Endpoint, settings: Any
) -> None:
    settings.DELIVERY_TIMEOUT = 0.5
    mail.answers["DATA"] = "hang"
    began = monotonic()
    fail_since(timezone.now() - timedelta(days=2.6))
    assert monotonic() - began < 2
    began = monotonic()
    send_all()
    assert monotonic() - began < 2
    assert set(Notice.objects.values_list("sent_at", "tries")) == {(None, 1)}
