"""The published keys: read by merchants, by receivers without a login, by JWKS clients, and fetched as files."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.test import Client

from dispatcher.profiles.key_pairs import public_jwk
from subscriptions.models import AuditEntry, ProviderKey
from subscriptions.selectors import provider_keys as selectors
from subscriptions.services import provider_keys
from tests.subscriptions.conftest import NOW, Api, Person, problem

HOUR = timedelta(hours=1)
SET = "/.well-known/webhook-keys"


def rotate(family: str = "ec", *, lead: timedelta = HOUR, overlap: timedelta = HOUR) -> ProviderKey:
    return provider_keys.rotate(family=family, lead=lead, overlap=overlap, now=NOW, actor="system").row


def ensure(family: str = "ec", *, now: datetime = NOW - HOUR) -> ProviderKey:
    return provider_keys.ensure(family=family, now=now, actor="system")


@pytest.fixture(autouse=True)
def clock() -> Any:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def receiver(db: None) -> Client:
    """Somebody without a login, to whom the server is as it is outside of tests."""
    return Client(enforce_csrf_checks=True)


def stamp(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None


class TestKeySet:
    def test_merchants_and_receivers_read_the_same_list(self, alice: Person, provider: Api) -> None:
        old = ensure()
        new = rotate()
        old.refresh_from_db()
        ed = ensure("ed25519")
        told = alice.api.get("/keys").json()
        assert told == Client().get(SET).json()
        assert told == provider.get("/webhooks/keys?merchant=alice").json()
        assert set(told) == {"data", "next_cursor", "keys"}
        assert told["next_cursor"] is None
        assert told["data"] == [
            {
                "id": row.public_id,
                "algorithm": row.family,
                "status": status,
                "signs_from": stamp(row.signs_from),
                "signs_until": stamp(row.signs_until),
                "public_key_pem": row.public_pem,
                "certificate_pem": row.certificate_pem,
                "jwk": public_jwk(row.public_pem, row.certificate_pem, key_id=row.public_id),
            }
            for row, status in ((new, "next"), (old, "current"), (ed, "current"))
        ]
        assert told["keys"] == [row["jwk"] for row in told["data"]]
        assert [key["kid"] for key in told["keys"]] == [new.public_id, old.public_id, ed.public_id]

    def test_nothing_private_is_told(self, alice: Person) -> None:
        for family in ("rsa", "ed25519", "ec"):
            ensure(family)
        for text in (alice.api.get("/keys").content, Client().get(SET).content):
            assert b"PRIVATE" not in text
            assert b"ciphertext" not in text
            assert not {"d", "p", "q", "dp", "dq", "qi"} & {name for key in json.loads(text)["keys"] for name in key}

    def test_the_status_follows_the_clock_and_an_ended_key_stays_for_a_week(self, receiver: Client, clock: Any) -> None:
        ensure()
        rotate()
        seen = {}
        for hours in (0, 1, 2, 169, 170):
            clock.move_to(NOW + hours * HOUR)
            seen[hours] = [row["status"] for row in receiver.get(SET).json()["data"]]
        assert seen == {
            0: ["next", "current"],
            1: ["current", "previous"],
            2: ["current", "previous"],
            169: ["current", "previous"],
            170: ["current"],
        }
        assert selectors.PUBLISHED_AFTER_END == 168 * HOUR

    def test_without_keys_the_set_is_empty(self, receiver: Client) -> None:
        assert receiver.get(SET).json() == {"data": [], "next_cursor": None, "keys": []}

    def test_merchants_need_a_key_of_theirs(self, receiver: Client) -> None:
        problem(receiver.get("/api/v2/webhooks/keys"), 401, "unauthenticated")

    def test_it_can_be_cached_and_asked_for_again(self, receiver: Client) -> None:
        ensure()
        first = receiver.get(SET)
        assert first.headers["Content-Type"] == "application/json"
        assert first.headers["Cache-Control"] == "public, max-age=300"
        assert "Set-Cookie" not in first.headers
        assert "Cookie" not in first.headers.get("Vary", "")
        asked = {"If-None-Match": first.headers["ETag"]}
        again = receiver.get(SET, headers=asked)
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
        assert again.headers["Cache-Control"] == "public, max-age=300"
        rotate()
        changed = receiver.get(SET, headers=asked)
        assert changed.status_code == 200
        assert changed.headers["ETag"] != first.headers["ETag"]

    @pytest.mark.parametrize("path", [SET, f"{SET}/ec.pem"])
    def test_it_is_there_to_be_read(self, path: str, receiver: Client) -> None:
        ensure()
        assert receiver.head(path).status_code == 200
        for method in ("post", "put", "delete", "patch"):
            answer = getattr(receiver, method)(path)
            problem(answer, 405, "method_not_allowed")
            assert answer.headers["Allow"] == "GET, HEAD"


class TestFiles:
    @pytest.mark.parametrize("family", ["rsa", "ed25519", "ec"])
    def test_a_key_and_its_certificate_are_files(self, family: str, receiver: Client) -> None:
        row = ensure(family)
        for name in (row.public_id, family):
            for part, text in (("pem", row.public_pem), ("crt", row.certificate_pem)):
                answer = receiver.get(f"{SET}/{name}.{part}")
                assert answer.content.decode() == text
                assert answer.headers["Content-Type"] == "application/x-pem-file"
                assert answer.headers["Cache-Control"] == "public, max-age=300"
                assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}.{part}"'
                asked = {"If-None-Match": answer.headers["ETag"]}
                assert receiver.get(f"{SET}/{name}.{part}", headers=asked).status_code == 304

    def test_a_familys_name_means_the_key_that_signs_now(self, receiver: Client, clock: Any) -> None:
        old = ensure()
        new = rotate()
        for hours, row in ((0, old), (1, new), (2, new)):
            clock.move_to(NOW + hours * HOUR)
            assert receiver.get(f"{SET}/ec.pem").content.decode() == row.public_pem
            assert receiver.get(f"{SET}/ec.crt").content.decode() == row.certificate_pem
        for row in (old, new):
            assert receiver.get(f"{SET}/{row.public_id}.pem").content.decode() == row.public_pem

    def test_before_any_has_begun_it_is_the_first_to_begin(self, receiver: Client) -> None:
        row = ensure(now=NOW + timedelta(seconds=1))
        assert receiver.get(f"{SET}/ec.pem").content.decode() == row.public_pem

    def test_what_is_not_published_is_not_there(self, receiver: Client, clock: Any) -> None:
        old = ensure()
        new = rotate(lead=timedelta(0))
        clock.move_to(NOW + HOUR + selectors.PUBLISHED_AFTER_END)
        withdrawn = ensure("ed25519")
        provider_keys.rotate(family="ed25519", lead=timedelta(0), overlap=HOUR, now=NOW, actor="system")
        provider_keys.withdraw(key_id=withdrawn.id, now=NOW, actor="system")
        names = [
            *(f"{old.public_id}.pem", f"{withdrawn.public_id}.pem", "rsa.pem", "dsa.pem", ".pem", "pem", "ec.key"),
            *(f"{new.public_id}.der", f"{new.public_id}", f"{new.id}.pem", "pk_x.pem", "ec.pem.pem", "a%00b.pem"),
            *("../keys.pem", "ep_01kfxwm9jceesrtq0733vx0g8y.pem"),
        ]
        for name in names:
            problem(receiver.get(f"{SET}/{name}"), 404, "not_found")
        assert receiver.get(f"{SET}/{new.public_id}.pem").status_code == 200


class TestCommand:
    def run(self, *words: str) -> Any:
        out = StringIO()
        call_command("rotate_provider_key", *words, stdout=out)
        return json.loads(out.getvalue())

    def test_the_first_key_then_a_rotation_with_a_day_and_a_week(self, db: None, clock: Any) -> None:
        first = self.run("ed25519", "--yes")
        row = ProviderKey.objects.get()
        assert first == {
            "id": row.public_id,
            "family": "ed25519",
            "signs_from": "2026-01-31T12:00:00Z",
            "previous": None,
        }
        clock.shift(HOUR)
        second = self.run("ed25519", "--yes")
        assert second["signs_from"] == "2026-02-01T13:00:00Z"
        assert second["previous"] == {"id": row.public_id, "signs_until": "2026-02-08T13:00:00Z"}
        actions = AuditEntry.objects.order_by("id").values_list("action", "actor")
        assert list(actions) == [("provider_key.created", "system"), ("provider_key.rotated", "system")]

    def test_the_hours_are_the_operators_to_choose(self, db: None, clock: Any) -> None:
        self.run("ec", "--yes")
        clock.shift(HOUR)
        told = self.run("ec", "--lead-hours", "0.5", "--overlap-hours", "2", "--yes")
        assert told["signs_from"] == "2026-01-31T13:30:00Z"
        assert told["previous"]["signs_until"] == "2026-01-31T15:30:00Z"

    def test_refusals_change_nothing(self, db: None) -> None:
        self.run("ec", "--yes")
        refused = [
            (["dsa", "--yes"], "invalid choice: 'dsa'"),
            (["ec", "--lead-hours", "x", "--yes"], "x is no number of hours"),
            (["ec", "--lead-hours", "nan", "--yes"], "nan is no number of hours"),
            (["ec", "--lead-hours", "-1", "--overlap-hours", "9000", "--yes"], "lead: .* overlap: "),
            # Nobody is there to be asked.
            (["ec"], "Say --yes"),
        ]
        for words, sentence in refused:
            with pytest.raises(CommandError, match=sentence):
                self.run(*words)
        assert ProviderKey.objects.count() == 1
        self.run("ec", "--yes")
        with pytest.raises(CommandError, match="At most 2 keys may overlap"):
            self.run("ec", "--yes")
        assert ProviderKey.objects.count() == 2

    @pytest.mark.parametrize(("typed", "keys"), [("y\n", 2), ("YES\n", 2), ("n\n", 1), ("\n", 1), ("", 1)])
    def test_at_a_terminal_it_asks_first(
        self, typed: str, keys: int, db: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        first = self.run("ec", "--yes")
        monkeypatch.setattr("sys.stdin", Terminal(typed))
        if keys == 2:
            self.run("ec")
        else:
            with pytest.raises(CommandError, match="Nothing was changed"):
                self.run("ec")
        asked = capsys.readouterr().err
        assert asked == (
            "A new ec key is published at once and signs in 24 h. "
            f"{first['id']} goes on signing beside it for 168 h after that. Go on? [y/N] "
        )
        assert ProviderKey.objects.count() == keys


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_openssl_reads_what_is_published(receiver: Client, tmp_path: Path) -> None:
    ensure("rsa")
    (tmp_path / "rsa.pem").write_bytes(receiver.get(f"{SET}/rsa.pem").content)
    (tmp_path / "rsa.crt").write_bytes(receiver.get(f"{SET}/rsa.crt").content)
    from_certificate = subprocess.run(
        ["openssl", "x509", "-in", "rsa.crt", "-pubkey", "-noout"], cwd=tmp_path, check=True, capture_output=True
    ).stdout
    assert from_certificate == (tmp_path / "rsa.pem").read_bytes()
