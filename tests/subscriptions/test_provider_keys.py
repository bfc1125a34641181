"""The provider's keys: made once, rotated with time to learn the new one, withdrawn at once, sealed, never lost."""

import base64
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from django.core.management import call_command
from django.db import connection, transaction

from dispatcher.keyring import DecryptionFailed
from dispatcher.profiles.key_pairs import fingerprint
from subscriptions.errors import Conflict, Invalid, NotFound, Refusal
from subscriptions.models import AuditEntry, Endpoint, ProviderKey
from subscriptions.selectors import provider_keys as selectors
from subscriptions.selectors import sending
from subscriptions.services import endpoints, profiles, provider_keys, vault
from tests.subscriptions.conftest import NOW, URL, Person, make_person

HOUR = timedelta(hours=1)
NOTHING = timedelta(0)
SHORT_S = 0.3
# Long enough for another thread to come to where it must wait.
RULE = {"event_types": None, "recipients": [{"url": URL, "profile": "paysera"}]}


def ensure(family: str = "ec", *, now: datetime = NOW) -> ProviderKey:
    return provider_keys.ensure(family=family, now=now, actor="system")


def rotate(
    family: str = "ec", *, lead: timedelta = HOUR, overlap: timedelta = HOUR, now: datetime = NOW
) -> provider_keys.Rotated:
    return provider_keys.rotate(family=family, lead=lead, overlap=overlap, now=now, actor="system")


def withdraw(key: ProviderKey, *, now: datetime = NOW) -> None:
    provider_keys.withdraw(key_id=key.id, now=now, actor="system")


def spans(family: str = "ec") -> list[tuple[ProviderKey, datetime, datetime | None]]:
    return [(row, row.signs_from, row.signs_until) for row in ProviderKey.objects.filter(family=family).order_by("id")]


def statuses(now: datetime) -> list[str]:
    """Of all keys, in the order in which they were made."""
    rows = selectors.with_status(ProviderKey.objects.order_by("id"), now=now)
    return [row.status for row in rows]  # type: ignore[attr-defined]


def make_endpoint(person: Person, **values: Any) -> Endpoint:
    return endpoints.create(merchant=person.merchant, data={"url": URL} | values, now=NOW, actor="system").endpoint


def versions() -> dict[str, int]:
    return dict(Endpoint.objects.values_list("profile", "version"))


def audited() -> list[tuple[str, str]]:
    return list(AuditEntry.objects.filter(action__startswith="provider_key").values_list("action", "target"))


class TestEnsure:
    @pytest.mark.parametrize("family", ["rsa", "ed25519", "ec"])
    def test_the_first_key_signs_at_once_and_is_the_only_one(self, family: str, db: None) -> None:
        made = ensure(family)
        assert (made.signs_from, made.signs_until, made.created_at) == (NOW, None, NOW)
        assert ensure(family, now=NOW + HOUR) == made
        assert ProviderKey.objects.count() == 1
        assert audited() == [("provider_key.created", made.public_id)]

    def test_the_private_half_is_sealed_and_opens_in_its_own_row_only(self, db: None) -> None:
        ec, ed = ensure("ec"), ensure("ed25519")
        opened = {key.family: key.open() for key in selectors.sealed()}
        for row in (ec, ed):
            private: Any = serialization.load_pem_private_key(opened[row.family].encode(), password=None)
            public = serialization.load_pem_public_key(row.public_pem.encode())
            assert private.public_key() == public
            assert b"PRIVATE" not in bytes(row.ciphertext)
            assert "PRIVATE" not in row.public_pem + row.certificate_pem
        with pytest.raises(DecryptionFailed):
            vault.open_sealed(vault.PROVIDER_KEY, ed.id, ec.ciphertext)
        with pytest.raises(DecryptionFailed):
            vault.open_sealed(vault.SIGNING_SECRET, ec.id, ec.ciphertext)

    @pytest.mark.parametrize("family", ["dsa", "", "RSA"])
    def test_a_family_that_is_not_there_is_refused(self, family: str, db: None) -> None:
        for call in (ensure, rotate):
            with pytest.raises(NotFound):
                call(family)
        assert not ProviderKey.objects.exists()

    @pytest.mark.django_db(transaction=True)
    def test_of_two_that_come_at_once_one_makes_the_key(self) -> None:
        is_made, is_asked = threading.Event(), threading.Event()

        def first_turn() -> ProviderKey:
            try:
                with transaction.atomic():
                    made = ensure()
                    is_made.set()
                    assert is_asked.wait(10)
                    time.sleep(SHORT_S)
                    return made
            finally:
                connection.close()

        def second_turn() -> ProviderKey:
            try:
                assert is_made.wait(10)
                is_asked.set()
                return ensure()
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as pool:
            first, second = (made.result(10) for made in (pool.submit(first_turn), pool.submit(second_turn)))
        assert first == second == ProviderKey.objects.get()
        assert [action for action, _ in audited()] == ["provider_key.created"]


class TestEndpoints:
    def test_an_endpoint_that_the_provider_signs_for_brings_the_key(self, alice: Person) -> None:
        make_endpoint(alice)
        assert not ProviderKey.objects.exists()
        made = make_endpoint(alice, profile="paysera")
        assert [row.family for row in ProviderKey.objects.all()] == ["rsa"]
        assert made.version == 1
        make_endpoint(alice, profile="paysera-checkout-classic")
        assert ProviderKey.objects.count() == 1

    def test_a_change_of_the_profile_brings_it(self, alice: Person) -> None:
        endpoint = make_endpoint(alice)
        answer = alice.api.patch(f"/endpoints/{endpoint.public_id}", {"profile": "paysera-checkout-classic"})
        assert answer.status_code == 200
        assert answer.json()["version"] == 2
        assert ProviderKey.objects.get().family == "rsa"

    def test_recipients_of_a_rule_bring_it(self, alice: Person) -> None:
        answer = alice.api.post("/rules", RULE)
        assert answer.status_code == 201, answer.content
        assert ProviderKey.objects.get().family == "rsa"

    def test_a_profile_that_was_deleted_meanwhile_is_given_to_no_endpoint(self, alice: Person) -> None:
        with pytest.raises(Conflict) as refusal, transaction.atomic():
            provider_keys.ensure_for("gone", now=NOW, actor="system")
        assert refusal.value.code == "unknown_profile"

    @pytest.mark.django_db(transaction=True)
    def test_a_profile_is_not_deleted_while_an_endpoint_is_given_it(self, rung: list[list[str]]) -> None:
        alice = make_person("Alice")
        profiles.create(data={"name": "own", "definition": {}}, now=NOW, actor="system")
        is_made, may_commit = threading.Event(), threading.Event()

        def make() -> None:
            try:
                with transaction.atomic():
                    make_endpoint(alice, profile="own", secret=None)
                    is_made.set()
                    assert may_commit.wait(10)
            finally:
                connection.close()

        def delete() -> str:
            try:
                profiles.delete(name="own", now=NOW, actor="system")
            except Conflict as conflict:
                return conflict.code
            finally:
                connection.close()
            return "deleted"

        with ThreadPoolExecutor(2) as pool:
            making = pool.submit(make)
            assert is_made.wait(10)
            deleting = pool.submit(delete)
            time.sleep(SHORT_S)
            assert not deleting.done()
            may_commit.set()
            making.result(10)
            assert deleting.result(10) == "in_use"

    def test_a_refused_endpoint_leaves_no_key(self, alice: Person) -> None:
        answer = alice.api.post("/endpoints", {"url": URL, "profile": "paysera", "event_types": ["nothing"]})
        assert answer.status_code == 422
        assert not ProviderKey.objects.exists()


class TestRotate:
    def test_the_new_key_signs_after_the_lead_and_the_old_one_overlaps(self, db: None) -> None:
        old = ensure(now=NOW - HOUR)
        rotated = rotate(lead=2 * HOUR, overlap=3 * HOUR)
        assert rotated.previous == old
        assert spans() == [(old, NOW - HOUR, NOW + 5 * HOUR), (rotated.row, NOW + 2 * HOUR, None)]
        assert audited()[1:] == [("provider_key.rotated", rotated.row.public_id)]
        seen = {hour: statuses(NOW + hour * HOUR) for hour in (0, 2, 5)}
        assert seen == {0: ["current", "next"], 2: ["previous", "current"], 5: ["ended", "current"]}

    def test_without_one_before_it_signs_at_once(self, db: None) -> None:
        rotated = rotate(lead=2 * HOUR)
        assert rotated.previous is None
        assert spans() == [(rotated.row, NOW, None)]
        assert audited() == [("provider_key.created", rotated.row.public_id)]

    def test_without_lead_and_overlap_one_follows_the_other(self, db: None) -> None:
        old = ensure(now=NOW - HOUR)
        new = rotate(lead=NOTHING, overlap=NOTHING).row
        assert spans() == [(old, NOW - HOUR, NOW), (new, NOW, None)]
        assert statuses(NOW) == ["ended", "current"]

    def test_a_clock_that_is_behind_still_puts_the_new_key_after_the_old_one(self, db: None) -> None:
        old = ensure()
        new = rotate(lead=NOTHING, overlap=NOTHING, now=NOW - HOUR).row
        start = NOW + timedelta.resolution
        assert spans() == [(old, NOW, start), (new, start, None)]
        assert [key.id for key in selectors.sealed()] == [new.id, old.id]

    def test_a_third_that_would_overlap_is_refused_and_changes_nothing(self, db: None) -> None:
        ensure(now=NOW - HOUR)
        rotate()
        before = spans()
        for now in (NOW, NOW + HOUR, NOW + 2 * HOUR - timedelta.resolution):
            with pytest.raises(Conflict, match="2026-01-31 14:00 UTC") as refusal:
                rotate(now=now)
            assert refusal.value.code == "too_many_keys"
        assert spans() == before
        assert len(audited()) == 2
        rotate(now=NOW + 2 * HOUR)
        assert statuses(NOW + 2 * HOUR) == ["ended", "current", "next"]

    def test_one_that_ends_at_once_may_be_replaced_while_another_overlaps(self, db: None) -> None:
        first = ensure(now=NOW - HOUR)
        second = rotate(lead=NOTHING).row
        third = rotate(lead=NOTHING, overlap=NOTHING, now=NOW + HOUR / 2).row
        assert [row for row, _, until in spans() if until is None or until > NOW + HOUR / 2] == [first, third]
        assert statuses(NOW + HOUR / 2) == ["previous", "ended", "current"]
        assert ProviderKey.objects.get(id=second.id).signs_until == NOW + HOUR / 2

    @pytest.mark.parametrize(
        ("lead", "overlap", "wrong"),
        [
            (-HOUR, HOUR, ["/lead"]),
            (timedelta(days=366), -timedelta.resolution, ["/lead", "/overlap"]),
            (HOUR, timedelta(days=365, microseconds=1), ["/overlap"]),
        ],
    )
    def test_spans_have_limits(self, lead: timedelta, overlap: timedelta, wrong: list[str], db: None) -> None:
        ensure()
        with pytest.raises(Invalid) as refusal:
            rotate(lead=lead, overlap=overlap)
        assert [fault.pointer for fault in refusal.value.errors] == wrong
        assert ProviderKey.objects.count() == 1

    def test_what_is_published_no_longer_goes_with_the_next_rotation(self, db: None) -> None:
        first = ensure(now=NOW - HOUR)
        rotate(lead=NOTHING, overlap=NOTHING)
        last = NOW + selectors.PUBLISHED_AFTER_END - timedelta.resolution
        assert selectors.find_published(first.id, now=last) == first
        assert selectors.find_published(first.id, now=last + timedelta.resolution) is None
        rotate(lead=NOTHING, overlap=NOTHING, now=last)
        assert ProviderKey.objects.filter(id=first.id).exists()
        rotate(lead=NOTHING, overlap=NOTHING, now=last + timedelta.resolution)
        assert not ProviderKey.objects.filter(id=first.id).exists()

    def test_every_endpoint_that_it_signs_for_has_a_new_version_and_no_other(
        self, alice: Person, bob: Person, rung: list[list[str]], django_capture_on_commit_callbacks: Any
    ) -> None:
        signed = [
            make_endpoint(alice, profile="paysera"),
            make_endpoint(bob, profile="paysera-checkout-classic", is_active=False),
        ]
        make_endpoint(alice, profile="stripe")
        gone = make_endpoint(bob, profile="paysera")
        endpoints.delete(merchant=bob.merchant, endpoint_id=gone.id, now=NOW, actor="system")
        before = {row.id: row.version for row in Endpoint.objects.all()}
        with django_capture_on_commit_callbacks(execute=True):
            rotate("rsa")
        raised = {
            row.id: row.version - before[row.id] for row in Endpoint.objects.all() if row.version > before[row.id]
        }
        assert raised == {row.id: 1 for row in signed}
        assert rung == [[str(row.id) for row in signed]]
        rung.clear()
        with django_capture_on_commit_callbacks(execute=True):
            rotate("ed25519")
        assert rung == []
        assert sum(row.version for row in Endpoint.objects.all()) == sum(before.values()) + 2

    @pytest.mark.django_db(transaction=True)
    def test_racing_rotations_lose_nothing(self) -> None:
        ensure(now=NOW - HOUR)

        def turn(_: int) -> str:
            try:
                rotate()
            except Refusal as refusal:
                return refusal.code
            finally:
                connection.close()
            return "rotated"

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(turn, range(2))) == ["rotated", "too_many_keys"]
        assert statuses(NOW) == ["current", "next"]
        assert statuses(NOW + HOUR) == ["previous", "current"]
        assert len(audited()) == 2

    @pytest.mark.django_db(transaction=True)
    def test_racing_rotations_that_end_the_old_key_at_once_follow_each_other(self) -> None:
        ensure(now=NOW - HOUR)

        def turn(number: int) -> ProviderKey:
            try:
                return rotate(lead=NOTHING, overlap=NOTHING, now=NOW).row
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(turn, range(4)))
        ordered = list(ProviderKey.objects.order_by("signs_from"))
        assert {row.id for row in ordered[1:]} == {row.id for row in made}
        assert [row.signs_until for row in ordered] == [*[row.signs_from for row in ordered[1:]], None]

    @pytest.mark.django_db(transaction=True)
    def test_an_endpoint_made_during_a_rotation_is_not_overlooked(self, rung: list[list[str]]) -> None:
        """It commits before the rotation sees it, or after; a version that stays would keep the old keys in use."""
        alice = make_person("Alice")
        ensure("rsa")
        is_made, may_commit = threading.Event(), threading.Event()

        def make() -> Endpoint:
            try:
                with transaction.atomic():
                    made = make_endpoint(alice, profile="paysera")
                    is_made.set()
                    assert may_commit.wait(10)
                    return made
            finally:
                connection.close()

        def turn() -> None:
            try:
                rotate("rsa")
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as pool:
            making = pool.submit(make)
            assert is_made.wait(10)
            rotating = pool.submit(turn)
            time.sleep(SHORT_S)
            assert not rotating.done()
            may_commit.set()
            endpoint = making.result(10)
            rotating.result(10)
        assert Endpoint.objects.get(id=endpoint.id).version == 2
        [settings] = sending.endpoints_to_send([endpoint.id])
        assert (settings.version, len(settings.provider_keys)) == (2, 2)


class TestWithdraw:
    def test_the_previous_one_leaves_the_current_alone(self, db: None) -> None:
        old = ensure(now=NOW - HOUR)
        new = rotate(lead=NOTHING).row
        withdraw(old)
        assert spans() == [(new, NOW, None)]
        assert audited()[2:] == [("provider_key.withdrawn", old.public_id)]
        entry = AuditEntry.objects.get(action="provider_key.withdrawn")
        assert entry.detail == {"family": "ec", "sha256": fingerprint(old.public_pem)}

    def test_the_current_one_gives_way_to_the_one_before_it(self, db: None) -> None:
        old = ensure(now=NOW - HOUR)
        withdraw(rotate(lead=NOTHING).row)
        assert spans() == [(old, NOW - HOUR, None)]

    def test_the_next_one_never_comes(self, db: None) -> None:
        old = ensure(now=NOW - HOUR)
        withdraw(rotate().row)
        assert spans() == [(old, NOW - HOUR, None)]

    def test_the_current_one_calls_the_next_at_once(self, db: None) -> None:
        old = ensure(now=NOW - HOUR)
        new = rotate().row
        withdraw(old, now=NOW + HOUR / 2)
        assert spans() == [(new, NOW + HOUR / 2, None)]
        assert statuses(NOW + HOUR / 2) == ["current"]

    def test_the_only_one_is_refused_until_another_has_followed_it(self, db: None) -> None:
        old = ensure(now=NOW - HOUR)
        ensure("ed25519")
        with pytest.raises(Conflict, match="Rotate it") as refusal:
            withdraw(old)
        assert refusal.value.code == "only_key"
        assert spans() == [(old, NOW - HOUR, None)]
        new = rotate(lead=NOTHING, overlap=NOTHING).row
        withdraw(old)
        assert spans() == [(new, NOW, None)]

    def test_it_is_published_no_more_and_its_private_half_is_nowhere(self, db: None) -> None:
        old = ensure(now=NOW - HOUR)
        new = rotate(lead=NOTHING).row
        withdraw(old)
        assert list(selectors.published(now=NOW)) == [new]
        assert [key.id for key in selectors.sealed()] == [new.id]

    def test_versions_are_raised_and_a_second_time_there_is_none(self, alice: Person) -> None:
        make_endpoint(alice, profile="paysera")
        old = ProviderKey.objects.get()
        rotate("rsa", lead=NOTHING)
        withdraw(old)
        assert versions() == {"paysera": 3}
        with pytest.raises(NotFound):
            withdraw(old)
        assert versions() == {"paysera": 3}


def test_keys_are_sealed_anew_with_the_others(db: None, settings: Any) -> None:
    old, new = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
    settings.ENCRYPTION_KEYS = [old]
    ensure("ed25519")
    before = [key.open() for key in selectors.sealed()]
    settings.ENCRYPTION_KEYS = [new, old]
    out = StringIO()
    call_command("rotate_encryption_keys", stdout=out)
    assert "provider_key: 1 seen, 1 encrypted anew" in out.getvalue()
    settings.ENCRYPTION_KEYS = [new]
    assert [key.open() for key in selectors.sealed()] == before
