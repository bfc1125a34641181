"""An endpoint's fields: what passes, what is refused, and with which code at which pointer."""

from ipaddress import ip_network
from typing import Any

import pytest

from dispatcher.http.resolver import Answer, Resolver
from dispatcher.outcomes import Reason
from dispatcher.targets import SENTENCES
from subscriptions.models import Endpoint, SigningSecret
from subscriptions.services import endpoint_urls
from tests.subscriptions.conftest import URL, Person, faults, make_type

BLOCKED = [
    "https://127.0.0.1/",
    "https://10.1.2.3/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://localhost/",
    "https://db.internal/",
    "https://testserver.localhost/",
]
INVALID_URLS = [
    "",
    "http://93.184.215.14/",
    "ftp://93.184.215.14/",
    "//93.184.215.14/",
    "/in",
    "https://",
    "https://user@host.example/",
    "https://user:pass@93.184.215.14/",
    "https://host",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://a b.example/",
    "https://host.example:0/",
    "https://host.example:22/",
    "https://host.example/#part",
    "https://host.example\\@x/",
    "https://%31%32.example/",
    "https://host.example/" + "a" * 2_048,
]
WRONG: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"url": 5}, {"/url": "wrong_type"}),
    ({"url": None}, {"/url": "wrong_type"}),
    ({"description": "x" * 1_025}, {"/description": "wrong_length"}),
    ({"description": None}, {"/description": "wrong_type"}),
    ({"description": "a\u0007"}, {"/description": "control_character"}),
    ({"channel": "pigeon"}, {"/channel": "unknown_choice"}),
    ({"profile": "nobody"}, {"/profile": "unknown_choice"}),
    ({"profile": ["default"]}, {"/profile": "wrong_type"}),
    ({"event_types": []}, {"/event_types": "wrong_length"}),
    ({"event_types": "invoice.paid"}, {"/event_types": "wrong_type"}),
    ({"event_types": ["invoice.paid", "no.such"]}, {"/event_types/1": "unknown_event_type"}),
    ({"event_types": ["old.type"]}, {"/event_types/0": "unknown_event_type"}),
    ({"event_types": ["*"]}, {"/event_types/0": "invalid_event_type"}),
    ({"event_types": ["invoice*"]}, {"/event_types/0": "invalid_event_type"}),
    ({"event_types": ["invoice.*.paid"]}, {"/event_types/0": "invalid_event_type"}),
    (
        {"event_types": [".*", "", "a..b", "é.*"]},
        dict.fromkeys((f"/event_types/{n}" for n in range(4)), "invalid_event_type"),
    ),
    ({"accounts": None}, {"/accounts": "wrong_type"}),
    ({"accounts": ["a", 5, ""]}, {"/accounts/1": "wrong_type", "/accounts/2": "wrong_length"}),
    ({"auth": "basic"}, {"/auth": "wrong_type"}),
    ({"auth": {}}, {"/auth/type": "unknown_choice"}),
    ({"auth": {"type": "basic"}}, {"/auth/username": "required"}),
    ({"auth": {"type": "basic", "username": "a"}}, {"/auth/password": "required"}),
    ({"auth": {"type": "basic", "username": "a:b", "password": "x"}}, {"/auth/username": "invalid_credential"}),
    ({"auth": {"type": "basic", "username": "a", "password": "x", "token": "y"}}, {"/auth/token": "unknown_field"}),
    ({"auth": {"type": "bearer"}}, {"/auth/token": "required"}),
    ({"auth": {"type": "bearer", "token": ""}}, {"/auth/token": "wrong_length"}),
    ({"auth": {"type": "bearer", "token": "a\r\nX: y"}}, {"/auth/token": "control_character"}),
    ({"auth": {"type": "bearer", "token": "日本"}}, {"/auth/token": "invalid_credential"}),
    ({"auth": {"type": "header", "name": "Host", "value": "x"}}, {"/auth/name": "invalid_credential"}),
    ({"auth": {"type": "header", "name": "a b", "value": "x"}}, {"/auth/name": "invalid_credential"}),
    ({"auth": {"type": "header", "name": "X-Key"}}, {"/auth/value": "required"}),
    ({"headers": []}, {"/headers": "wrong_type"}),
    ({"headers": {f"X-{n}": "1" for n in range(21)}}, {"/headers": "wrong_length"}),
    ({"headers": {"X-A": "1", "x-a": "2"}}, {"/headers": "duplicate_header"}),
    (
        {"headers": {"X A": "1", "": "2", "X:": "3"}},
        {
            "/headers/X A": "invalid_header_name",
            "/headers/": "invalid_header_name",
            "/headers/X:": "invalid_header_name",
        },
    ),
    ({"headers": {"X-A": 5}}, {"/headers/X-A": "wrong_type"}),
    ({"headers": {"X-A": "a\r\nB: c"}}, {"/headers/X-A": "invalid_header_value"}),
    ({"headers": {"X-A": "é" * 4_097}}, {"/headers/X-A": "invalid_header_value"}),
    ({"headers": {"X-A": "日本"}}, {"/headers/X-A": "invalid_header_value"}),
    ({"ack": {"type": "moon"}}, {"/ack": "invalid_ack"}),
    ({"ack": "2xx"}, {"/ack": "wrong_type"}),
    ({"ack": {"type": "status", "value": [500]}}, {"/ack": "invalid_ack"}),
    ({"retry_schedule": [1] * 21}, {"/retry_schedule": "wrong_length"}),
    (
        {"retry_schedule": [0, 86_401, 1.5, True, "1"]},
        {
            "/retry_schedule/0": "out_of_range",
            "/retry_schedule/1": "out_of_range",
            "/retry_schedule/2": "wrong_type",
            "/retry_schedule/3": "wrong_type",
            "/retry_schedule/4": "wrong_type",
        },
    ),
    ({"rate_limit": 0}, {"/rate_limit": "out_of_range"}),
    ({"rate_limit": 10**12}, {"/rate_limit": "out_of_range"}),
    ({"max_in_flight": 0}, {"/max_in_flight": "out_of_range"}),
    ({"max_in_flight": 501}, {"/max_in_flight": "out_of_range"}),
    ({"max_in_flight": None}, {"/max_in_flight": "wrong_type"}),
    ({"ordered": 1}, {"/ordered": "wrong_type"}),
    ({"is_active": "true"}, {"/is_active": "wrong_type"}),
    ({"metadata": {"a": {"b": "c"}}}, {"/metadata/a": "wrong_type"}),
    ({"metadata": {"a": None, "": "x"}}, {"/metadata/": "wrong_length"}),
    ({"metadata": {str(n): "x" for n in range(51)}}, {"/metadata": "wrong_length"}),
    ({"metadata": {"a": "x" * 513}}, {"/metadata/a": "wrong_length"}),
    (
        {"id": "ep_x", "primary": True, "version": 7, "owner": 1},
        dict.fromkeys(("/id", "/primary", "/version", "/owner"), "unknown_field"),
    ),
]
RESERVED = [
    "Host",
    "content-type",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "Proxy-Authorization",
    "webhook-id",
    "WEBHOOK-SIGNATURE",
    "X-Webhook-Signature",
    "X-Webhook-Signature-Previous",
    "Stripe-Signature",
    "X-Hub-Signature-256",
    "x-amz-date",
    "X-Goog-Api-Key",
    "Metadata-Flavor",
    "Authorization",
    "User-Agent",
    "Cookie",
    "Expect",
    "TE",
    "Upgrade",
]


@pytest.fixture(autouse=True)
def catalogue(types: list[str]) -> None:
    make_type("old.type", archived=True)


@pytest.mark.parametrize(("changes", "expected"), WRONG, ids=range(len(WRONG)))
def test_wrong_fields_are_told_where_they_are(alice: Person, changes: dict[str, Any], expected: dict[str, str]) -> None:
    assert faults(alice.api.post("/endpoints", {"url": URL} | changes)) == expected
    assert Endpoint.objects.count() == 0
    endpoint = alice.api.post("/endpoints", {"url": URL}).json()
    assert faults(alice.api.patch(f"/endpoints/{endpoint['id']}", changes)) == expected
    assert alice.api.get(f"/endpoints/{endpoint['id']}").json()["version"] == 1


@pytest.mark.parametrize("name", RESERVED)
def test_reserved_headers(alice: Person, name: str) -> None:
    assert faults(alice.api.post("/endpoints", {"url": URL, "headers": {name: "x"}})) == {
        f"/headers/{name}": "reserved_header"
    }


@pytest.mark.parametrize(("urls", "code"), [(BLOCKED, Reason.BLOCKED_ADDRESS), (INVALID_URLS, Reason.INVALID_URL)])
def test_bad_urls_get_one_constant_sentence(alice: Person, urls: list[str], code: Reason) -> None:
    for url in urls:
        answer = alice.api.put("/config", {"url": url})
        assert faults(answer) == {"/url": code}, url
        assert answer.json()["errors"][0]["message"] == SENTENCES[code]
    assert Endpoint.objects.count() == 0


def resolve_to(monkeypatch: pytest.MonkeyPatch, answer: Answer | None) -> None:
    monkeypatch.setattr(Resolver, "wait", lambda self, host, *, timeout_s: answer)


def test_a_name_that_resolves_to_a_refused_address_is_blocked(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, Answer(reason=Reason.BLOCKED_ADDRESS))
    for answer in (
        alice.api.put("/config", {"url": "https://rebound.example/"}),
        alice.api.post("/endpoints", {"url": "https://rebound.example/"}),
    ):
        assert faults(answer) == {"/url": "blocked_address"}


@pytest.mark.parametrize("answer", [None, Answer(reason=Reason.DNS_NOT_FOUND), Answer(reason=Reason.DNS_ERROR)])
def test_a_name_that_does_not_resolve_yet_may_be_registered(
    alice: Person, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    resolve_to(monkeypatch, answer)
    assert alice.api.put("/config", {"url": "https://soon.example/"}).status_code == 200


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(Resolver, "wait", lambda self, host, *, timeout_s: waited.append(timeout_s))
    endpoint_urls.check_url("https://slow.example/")
    assert waited == [2.0]


def test_allowed_networks_and_plain_http_are_settings(alice: Person, settings: Any) -> None:
    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)
    settings.ALLOW_HTTP_TARGETS = True
    assert alice.api.put("/config", {"url": "http://127.0.0.1:9100/in"}).json()["url"] == "http://127.0.0.1:9100/in"
    settings.ALLOW_HTTP_TARGETS = False
    assert faults(alice.api.put("/config", {"url": "http://127.0.0.1:9100/in"})) == {"/url": "invalid_url"}


def test_our_own_host_is_refused(alice: Person, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["testserver", ".signet.example"]
    assert faults(alice.api.put("/config", {"url": "https://api.signet.example/api/"})) == {"/url": "blocked_address"}


def test_urls_are_stored_in_their_one_spelling(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, None)
    shown = alice.api.put("/config", {"url": "HTTPS://Bücher.Example:443/a/../b?q=é"}).json()
    assert shown["url"] == "https://xn--bcher-kva.example/b?q=%C3%A9"


def test_everything_that_may_be_set(alice: Person) -> None:
    sent = {
        "url": URL,
        "description": "Books\nand more",
        "channel": "webhook",
        "profile": "github",
        "event_types": ["invoice.paid", "invoice.*", "to.come.*", "PAYMENT_COMPLETED", "invoice.paid"],
        "accounts": ["LT1", "LT2", "LT1"],
        "is_active": False,
        "auth": {"type": "basic", "username": "zoë", "password": "pass wörd"},
        "headers": {"X-Tenant": "a b", "X-Empty": ""},
        "ack": {"type": "body_starts_with", "value": "OK"},
        "retry_schedule": [1, 86_400],
        "rate_limit": 5,
        "max_in_flight": 500,
        "ordered": True,
        "metadata": {"team": "billing", "note": ""},
    }
    made = alice.api.post("/endpoints", sent)
    assert made.status_code == 201
    shown = alice.api.get(f"/endpoints/{made.json()['id']}").json()
    generated = {name: shown.pop(name) for name in ("id", "created_at", "updated_at", "disabled_at")}
    assert generated["id"].startswith("ep_")
    assert shown == sent | {
        "event_types": ["invoice.paid", "invoice.*", "to.come.*", "PAYMENT_COMPLETED"],
        "accounts": ["LT1", "LT2"],
        "auth": {"type": "basic", "username": "zoë", "password_set": True},
        "disabled_reason": "paused",
        "primary": False,
        "rule": None,
        "secret_set": True,
        "unreadable_since": None,
        "verified_at": None,
        "version": 1,
    }


def test_an_archived_type_may_stay_but_not_come(alice: Person) -> None:
    endpoint = alice.api.post("/endpoints", {"url": URL, "event_types": ["invoice.paid"]}).json()
    Endpoint.objects.update(event_types=["old.type"])
    path = f"/endpoints/{endpoint['id']}"
    assert alice.api.patch(path, {"event_types": ["old.type", "invoice.paid"]}).status_code == 200
    assert alice.api.patch(path, {"event_types": ["invoice.paid"]}).status_code == 200
    assert faults(alice.api.patch(path, {"event_types": ["old.type"]})) == {"/event_types/0": "unknown_event_type"}


@pytest.mark.parametrize("secret", ["", "x" * 513, "a\nb", 5, ["x"]])
def test_bad_secrets(alice: Person, secret: Any) -> None:
    for answer in (
        alice.api.put("/config", {"url": URL, "secret": secret}),
        alice.api.post("/endpoints", {"url": URL, "secret": secret}),
    ):
        assert set(faults(answer)) == {"/secret"}
    assert SigningSecret.objects.count() == 0


def test_a_secret_must_fit_the_profile(alice: Person) -> None:
    bad = {"url": URL, "profile": "standard", "secret": "no such form"}
    assert faults(alice.api.post("/endpoints", bad)) == {"/secret": "invalid_secret"}
    endpoint = alice.api.post("/endpoints", {"url": URL, "secret": "any text"}).json()
    path = f"/endpoints/{endpoint['id']}"
    assert faults(alice.api.patch(path, {"profile": "standard"})) == {"/profile": "unfit_secret"}
    assert alice.api.patch(path, {"profile": "github"}).status_code == 200
    assert faults(alice.api.post(f"{path}/secret/rotate", {"secret": None})) == {"/secret": "wrong_type"}


def test_at_most_twenty_endpoints(alice: Person, bob: Person) -> None:
    for _ in range(20):
        assert alice.api.post("/endpoints", {"url": URL}).status_code == 201
    refused = alice.api.post("/endpoints", {"url": URL})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_endpoints")
    assert alice.api.put("/config", {"url": URL}).status_code == 409
    assert bob.api.post("/endpoints", {"url": URL}).status_code == 201
    last = alice.api.get("/endpoints").json()["data"][0]["id"]
    assert alice.api.delete(f"/endpoints/{last}").status_code == 204
    assert alice.api.post("/endpoints", {"url": URL}).status_code == 201
