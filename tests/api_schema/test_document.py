"""The document is sound: valid schemas, examples that fit them, links that lead somewhere, and every refusal told."""

from typing import Any

import jsonschema_rs
import pytest
from django.test import Client

from config.api.openapi.document import SECURITY_SCHEMES, document, examples
from config.api.openapi.operations import HEADERS
from config.api.openapi.routes import routes

DIALECT = "https://json-schema.org/draft/2020-12/schema"
LOCAL = "#/components/"


def operations() -> dict[str, Any]:
    return {operation["operationId"]: operation for item in document()["paths"].values() for operation in item.values()}


def parts(part: Any) -> Any:
    """Every object in the document."""
    if isinstance(part, dict):
        yield part
        for member in part.values():
            yield from parts(member)
    if isinstance(part, list):
        for item in part:
            yield from parts(item)


def test_it_is_openapi_3_1() -> None:
    made = document()
    assert made["openapi"] == "3.1.1"
    assert set(made) == {"openapi", "info", "servers", "tags", "paths", "webhooks", "components"}
    assert set(made["components"]["securitySchemes"]) == set(SECURITY_SCHEMES) == {"bearer", "token"}


def test_every_schema_is_one() -> None:
    schemas = [part["schema"] for part in parts(document()) if isinstance(part.get("schema"), dict)]
    assert len(schemas) > 500
    for schema in [*schemas, *document()["components"]["schemas"].values()]:
        jsonschema_rs.meta.validate({"$schema": DIALECT, **schema})


def test_every_reference_leads_somewhere() -> None:
    names = [part["$ref"] for part in parts(document()) if isinstance(part.get("$ref"), str)]
    assert len(names) > 500
    for name in names:
        kind, _, key = name.removeprefix(LOCAL).partition("/")
        assert key in document()["components"][kind], name


def test_no_schema_and_no_response_is_left_over() -> None:
    named = {part["$ref"] for part in parts(document()) if isinstance(part.get("$ref"), str)}
    for kind in ("schemas", "responses", "parameters"):
        assert {f"{LOCAL}{kind}/{key}" for key in document()["components"][kind]} - named == set()


def test_every_example_fits_its_schema() -> None:
    components = {"components": document()["components"], "$schema": DIALECT}
    found = list(examples())
    assert len(found) > 250
    for at, schema, value in found:
        check = jsonschema_rs.validator_for({**schema, **components}, validate_formats=True)
        assert [error.message for error in check.iter_errors(value)] == [], at


def test_every_operation_has_what_readers_and_clients_need() -> None:
    tags = {tag["name"] for tag in document()["tags"]}
    known = operations()
    assert len(known) == len(routes())
    for name, operation in known.items():
        assert name.isidentifier(), name
        assert set(operation["tags"]) <= tags, name
        assert operation["summary"], name
        for status, response in operation["responses"].items():
            if status.startswith("2"):
                assert ("content" in response) == (status != "204"), name
                assert all("example" in content for content in response["content"].values()) if status != "204" else 1
                assert "X-Request-Id" in response["headers"], name
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert content["examples"], name


def test_what_follows_from_the_kind_of_a_route_is_told() -> None:
    known = operations()

    def statuses(name: str) -> set[str]:
        return set(known[name]["responses"])

    assert statuses("getSchema") == {"200", "304", "400", "503"}
    assert statuses("listEndpoints") == {"200", "400", "401", "404", "422", "503"}
    assert statuses("listMerchants") == {"200", "400", "401", "403", "422", "503"}
    writing = {"400", "401", "404", "408", "413", "415", "422", "503"}
    assert statuses("createEndpoint") == {"201", "409", "429", *writing}
    assert statuses("updateEndpoint") == {"200", "409", "412", "429", *writing}
    headers = {parameter.get("$ref", "").rpartition("/")[2] for parameter in known["rotateSecret"]["parameters"]}
    assert {"Merchant", "IfMatch", "IdempotencyKey"} <= headers


def test_links_lead_from_what_is_made_to_all_that_can_be_done_with_it() -> None:
    known = operations()
    links = {
        (name, link["operationId"]): link["parameters"]
        for name, operation in known.items()
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    }
    assert links["createEndpoint", "deleteEndpoint"] == {"endpoint": "$response.body#/id"}
    assert links["createApiKey", "revokeApiKey"] == {
        "merchant": "$request.path.merchant",
        "key": "$response.body#/id",
    }
    for (_, target), parameters in links.items():
        needed = {one["name"] for one in known[target]["parameters"] if one.get("in") == "path"}
        assert set(parameters) == needed
    made = {name for name, operation in known.items() if "201" in operation["responses"]}
    # What comes of it is for a browser, and for nobody twice.
    made.remove("createPortalLink")
    assert {name for name, _ in links} >= made


def test_headers_are_told_once_for_all() -> None:
    told = {name for part in parts(document()) for name in part.get("headers", {}) if isinstance(part["headers"], dict)}
    assert set(HEADERS) <= told | {"headers"}


def test_it_is_served_to_everybody_and_can_be_cached() -> None:
    answer = Client().get("/api/schema/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json() == document()
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    again = Client().get("/api/schema/", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/api/schema", "/api/schema/x", "/api/docs"])
def test_nothing_stands_beside_it(path: str) -> None:
    assert Client().get(path).status_code == 404
