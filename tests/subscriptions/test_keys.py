"""API keys: shown once, kept as a digest, refused at once when revoked or expired."""

import hashlib
import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from subscriptions.models import ApiKey, AuditEntry, Merchant
from subscriptions.services import keys
from tests.subscriptions.conftest import NOW, Api, Person, problem

FORM = re.compile(r"sgn_(mer|pro)_[a-z0-9]{12}_[A-Za-z0-9_-]{43}")
LATER = timedelta(seconds=59)


def authenticate(text: str, now: Any = NOW) -> ApiKey | None:
    return keys.authenticate(text, now=now)


def test_only_the_digest_is_kept(alice: Person) -> None:
    made = keys.create(name="till", merchant=alice.merchant, now=NOW, actor="system")
    assert FORM.fullmatch(made.text)
    row = ApiKey.objects.get(id=made.row.id)
    assert made.text.startswith(row.prefix)
    assert bytes(row.digest) == hashlib.sha256(made.text.encode()).digest()
    secret = made.text.removeprefix(row.prefix + "_")
    assert secret not in str(list(ApiKey.objects.values())) + str(list(AuditEntry.objects.values()))


def test_a_provider_key_has_no_merchant(db: None) -> None:
    made = keys.create(name="Bank", merchant=None, now=NOW, actor="system")
    found = authenticate(made.text)
    assert found is not None
    assert (found.scope, found.merchant) == ("provider", None)
    assert made.text.startswith("sgn_pro_")


def test_one_statement_recognises_a_key(alice: Person, django_assert_num_queries: Any) -> None:
    authenticate(alice.api.key)
    with django_assert_num_queries(1):
        found = authenticate(alice.api.key, NOW + LATER)
        assert found is not None
        assert found.merchant == alice.merchant


def test_last_use_is_written_once_a_minute(alice: Person) -> None:
    def last_used() -> Any:
        return ApiKey.objects.get(merchant=alice.merchant).last_used_at

    for now, written in ((NOW, NOW), (NOW + LATER, NOW), (NOW + timedelta(minutes=1), NOW + timedelta(minutes=1))):
        authenticate(alice.api.key, now)
        assert last_used() == written


def test_near_misses_are_refused(alice: Person, bob: Person) -> None:
    text = alice.api.key
    head, tail = text[:20], bob.api.key[20:]
    near = [
        "",
        " ",
        "x",
        text[:-1],
        text + "x",
        text[:-1] + ("a" if text[-1] != "a" else "b"),
        head + tail,
        text.upper(),
        text.replace("sgn_mer", "sgn_pro"),
        text + "\n",
        "\x00" * 64,
        "é" * 64,
        text[:20] + "_" + "\uff10" * 43,
    ]
    assert [authenticate(candidate) for candidate in near] == [None] * len(near)


def test_an_expired_key_ends_on_the_second(alice: Person) -> None:
    end = NOW + timedelta(hours=1)
    made = keys.create(name="till", merchant=alice.merchant, now=NOW, actor="system", expires_at=end)
    assert authenticate(made.text, end - timedelta(microseconds=1)) is not None
    assert authenticate(made.text, end) is None


def test_a_revoked_key_ends_at_once(alice: Person, provider: Api) -> None:
    made = provider.post("/merchants/alice/api-keys", {"name": "till"}).json()
    till = Api(made["key"])
    assert till.get("/endpoints").status_code == 200
    assert provider.delete(f"/merchants/alice/api-keys/{made['id']}").status_code == 204
    problem(till.get("/endpoints"), 401, "unauthenticated")
    problem(provider.delete(f"/merchants/alice/api-keys/{made['id']}"), 404, "not_found")


def test_a_key_is_shown_once_and_never_cached(alice: Person, provider: Api) -> None:
    made = provider.post("/merchants/alice/api-keys")
    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    listed = provider.get("/merchants/alice/api-keys")
    assert made.json()["key"] not in listed.content.decode()
    assert listed.json()["data"][0]["id"] == made.json()["id"]


def test_an_expiry_must_be_a_time_to_come(alice: Person, provider: Api) -> None:
    for given, code in (("2020-01-01T00:00:00Z", "in_the_past"), ("2030-01-01", "invalid_time"), (5, "wrong_type")):
        told = problem(provider.post("/merchants/alice/api-keys", {"expires_at": given}), 422, "invalid")
        assert told["errors"][0]["code"] == code
    day = (timezone.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S+02:00")
    made = provider.post("/merchants/alice/api-keys", {"expires_at": day})
    assert made.status_code == 201
    assert made.json()["expires_at"].endswith("Z")


def test_both_headers_carry_a_key(alice: Person) -> None:
    for headers in (
        {"X-API-Token": alice.api.key, "Authorization": ""},
        {"Authorization": f"bearer {alice.api.key}"},
        {"Authorization": f"Bearer {alice.api.key}", "X-API-Token": "wrong"},
    ):
        answer = alice.api.client.get("/api/v2/webhooks/endpoints", headers=headers)
        assert answer.status_code == 200


def test_a_bad_key_is_refused_with_a_challenge(alice: Person) -> None:
    answer = Api("sgn_mer_nothing").get("/endpoints")
    problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'


def test_a_key_of_a_deleted_merchant_is_refused(alice: Person) -> None:
    Merchant.objects.update(deleted_at=NOW)
    assert authenticate(alice.api.key) is None


@pytest.mark.parametrize("name", ["", "a\nb", 5, None, "x" * 256])
def test_names_are_one_line(alice: Person, provider: Api, name: Any) -> None:
    problem(provider.post("/merchants/alice/api-keys", {"name": name}), 422, "invalid")
