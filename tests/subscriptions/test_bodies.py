"""Whatever is sent as a body is read strictly or answered with a 4xx problem, and then nothing is stored."""

import io
from typing import Any

import pytest
from django.test import RequestFactory
from rest_framework.exceptions import ParseError

from subscriptions.api import bodies
from subscriptions.errors import TooLarge
from subscriptions.models import Endpoint, Merchant
from subscriptions.services import shapes
from tests.subscriptions.conftest import URL, Api, Person, problem

TRAPS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty_body"),
    "not json": (b"hello", "invalid_json"),
    "a list of brackets": (b"[" * 100_000, "too_deep"),
    "NaN": (b'{"name": NaN}', "invalid_json"),
    "overflow": (b'{"name": 1e999}', "number_out_of_range"),
    "long number": (b'{"name": ' + b"9" * 5_000 + b"}", "number_out_of_range"),
    "NUL": (b'{"name": "a\\u0000b"}', "nul_character"),
    "lone surrogate": (b'{"name": "\\ud800"}', "lone_surrogate"),
    "duplicate key": (b'{"name": "a", "name": "b"}', "duplicate_key"),
    "byte order mark": (b'\xef\xbb\xbf{"name": "a"}', "byte_order_mark"),
    "latin-1": ('{"name": "é"}'.encode("latin-1"), "invalid_utf8"),
}


@pytest.mark.parametrize(("raw", "code"), TRAPS.values(), ids=TRAPS.keys())
def test_unreadable_bodies_are_400(provider: Api, raw: bytes, code: str) -> None:
    problem(provider.post("/merchants", raw), 400, code)
    assert Merchant.objects.count() == 0


@pytest.mark.parametrize("raw", [b"[]", b'"text"', b"1", b"null"])
def test_another_json_type_is_422(provider: Api, raw: bytes) -> None:
    told = problem(provider.post("/merchants", raw), 422, "invalid")
    assert told["errors"] == [{"pointer": "", "code": "wrong_type", "message": "The body must be a JSON object."}]


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json; charset=latin-1",
        "application/json, text/plain",
        "application/merge-patch+json",
    ],
)
def test_another_content_type_is_415(provider: Api, content_type: str) -> None:
    problem(provider.post("/merchants", {"name": "a"}, Content_Type=content_type), 415, "unsupported_media_type")
    assert Merchant.objects.count() == 0


def test_an_encoded_body_is_415(provider: Api) -> None:
    problem(provider.post("/merchants", {"name": "a"}, Content_Encoding="gzip"), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON;charset=UTF-8", 'application/json; charset="utf-8"']
)
def test_json_in_utf8_is_taken(provider: Api, content_type: str) -> None:
    assert provider.post("/merchants", {"name": "é"}, Content_Type=content_type).status_code == 201


def test_ten_megabytes_are_413(alice: Person) -> None:
    problem(alice.api.post("/endpoints", b"x" * 10_000_000), 413, "payload_too_large")
    problem(alice.api.put("/config", b"x" * (bodies.MAX_BODY_BYTES + 1)), 413, "payload_too_large")
    assert Endpoint.objects.count() == 0


class Endless(io.RawIOBase):
    """A stream that counts what was taken from it."""

    taken = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0
        self.taken += size
        return b"x" * size


def request_of(stream: Any, **meta: Any) -> Any:
    request = RequestFactory().post("/", b"", content_type="application/json")
    request.META.update({"wsgi.input": stream, **meta})
    return request


def test_a_told_length_is_refused_before_a_byte_is_read() -> None:
    stream = Endless()
    with pytest.raises(TooLarge):
        bodies.read(request_of(stream, CONTENT_LENGTH="101"), limit=100)
    assert stream.taken == 0


def test_an_untold_length_is_read_to_one_byte_past_the_limit() -> None:
    stream = Endless()
    with pytest.raises(TooLarge):
        bodies.read(request_of(stream, CONTENT_LENGTH="", **{"wsgi.input_terminated": True}), limit=100)
    assert stream.taken == 101


def test_a_body_that_ends_before_its_length_is_refused() -> None:
    """Valid JSON may be the first half of what was meant."""
    request = request_of(io.BytesIO(b'{"a": 1}'), CONTENT_LENGTH="9")
    with pytest.raises(ParseError) as refusal:
        bodies.read(request, limit=100)
    assert refusal.value.get_codes() == "incomplete_body"


def test_a_chunked_body_is_read_whole() -> None:
    request = request_of(io.BytesIO(b'{"a": 1}'), CONTENT_LENGTH="", **{"wsgi.input_terminated": True})
    assert bodies.read(request, limit=100) == b'{"a": 1}'


def test_a_body_of_just_the_limit_is_read() -> None:
    request = RequestFactory().post("/", b"x" * 100, content_type="application/json")
    assert bodies.read(request, limit=100) == b"x" * 100


def test_a_multitude_of_faults_is_not_told_in_full(provider: Api) -> None:
    told = problem(provider.post("/merchants", {f"{number:x}": 0 for number in range(10_000)}), 422, "invalid")
    assert len(told["errors"]) == shapes.MOST_FAULTS


def test_a_body_may_be_left_out_where_every_field_may(alice: Person) -> None:
    endpoint = alice.api.post("/endpoints", {"url": URL}).json()["id"]
    assert alice.api.post(f"/endpoints/{endpoint}/secret/rotate", b"", Content_Type="").status_code == 200
