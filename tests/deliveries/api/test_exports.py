"""Exports: the whole log of one merchant and nothing of another's, in files that harm nobody."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from deliveries.models import Attempt, Delivery, Event, Export, ExportChunk
from deliveries.selectors import log_files
from deliveries.services import NewEvent, exports, publish, publish_batch
from subscriptions.models import AuditEntry, Endpoint
from tests.deliveries.api.conftest import Caller, World, code_of, errors_of

URL = "/api/v2/webhooks/exports"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Make = Callable[..., Any]


def publish_many(count: int, *, merchant: str = "alice") -> None:
    publish_batch(
        [NewEvent("invoice.paid", b'{"n": %d}' % n, merchant) for n in range(count)], scope="t", now=timezone.now()
    )


def try_each(times: int = 1) -> None:
    for delivery in Delivery.objects.all():
        for number in range(1, times + 1):
            Attempt.objects.create(
                delivery_id=delivery.id, number=number, trigger="event", is_counted=True, reason="http_server_error",
                url="https://receiver.example/in", request_headers="", request_body=b"secret", response_status=503,
                response_body=b"secret", detail="=1+1", total_ms=12.5, started_at=NOW,
            )  # fmt: skip


def begin(caller: Caller, **body: Any) -> Any:
    answer = caller.post(URL, {"format": "ndjson"} | body)
    assert answer.status_code == 202, answer.content
    return answer.json()


def finish(caller: Caller, **body: Any) -> Any:
    begun = begin(caller, **body)
    exports.advance(clock=timezone.now)
    shown = caller.get(f"{URL}/{begun['id']}").json()
    assert shown["status"] == "finished"
    return shown


def content(caller: Caller, shown: Any, **headers: str) -> bytes:
    answer = caller.get(shown["file"], None, **headers)
    assert answer.status_code in {200, 206}, answer.content
    return b"".join(answer.streaming_content) if answer.streaming else bytes(answer.content)


def lines(raw: bytes) -> list[Any]:
    return [json.loads(line) for line in raw.decode().splitlines()]


class TestNdjson:
    def test_a_delivery_a_line_oldest_first(self, alice: Caller, endpoint: Endpoint) -> None:
        publish_many(5)
        delivery = Delivery.objects.earliest("id")
        (first, *rest) = lines(content(alice, finish(alice)))
        moment = delivery.created_at.isoformat().replace("+00:00", "Z")
        assert first == {
            "event_id": Event.objects.earliest("id").public_id,
            "delivery_id": delivery.public_id,
            "endpoint_id": endpoint.public_id,
            "event_type": "invoice.paid",
            "account": None,
            "delivery_status": "pending",
            "delivery_attempts": 0,
            "delivery_response_code": None,
            "delivery_error": None,
            "next_attempt_at": moment,
            "last_attempt_at": None,
            "finished_at": None,
            "created_at": moment,
            "expunged_at": None,
        }
        ids = [row.public_id for row in Delivery.objects.order_by("id")]
        assert [first["delivery_id"], *(row["delivery_id"] for row in rest)] == ids

    def test_attempts_and_payloads_on_request(self, alice: Caller, endpoint: Endpoint) -> None:
        publish("invoice.paid", b'{\r\n  "b": 1.10,\n "a": "x\\ny"}', merchant="alice")
        try_each(2)
        raw = content(alice, finish(alice, include=["payloads", "attempts"]))
        assert raw.count(b"\n") == 1
        assert b'"payload":{    "b": 1.10,  "a": "x\\ny"}' in raw
        (row,) = lines(raw)
        assert [attempt["number"] for attempt in row["attempts"]] == [1, 2]
        assert set(row["attempts"][0]) == {
            *("id", "number", "trigger", "is_counted", "reason", "detail", "response_code", "started_at", "total_ms")
        }
        assert b"secret" not in raw

    def test_contents_that_were_taken_away_are_null(self, alice: Caller, endpoint: Endpoint, provider: Caller) -> None:
        event = publish("invoice.paid", b'{"a": 1}', merchant="alice").id
        provider.post(f"/api/v2/events/{event}/expunge")
        (row,) = lines(content(alice, finish(alice, include=["payloads"])))
        assert row["payload"] is None
        assert row["expunged_at"] is not None


class TestCsv:
    def read(self, raw: bytes) -> list[dict[str, str]]:
        assert raw.endswith(b"\r\n")
        return list(csv.DictReader(io.StringIO(raw.decode(), newline="")))

    def test_has_a_head_and_a_line_for_each_delivery(self, alice: Caller, endpoint: Endpoint) -> None:
        publish_many(3)
        raw = content(alice, finish(alice, format="csv"))
        assert raw.splitlines()[0].decode().split(",") == list(log_files.DELIVERY_COLUMNS)
        rows = self.read(raw)
        assert [row["delivery_id"] for row in rows] == [row.public_id for row in Delivery.objects.order_by("id")]
        assert {row["delivery_response_code"] for row in rows} == {""}

    def test_with_attempts_a_line_for_each_of_them(self, alice: Caller, endpoint: Endpoint) -> None:
        publish_many(1)
        try_each(3)
        publish_many(1)
        rows = self.read(content(alice, finish(alice, format="csv", include=["attempts", "payloads"])))
        assert [row["attempt_number"] for row in rows] == ["1", "2", "3", ""]
        # Once for a delivery: a large one that was sent a thousand times would make a file of a thousand.
        assert [row["payload"] for row in rows] == ['{"n": 0}', "", "", '{"n": 0}']
        assert (rows[0]["attempt_reason"], rows[0]["attempt_total_ms"]) == ("http_server_error", "12.5")
        assert rows[0]["attempt_is_counted"] == "true"
        assert list(rows[0])[-1] == "payload"

    @pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
    def test_no_cell_is_a_formula(self, start: str, alice: Caller, endpoint: Endpoint) -> None:
        publish_many(1)
        Delivery.objects.update(account=f"{start}HYPERLINK(1)")
        try_each()
        Event.objects.update(payload=b"-1")
        (row,) = self.read(content(alice, finish(alice, format="csv", include=["attempts", "payloads"])))
        assert row["account"] == f"'{start}HYPERLINK(1)"
        assert row["attempt_detail"] == "'=1+1"
        assert row["payload"] == "'-1"

    def test_what_needs_quotes_has_them(self, alice: Caller, endpoint: Endpoint) -> None:
        text = 'a "b", ü\r\nc'
        publish_many(1)
        Delivery.objects.update(account=text)
        (row,) = self.read(content(alice, finish(alice, format="csv")))
        assert row["account"] == text


class TestWhatIsInIt:
    def test_the_window(self, alice: Caller, endpoint: Endpoint) -> None:
        publish_many(3)
        rows = list(Delivery.objects.order_by("id"))
        for minutes, row in enumerate(rows):
            Delivery.objects.filter(id=row.id).update(created_at=row.created_at - timedelta(seconds=30 - minutes))
        since, until = (row.created_at.isoformat() for row in Delivery.objects.order_by("id")[1:3])
        found = lines(content(alice, finish(alice, since=since, until=until)))
        assert [row["delivery_id"] for row in found] == [rows[1].public_id]

    def test_nothing_of_another_merchants(
        self, world: World, alice: Caller, charlie: Caller, endpoint: Endpoint, make_endpoint: Make
    ) -> None:
        make_endpoint(world.charlie)
        publish_many(2)
        publish_many(3, merchant="charlie")
        assert len(lines(content(alice, finish(alice)))) == 2
        assert len(lines(content(charlie, finish(charlie)))) == 3

    def test_more_than_one_page_and_one_step(
        self, alice: Caller, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_files, "PAGE_MOST", 7)
        monkeypatch.setattr(exports, "STEP_BYTES", 1)
        monkeypatch.setattr(exports, "CHUNK_BYTES", 100)
        publish_many(40)
        shown = finish(alice)
        found = lines(content(alice, shown))
        assert len({row["delivery_id"] for row in found}) == len(found) == 40 == shown["deliveries"]
        assert ExportChunk.objects.count() > 40
        assert set(ExportChunk.objects.values_list("size_bytes", flat=True)) >= {100}

    @pytest.mark.parametrize("kind", ["csv", "ndjson"])
    def test_deliveries_with_many_attempts_are_read_a_few_at_a_time(
        self, kind: str, alice: Caller, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A merchant may have one sent again as often as it likes: no page of them may take all of the memory."""
        publish_many(5)
        try_each(3)
        Delivery.objects.update(attempts_made=3)
        monkeypatch.setattr(log_files, "ATTEMPTS_PAGE_MOST", 7)
        seen: list[int] = []
        read = log_files._attempts

        def noted(rows: list[Delivery]) -> Any:
            seen.append(len(rows))
            return read(rows)

        monkeypatch.setattr(log_files, "_attempts", noted)
        raw = content(alice, finish(alice, format=kind, include=["attempts"]))
        assert seen == [2, 2, 1]
        assert len(raw.splitlines()) == (1 + 5 * 3 if kind == "csv" else 5)
        monkeypatch.setattr(log_files, "ATTEMPTS_PAGE_MOST", 2)
        assert content(alice, finish(alice, format=kind, include=["attempts"])) == raw

    def test_an_empty_log(self, alice: Caller, endpoint: Endpoint) -> None:
        assert content(alice, finish(alice)) == b""
        assert len(content(alice, finish(alice, format="csv")).splitlines()) == 1

    def test_goes_on_where_it_was_killed(
        self, alice: Caller, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_files, "PAGE_MOST", 5)
        monkeypatch.setattr(exports, "STEP_BYTES", 1)
        publish_many(20)
        shown = begin(alice)
        row = Export.objects.get()
        assert exports._step(row.id, now=timezone.now()) == 5
        monkeypatch.setattr(exports, "reached", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            exports._step(row.id, now=timezone.now())
        monkeypatch.setattr(exports, "reached", lambda _: None)
        between = alice.get(f"{URL}/{shown['id']}").json()
        assert (between["status"], between["deliveries"], between["file"]) == ("running", 5, None)
        exports.advance(clock=timezone.now)
        after = alice.get(f"{URL}/{shown['id']}").json()
        ids = [found["delivery_id"] for found in lines(content(alice, after))]
        assert ids == [one.public_id for one in Delivery.objects.order_by("id")]
        assert (after["progress"], after["size_bytes"]) == (1.0, len(content(alice, after)))


class TestTheFile:
    @pytest.fixture
    def shown(self, alice: Caller, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setattr(exports, "CHUNK_BYTES", 64)
        publish_many(4)
        return finish(alice, format="csv")

    def test_says_what_it_is(self, alice: Caller, shown: Any) -> None:
        answer = alice.get(shown["file"])
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
        assert answer.headers["Content-Disposition"] == f'attachment; filename="deliveries-{shown["id"]}.csv"'
        assert (answer.headers["Accept-Ranges"], answer.headers["ETag"]) == (
            "bytes",
            f'"{Export.objects.get().id.hex}"',
        )
        assert int(answer.headers["Content-Length"]) == shown["size_bytes"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    @pytest.mark.parametrize(
        ("asked", "first", "last"),
        [("0-0", 0, 0), ("10-200", 10, 200), ("100-", 100, None), ("-50", -50, None), ("60-70", 60, 70)],
    )
    def test_goes_on_from_any_byte(self, asked: str, first: int, last: int | None, alice: Caller, shown: Any) -> None:
        whole = content(alice, shown)
        wanted = whole[first:] if last is None else whole[first : last + 1]
        answer = alice.get(shown["file"], Range=f"bytes={asked}")
        assert answer.status_code == 206
        assert b"".join(answer.streaming_content) == wanted
        begin_at = first % len(whole) if first < 0 else first
        end = begin_at + len(wanted) - 1
        assert answer.headers["Content-Range"] == f"bytes {begin_at}-{end}/{len(whole)}"
        assert int(answer.headers["Content-Length"]) == len(wanted)

    @pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4", "bytes=-"])
    def test_a_range_that_means_nothing_is_not_heeded(self, asked: str, alice: Caller, shown: Any) -> None:
        assert alice.get(shown["file"], Range=asked).status_code == 200

    def test_of_another_version_all_is_sent(self, alice: Caller, shown: Any) -> None:
        same, other = f'"{Export.objects.get().id.hex}"', '"0"'
        assert alice.get(shown["file"], None, **{"Range": "bytes=0-1", "If-Range": same}).status_code == 206
        assert alice.get(shown["file"], None, **{"Range": "bytes=0-1", "If-Range": other}).status_code == 200

    def test_a_range_beyond_the_end(self, alice: Caller, shown: Any) -> None:
        for asked in (f"{shown['size_bytes']}-", "-0"):
            answer = alice.get(shown["file"], Range=f"bytes={asked}")
            assert code_of(answer) == (416, "range_not_satisfiable")

    def test_is_not_there_before_it_is_written(self, alice: Caller, endpoint: Endpoint) -> None:
        begun = begin(alice)
        assert begun["file"] is None
        assert code_of(alice.get(f"{URL}/{begun['id']}/file")) == (409, "export_running")

    def test_goes_after_a_day(self, alice: Caller, shown: Any) -> None:
        end = Export.objects.get().expires_at
        assert end is not None
        exports.advance(clock=lambda: end - timedelta(seconds=1))
        assert alice.get(shown["file"]).status_code == 200
        exports.advance(clock=lambda: end)
        assert ExportChunk.objects.count() == 0
        after = alice.get(f"{URL}/{shown['id']}").json()
        assert (after["status"], after["file"]) == ("expired", None)
        assert code_of(alice.get(shown["file"])) == (409, "export_gone")

    def test_or_when_its_merchant_says_so(self, alice: Caller, charlie: Caller, shown: Any) -> None:
        path = f"{URL}/{shown['id']}"
        headers = {"Authorization": f"Bearer {charlie.key}"}
        refused: Any = charlie.client.delete(path, headers=headers)
        assert code_of(refused) == (404, "not_found")
        assert Export.objects.count() == 1
        assert alice.client.delete(path, headers={"Authorization": f"Bearer {alice.key}"}).status_code == 204
        assert (Export.objects.count(), ExportChunk.objects.count()) == (0, 0)


class TestAsking:
    @pytest.mark.parametrize(
        ("body", "fault"),
        [
            ({}, ("/format", "required")),
            ({"format": "xlsx"}, ("/format", "unknown_choice")),
            ({"format": "csv", "include": ["secrets"]}, ("/include/0", "unknown_choice")),
            ({"format": "csv", "include": "payloads"}, ("/include", "wrong_type")),
            ({"format": "csv", "since": "yesterday"}, ("/since", "invalid_time")),
            ({"format": "csv", "x": 1}, ("/x", "unknown_field")),
            (
                {"format": "csv", "since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
                ("/since", "invalid_window"),
            ),
        ],
    )
    def test_wrongly(self, body: Any, fault: tuple[str, str], alice: Caller) -> None:
        assert errors_of(alice.post(URL, body)) == [fault]
        assert Export.objects.count() == 0

    def test_a_repeat_gets_the_first_answer(self, alice: Caller) -> None:
        first, second = (alice.post(URL, {"format": "csv"}, Idempotency_Key="k") for _ in range(2))
        assert first.json() == second.json()
        assert Export.objects.count() == 1
        assert first.headers["Location"] == f"{URL}/{first.json()['id']}"

    def test_for_too_many(self, alice: Caller, charlie: Caller) -> None:
        for _ in range(exports.MOST_OPEN):
            begin(alice)
        assert code_of(alice.post(URL, {"format": "csv"})) == (409, "too_many_exports")
        assert begin(charlie)["status"] == "running"
        assert Export.objects.count() == exports.MOST_OPEN + 1

    def test_for_more_than_fits(self, alice: Caller, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exports, "STORED_MOST_BYTES", 10)
        publish_many(5)
        begun = begin(alice)
        exports.advance(clock=timezone.now)
        after = alice.get(f"{URL}/{begun['id']}").json()
        assert (after["status"], after["stop_reason"], after["file"]) == ("stopped", "too_large", None)
        assert ExportChunk.objects.count() == 0

    def test_is_in_the_audit_log(self, world: World, alice: Caller) -> None:
        begun = begin(alice, include=["payloads"])
        entry = AuditEntry.objects.get(action="export.begun")
        assert (entry.target, entry.merchant_id) == (begun["id"], world.alice.id)
        assert entry.detail == {"format": "ndjson", "include": ["payloads"]}


def test_a_stranger_finds_none(alice: Caller, charlie: Caller, endpoint: Endpoint, provider: Caller) -> None:
    publish_many(1)
    shown = finish(alice)
    for path in (f"{URL}/{shown['id']}", shown["file"]):
        assert code_of(charlie.get(path)) == (404, "not_found")
        assert code_of(charlie.get(f"{path}?merchant=alice")) == (404, "not_found")
        assert code_of(provider.get(f"{path}?merchant=charlie")) == (404, "not_found")
        assert provider.get(f"{path}?merchant=alice").status_code == 200
    assert charlie.get(URL).json() == {"data": [], "next_cursor": None}
    assert [row["id"] for row in alice.get(URL).json()["data"]] == [shown["id"]]


class TestCommand:
    def test_writes_the_same_file(
        self, alice: Caller, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_files, "PAGE_MOST", 3)
        publish_many(10)
        target, progress = tmp_path / "log.csv", io.StringIO()
        options = {"merchant": "alice", "format": "csv", "output": str(target), "stderr": progress}
        call_command("export_log", **options)
        assert target.read_bytes() == content(alice, finish(alice, format="csv"))
        assert progress.getvalue() == "done: 10 deliveries\n"
        with pytest.raises(CommandError, match="cannot be written"):
            call_command("export_log", **options)

    def test_tells_its_progress(self, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(log_files, "PAGE_MOST", 4)
        monkeypatch.setattr("deliveries.management.commands.export_log.TELL_EVERY", 4)
        publish_many(10)
        progress = io.StringIO()
        call_command("export_log", merchant="alice", output=str(tmp_path / "x"), stderr=progress)
        told = progress.getvalue().splitlines()
        assert [line.split(" ")[0] for line in told[:-1]] == ["4", "8"]
        assert all(line.endswith("%") for line in told[:-1])
        assert told[-1] == "done: 10 deliveries"

    def test_a_merchant_that_is_not_there(self, world: World, tmp_path: Path) -> None:
        with pytest.raises(CommandError):
            call_command("export_log", merchant="nobody", output=str(tmp_path / "x"))
        assert not (tmp_path / "x").exists()
