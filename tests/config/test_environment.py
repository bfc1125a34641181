"""Every setting is validated, and a refusal is one sentence that says what to do."""

import base64
import os
import secrets
import subprocess
import sys
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config import environment
from config.embedded import state
from config.environment import Env

STRONG_SECRET = secrets.token_urlsafe(64)
KEYS = [base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2)]
PRODUCTION = {"DEBUG": "false", "SECRET_KEY": STRONG_SECRET, "ENCRYPTION_KEYS": KEYS[0]}


def manage(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "DATABASE_URL", "REDIS_URL")}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env=kept | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("key", "flaw"),
    [
        ("", "is missing"),
        ("short", "is too short (5 characters, 32 are needed)"),
        (STRONG_SECRET[:31], "is too short (31 characters, 32 are needed)"),
        ("change-me-" * 8, "is too easy to guess (8 different characters)"),
        (environment.DEVELOPMENT_SECRET_KEY, "is the development default"),
        ("django-insecure-" + STRONG_SECRET, "is the development default"),
    ],
)
def test_a_weak_secret_key_is_refused_in_production(key: str, flaw: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        environment.secret_key(Env({"SECRET_KEY": key}), debug=False)

    assert str(refusal.value).startswith(f"SECRET_KEY {flaw}: set it to")
    assert environment.MAKE_SECRET_KEY in str(refusal.value)


@pytest.mark.parametrize("key", [STRONG_SECRET, secrets.token_hex(32), secrets.token_urlsafe(32)])
def test_a_strong_secret_key_is_taken(key: str) -> None:
    assert environment.secret_key(Env({"SECRET_KEY": key}), debug=False) == key


@pytest.mark.parametrize(
    ("keys", "flaw"),
    [
        ("", "is missing"),
        ("not base64!", "contains a key that is not the base64 text of 32 bytes"),
        (base64.b64encode(secrets.token_bytes(16)).decode(), "contains a key that is not the base64 text of 32 bytes"),
        (f"{KEYS[0]},{KEYS[0]}", "contains the same key twice"),
        (base64.b64encode(bytes(32)).decode(), "contains a key that is too easy to guess"),
        (environment.DEVELOPMENT_ENCRYPTION_KEY, "contains the development default"),
        (f"{KEYS[0]},{environment.DEVELOPMENT_ENCRYPTION_KEY}", "contains the development default"),
    ],
)
def test_weak_encryption_keys_are_refused_in_production(keys: str, flaw: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        environment.encryption_keys(Env({"ENCRYPTION_KEYS": keys}), debug=False)

    assert str(refusal.value).startswith(f"ENCRYPTION_KEYS {flaw}: set it to")
    assert environment.MAKE_ENCRYPTION_KEY in str(refusal.value)


def test_the_first_encryption_key_stays_first() -> None:
    assert environment.encryption_keys(Env({"ENCRYPTION_KEYS": f"{KEYS[1]}, {KEYS[0]}"}), debug=False) == (
        KEYS[1],
        KEYS[0],
    )


def test_development_needs_no_keys() -> None:
    assert environment.secret_key(Env({}), debug=True) == environment.DEVELOPMENT_SECRET_KEY
    assert environment.encryption_keys(Env({}), debug=True) == (environment.DEVELOPMENT_ENCRYPTION_KEY,)


@pytest.mark.parametrize("name", ["SECRET_KEY", "ENCRYPTION_KEYS"])
def test_a_refused_start_prints_one_sentence(name: str) -> None:
    started = manage("serve", "--port", "0", **{**PRODUCTION, name: ""})

    assert started.returncode == 1
    assert started.stderr.count("\n") == 1
    assert started.stderr.startswith(f"Signet does not start. {name} is missing: set it to")


def test_the_deployment_check_is_clean() -> None:
    checked = manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)

    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout


@pytest.mark.parametrize("text", ["1", "yes", "on", "True!"])
def test_booleans_are_true_or_false_and_nothing_else(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DEBUG must be true or false"):
        Env({"DEBUG": text}).boolean("DEBUG", default=False)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False), ("TRUE", True), ("", True)])
def test_an_empty_variable_counts_as_unset(text: str, *, value: bool) -> None:
    assert Env({"DEBUG": text}).boolean("DEBUG", default=True) is value


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "²", "9999999999"])
def test_whole_numbers_stay_in_their_range(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="RETENTION_DAYS must be a whole number from 1 to 3650"):
        Env({"RETENTION_DAYS": text}).whole("RETENTION_DAYS", default=90, most=3650)


@pytest.mark.parametrize("text", ["0", "31", "nan", "inf", "soon"])
def test_the_timeout_stays_in_its_range(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"DELIVERY_TIMEOUT must be a number from 0\.1 to 30"):
        Env({"DELIVERY_TIMEOUT": text}).number("DELIVERY_TIMEOUT", default=10, least=0.1, most=30)


def test_an_unknown_http_client_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="HTTP_CLIENT must be curl or requests, not 'wget'"):
        Env({"HTTP_CLIENT": "wget"}).choice("HTTP_CLIENT", default="curl", choices=("curl", "requests"))


@pytest.mark.parametrize("text", ["0", "86401", "10,x", "10;20", "1.5", ",".join(["1"] * 21)])
def test_a_wrong_retry_schedule_is_refused(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="RETRY_SCHEDULE must be up to 20 whole seconds"):
        environment.retry_schedule(Env({"RETRY_SCHEDULE": text}))


def test_a_retry_schedule_replaces_the_default() -> None:
    assert environment.retry_schedule(Env({"RETRY_SCHEDULE": "1, 2,86400"})) == (1, 2, 86400)
    assert environment.retry_schedule(Env({})) == environment.DEFAULT_RETRY_SCHEDULE


def test_target_networks_are_networks() -> None:
    assert environment.target_networks(Env({"ALLOWED_TARGET_NETWORKS": "127.0.0.0/8,fd00::/8"})) == (
        IPv4Network("127.0.0.0/8"),
        IPv6Network("fd00::/8"),
    )
    with pytest.raises(ImproperlyConfigured, match=r"not '127\.0\.0\.1/8'"):
        environment.target_networks(Env({"ALLOWED_TARGET_NETWORKS": "127.0.0.1/8"}))


@pytest.mark.parametrize("url", ["mysql://db/signet", "postgres://db.example", "postgres://user@host:port/name"])
def test_a_database_url_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^DATABASE_URL must"):
        environment.database(Env({"DATABASE_URL": url}))


def test_only_web_connections_carry_the_short_limits() -> None:
    url = "postgresql://signet@/signet?host=/run/pg"

    def options(**variables: str) -> Any:
        return environment.database(Env({"DATABASE_URL": url, **variables}))["OPTIONS"]

    always = {"connect_timeout": 5, "prepare_threshold": environment.NEVER}
    assert options(SIGNET_ROLE="web") == always | {"options": environment.WEB_LIMITS}
    assert options() == always


def test_a_socket_directory_becomes_the_host() -> None:
    database = environment.database(Env({"DATABASE_URL": "postgresql://signet@/signet?host=/run/pg"}))

    assert (database["HOST"], database["NAME"], database["USER"]) == ("/run/pg", "signet", "signet")


def test_without_urls_the_embedded_services_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = state.Urls("postgresql://signet@/signet?host=/s", "unix:///s/redis.sock?db=0")
    monkeypatch.setattr(state, "read", lambda: urls)

    assert environment.database(Env({}))["HOST"] == "/s"
    assert environment.redis_url(Env({})) == urls.redis_url
    assert environment.broker_url(urls.redis_url) == "redis+socket:///s/redis.sock?virtual_host=0"


def test_without_any_database_a_command_says_where_one_comes_from(tmp_path: Any) -> None:
    refused = manage("migrate", DEBUG="true", DATABASE_URL="", SIGNET_STATE_DIR=str(tmp_path))

    assert refused.returncode == 1
    assert "DATABASE_URL is unset and the embedded PostgreSQL of this checkout is not running" in refused.stderr
    assert "make run" in refused.stderr


class TestLetters:
    """E-mail and SMS: what is not set up is off, and what is half set up does not start."""

    @pytest.mark.parametrize(
        ("given", "debug", "url"),
        [
            ("", True, "http://127.0.0.1:8123"),
            ("", False, ""),
            ("https://w.example/", False, "https://w.example"),
            ("https://w.example:8443/signet", False, "https://w.example:8443/signet"),
            ("http://w.example", True, "http://w.example"),
        ],
    )
    def test_public_url(self, given: str, debug: bool, url: str) -> None:
        assert environment.public_url(Env({"PUBLIC_URL": given}), debug=debug, port=8123) == url

    @pytest.mark.parametrize(
        "given",
        ["http://w.example", "w.example", "https://", "https://u:p@w.example", "https://w.example?x=1", "https://w:x"],
    )
    def test_no_public_url(self, given: str) -> None:
        with pytest.raises(ImproperlyConfigured, match=r"^PUBLIC_URL must be an address"):
            environment.public_url(Env({"PUBLIC_URL": given}), debug=False, port=8000)

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("smtp://m.example", {"EMAIL_HOST": "m.example", "EMAIL_PORT": None}),
            (
                "smtp+tls://u:p%40@m.example:587",
                {"EMAIL_HOST_PASSWORD": "p@", "EMAIL_USE_TLS": True, "EMAIL_PORT": 587},
            ),
            ("smtps://m.example", {"EMAIL_USE_TLS": True}),
            ("smtp+ssl://m.example", {"EMAIL_USE_SSL": True}),
            ("filemail:///var/mail/out", {"EMAIL_FILE_PATH": "/var/mail/out"}),
        ],
    )
    def test_email(self, url: str, expected: dict[str, Any]) -> None:
        config = environment.email(Env({"EMAIL_URL": url}), debug=False)
        assert expected.items() <= config.items()

    def test_no_email(self) -> None:
        assert environment.email(Env({}), debug=False) == {}
        assert environment.email(Env({}), debug=True)["EMAIL_BACKEND"].endswith("console.EmailBackend")

    @pytest.mark.parametrize("url", ["m.example", "smtp://", "imap://m.example", "dummymail://", "smtp://m.example:x"])
    def test_a_bad_email_url(self, url: str) -> None:
        with pytest.raises(ImproperlyConfigured, match=r"^EMAIL_URL must start with one of"):
            environment.email(Env({"EMAIL_URL": url}), debug=False)

    @pytest.mark.parametrize("text", ["", "no address", "a@", "@b", "A <a@b>\nBcc: c@d"])
    def test_a_sender_is_needed_where_there_is_email(self, text: str) -> None:
        with pytest.raises(ImproperlyConfigured, match=r"^DEFAULT_FROM_EMAIL must be the sender"):
            environment.from_email(Env({"DEFAULT_FROM_EMAIL": text}), debug=False, has_email=True)

    def test_a_sender(self) -> None:
        assert environment.from_email(Env({}), debug=False, has_email=False) == ""
        given = Env({"DEFAULT_FROM_EMAIL": "Bank <a@bank.example>"})
        assert environment.from_email(given, debug=False, has_email=True) == "Bank <a@bank.example>"

    @pytest.mark.parametrize(
        ("variables", "debug", "name"),
        [
            ({}, True, "console"),
            ({}, False, "none"),
            ({"SMS_BACKEND": "http", "SMS_GATEWAY_URL": "https://g.example"}, False, "http"),
            ({"SMS_BACKEND": "bank.sms.Backend"}, False, "bank.sms.Backend"),
        ],
    )
    def test_sms(self, variables: dict[str, str], debug: bool, name: str) -> None:
        assert environment.sms_backend(Env(variables), debug=debug) == name

    @pytest.mark.parametrize(
        ("variables", "sentence"),
        [
            ({"SMS_BACKEND": "pigeon"}, "SMS_BACKEND must be none, console, http, twilio or the dotted path"),
            ({"SMS_BACKEND": "a..b"}, "SMS_BACKEND must be"),
            ({"SMS_BACKEND": "http"}, "SMS_BACKEND=http needs SMS_GATEWAY_URL."),
            ({"SMS_BACKEND": "twilio", "TWILIO_ACCOUNT_SID": "AC1"}, "SMS_BACKEND=twilio needs TWILIO_AUTH_TOKEN."),
        ],
    )
    def test_bad_sms(self, variables: dict[str, str], sentence: str) -> None:
        with pytest.raises(ImproperlyConfigured) as refusal:
            environment.sms_backend(Env(variables), debug=False)
        assert str(refusal.value).startswith(sentence)

    def test_a_gateways_address(self) -> None:
        assert environment.gateway_url(Env({"X": "http://10.0.0.7:8080/send"}), "X") == "http://10.0.0.7:8080/send"
        with pytest.raises(ImproperlyConfigured, match=r"^X must be an address"):
            environment.gateway_url(Env({"X": "ftp://g.example"}), "X")
