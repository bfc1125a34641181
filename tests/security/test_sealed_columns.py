"""What is sealed: every column that holds ciphertexts is known, bound to its row, and moves to a new key whole."""

import base64
import os
import signal
import subprocess
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.db import connection, models

from dispatcher.ids import new_id
from dispatcher.keyring import DecryptionFailed, Keyring
from subscriptions.models import Endpoint, Merchant, ProviderKey, SigningSecret, StoredAnswer
from subscriptions.services import endpoints, provider_keys, stored_answers, vault
from subscriptions.services.reencryption import EVERY, Sealed
from tests.subscriptions.conftest import NOW, URL, Person

ROOT = Path(__file__).resolve().parents[2]
OLD, NEW = (base64.b64encode(bytes([n]) * 16 + os.urandom(16)).decode() for n in (1, 2))
NOT_SEALED = {
    "subscriptions.ApiKey.digest": "SHA-256 of 256 random bits",
    "subscriptions.PortalLink.digest": "SHA-256 of 256 random bits",
    "subscriptions.AddressCheck.digest": "SHA-256 of a code that lives for minutes",
    "subscriptions.StoredAnswer.request_hash": "SHA-256",
    "deliveries.IdempotencyKey.request_hash": "SHA-256",
    "deliveries.Event.payload": "the provider's own data, as published",
    "deliveries.Attempt.request_body": "as sent",
    "deliveries.Attempt.response_body": "as received",
    "deliveries.ExportChunk.data": "what the log shows, for a day",
}


def name_of(sealed: Sealed) -> str:
    return f"{sealed.model._meta.label}.{sealed.column}"


def test_every_column_of_bytes_is_sealed_or_known_not_to_be() -> None:
    found = {
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, models.BinaryField)
    }
    sealed = {name_of(one) for one in EVERY}
    assert found == sealed | set(NOT_SEALED)
    assert not sealed & set(NOT_SEALED)
    assert {one.kind for one in EVERY} == {
        value for name, value in vars(vault).items() if name.isupper() and isinstance(value, str)
    }


def make_rows() -> dict[str, list[Any]]:
    """Two rows for each sealed column, by the services that make them."""
    merchant = Merchant.objects.create(name="A", reference="a", created_at=NOW, updated_at=NOW)
    for number in range(2):
        auth = {"type": "bearer", "token": f"token{number}"}
        data = {"url": URL, "secret": f"secret {number}", "auth": auth}
        endpoints.create(merchant=merchant, data=data, now=NOW, actor="system")
        stored_answers.answer_once(
            scope="s",
            key=f"k{number}",
            request_hash=b"",
            now=NOW,
            make=partial(tuple[int, bytes], (200, b"answer %d" % number)),
        )
        nothing = timedelta(0)
        provider_keys.rotate(family="ed25519", lead=nothing, overlap=nothing, now=NOW, actor="system")
    return {name_of(one): list(one.model._default_manager.order_by("pk")) for one in EVERY}


def open_all(keys: list[str]) -> dict[str, list[bytes]]:
    """Everything that is sealed, opened with this ring only."""
    ring = Keyring(keys)
    return {
        name_of(one): [
            ring.decrypt(getattr(row, one.column), bound_to=f"{one.kind}:{row.pk}")
            for row in one.model._default_manager.exclude(**{one.column: None}).order_by("pk")
        ]
        for one in EVERY
    }


def test_a_ciphertext_opens_in_its_own_place_only(db: None) -> None:
    rows = make_rows()
    for sealed in EVERY:
        first, second = rows[name_of(sealed)]
        ciphertext = getattr(first, sealed.column)
        assert vault.open_sealed(sealed.kind, first.pk, ciphertext)
        with pytest.raises(DecryptionFailed):
            vault.open_sealed(sealed.kind, second.pk, ciphertext)
        for other in EVERY:
            if other.kind != sealed.kind:
                with pytest.raises(DecryptionFailed):
                    vault.open_sealed(other.kind, first.pk, ciphertext)


def test_a_moved_answer_is_given_to_nobody(alice: Person, bob: Person) -> None:
    for person in (alice, bob):
        person.api.post("/endpoints", {"url": URL}, Idempotency_Key="k")
    mine = StoredAnswer.objects.get(scope__contains=alice.merchant.api_keys.get().public_id)
    StoredAnswer.objects.exclude(id=mine.id).update(answer=mine.answer)
    again = bob.api.post("/endpoints", {"url": URL}, Idempotency_Key="k")
    assert (again.status_code, again.json()["code"]) == (409, "answer_unreadable")
    assert Endpoint.objects.filter(owner=bob.merchant).count() == 1


def command() -> subprocess.Popen[str]:
    name = connection.settings_dict["NAME"]
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    return subprocess.Popen(
        [sys.executable, "manage.py", "rotate_encryption_keys"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database, "ENCRYPTION_KEYS": f"{NEW},{OLD}", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.django_db(transaction=True)
def test_killed_halfway_it_goes_on_and_several_get_in_nobodys_way(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [OLD]
    make_rows()
    many = 3000
    endpoint = Endpoint.objects.all()[0]
    ids = [new_id() for _ in range(many)]
    sealed = [vault.seal(vault.SIGNING_SECRET, row_id, b"s %d" % n) for n, row_id in enumerate(ids)]
    SigningSecret.objects.bulk_create(
        SigningSecret(id=i, endpoint=endpoint, ciphertext=c, created_at=NOW, expires_at=NOW)
        for i, c in zip(ids, sealed, strict=True)
    )
    before = open_all([OLD])

    with command() as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "signing_secret: 200 seen, 200 encrypted anew\n"
        first.send_signal(signal.SIGKILL)
    ring = Keyring([NEW, OLD])
    left = [row.pk for row in SigningSecret.objects.all() if ring.needs_rotation(row.ciphertext)]
    assert 0 < len(left) <= many + 2 - 200

    with command() as second, command() as third:
        outputs = [running.communicate(timeout=120)[0].splitlines() for running in (second, third)]
    assert [running.returncode for running in (second, third)] == [0, 0], outputs
    ends = [next(line for line in reversed(lines) if line.startswith("signing_secret")) for lines in outputs]
    assert all(line.startswith(f"signing_secret: {many + 2} seen, ") for line in ends)
    assert sum(int(line.split()[3]) for line in ends) == len(left)
    # The old key can go: everything opens without it, and nothing with it alone.
    assert open_all([NEW]) == before
    for one in EVERY:
        for row in one.model._default_manager.all():
            with pytest.raises(DecryptionFailed):
                Keyring([OLD]).decrypt(getattr(row, one.column), bound_to=f"{one.kind}:{row.pk}")
    assert ProviderKey.objects.count() == 2
