"""The client knows every member that the API's own document tells, and makes none up."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from config.api.openapi.document import document
from dispatcher.client import fields, results

SHOWN: Mapping[str, type[msgspec.Struct]] = {
    "Accepted": results.Accepted,
    "AcceptedBatch": results.AcceptedBatch,
    "Account": results.Account,
    "ApiKey": results.ApiKey,
    "Attempt": results.Attempt,
    "Config": results.Config,
    "Connectivity": results.Connectivity,
    "Endpoint": results.Endpoint,
    "EventDetail": results.Event,
    "EventType": results.EventType,
    "EventTypeWithSample": results.SampledEventType,
    "LogRow": results.LogRow,
    "Merchant": results.Merchant,
    "NewApiKey": results.NewApiKey,
    "PortalLink": results.PortalLink,
    "PublicKey": results.PublicKey,
    "Replay": results.Replay,
    "ReplayCount": results.ReplayCount,
    "Resent": results.Resent,
    "RotatedSecret": results.RotatedSecret,
    "Secret": results.Secret,
    "Statistics": results.Stats,
    "Trial": results.Trial,
}
GIVEN: Mapping[str, Any] = {
    "EndpointChanges": fields.EndpointChanges,
    "NewEndpoint": fields.NewEndpointFields,
    "ConfigBody": fields.ConfigFields,
    "EventTypeChanges": fields.EventTypeFields,
    "MerchantChanges": fields.MerchantChanges,
}
# Named as arguments instead: what has to be there.
ARGUMENTS: Mapping[str, set[str]] = {"NewEndpoint": {"url"}, "ConfigBody": {"url"}}


def schema(name: str) -> Any:
    return document()["components"]["schemas"][name]


def pairs(found: type[msgspec.Struct], told: Any, at: str) -> Any:
    """Every struct in the result with its schema, at any depth."""
    while "$ref" in told:
        told = schema(told["$ref"].rpartition("/")[2])
    if "anyOf" in told or "oneOf" in told:
        told = next(one for one in told.get("anyOf", told.get("oneOf")) if one.get("type") != "null")
        yield from pairs(found, told, at)
        return
    yield found, told, at
    for field in msgspec.structs.fields(found):
        if inner := _struct_in(field.type):
            member = told["properties"].get(field.encode_name, {})
            yield from pairs(inner, member.get("items", member), f"{at}/{field.encode_name}")


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    return next((found for one in getattr(kind, "__args__", ()) if (found := _struct_in(one))), None)


@pytest.mark.parametrize("name", SHOWN)
def test_each_result_has_the_members_that_the_api_tells(name: str) -> None:
    for found, told, at in pairs(SHOWN[name], schema(name), name):
        known = {field.encode_name for field in msgspec.structs.fields(found)}

        assert known == set(told["properties"]), at


@pytest.mark.parametrize("name", GIVEN)
def test_each_field_that_may_be_given_has_its_name(name: str) -> None:
    assert set(GIVEN[name].__annotations__) | ARGUMENTS.get(name, set()) == set(schema(name)["properties"])


def test_what_a_newer_platform_adds_is_passed_over() -> None:
    raw = b'{"id": "evt_1", "duplicate": false, "deliveries": 1, "something_new": {"a": 1}}'

    assert msgspec.json.decode(raw, type=results.Accepted).deliveries == 1


def test_a_result_is_json_again_with_the_very_bytes_of_its_payload() -> None:
    row = (
        b'{"id":"evt_1","delivery_id":"del_1","endpoint_id":"ep_1","event_type":"a","account":null,'
        b'"delivery_status":"pending","delivery_attempts":0,"delivery_response_code":null,"delivery_error":null,'
        b'"next_attempt_at":null,"payload":{"b": 12.50,  "a":1e2},"expunged_at":null,'
        b'"created_at":"2026-03-01T12:00:00Z"}'
    )

    read = msgspec.json.decode(row, type=results.LogRow)

    assert read.to_json() == row
    assert (read.payload_bytes, read.payload) == (b'{"b": 12.50,  "a":1e2}', {"b": 12.5, "a": 100.0})
