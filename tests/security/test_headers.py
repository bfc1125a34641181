"""Every answer tells browsers what it may do, whoever made it; nothing with data in it stays in a cache."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from http.cookies import SimpleCookie
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings as project_settings
from django.contrib.auth.models import User
from django.core.exceptions import SuspiciousOperation
from django.test import Client
from django.urls import path

from config import front
from config.security_headers import NOTHING, PAGE, SAME_FOR_ALL
from tests.subscriptions.conftest import URL, Api, Person

HTML = {"Accept": "text/html"}
FIXED = {name: value for name, value in SAME_FOR_ALL.items() if name != "Cache-Control"}


def crash(request: Any) -> Any:
    raise RuntimeError("nobody foresaw this")


def suspect(request: Any) -> Any:
    raise SuspiciousOperation("odd")


urlpatterns = [path("crash", crash), path("suspect", suspect), path("api/v2/crash", crash)]


def check(answer: Any, *, policy: str) -> None:
    headers = {name: answer.headers.get(name) for name in FIXED}
    assert headers == FIXED
    assert answer.headers["Content-Security-Policy"] == policy


@pytest.fixture
def browser(db: None) -> Client:
    client = Client(headers=HTML)
    client.force_login(User.objects.create_superuser("admin"))
    return client


def test_the_policies_allow_nothing_inline_and_no_frame() -> None:
    for policy in (NOTHING, PAGE):
        told = {part.split()[0]: part.split()[1:] for part in policy.split("; ")}
        assert told["default-src"] == told["frame-ancestors"] == told["base-uri"] == ["'none'"]
        assert not any("unsafe" in word or "data:" in word or "*" in word for words in told.values() for word in words)


def test_answers_of_the_api(alice: Person, provider: Api) -> None:
    made = alice.api.post("/endpoints", {"url": URL})
    answers = [
        made,
        alice.api.get("/endpoints"),
        alice.api.get("/config"),  # 404
        alice.api.post("/endpoints", b"{"),
        alice.api.post("/endpoints", {"url": "x"}),
        alice.api("OPTIONS", "/endpoints"),
        Api("").get("/endpoints"),
        alice.api.get("/merchants"),
        Api(alice.api.key, base="/api/v2").get("/merchants"),  # 403
        Api(alice.api.key, base="/api/v2").get("/nothing"),
        Api(alice.api.key, base="/paisr/v1").get("/webhooks"),
        alice.api.delete(f"/endpoints/{made.json()['id']}"),
        provider.post("/events", b"x" * (project_settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)),
    ]
    assert [answer.status_code for answer in answers] == [
        201, 200, 404, 400, 422, 405, 401, 404, 403, 404, 200, 204, 413,
    ]  # fmt: skip
    for answer in answers:
        check(answer, policy=NOTHING)
        assert answer.headers["Cache-Control"] == "no-store"


def test_pages(browser: Client) -> None:
    addresses = {"/admin/": 200, "/admin/login/": 302, "/admin/subscriptions/endpoint/": 200, "/nothing": 404}
    for address, status in addresses.items():
        answer = browser.get(address)
        assert answer.status_code == status
        check(answer, policy=PAGE)
        assert "no-store" in answer.headers["Cache-Control"]
    check(Client(headers=HTML).get("/admin/"), policy=PAGE)
    check(Client(headers=HTML, enforce_csrf_checks=True).post("/admin/login/"), policy=PAGE)
    check(browser.get("/"), policy=PAGE)


def test_pages_that_know_better_keep_their_own(db: None) -> None:
    gone = Client(headers=HTML).get("/confirm/x")
    assert gone.headers["Referrer-Policy"] == "no-referrer"
    assert "script-src" not in gone.headers["Content-Security-Policy"]
    assert gone.headers["X-Content-Type-Options"] == "nosniff"


def test_static_files_and_probes(db: None) -> None:
    styles = Client().get("/static/admin/css/base.css")
    styles.close()
    assert (styles.status_code, styles.headers["Content-Type"]) == (200, 'text/css; charset="utf-8"')
    check(styles, policy=NOTHING)
    assert "no-store" not in styles.headers["Cache-Control"]
    assert "Access-Control-Allow-Origin" not in styles.headers
    check(Client().get("/static/none.css"), policy=NOTHING)
    for probe in ("/livez", "/readyz"):
        check(Client().get(probe), policy=NOTHING)


def test_the_published_keys_may_be_cached(db: None) -> None:
    keys = Client().get("/.well-known/webhook-keys")
    check(keys, policy=NOTHING)
    assert keys.headers["Cache-Control"] == "public, max-age=300"


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("is_debug", [True, False])
def test_crashes(settings: Any, is_debug: bool) -> None:
    settings.DEBUG = is_debug
    client = Client(raise_request_exception=False)
    for address, status in {"/crash": 500, "/suspect": 400}.items():
        answer = client.get(address, headers=HTML)
        assert answer.status_code == status
        check(answer, policy=PAGE)
    api = client.get("/api/v2/crash", headers=HTML)
    assert api.status_code == 500
    check(api, policy=NOTHING)
    odd = client.get("/crash", headers={"Host": "evil.example"})
    assert odd.status_code in (400, 500)
    check(odd, policy=NOTHING if odd.headers["Content-Type"].startswith("application/") else PAGE)


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (front.Refusal(*front.BUSY), 503),
        (front.Refusal(413, "body_too_large", "x"), 413),
        (front.Refusal(408, "request_timeout", "x"), 408),
    ],
)
def test_what_the_door_sends_away(refusal: front.Refusal, status: int, make_front: Callable[..., Any]) -> None:
    told_status, headers, body = make_front(refusal)
    found = dict(headers)
    assert (told_status, json.loads(body)["code"]) == (status, refusal.code)
    assert {name: found[name.lower()] for name in SAME_FOR_ALL} == SAME_FOR_ALL
    assert found["content-security-policy"] == NOTHING


@pytest.fixture
def make_front() -> Callable[..., Any]:
    """The answer of a door whose application refuses."""

    class Scope:
        path = "/x"
        headers = SimpleNamespace(get_all=lambda _name: [])

    class Protocol:
        answer: Any = None

        def response_bytes(self, *answer: Any) -> None:
            self.answer = answer

    def make(refusal: front.Refusal) -> Any:
        door = front.Front(lambda *_: [], threads=1, body_bytes=1)

        async def refuse(*_: Any) -> Any:
            raise refusal

        door._answer = refuse  # type: ignore[method-assign,assignment]
        protocol = Protocol()
        asyncio.run(door(Scope(), protocol))  # type: ignore[arg-type]
        return protocol.answer

    return make


def test_cookies_are_out_of_reach(db: None) -> None:
    User.objects.create_superuser("admin", password="right")
    client = Client()
    client.get("/admin/login/")
    client.post("/admin/login/", {"username": "admin", "password": "right", "next": "/admin/"})
    cookies: SimpleCookie = client.cookies
    assert set(cookies) == {"sessionid", "csrftoken"}
    for cookie in cookies.values():
        assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"]) == (True, "Lax", "/", "")


def test_in_production_cookies_go_over_https_only() -> None:
    script = (
        "from django.conf import settings as s; import json; print(json.dumps([s.SESSION_COOKIE_SECURE,"
        " s.CSRF_COOKIE_SECURE, s.SESSION_COOKIE_HTTPONLY, s.CSRF_COOKIE_HTTPONLY, s.SESSION_COOKIE_NAME,"
        " s.CSRF_COOKIE_NAME]))"
    )
    made = subprocess.run(
        [sys.executable, "-c", script],
        env={
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "SECRET_KEY": "abcdefghijklmnopqrstuvwxyz0123456789-ABCDEF",
            "ENCRYPTION_KEYS": "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=",
            "DATABASE_URL": "postgres://x@127.0.0.1/x",
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "PUBLIC_URL": "https://signet.example",
            "PATH": "/usr/bin:/bin",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout) == [True, True, True, True, "__Host-sessionid", "__Host-csrftoken"]
