"""Charlie, the stranger, reaches nothing of Alice's: every route and verb, derived from the URL conf."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLPattern

from subscriptions.api import urls
from subscriptions.api.base import MerchantView, ProviderView
from subscriptions.models import ApiKey, AuditEntry, Endpoint, Merchant, Rule, SigningSecret
from subscriptions.services import keys
from tests.subscriptions.conftest import NOW, URL, Api, Person, problem

BODIES: dict[tuple[str, str], Any] = {
    ("patch", "webhooks/endpoints/<str:endpoint>"): {"description": "mine now"},
    ("patch", "webhooks/rules/<str:rule>"): {"name": "mine now", "recipients": [{"url": URL}]},
    ("post", "webhooks/endpoints/<str:endpoint>/secret/rotate"): {"secret": "mine now"},
    ("post", "webhooks/endpoints/<str:endpoint>/verification/confirm"): {"code": "123456"},
}
VERBS = ("get", "post", "put", "patch", "delete")


def routes(kind: type) -> Iterator[tuple[str, str]]:
    for pattern in urls.urlpatterns:
        assert isinstance(pattern, URLPattern)
        view: Any = pattern.callback
        if issubclass(view.view_class, kind):
            yield from ((verb, str(pattern.pattern)) for verb in VERBS if hasattr(view.view_class, verb))


def everything() -> list[Any]:
    models = (Endpoint, SigningSecret, Merchant, AuditEntry, Rule)
    return [list(model.objects.order_by("pk").values()) for model in models]


CATALOGUE = "webhooks/event-types/<str:name>"
# The catalogue is the same for all merchants.
WITH_ID = [route for route in routes(MerchantView) if "<" in route[1] and route[1] != CATALOGUE]
WITHOUT_ID = [route for route in routes(MerchantView) if "<" not in route[1] or route[1] == CATALOGUE]


def test_every_route_is_a_merchants_or_the_providers() -> None:
    assert len(list(routes(object))) == len(list(routes(MerchantView))) + len(list(routes(ProviderView)))
    assert {pattern for _, pattern in WITH_ID} == {
        "webhooks/endpoints/<str:endpoint>",
        "webhooks/endpoints/<str:endpoint>/secret",
        "webhooks/endpoints/<str:endpoint>/secret/rotate",
        "webhooks/endpoints/<str:endpoint>/verification",
        "webhooks/endpoints/<str:endpoint>/verification/confirm",
        "webhooks/rules/<str:rule>",
    }


def make_objects(owner: Person) -> dict[str, str]:
    """What can stand in a path, by its placeholder: the owner's objects."""
    endpoint = owner.api.post("/endpoints", {"url": URL}).json()["id"]
    rule = owner.api.post("/rules", {"recipients": [{"url": URL}]}).json()["id"]
    return {"<str:endpoint>": endpoint, "<str:rule>": rule}


def fill(pattern: str, objects: dict[str, str]) -> str:
    for placeholder, text in objects.items():
        pattern = pattern.replace(placeholder, text)
    return pattern


MISSING = {"<str:endpoint>": "ep_00000000000000000000000000", "<str:rule>": "rul_00000000000000000000000000"}


@pytest.mark.parametrize(("verb", "pattern"), WITH_ID)
def test_a_strangers_object_is_not_found_and_untouched(alice: Person, charlie: Person, verb: str, pattern: str) -> None:
    objects = make_objects(alice)
    before = everything()
    caller = Api(charlie.api.key, base="/api/v2/")
    answer = caller(verb.upper(), fill(pattern, objects), BODIES.get((verb, pattern)))
    told = problem(answer, 404, "not_found")
    assert everything() == before
    missing = caller(verb.upper(), fill(pattern, MISSING), BODIES.get((verb, pattern)))
    # Word for word what an object that never existed gets.
    assert problem(missing, 404, "not_found")["detail"] == told["detail"]


@pytest.mark.parametrize(("verb", "pattern"), WITHOUT_ID + WITH_ID)
def test_a_merchant_key_cannot_name_another_merchant(alice: Person, charlie: Person, verb: str, pattern: str) -> None:
    objects = make_objects(alice)
    before = everything()
    caller = Api(charlie.api.key, base="/api/v2/")
    for named in (alice.merchant.public_id, "alice", "nobody"):
        path = fill(pattern, objects)
        problem(caller(verb.upper(), f"{path}?merchant={named}", {"url": URL}), 404, "not_found")
    assert everything() == before


def test_lists_hold_only_ones_own(alice: Person, bob: Person, charlie: Person) -> None:
    mine = {person.api.post("/endpoints", {"url": URL}).json()["id"]: person for person in (alice, bob)}
    for endpoint, person in mine.items():
        assert [row["id"] for row in person.api.get("/endpoints").json()["data"]] == [endpoint]
    assert charlie.api.get("/endpoints").json() == {"data": [], "next_cursor": None}


def test_a_cursor_is_good_for_ones_own_list_only(alice: Person, charlie: Person) -> None:
    for _ in range(2):
        alice.api.post("/endpoints", {"url": URL})
    cursor = alice.api.get("/endpoints?limit=1").json()["next_cursor"]
    problem(charlie.api.get(f"/endpoints?cursor={cursor}"), 422, "invalid")


@pytest.mark.parametrize(("verb", "pattern"), list(routes(ProviderView)))
def test_a_merchant_key_is_refused_on_provider_routes(alice: Person, charlie: Person, verb: str, pattern: str) -> None:
    own = ApiKey.objects.get(merchant=charlie.merchant)
    before = everything()
    path = (
        pattern.replace("<str:merchant>", charlie.merchant.public_id)
        .replace("<str:key>", own.public_id)
        .replace("<str:reference>", "acc-1")
        .replace("<str:name>", "invoice.paid")
    )
    problem(Api(charlie.api.key, base="/api/v2/")(verb.upper(), path, {"name": "x"}), 403, "provider_key_needed")
    assert everything() == before
    own.refresh_from_db()
    assert own.revoked_at is None


@pytest.mark.parametrize(("verb", "pattern"), [*routes(MerchantView), *routes(ProviderView)])
def test_nobody_gets_in_without_a_key(db: None, verb: str, pattern: str) -> None:
    answer = Api("", base="/api/v2/")(verb.upper(), pattern.replace("<str:", "").replace(">", ""))
    problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'


def test_a_provider_names_the_merchant(alice: Person, provider: Api) -> None:
    caller = Api(provider.key)
    alice.api.put("/config", {"url": URL})
    for named in (alice.merchant.public_id, "alice"):
        assert caller.get(f"/config?merchant={named}").json()["url"] == URL
    problem(caller.get("/config"), 422, "invalid")
    problem(caller.get("/config?merchant=nobody"), 404, "not_found")
    problem(caller.get("/config?merchant=mer_00000000000000000000000000"), 404, "not_found")


def test_a_key_of_another_merchant_is_not_revoked(alice: Person, bob: Person, provider: Api) -> None:
    key = ApiKey.objects.get(merchant=alice.merchant)
    problem(provider.delete(f"/merchants/{bob.merchant.public_id}/api-keys/{key.public_id}"), 404, "not_found")
    assert alice.api.get("/endpoints").status_code == 200


def test_what_belongs_to_a_deleted_merchant_is_out_of_reach(alice: Person, provider: Api) -> None:
    spare = keys.create(name="spare", merchant=alice.merchant, now=NOW, actor="system")
    assert provider.delete("/merchants/alice").status_code == 204
    problem(alice.api.get("/endpoints"), 401, "unauthenticated")
    problem(Api(spare.text).get("/endpoints"), 401, "unauthenticated")
    problem(provider.get("/webhooks/config?merchant=alice"), 404, "not_found")
