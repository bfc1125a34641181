"""What an operator does at the terminal."""

import base64
import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from dispatcher.keyring import DecryptionFailed, Keyring
from subscriptions.models import Endpoint, EventType, Merchant, SigningSecret, StoredAnswer
from subscriptions.services import keys, reencryption, signing_secrets, vault
from tests.subscriptions.conftest import NOW, URL, Person


def run(*words: Any) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue().strip()


def test_create_merchant(db: None) -> None:
    run("create_merchant", "Top", "--reference", "top", "--kind", "reseller")
    shown = json.loads(run("create_merchant", "Shop", "--reference", "shop", "--parent", "top"))
    row = Merchant.objects.get(reference="shop")
    assert shown["id"] == row.public_id
    assert row.parent == Merchant.objects.get(reference="top")
    with pytest.raises(CommandError, match=r"^Another merchant has this reference\.$"):
        run("create_merchant", "Shop", "--reference", "shop")
    with pytest.raises(CommandError, match=r"^kind: .* parent: "):
        run("create_merchant", "Shop", "--kind", "x", "--parent", "")


def test_create_key(alice: Person) -> None:
    for named in ("alice", alice.merchant.public_id):
        key = keys.authenticate(run("create_key", "--merchant", named), now=NOW)
        assert key is not None
        assert key.merchant == alice.merchant
    key = keys.authenticate(run("create_key", "--provider", "Bank"), now=NOW)
    assert key is not None
    assert (key.scope, key.name) == ("provider", "Bank")
    for words in (["--merchant", "nobody"], [], ["--provider", "a", "--merchant", "alice"]):
        with pytest.raises(CommandError):
            run("create_key", *words)


def test_create_event_type(db: None, tmp_path: Path) -> None:
    file = tmp_path / "example.json"
    file.write_text('{"id": 1}')
    assert run("create_event_type", "invoice.paid", "--example", str(file)) == "invoice.paid"
    assert EventType.objects.get().example == {"id": 1}
    file.write_text("{")
    for words in (["invoice.paid"], ["a b"], ["x", "--example", str(file)], ["x", "--example", str(tmp_path / "none")]):
        with pytest.raises(CommandError):
            run("create_event_type", *words)
    assert EventType.objects.count() == 1


OLD, NEW = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
AUTH = {"type": "bearer", "token": "token"}


def test_keys_are_rotated_out(alice: Person, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reencryption, "BATCH", 2)
    settings.ENCRYPTION_KEYS = [OLD]
    first = alice.api.post("/endpoints", {"url": URL, "secret": "one", "auth": AUTH}, Idempotency_Key="k")
    for text in ("two", "three"):
        alice.api.post("/endpoints", {"url": URL, "secret": text})
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    alice.api.post("/endpoints", {"url": URL, "secret": "four"})
    assert run("rotate_encryption_keys").splitlines() == [
        "signing_secret: 2 seen, 2 encrypted anew",
        "signing_secret: 4 seen, 3 encrypted anew",
        "endpoint_auth: 1 seen, 1 encrypted anew",
        "stored_answer: 1 seen, 1 encrypted anew",
        "Everything is encrypted with the first key.",
    ]
    assert "0 encrypted anew" in run("rotate_encryption_keys")
    settings.ENCRYPTION_KEYS = [NEW]
    texts = [signing_secrets.open_text(row) for row in SigningSecret.objects.order_by("id")]
    assert texts == ["one", "two", "three", "four"]
    row = Endpoint.objects.get(auth_type="bearer")
    assert vault.open_sealed(vault.ENDPOINT_AUTH, row.id, row.auth_ciphertext or b"") == b"token"
    again = alice.api.post("/endpoints", {"url": URL, "secret": "one", "auth": AUTH}, Idempotency_Key="k")
    assert again.content == first.content
    with pytest.raises(DecryptionFailed):
        Keyring([OLD]).decrypt(SigningSecret.objects.all()[0].ciphertext, bound_to="x")


def test_a_row_that_no_key_opens_is_loud_and_stops_no_other(alice: Person, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [OLD]
    for text in ("poisoned", "sound"):
        alice.api.post("/endpoints", {"url": URL, "secret": text})
    poisoned = SigningSecret.objects.order_by("id")[0]
    SigningSecret.objects.filter(id=poisoned.id).update(ciphertext=b"\x01" + b"x" * 60)
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    with pytest.raises(CommandError, match="No key of the ring opens 1 rows"):
        run("rotate_encryption_keys")
    settings.ENCRYPTION_KEYS = [NEW]
    assert signing_secrets.open_text(SigningSecret.objects.exclude(id=poisoned.id).get()) == "sound"


def test_unfinished_answers_are_passed_over(alice: Person) -> None:
    StoredAnswer.objects.create(scope="s", key="k", request_hash=b"", created_at=NOW, expires_at=NOW)
    assert run("rotate_encryption_keys") == "Everything is encrypted with the first key."
