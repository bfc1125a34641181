"""Publishing through the web process's own door: the same answers as the view's, together what came together."""

import asyncio
import base64
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from config import front, publish_door
from deliveries.api import publish_groups
from deliveries.api.publish_groups import Call
from deliveries.models import Delivery, Event, IdempotencyKey, Lane, LaneEntry
from dispatcher.ids import Prefix, parse
from subscriptions.models import ApiKey, Endpoint, EventType, Merchant
from subscriptions.services import keys
from tests.config.web import Web, database_url
from tests.statements import counting_statements

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/api/v2/events"
SOUND = {"type": "invoice.paid", "merchant": "alice", "payload": {"a": 1}}
JSON = {"Content_Type": "application/json"}


@pytest.fixture
def endpoint(make_web: Any) -> Endpoint:
    """Alice's, who is there once `make_web` is."""
    now = timezone.now()
    alice = Merchant.objects.get(reference="alice")
    return Endpoint.objects.create(owner=alice, target="https://a.example/in", created_at=now, updated_at=now)


def asked(web: Web, body: Any, **headers: str) -> tuple[int, dict[str, str], Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, answered, text = web.request("POST", URL, raw, **{**JSON, **headers})
    return status, {name.lower(): value for name, value in answered.items()}, json.loads(text)


def without_id(answer: tuple[int, dict[str, str], Any]) -> Any:
    status, headers, body = answer
    own = {"x-request-id", "content-length", "date"}
    return status, {n: v for n, v in headers.items() if n not in own}, {**body, "id": "", "request_id": ""}


class TestAnswers:
    def test_the_door_answers_as_the_view_does(self, web: Web, endpoint: Endpoint) -> None:
        """The first request of a process takes the long way: nobody knows its key yet."""
        by_view, by_door = asked(web, SOUND), asked(web, SOUND)
        assert by_view[0] == 202
        assert without_id(by_view) == without_id(by_door)
        for _, _, body in (by_view, by_door):
            assert (body["duplicate"], body["deliveries"]) == (False, 1)
        ids = {parse(Prefix.EVENT, body["id"]) for _, _, body in (by_view, by_door)}
        assert ids == set(Event.objects.values_list("id", flat=True))
        assert (Delivery.objects.count(), LaneEntry.objects.count()) == (2, 2)
        assert Lane.objects.get().due_at is not None

    @pytest.mark.parametrize(
        ("forwarded", "status", "hsts"),
        [("https", 202, "max-age=31536000; includeSubDomains"), ("http", 301, None), (None, 301, None)],
    )
    def test_behind_a_proxy(
        self,
        forwarded: str | None,
        status: int,
        hsts: str | None,
        make_web: Any,
        endpoint: Endpoint,
    ) -> None:
        production = {
            "DEBUG": "false",
            "BEHIND_TLS_PROXY": "true",
            "ALLOWED_HOSTS": "127.0.0.1",
            "SECRET_KEY": secrets.token_urlsafe(64),
            "ENCRYPTION_KEYS": base64.b64encode(secrets.token_bytes(32)).decode(),
        }
        headers = {} if forwarded is None else {"X_Forwarded_Proto": forwarded}
        with make_web(**production) as web:
            answers = [web.request("POST", URL, json.dumps(SOUND).encode(), **JSON, **headers) for _ in range(2)]
        assert [(code, told.get("Strict-Transport-Security")) for code, told, _ in answers] == [(status, hsts)] * 2

    def test_a_request_id_is_taken_over_or_made(self, web: Web) -> None:
        asked(web, SOUND)
        assert asked(web, SOUND, X_Request_Id="mine-1")[1]["x-request-id"] == "mine-1"
        made = asked(web, SOUND, X_Request_Id="not this one")[1]["x-request-id"]
        assert UUID(made).version == 7

    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            (b"{", {}),
            (b"", {}),
            (b'{"type":"invoice.paid","merchant":"alice","payload":1,"payload":2}', {}),
            ({**SOUND, "merchant": "nobody"}, {}),
            ({**SOUND, "type": "no.type"}, {}),
            ({**SOUND, "more": 1}, {}),
            (b'{"type":"invoice.paid","merchant":"alice","payload":"' + b"x" * 300_000 + b'"}', {}),
            (SOUND, {"Content_Type": "text/plain"}),
            (SOUND, {"Content_Encoding": "gzip"}),
            (SOUND, {"Idempotency_Key": "x" * 129}),
            (SOUND, {"Idempotency_Key": ""}),
            (SOUND, {"Idempotency_Key": "\xe9"}),
            (SOUND, {"Content_Encoding": "\xe9"}),
            (SOUND, {"Authorization": "Bearer nothing"}),
            (SOUND, {"Authorization": "Basic YTpi"}),
            (SOUND, {"Host": "elsewhere.example"}),
        ],
    )
    def test_whatever_is_wrong_is_told_by_the_view(self, body: Any, headers: dict[str, str], web: Web) -> None:
        before = asked(web, body, **headers)
        assert before[0] >= 400
        asked(web, SOUND)
        assert without_id(asked(web, body, **headers)) == without_id(before)
        assert Event.objects.count() == 1


class TestKeys:
    def test_a_revoked_key_publishes_nothing_from_that_moment_on(self, web: Web) -> None:
        assert [asked(web, SOUND)[0] for _ in range(3)] == [202] * 3
        row = ApiKey.objects.get()
        keys.revoke(key_id=row.id, merchant=None, now=timezone.now(), actor="test")
        status, headers, body = asked(web, SOUND)
        assert (status, body["code"], headers["www-authenticate"]) == (401, "unauthenticated", 'Bearer realm="api"')
        assert Event.objects.count() == 3

    def test_nor_does_one_that_has_run_out(self, web: Web) -> None:
        assert [asked(web, SOUND)[0] for _ in range(2)] == [202] * 2
        ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        assert asked(web, SOUND)[0] == 401
        assert Event.objects.count() == 2

    def test_a_merchants_key_never_publishes(self, web: Web) -> None:
        alice = Merchant.objects.get(reference="alice")
        text = keys.create(name="a", merchant=alice, now=timezone.now(), actor="test").text
        told = [asked(web, SOUND, Authorization=f"Bearer {text}") for _ in range(3)]
        assert [(status, body["code"]) for status, _, body in told] == [(403, "provider_key_needed")] * 3
        assert not Event.objects.exists()

    def test_its_last_use_is_kept_fresh(self, web: Web) -> None:
        asked(web, SOUND)
        long_ago = timezone.now() - timedelta(hours=1)
        ApiKey.objects.update(last_used_at=long_ago)
        asked(web, SOUND)
        assert not ApiKey.objects.filter(last_used_at__lte=long_ago).exists()


def calls(key: str, *bodies: Any, idempotency_key: str | None = None) -> list[Call]:
    return [Call(key, idempotency_key, json.dumps(body).encode()) for body in bodies]


@pytest.fixture
def key(endpoint: Endpoint) -> str:
    """Known to this process, and used a moment ago."""
    made = keys.create(name="here", merchant=None, now=timezone.now(), actor="test").text
    assert keys.authenticate(made, now=timezone.now()) is not None
    return made


class TestGroups:
    @pytest.mark.parametrize("count", [1, 2, 50])
    def test_two_statements_whatever_its_size(self, count: int, key: str) -> None:
        """The events with the life of their keys and all that is owed for them; the lanes' mark. Both commit
        themselves."""
        with counting_statements() as statements:
            answers = publish_groups.publish(calls(key, *[SOUND] * count))
        assert len(statements) == 2, [statement[:60] for statement in statements]
        assert [json.loads(answer or b"{}")["deliveries"] for answer in answers] == [1] * count
        assert (Event.objects.count(), Delivery.objects.count()) == (count, count)

    def test_each_stands_and_falls_by_itself(self, key: str) -> None:
        unknown = keys.create(name="later", merchant=None, now=timezone.now(), actor="test").text
        told = publish_groups.publish(
            [
                *calls(key, SOUND, {**SOUND, "merchant": "nobody"}, SOUND | {"id": "own"}),
                *calls(key, SOUND | {"id": "own"}, SOUND | {"id": "both"}, idempotency_key="k"),
                *calls(unknown, SOUND),
                Call(key, None, b"{"),
            ]
        )
        assert [answer is not None for answer in told] == [True, False, True, False, False, False, False]
        assert sorted(Event.objects.values_list("external_id", flat=True), key=str) == [None, "own"]
        assert [(key.scope, key.key) for key in IdempotencyKey.objects.all()] == [("event-id", "own")]

    def test_the_same_key_twice_in_a_group_is_one_event(self, key: str) -> None:
        first, second = publish_groups.publish(calls(key, SOUND, SOUND, idempotency_key="k"))
        assert (first is None, second is None) == (False, True)
        assert Event.objects.count() == 1

    def test_a_strict_type_is_checked(self, key: str) -> None:
        schema = {"type": "object", "required": ["b"]}
        EventType.objects.update(strict=True, schema=schema)
        assert publish_groups.publish(calls(key, SOUND, {**SOUND, "payload": {"b": 1}})) == [None, None]
        assert not Event.objects.exists()

    def test_a_statement_that_fails_leaves_all_to_the_view(self, key: str) -> None:
        with psycopg.connect(database_url()) as blocker, connection.cursor() as cursor:
            blocker.execute("LOCK TABLE deliveries_event IN ACCESS EXCLUSIVE MODE")
            cursor.execute("SET lock_timeout = '50ms'")
            assert publish_groups.publish(calls(key, SOUND, SOUND)) == [None, None]
            blocker.rollback()
            cursor.execute("RESET lock_timeout")
        assert not Event.objects.exists()

    def test_a_connection_that_breaks_is_no_answer(self, key: str) -> None:
        """The events may be there: to publish them once more could double them."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone() or (0,)
        with psycopg.connect(database_url()) as blocker, ThreadPoolExecutor(1) as pool:
            blocker.execute("LOCK TABLE deliveries_event IN ACCESS EXCLUSIVE MODE")
            killed = pool.submit(_kill_when_it_waits, pid)
            with pytest.raises(publish_groups.Unsure):
                publish_groups.publish(calls(key, SOUND))
            killed.result()
        connection.close()
        assert not Event.objects.exists()


def _kill_when_it_waits(pid: int) -> None:
    with psycopg.connect(database_url(), autocommit=True) as other:
        waits = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
        while other.execute(waits, [pid]).fetchone() != (True,):
            pass
        other.execute("SELECT pg_terminate_backend(%s)", [pid])


def test_what_waits_together_is_published_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first goes at once; those that come meanwhile go as one, those that are too many as the next."""
    seen: list[int] = []

    def work(group: list[Call]) -> list[bytes | None]:
        seen.append(len(group))
        return [b"{}"] * len(group)

    monkeypatch.setattr(publish_door, "_work", work)
    monkeypatch.setattr(publish_door, "read", lambda _scope, body: Call("", None, body))
    monkeypatch.setattr(publish_door, "_headers", lambda _scope, _said: [])

    async def ask() -> None:
        door = publish_door.PublishDoor()
        first = asyncio.ensure_future(door.answer(None, b"1"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        rest = [asyncio.ensure_future(door.answer(None, b"1")) for _ in range(publish_door.GROUP_EVENTS + 5)]
        assert [await one for one in [first, *rest]] == [(202, [], b"{}")] * (publish_door.GROUP_EVENTS + 6)

    asyncio.run(ask())
    assert seen == [1, publish_door.GROUP_EVENTS, 5]


def test_behind_a_group_that_is_stuck_the_next_goes_ahead(web: Web, endpoint: Endpoint) -> None:
    """A lane that somebody has locked delays those who publish to it, and nobody else."""
    now = timezone.now()
    Merchant.objects.create(name="Bob", reference="bob", created_at=now, updated_at=now)
    assert [asked(web, SOUND)[0] for _ in range(2)] == [202] * 2
    Lane.objects.update(due_at=None)
    with psycopg.connect(database_url()) as blocker, ThreadPoolExecutor(1) as pool:
        blocker.execute("SELECT FROM deliveries_lane FOR UPDATE")
        stuck = pool.submit(asked, web, SOUND)
        while Event.objects.count() < 3:
            pass
        assert asked(web, {**SOUND, "merchant": "bob"})[0] == 202
        assert not stuck.done()
        blocker.rollback()
        assert stuck.result()[0] == 202


def test_a_database_that_goes_away_is_told_as_such(web: Web) -> None:
    assert [asked(web, SOUND)[0] for _ in range(2)] == [202] * 2
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%signet_publish_one%%'"
    with (
        psycopg.connect(database_url()) as blocker,
        psycopg.connect(database_url(), autocommit=True) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        blocker.execute("LOCK TABLE deliveries_event IN ACCESS EXCLUSIVE MODE")
        answer = pool.submit(asked, web, SOUND)
        while not (found := other.execute(waiting).fetchall()):
            pass
        other.execute("SELECT pg_terminate_backend(%s)", found[0])
        status, headers, body = answer.result()
        blocker.rollback()
    assert (status, body["code"], headers["retry-after"]) == (503, "unavailable", str(front.GONE[3]))
    assert asked(web, SOUND)[0] == 202
    assert Event.objects.count() == 3
