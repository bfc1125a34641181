"""When something crashes, neither log nor answer tells what it was working on."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from importlib import import_module
from ipaddress import ip_network
from typing import Any

import pytest
from celery import shared_task
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test import Client

from config.celery import app as celery_app
from config.logging import StderrHandler, UtcFormatter, logging_config
from config.redaction import HIDDEN, scrub, told
from deliveries.engine import process, stopping
from deliveries.models import Attempt, Delivery
from deliveries.services import publish
from subscriptions.errors import NotFound
from subscriptions.models import Merchant
from tests.subscriptions.conftest import NOW, URL, Api, Person, make_type

SECRET = "whsec_c2VjcmV0LXRoYXQtc2lnbnMtZXZlcnl0aGluZw=="
PASSWORD = "hunter2 is what they all take"
TOKEN = "correct-horse-battery-staple"
PAYLOAD = {"card": "4929-4212-3456-7890", "cvc": "cvc-of-the-card"}
NEVER = (SECRET, PASSWORD, TOKEN, *PAYLOAD.values(), SECRET[6:], PASSWORD.split(maxsplit=1)[0])


class Crash(Exception):
    """Somebody's exception with everything in its text."""

    def __init__(self, *values: Any) -> None:
        super().__init__(f"cannot do this with {values} {SECRET} {PASSWORD} {TOKEN} {PAYLOAD}")


def crash(*args: Any, **kwargs: Any) -> Any:
    """Fails with every secret in its variables, arguments and text, three exceptions deep."""
    secret, password, token, payload = SECRET, PASSWORD, TOKEN, json.dumps(PAYLOAD)
    try:
        try:
            int(secret + password + token + payload)
        except ValueError as trouble:
            raise Crash(args, kwargs) from trouble
    except Crash:
        raise KeyError(secret, password, token, payload) from None


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that is logged, at every level, as the platform writes it."""
    out = io.StringIO()
    handler = StderrHandler(out)
    handler.setFormatter(UtcFormatter("%(levelname)s %(name)s %(message)s"))
    root, before = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    levels = {name: logging.getLogger(name).level for name in logging_config("DEBUG")["loggers"]}
    for name, chosen in logging_config("DEBUG")["loggers"].items():
        logging.getLogger(name).setLevel(chosen["level"])
    yield out
    root.removeHandler(handler)
    root.setLevel(before)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def assert_silent(*texts: str, also: tuple[str, ...] = ()) -> None:
    for text in texts:
        for word in (*NEVER, *also):
            assert word not in text


@pytest.mark.parametrize("is_debug", [True, False])
@pytest.mark.parametrize(
    "crashing",
    [
        ("deliveries.api.publish_views.publish_batch", "POST", "/api/v2/events", {"type": "invoice.paid"}),
        ("subscriptions.services.signing_secrets.add", "POST", "/secret/rotate", {"secret": SECRET}),
        ("subscriptions.services.endpoints.insert", "POST", "/api/v2/webhooks/endpoints", {"url": URL}),
        ("subscriptions.services.vault.seal", "PUT", "/api/v2/webhooks/config", {"url": URL}),
        ("subscriptions.services.signing_secrets.open_text", "GET", "/secret", None),
        ("subscriptions.services.keys.authenticate", "GET", "/api/v2/webhooks/endpoints", None),
    ],
)
def test_a_view_that_crashes(
    alice: Person,
    provider: Api,
    types: list[str],
    log: io.StringIO,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    is_debug: bool,
    crashing: tuple[str, str, str, Any],
) -> None:
    settings.DEBUG = is_debug
    where, method, path, body = crashing
    if path.startswith("/secret"):
        made = alice.api.post("/endpoints", {"url": URL, "secret": SECRET}).json()
        path = f"/api/v2/webhooks/endpoints/{made['id']}{path}"
    if path == "/api/v2/events":
        caller, body = Api(provider.key, base=""), {**body, "merchant": "alice", "payload": PAYLOAD}
    else:
        auth = {"type": "basic", "username": "shop", "password": PASSWORD}
        body = body and ({**body, "secret": SECRET, "auth": auth} if path.endswith("endpoints") else body)
        body = body and ({**body, "secret": SECRET} if path.endswith("config") else body)
        caller = Api(alice.api.key, base="")
    module, name = where.rsplit(".", 1)
    monkeypatch.setattr(f"{module}.{name}", crash)
    caller.client.raise_request_exception = False
    for accept in ("application/json", "text/html"):
        answer = caller(method, path, body, Accept=accept, X_API_Token=TOKEN)
        assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")
        assert_silent(answer.content.decode(), also=(caller.key,))
    written = log.getvalue()
    assert f"Internal Server Error: {path}" in written
    assert "in crash" in written
    assert_silent(written, also=(caller.key,))


@pytest.mark.parametrize("is_debug", [True, False])
def test_the_error_pages_of_development_show_no_values(
    alice: Person, log: io.StringIO, settings: Any, monkeypatch: pytest.MonkeyPatch, is_debug: bool
) -> None:
    settings.DEBUG = is_debug
    User.objects.create_superuser("admin", password=PASSWORD)
    monkeypatch.setattr("django.contrib.auth.authenticate", crash)
    monkeypatch.setattr("django.contrib.auth.forms.authenticate", crash)
    client = Client(raise_request_exception=False)
    for accept in ("text/html", "text/plain"):
        form = {"username": "admin", "password": PASSWORD}
        answer = client.post("/admin/login/?next=" + TOKEN, form, headers={"Accept": accept})
        assert answer.status_code == 500
        assert_silent(answer.content.decode())
        assert ("in crash" in answer.content.decode()) is is_debug
    assert_silent(log.getvalue())


@pytest.fixture
def engine(settings: Any, transactional_db: None) -> Iterator[None]:
    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)
    settings.ALLOW_HTTP_TARGETS = True
    stopping.reset()
    yield
    process.close()


@pytest.mark.parametrize("step", ["prepare", "render", "record"])
def test_a_drain_that_crashes(
    engine: None, log: io.StringIO, monkeypatch: pytest.MonkeyPatch, receive: Callable[..., Any], step: str
) -> None:
    from subscriptions.services import endpoints
    from tests.receivers.scripts import keep_alive

    merchant = Merchant.objects.create(name="A", reference="alice", created_at=NOW, updated_at=NOW)
    make_type("invoice.paid")
    auth = {"type": "basic", "username": "shop", "password": PASSWORD}
    data = {"url": receive(keep_alive()).url(), "secret": SECRET, "auth": auth}
    endpoints.create(merchant=merchant, data=data, now=NOW, actor="system")
    publish("invoice.paid", PAYLOAD, merchant="alice")
    if step == "prepare":
        monkeypatch.setattr("deliveries.engine.endpoints.prepare", crash)
    elif step == "render":
        monkeypatch.setattr("deliveries.engine.endpoints.prepare", lambda wire: crash)
    else:
        monkeypatch.setattr("deliveries.engine.store.Store.record", crash)
    if step == "record":
        with pytest.raises(KeyError):
            process.drain()
        try:
            process.drain()
        except KeyError:
            logging.getLogger("deliveries.tasks").exception("the drain ended")
    else:
        process.drain()
        assert Attempt.objects.get().reason == "internal_error"
        assert_silent(Delivery.objects.get().last_reason or "", Attempt.objects.get().detail)
        assert "in crash" in log.getvalue()
    assert_silent(log.getvalue())


def test_a_failed_task_is_logged_without_its_exceptions_text(log: io.StringIO) -> None:
    @shared_task(name="tests.crash", ignore_result=True)
    def failing(payload: Any) -> None:
        crash(payload)

    try:
        celery_app.tasks["tests.crash"].apply(args=(PAYLOAD,), kwargs={})
    finally:
        celery_app.tasks.pop("tests.crash")
    written = log.getvalue()
    assert "Task tests.crash[" in written
    assert "raised unexpected: KeyError" in written
    assert "in crash" in written
    assert_silent(written)


def test_what_lies_on_the_broker_is_not_quoted(log: io.StringIO) -> None:
    consumer: Any = import_module("celery.worker.consumer.consumer")
    logger = logging.getLogger("celery.worker.consumer.consumer")
    body = f"{PAYLOAD} {SECRET} {PASSWORD} {TOKEN}"
    logger.error(consumer.UNKNOWN_TASK_ERROR, "tests.x", body, body, body)
    logger.error(consumer.INVALID_TASK_ERROR, body, body)
    logger.warning(consumer.UNKNOWN_FORMAT, body)
    logger.critical(consumer.MESSAGE_DECODE_ERROR, body, "json", "utf-8", body, body)
    written = log.getvalue()
    assert [
        line.split(" celery.worker.consumer.consumer ")[1] for line in written.splitlines() if "celery" in line
    ] == [
        f"Received unregistered task of type {HIDDEN}",
        f"Received invalid task message {HIDDEN}",
        f"Received and deleted unknown message.  Wrong destination?!? {HIDDEN}",
        f"Can't decode message body {HIDDEN}",
    ]
    assert_silent(written)


def test_postgres_says_where_and_not_what(db: None, log: io.StringIO) -> None:
    make_type("invoice.paid", description=PASSWORD)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("UPDATE subscriptions_eventtype SET name = %s", [f"{TOKEN} is no name"])
    except IntegrityError:
        logging.getLogger("x").exception("it failed")
    written = log.getvalue()
    expected = (
        "psycopg.errors.CheckViolation: SQLSTATE 23514, table subscriptions_eventtype, constraint event_type_name_form"
    )
    assert expected in written
    assert_silent(written)


def test_statements_are_not_logged_with_their_values(db: None, log: io.StringIO, settings: Any) -> None:
    settings.DEBUG = True
    connection.force_debug_cursor = True
    try:
        make_type("invoice.paid", description=PASSWORD)
    finally:
        connection.force_debug_cursor = False
    assert_silent(log.getvalue())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abcdef123456", f"Authorization: {HIDDEN} {HIDDEN}"),
        ("sent Bearer abcdef123456 there", f"sent Bearer {HIDDEN} there"),
        ("key sgn_mer_abcdefghijkm_AbC-_9 was", f"key sgn_mer_abcdefghijkm_{HIDDEN} was"),
        (f"with {SECRET}.", f"with whsec_{HIDDEN}."),
        ("{'password': 'a b c', 'x': 1}", f"{{'password': {HIDDEN}, 'x': 1}}"),
        ('{"client_secret": "a, b"}', f'{{"client_secret": {HIDDEN}}}'),
        ("X-API-Token=abc&x=1", f"X-API-Token={HIDDEN}&x=1"),
        ("redis://user:pa55@redis:6379/0", f"redis://user:{HIDDEN}@redis:6379/0"),
        ("GET /u/abcdefg HTTP", f"GET /u/{HIDDEN} HTTP"),
        ("(1, \\x7b2263617264223a20)", f"(1, \\x{HIDDEN})"),
        ("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----", HIDDEN),
        ("endpoint ep_01h: a stored secret does not decrypt", "endpoint ep_01h: a stored secret does not decrypt"),
        ("https://shop.example/u/hook and https://x/confirm/y", "https://shop.example/u/hook and https://x/confirm/y"),
    ],
)
def test_what_looks_like_a_credential_is_struck_out(text: str, shown: str) -> None:
    assert scrub(text) == shown


def test_exceptions_that_name_no_values_are_told_whole() -> None:
    assert told(NotFound("There is no such key.")) == "subscriptions.errors.NotFound: There is no such key."
    assert told(FileNotFoundError(2, "No such file", "/x")) == "FileNotFoundError: [Errno 2] No such file: '/x'"
    assert told(ValueError(SECRET)) == "ValueError"


def test_a_record_that_cannot_be_written_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    handler = StderrHandler(io.StringIO())
    handler.setFormatter(UtcFormatter("%(message)s"))
    handler.handle(logging.LogRecord("x", logging.ERROR, "", 1, "%d and %s", (SECRET, PASSWORD), None))
    told_text = capsys.readouterr().err
    assert told_text == "a record of x could not be written: TypeError\n"
