"""The log as a file: asked for, written, fetched, deleted."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from deliveries.models import Export
from deliveries.services import exports
from subscriptions.models import AuditEntry, Endpoint
from tests.deliveries.portal.visitors import Visitor, words_of

Make = Callable[..., Any]


@pytest.fixture
def rows(endpoint: Endpoint, owe: Make) -> None:
    owe(endpoint, ago=timedelta(hours=5), external_id="old")
    owe(endpoint, ago=timedelta(minutes=5), external_id="new")


def finished(visitor: Visitor, **data: Any) -> Export:
    answer = visitor.post("exports/", {"format": "csv"} | data)
    assert (answer.status_code, answer.headers["Location"]) == (303, visitor.address("exports/"))
    exports.advance(clock=timezone.now)
    made: Export = Export.objects.latest("id")
    assert made.status == "finished"
    return made


def content(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


class TestForm:
    def test_has_the_range_that_the_log_had(self, alice: Visitor) -> None:
        answer = alice.get("exports/", since="2026-01-01T10:20:30Z", until="2026-01-02T00:00:00+02:00")
        body = answer.content.decode()
        assert 'name="since" value="2026-01-01T10:20"' in body
        assert 'name="until" value="2026-01-01T22:00"' in body

    @pytest.mark.parametrize(
        ("data", "sentence"),
        [
            ({"since": "soon"}, "Write a date and a time, such as 2026-05-01 14:30."),
            ({"since": "2026-05-02T00:00", "until": "2026-05-01T00:00"}, "The window is empty"),
        ],
    )
    def test_what_is_wrong_is_said_and_what_was_typed_stays(
        self, alice: Visitor, data: dict[str, str], sentence: str
    ) -> None:
        answer = alice.post("exports/", {"format": "ndjson", "include": ["attempts"], **data})
        assert answer.status_code == 422
        assert sentence in words_of(answer)
        body = answer.content.decode()
        assert f'value="{data["since"]}"' in body
        assert 'value="ndjson" checked' in body
        assert 'value="attempts" checked' in body
        assert 'value="payloads" checked' not in body
        assert not Export.objects.exists()

    def test_too_many_at_a_time_are_refused(self, alice: Visitor, rows: None) -> None:
        for _ in range(3):
            finished(alice)
        answer = alice.post("exports/", {"format": "csv"})
        assert answer.status_code == 409
        assert "A merchant has at most 3 exports at a time." in words_of(answer)

    def test_a_viewer_has_no_form_but_the_files(self, alice: Visitor, viewer: Visitor, rows: None) -> None:
        assert "No file yet" in viewer.read("exports/")
        made = finished(alice)
        body = viewer.get("exports/").content.decode()
        assert "<form class" not in body
        assert "Delete" not in body
        assert content(viewer.get(f"exports/{made.public_id}/file")).startswith(b"event_id,")


class TestFile:
    def test_holds_the_time_that_was_asked_for(self, alice: Visitor, rows: None) -> None:
        since = (timezone.now() - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")
        made = finished(alice, since=since)
        answer = alice.get(f"exports/{made.public_id}/file")
        text = content(answer).decode()
        assert [line.partition(",")[0] for line in text.splitlines()] == ["event_id", "new"]
        assert answer.headers["Content-Disposition"] == f'attachment; filename="deliveries-{made.public_id}.csv"'
        assert answer.headers["Content-Type"].startswith("text/csv")

    def test_payloads_come_when_asked_for(self, alice: Visitor, rows: None) -> None:
        made = finished(alice, format="ndjson", include=["payloads", "nonsense"])
        assert made.include == ["payloads"]
        assert content(alice.get(f"exports/{made.public_id}/file")).count(b'"payload":{"total": 12.50}') == 2

    def test_a_download_that_broke_off_goes_on(self, alice: Visitor, rows: None) -> None:
        made = finished(alice)
        address = alice.address(f"exports/{made.public_id}/file")
        whole = content(alice.client.get(address))
        rest = alice.client.get(address, headers={"Range": "bytes=5-"})
        assert (rest.status_code, content(rest)) == (206, whole[5:])
        assert alice.client.get(address, headers={"Range": "bytes=999999-"}).status_code == 416

    def test_one_that_is_not_ready_or_gone_is_not_there(self, alice: Visitor, rows: None) -> None:
        alice.post("exports/", {"format": "csv"})
        made = Export.objects.get()
        page = f"exports/{made.public_id}/file"
        assert alice.get(page).status_code == 409
        assert "The file is still being written." in words_of(alice.get(page))
        exports.advance(clock=timezone.now)
        exports.drop_expired(now=timezone.now() + timedelta(hours=25))
        assert "Begin another export." in words_of(alice.get(page))
        assert "Expired" in alice.read("exports/")


class TestProgress:
    def test_is_asked_for_until_it_is_over(self, alice: Visitor, rows: None) -> None:
        alice.post("exports/", {"format": "csv"})
        page = f"exports/{Export.objects.get().public_id}/"
        running = alice.part(page).content.decode()
        assert 'hx-trigger="every 1s"' in running
        assert "Download" not in running
        exports.advance(clock=timezone.now)
        over = alice.part(page).content.decode()
        assert "hx-get" not in over
        assert "2 deliveries, " in over
        assert "Download" in over

    def test_opened_as_a_page_it_is_the_list(self, alice: Visitor, rows: None) -> None:
        made = finished(alice)
        assert alice.get(f"exports/{made.public_id}/").headers["Location"] == alice.address("exports/")

    @pytest.mark.parametrize(
        ("reason", "words"),
        [("too_large", "larger than a file may be"), ("expunged", "because contents in it were erased")],
    )
    def test_one_that_was_stopped_says_why(self, alice: Visitor, rows: None, reason: str, words: str) -> None:
        made = finished(alice)
        Export.objects.filter(id=made.id).update(status="stopped", stop_reason=reason)
        assert words in alice.read("exports/")


class TestDelete:
    def test_asks_first_then_does_it(self, alice: Visitor, rows: None) -> None:
        made = finished(alice)
        page = f"exports/{made.public_id}/delete"
        assert "It can no longer be downloaded. The log itself stays" in alice.read(page)
        assert Export.objects.exists()
        assert alice.post(page).headers["Location"] == alice.address("exports/")
        assert not Export.objects.exists()
        assert AuditEntry.objects.latest("id").action == "export.deleted"

    def test_one_that_is_not_there(self, alice: Visitor) -> None:
        for named in ("exp_0", "exp_01kfxwm9jceesrtq0733vx0g8y", "ep_1"):
            for rest in ("", "file", "delete"):
                assert alice.get(f"exports/{named}/{rest}").status_code == 404
