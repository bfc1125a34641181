"""The operator's commands: publish, resend, sweep."""

import io
import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from deliveries.models import Delivery, Event, Lane, LaneEntry
from deliveries.services import publish
from dispatcher.ids import Prefix, show
from subscriptions.models import AuditEntry, Endpoint
from tests.deliveries.api.conftest import Make, World

Out = pytest.CaptureFixture[str]


class TestPublish:
    def test_a_file_byte_for_byte(self, world: World, endpoint: Endpoint, tmp_path: Path, capsys: Out) -> None:
        file = tmp_path / "payload.json"
        file.write_bytes(b'{"a": 1.10}\n')
        call_command("publish", "invoice.paid", "--merchant", "alice", "--account", "card-1", "--payload", str(file))
        event = Event.objects.get()
        assert json.loads(capsys.readouterr().out) == {"id": event.public_id, "duplicate": False, "deliveries": 1}
        assert (bytes(event.payload), event.account) == (b'{"a": 1.10}\n', "card-1")

    def test_standard_input(self, world: World, monkeypatch: pytest.MonkeyPatch, capsys: Out) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"[1]")))
        call_command("publish", "invoice.paid", "--merchant", world.alice.public_id, "--payload", "-")
        assert bytes(Event.objects.get().payload) == b"[1]"
        assert json.loads(capsys.readouterr().out)["deliveries"] == 0

    @pytest.mark.parametrize(
        ("event_type", "merchant", "payload", "told"),
        [
            ("nope", "alice", b"1", "type: No such event type."),
            ("invoice.paid", "nobody", b"1", "merchant: No such merchant."),
            ("invoice.paid", "alice", b"{", "payload: The body is not JSON"),
            ("invoice.paid", "alice", b" " * 300_000, "The payload has more than 262144 bytes."),
        ],
    )
    def test_refusals(
        self, event_type: str, merchant: str, payload: bytes, told: str, world: World, tmp_path: Path
    ) -> None:
        file = tmp_path / "payload.json"
        file.write_bytes(payload)
        with pytest.raises(CommandError) as refusal:
            call_command("publish", event_type, "--merchant", merchant, "--payload", str(file))
        assert told in str(refusal.value)
        assert not Event.objects.exists()

    def test_no_such_file(self, world: World) -> None:
        with pytest.raises(CommandError, match="cannot be read"):
            call_command("publish", "invoice.paid", "--merchant", "alice", "--payload", "/nowhere/at/all")


class TestResend:
    def test_every_owners_deliveries(
        self, world: World, endpoint: Endpoint, make_endpoint: Make, now: datetime, capsys: Out
    ) -> None:
        make_endpoint(world.portfolio)
        event = publish("invoice.paid", {}, merchant="alice").id
        LaneEntry.objects.all().delete()
        Delivery.objects.update(status="failed", attempts_made=1, next_attempt_at=None, finished_at=now)
        call_command("resend", event)
        printed = capsys.readouterr().out.split()
        assert printed == [row.public_id for row in Delivery.objects.filter(status="pending").order_by("id")]
        assert len(printed) == 2
        owners = AuditEntry.objects.filter(action="event.resent", actor="system").values_list("merchant_id", flat=True)
        assert set(owners) == {world.alice.id, world.portfolio.id}

    def test_no_such_event(self, world: World) -> None:
        with pytest.raises(CommandError, match="no such event"):
            call_command("resend", "nothing")


def test_sweep_tells_whom_it_woke(event_id: str, endpoint: Endpoint, capsys: Out) -> None:
    Lane.objects.update(due_at=None)
    call_command("sweep")
    assert capsys.readouterr().out.split() == [show(Prefix.ENDPOINT, endpoint.id)]
    call_command("sweep")
    assert capsys.readouterr().out == ""


def test_receiver_serves_until_it_is_interrupted() -> None:
    command = [sys.executable, "manage.py", "receiver", "--port", "0"]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("receiving at http://127.0.0.1:")
            process.send_signal(signal.SIGINT)
            assert process.stdout.read() == "0 deliveries received\n"
            assert process.wait(timeout=10) == 0
        finally:
            process.kill()
