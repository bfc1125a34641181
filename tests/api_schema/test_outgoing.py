"""The outgoing deliveries are documented from the profiles' own data, so that what is sent fits what is written."""

import json
from typing import Any
from urllib.parse import parse_qsl

import jsonschema_rs
import pytest

from config.api.openapi.document import document
from config.api.openapi.outgoing import NO_PARAMETER
from dispatcher.profiles.bodies import content_type
from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.sample import render_sample

PAYLOADS = [
    b'{"id":"in_1","total":"1.5"}',
    b'{"id":"7","dataType":"card","links":"https://merchant.example/x","changed":"status"}',
    b'{"nothing":"of that"}',
]


def operation(profile: str) -> Any:
    return document()["webhooks"][profile]["post"]


def parsed(body: bytes) -> Any:
    if body[:1] == b"{":
        return json.loads(body)
    return dict(parse_qsl(body.decode(), keep_blank_values=True))


def test_every_profile_is_there() -> None:
    assert list(document()["webhooks"]) == list(PROFILES)


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("name", PROFILES)
def test_another_delivery_has_the_documented_form(name: str, payload: bytes) -> None:
    sent = render_sample(PROFILES[name], payload=payload, event_type="order.shipped", is_rotating=True)
    (media_type, content), *others = operation(name)["requestBody"]["content"].items()
    assert (media_type, others) == (content_type(PROFILES[name].body), [])
    headers = dict(sent.headers)
    assert headers["Content-Type"] == media_type
    check = jsonschema_rs.validator_for(
        {"$schema": "https://json-schema.org/draft/2020-12/schema", **content["schema"]}
    )
    assert [error.message for error in check.iter_errors(parsed(sent.body))] == []
    told = {one["name"]: one for one in operation(name)["parameters"]}
    also = {header for header in headers if header.endswith("-Previous")}
    assert set(told) == {header for header in headers if header.lower() not in NO_PARAMETER} - also


@pytest.mark.parametrize("name", PROFILES)
def test_a_body_of_another_form_does_not_fit(name: str) -> None:
    schema = operation(name)["requestBody"]["content"][content_type(PROFILES[name].body)]["schema"]
    if PROFILES[name].body.kind != "raw":
        assert not jsonschema_rs.is_valid(schema, [])
    for member in schema.get("required", []):
        whole = parsed(render_sample(PROFILES[name]).body)
        assert jsonschema_rs.is_valid(schema, whole)
        del whole[member]
        assert not jsonschema_rs.is_valid(schema, whole)


@pytest.mark.parametrize("name", PROFILES)
def test_the_example_is_one_that_was_rendered_and_signatures_are_optional(name: str) -> None:
    sample = render_sample(PROFILES[name])
    (content,) = operation(name)["requestBody"]["content"].values()
    signatures = {item.name for item in PROFILES[name].signatures}
    fields = {item.name for item in PROFILES[name].signatures if item.place == "field"}
    assert content["example"].keys() == parsed(sample.body).keys()
    assert {k: v for k, v in content["example"].items() if k not in fields} == {
        k: v for k, v in parsed(sample.body).items() if k not in fields
    }
    for one in operation(name)["parameters"]:
        assert one["required"] == (one["name"] not in signatures)
        assert one["example"]


def test_what_a_receiver_must_answer_is_told() -> None:
    assert "start with 'OK'" in operation("paysera")["responses"]["2XX"]["description"]
    assert "401" in operation("paysera-checkout")["responses"]["default"]["description"]
