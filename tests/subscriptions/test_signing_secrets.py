"""Signing secrets: rotated with overlap, at most ten live, sealed and bound to their row, revealed on the record."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from dispatcher.keyring import DecryptionFailed
from subscriptions.errors import Conflict
from subscriptions.models import AuditEntry, Endpoint, SigningSecret
from subscriptions.selectors import sending
from subscriptions.services import signing_secrets, vault
from tests.subscriptions.conftest import URL, Person, faults, make_person, problem

DAY = timedelta(days=1)


def make(person: Person, secret: str | None = "first") -> str:
    return f"/endpoints/{person.api.post('/endpoints', {'url': URL, 'secret': secret}).json()['id']}"


def stored() -> list[tuple[str, datetime | None]]:
    return [(signing_secrets.open_text(row), row.expires_at) for row in SigningSecret.objects.order_by("id")]


def rotate(
    person: Person, now: datetime, *, overlap: timedelta = DAY, text: str | None = None
) -> signing_secrets.Rotated:
    return signing_secrets.rotate(
        merchant=person.merchant,
        endpoint_id=Endpoint.objects.get().id,
        text=text,
        overlap=overlap,
        now=now,
        actor="system",
    )


def test_rotation_answers_the_new_secret_and_ends_the_old_one(alice: Person) -> None:
    path = make(alice)
    answer = alice.api.post(f"{path}/secret/rotate", {"secret": "second", "overlap_seconds": 60})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    told = answer.json()
    assert told["secret"] == "second"
    made, ends = (datetime.fromisoformat(told[name]) for name in ("created_at", "previous_expires_at"))
    assert ends - made == timedelta(seconds=60)
    assert stored() == [("first", ends), ("second", None)]
    assert alice.api.get(f"{path}/secret").json()["secret"] == "second"
    assert alice.api.get(path).json()["version"] == 2


def test_a_day_and_a_generated_secret_by_default(alice: Person) -> None:
    told = alice.api.post(f"{make(alice)}/secret/rotate").json()
    assert told["secret"].startswith("whsec_")
    assert datetime.fromisoformat(told["previous_expires_at"]) - datetime.fromisoformat(told["created_at"]) == DAY


def test_without_a_secret_before_nothing_ends(alice: Person) -> None:
    assert alice.api.post(f"{make(alice, None)}/secret/rotate").json()["previous_expires_at"] is None


@pytest.mark.parametrize("overlap", [-1, 604_801, "60", 1.5, None, True])
def test_the_overlap_is_at_most_a_week(alice: Person, overlap: Any) -> None:
    path = make(alice)
    assert set(faults(alice.api.post(f"{path}/secret/rotate", {"overlap_seconds": overlap, "x": 1}))) == {
        "/overlap_seconds",
        "/x",
    }
    assert stored() == [("first", None)]
    for good in (0, 604_800):
        assert alice.api.post(f"{path}/secret/rotate", {"overlap_seconds": good}).status_code == 200


def test_without_overlap_the_old_one_ends_now(alice: Person) -> None:
    make(alice)
    later = SigningSecret.objects.get().created_at + DAY
    assert rotate(alice, later, overlap=timedelta(0), text="second").previous_expires_at == later
    assert stored() == [("first", later), ("second", None)]


def test_a_clock_that_is_behind_ends_nothing_before_it_began(alice: Person) -> None:
    make(alice)
    began = SigningSecret.objects.get().created_at
    rotated = rotate(alice, began - DAY, overlap=timedelta(0))
    assert rotated.previous_expires_at == rotated.row.created_at == began + timedelta.resolution


def test_at_most_ten_are_live(alice: Person) -> None:
    make(alice)
    later = SigningSecret.objects.get().created_at
    for _ in range(9):
        rotate(alice, later)
    with pytest.raises(Conflict) as refusal:
        rotate(alice, later)
    assert refusal.value.code == "too_many_secrets"
    assert SigningSecret.objects.count() == 10
    rotate(alice, later, overlap=timedelta(0))
    rotate(alice, later + 2 * DAY)
    assert SigningSecret.objects.count() == 2


def test_the_eleventh_is_a_409(alice: Person) -> None:
    path = make(alice)
    statuses = [alice.api.post(f"{path}/secret/rotate").status_code for _ in range(10)]
    assert statuses == [200] * 9 + [409]


def test_a_reveal_is_on_the_record(alice: Person) -> None:
    path = make(alice)
    shown = alice.api.get(f"{path}/secret")
    assert shown.json()["secret"] == "first"
    assert shown.headers["Cache-Control"] == "no-store"
    entry = AuditEntry.objects.get(action="secret.revealed")
    assert entry.merchant == alice.merchant
    assert path.endswith(entry.target)
    assert entry.actor.startswith("key:key_")
    assert "first" not in str(entry.detail)


def test_no_secret_to_reveal(alice: Person) -> None:
    problem(alice.api.get(f"{make(alice, None)}/secret"), 404, "no_secret")


def test_a_ciphertext_moved_to_another_row_does_not_open(alice: Person) -> None:
    make(alice, "first")
    first = SigningSecret.objects.get()
    make(alice, "second")
    second = SigningSecret.objects.exclude(id=first.id).get()
    SigningSecret.objects.filter(id=second.id).update(ciphertext=first.ciphertext)
    second.refresh_from_db()
    with pytest.raises(Conflict):
        signing_secrets.open_text(second)
    problem(alice.api.get(f"/endpoints/{second.endpoint.public_id}/secret"), 409, "secret_unreadable")
    with pytest.raises(DecryptionFailed):
        vault.open_sealed(vault.ENDPOINT_AUTH, first.id, first.ciphertext)


@pytest.mark.django_db(transaction=True)
def test_racing_rotations_lose_nothing(rung: list[list[str]]) -> None:
    alice = make_person("Alice")
    path = make(alice)

    def turn(number: int) -> tuple[int, str]:
        try:
            answer = alice.api.post(f"{path}/secret/rotate", {"secret": f"secret {number}"})
            return answer.status_code, answer.json().get("secret", "")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(turn, range(12)))
    assert sorted(status for status, _ in answers) == [200] * 9 + [409] * 3
    kept = stored()
    assert {text for text, _ in kept} == {"first", *(text for status, text in answers if status == 200)}
    assert [ends for _, ends in kept].count(None) == 1
    assert Endpoint.objects.get().version == 10


def live(now: datetime) -> list[str]:
    """The texts that a sender signs with at that time, in its order."""
    [settings] = sending.endpoints_to_send([Endpoint.objects.get().id])
    return [secret.open() for secret in settings.secrets if secret.expires_at is None or now < secret.expires_at]


def fill(person: Person) -> datetime:
    """Ten live secrets; answers when the newest was made."""
    make(person, "s0")
    for number in range(1, 10):
        rotate(person, SigningSecret.objects.get(expires_at=None).created_at, text=f"s{number}")
    return SigningSecret.objects.get(expires_at=None).created_at


def test_at_ten_the_current_one_can_still_be_replaced_at_once(alice: Person) -> None:
    now = fill(alice) + timedelta(seconds=1)
    assert live(now) == [f"s{number}" for number in range(9, -1, -1)]
    assert rotate(alice, now, overlap=timedelta(0), text="new").previous_expires_at == now
    assert live(now) == ["new", *[f"s{number}" for number in range(8, -1, -1)]]
    with pytest.raises(Conflict):
        rotate(alice, now, overlap=timedelta.resolution)
    assert len(live(now)) == 10
    # One that asked a moment before, and got the endpoint's lock after.
    rotate(alice, now - timedelta(milliseconds=1), overlap=timedelta(0), text="newer")
    assert live(now + timedelta.resolution) == ["newer", *[f"s{number}" for number in range(8, -1, -1)]]


def test_the_one_before_is_the_one_that_was_current_last_whatever_the_hosts_clocks_say(alice: Person) -> None:
    make(alice, "first")
    began = SigningSecret.objects.get().created_at
    rotate(alice, began + DAY, text="from a host that is ahead", overlap=3 * DAY)
    rotate(alice, began + DAY / 2, text="second", overlap=3 * DAY)
    rotate(alice, began + DAY / 2, text="third", overlap=3 * DAY)
    assert live(began + DAY) == ["third", "second", "from a host that is ahead", "first"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("overlaps", "refused"), [((0, 0), 0), ((86_400, 86_400), 2), ((0, 86_400), 1)], ids=["none", "both", "one"]
)
def test_two_rotations_that_race_at_ten_secrets(
    overlaps: tuple[int, int], refused: int, rung: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes first to the lock: without overlap there is room, with it there is none, and ten stay live."""
    alice = make_person("Alice")
    now = fill(alice) + timedelta(seconds=1)
    start = Barrier(2)

    def turn(number: int) -> str:
        try:
            start.wait(10)
            # The second asked a moment before the first.
            at = now - number * timedelta(milliseconds=1)
            return rotate(alice, at, text=f"new {number}", overlap=timedelta(seconds=overlaps[number])).text
        except Conflict as conflict:
            return conflict.code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(turn, range(2)))
    assert answers.count("too_many_secrets") == refused
    kept = dict(stored())
    made = {answer for answer in answers if answer != "too_many_secrets"}
    assert {f"s{number}" for number in range(9)} | made <= set(kept)
    signing = live(now + timedelta(seconds=1))
    assert len(signing) == 10
    assert [text for text, ends in kept.items() if ends is None] == signing[:1]
    assert signing[0] in (made or {"s9"})
    assert Endpoint.objects.get().version == 10 + len(made)


@pytest.mark.django_db(transaction=True)
def test_racing_rotations_without_overlap_hand_over_without_a_gap(rung: list[list[str]]) -> None:
    """Whatever moment a sender signs at, exactly one of those that raced signs."""
    alice = make_person("Alice")
    make(alice)
    now = SigningSecret.objects.get().created_at + DAY

    def turn(number: int) -> signing_secrets.Rotated:
        try:
            at = now - number * timedelta(milliseconds=1)
            return rotate(alice, at, text=f"new {number}", overlap=timedelta(0))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(turn, range(8)))
    assert [one.previous_expires_at for one in made] == [one.row.created_at for one in made]
    newest = max(made, key=lambda one: one.row.created_at)
    assert SigningSecret.objects.get(expires_at=None) == newest.row
    assert live(now + timedelta(seconds=1)) == [newest.text]
