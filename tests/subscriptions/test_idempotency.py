"""The same Idempotency-Key and request: one thing made, one answer, however many callers race."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from subscriptions.errors import Conflict
from subscriptions.models import ApiKey, Endpoint, EventType, Merchant, SigningSecret, StoredAnswer
from subscriptions.services import stored_answers
from tests.subscriptions.conftest import NOW, URL, Api, Person, faults, make_person, problem

KEY = {"Idempotency_Key": "k-1"}


def test_the_first_answer_again(alice: Person) -> None:
    first = alice.api.post("/endpoints", {"url": URL}, **KEY)
    again = alice.api.post("/endpoints", {"url": URL}, **KEY)
    assert (again.status_code, again.content) == (first.status_code, first.content) == (201, first.content)
    for name in ("ETag", "Location", "Cache-Control", "Content-Type"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert first.headers["X-Request-Id"] != again.headers["X-Request-Id"]
    assert Endpoint.objects.count() == 1


def test_every_post_that_creates_honours_it(alice: Person, provider: Api) -> None:
    endpoint = alice.api.post("/endpoints", {"url": URL}).json()["id"]
    posts: list[tuple[Api, str, Any]] = [
        (alice.api, f"/endpoints/{endpoint}/secret/rotate", None),
        (provider, "/merchants", {"name": "New"}),
        (provider, "/merchants/alice/api-keys", None),
        (provider, "/event-types", {"name": "new.type"}),
    ]
    for number, (api, path, body) in enumerate(posts):
        first, again = (api.post(path, body, Idempotency_Key=f"k-{number}") for _ in range(2))
        assert first.status_code in {200, 201}
        assert again.content == first.content
    counts = [model.objects.count() for model in (SigningSecret, Merchant, ApiKey, EventType)]
    assert counts == [2, 2, 3, 1]


def test_another_request_with_the_same_key_is_refused(alice: Person, provider: Api) -> None:
    alice.api.post("/endpoints", {"url": URL}, **KEY)
    problem(alice.api.post("/endpoints", {"url": f"{URL}/2"}, **KEY), 409, "idempotency_key_reused")
    endpoint = Endpoint.objects.get().public_id
    problem(alice.api.post(f"/endpoints/{endpoint}/secret/rotate", {"url": URL}, **KEY), 409, "idempotency_key_reused")
    assert Endpoint.objects.count() == 1


def test_keys_of_different_callers_do_not_meet(alice: Person, bob: Person) -> None:
    ids = {person.api.post("/endpoints", {"url": URL}, **KEY).json()["id"] for person in (alice, bob)}
    assert len(ids) == 2


def test_a_refusal_is_judged_anew(alice: Person, provider: Api) -> None:
    body = {"url": URL, "event_types": ["soon.there"]}
    assert faults(alice.api.post("/endpoints", body, **KEY)) == {"/event_types/0": "unknown_event_type"}
    assert StoredAnswer.objects.count() == 0
    provider.post("/event-types", {"name": "soon.there"})
    assert alice.api.post("/endpoints", body, **KEY).status_code == 201


def test_a_key_is_free_again_after_a_day(alice: Person) -> None:
    first = alice.api.post("/endpoints", {"url": URL}, **KEY).json()
    row = StoredAnswer.objects.get()
    assert row.expires_at - row.created_at == timedelta(hours=24)
    StoredAnswer.objects.update(expires_at=NOW)
    assert alice.api.post("/endpoints", {"url": URL}, **KEY).json()["id"] != first["id"]
    assert StoredAnswer.objects.count() == 1


def test_the_stored_answer_holds_no_plain_secret(alice: Person, provider: Api) -> None:
    secret = alice.api.post("/endpoints", {"url": URL}, **KEY).json()["secret"]
    key = provider.post("/merchants/alice/api-keys", **KEY).json()["key"]
    kept = b"".join(bytes(row.answer or b"") for row in StoredAnswer.objects.all())
    assert len(kept) > 500
    assert secret.encode() not in kept
    assert key.encode() not in kept


@pytest.mark.parametrize("key", ["", "x" * 129, "a\tb", "é"])
def test_odd_keys_are_refused(alice: Person, key: str) -> None:
    assert faults(alice.api.post("/endpoints", {"url": URL}, Idempotency_Key=key)) == {
        "/Idempotency-Key": "invalid_idempotency_key"
    }
    assert Endpoint.objects.count() == 0


def test_the_longest_key(alice: Person) -> None:
    assert alice.api.post("/endpoints", {"url": URL}, Idempotency_Key="x" * 128).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_racing_callers_make_one(rung: list[list[str]]) -> None:
    alice = make_person("Alice")

    def post(_: int) -> tuple[int, bytes]:
        try:
            answer = alice.api.post("/endpoints", {"url": URL}, **KEY)
            return answer.status_code, answer.content
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(post, range(8)))
    assert len(answers) == 1
    assert {status for status, _ in answers} == {201}
    assert Endpoint.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_repeat_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_answers, "WAIT_S", 0.2)
    asked = {"scope": "key:a", "key": "k", "request_hash": b"h", "now": NOW}

    def repeat() -> str:
        try:
            stored_answers.answer_once(**asked, make=lambda: (200, b"never"))  # type: ignore[arg-type]
        except Conflict as refusal:
            return refusal.code
        finally:
            connection.close()
        return "made"

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        stored_answers.answer_once(**asked, make=lambda: (200, b"first"))  # type: ignore[arg-type]
        assert pool.submit(repeat).result(timeout=5) == "in_progress"


def test_what_has_expired_is_dropped(db: None) -> None:
    for key, ends in (("a", NOW), ("b", NOW + timedelta(seconds=1))):
        StoredAnswer.objects.create(scope="s", key=key, request_hash=b"", created_at=NOW, expires_at=ends)
    assert stored_answers.drop_expired(now=NOW) == 1
    assert StoredAnswer.objects.get().key == "b"
