"""Reads the environment, and refuses with one sentence what would be wrong or unsafe."""

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from urllib.parse import parse_qs, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from config.embedded import state

DEFAULT_RETRY_SCHEDULE = (10, 40, 160, 640, 2560, 10_240, 28_800, 28_800, 28_800)
# 10 s times 4^(n-1), at most 8 h: nine waits, ten attempts, about 28 hours.
RETRIES_MAX = 20
RETRY_WAIT_MAX_S = 86_400
# The same bounds as an endpoint's own `retry_schedule`.

DELIVERY_TIMEOUT_MIN_S = 0.1
DELIVERY_TIMEOUT_MAX_S = 30.0
# A lane's lease has to outlive the longest attempt; see deliveries.

DEVELOPMENT_SECRET_KEY = "development-only"  # noqa: S105 - public on purpose, and refused in production
DEVELOPMENT_ENCRYPTION_KEY = base64.b64encode(b"development-only-development-key").decode()
SECRET_KEY_LENGTH_MIN = 32
SECRET_KEY_VARIETY_MIN = 10
# Different characters. Random hexadecimal digits of that length have 10 of 16 for certain; `changeme` repeated has 7.
ENCRYPTION_KEY_BYTES = 32
ENCRYPTION_KEY_VARIETY_MIN = 12
# Different bytes. 32 random ones have fewer than 20 about never.

MAKE_SECRET_KEY = """python -c 'import secrets; print(secrets.token_urlsafe(64))'"""  # noqa: S105 - a command
MAKE_ENCRYPTION_KEY = (
    """python -c 'import base64, secrets; print(base64.b64encode(secrets.token_bytes(32)).decode())'"""
)

METRICS_TOKEN_LENGTH_MIN = 16
# Random letters and digits: nobody tries as many.

CONNECTION_AGE_S = 600
NEVER = 2**31
# Executions of one statement; psycopg takes no word for it but None, which forbids preparing altogether.
CONNECT_TIMEOUT_S = 5
WEB_LIMITS = "-c lock_timeout=2s -c statement_timeout=15s -c idle_in_transaction_session_timeout=10s"
# A request that waits longer than this has lost its caller; it must not keep its row locks or its thread.

SMTP_SCHEMES = ("smtp", "smtps", "smtp+tls", "smtp+ssl")
MAIL_SCHEMES = (*SMTP_SCHEMES, "consolemail", "filemail", "memorymail")
SMS_BACKENDS = ("none", "console", "http", "twilio")

ABSENT_DATABASE = {"ENGINE": "config.embedded.absent", "NAME": "absent"}
ABSENT_REDIS_URL = "redis://127.0.0.1:6379/0"


@dataclass(frozen=True, slots=True)
class Read:
    """What was asked of the environment; the documents are made from it. No bounds: any text."""

    default: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None


class Env:
    """Typed reads. A variable that is set to nothing counts as unset. `reads` has the first read of each."""

    def __init__(self, variables: Mapping[str, str] = os.environ) -> None:
        self._variables = variables
        self.reads: dict[str, Read] = {}

    def text(self, name: str, *, default: str = "") -> str:
        self._note(name, Read(default))
        return self._variables.get(name, "").strip() or default

    def _note(self, name: str, read: Read) -> None:
        self.reads.setdefault(name, read)

    def boolean(self, name: str, *, default: bool) -> bool:
        self._note(name, Read(str(default).lower(), ("true", "false")))
        text = self.text(name, default=str(default)).lower()
        if text not in ("true", "false"):
            raise ImproperlyConfigured(f"{name} must be true or false, not {text!r}.")
        return text == "true"

    def whole(self, name: str, *, default: int, least: int = 1, most: int = 2**31 - 1) -> int:
        self._note(name, Read(str(default), least=least, most=most))
        text = self.text(name, default=str(default))
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ImproperlyConfigured(f"{name} must be a whole number from {least} to {most}, not {text!r}.")
        return int(text)

    def number(self, name: str, *, default: float, least: float, most: float) -> float:
        self._note(name, Read(f"{default:g}", least=least, most=most))
        text = self.text(name, default=str(default))
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise ImproperlyConfigured(f"{name} must be a number from {least:g} to {most:g}, not {text!r}.")
        return value

    def choice(self, name: str, *, default: str, choices: tuple[str, ...]) -> str:
        self._note(name, Read(default, choices))
        text = self.text(name, default=default)
        if text not in choices:
            raise ImproperlyConfigured(f"{name} must be {' or '.join(choices)}, not {text!r}.")
        return text

    def parts(self, name: str, *, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The comma-separated parts."""
        self._note(name, Read(",".join(default)))
        text = self.text(name)
        return tuple(part.strip() for part in text.split(",") if part.strip()) if text else default


def secret_key(env: Env, *, debug: bool) -> str:
    """The key that signs sessions and links. Outside development a missing or weak one is refused."""
    key = env.text("SECRET_KEY")
    if debug:
        return key or DEVELOPMENT_SECRET_KEY
    flaw = _secret_key_flaw(key)
    if flaw:
        raise ImproperlyConfigured(
            f"SECRET_KEY {flaw}: set it to a random text that only this installation knows, made with "
            f"`{MAKE_SECRET_KEY}` (or set DEBUG=true for development)."
        )
    return key


def _secret_key_flaw(key: str) -> str:
    if not key:
        return "is missing"
    if key == DEVELOPMENT_SECRET_KEY or key.startswith(("django-insecure-", DEVELOPMENT_SECRET_KEY)):
        return "is the development default"
    if len(key) < SECRET_KEY_LENGTH_MIN:
        return f"is too short ({len(key)} characters, {SECRET_KEY_LENGTH_MIN} are needed)"
    if len(set(key)) < SECRET_KEY_VARIETY_MIN:
        return f"is too easy to guess ({len(set(key))} different characters)"
    return ""


def encryption_keys(env: Env, *, debug: bool) -> tuple[str, ...]:
    """The keys of the key ring, newest first. Outside development missing or weak ones are refused."""
    keys = env.parts("ENCRYPTION_KEYS")
    if debug and not keys:
        return (DEVELOPMENT_ENCRYPTION_KEY,)
    flaw = _encryption_keys_flaw(keys, debug=debug)
    if flaw:
        raise ImproperlyConfigured(
            f"ENCRYPTION_KEYS {flaw}: set it to one or more comma-separated keys, newest first, each made with "
            f"`{MAKE_ENCRYPTION_KEY}`{'' if debug else ' (or set DEBUG=true for development)'}."
        )
    return keys


def _encryption_keys_flaw(keys: tuple[str, ...], *, debug: bool) -> str:
    if not keys:
        return "is missing"
    if not debug and DEVELOPMENT_ENCRYPTION_KEY in keys:
        return "contains the development default"
    raw = [_key_bytes(key) for key in keys]
    if any(len(key) != ENCRYPTION_KEY_BYTES for key in raw):
        return f"contains a key that is not the base64 text of {ENCRYPTION_KEY_BYTES} bytes"
    if len(set(raw)) != len(raw):
        return "contains the same key twice"
    if not debug and any(len(set(key)) < ENCRYPTION_KEY_VARIETY_MIN for key in raw):
        return "contains a key that is too easy to guess"
    return ""


def _key_bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def allowed_hosts(env: Env) -> list[str]:
    return list(env.parts("ALLOWED_HOSTS", default=("localhost", "127.0.0.1", "[::1]")))


def trusted_origins(env: Env) -> list[str]:
    """Origins besides our own that may post to the portal and admin, e.g. a proxy's name."""
    origins = env.parts("CSRF_TRUSTED_ORIGINS")
    if not all(origin.startswith(("https://", "http://")) for origin in origins):
        raise ImproperlyConfigured("CSRF_TRUSTED_ORIGINS must be origins such as https://signet.example, with commas.")
    return list(origins)


def database(env: Env) -> dict[str, Any]:
    """Django's database settings: DATABASE_URL, else the embedded PostgreSQL of this checkout if it is up."""
    url = env.text("DATABASE_URL") or state.read().database_url
    if not url:
        return dict(ABSENT_DATABASE)
    config = _parse_database_url(url)
    options = config.setdefault("OPTIONS", {})
    # The socket directory of `postgresql://user@/name?host=/dir`; Django shows and compares HOST.
    config["HOST"] = options.pop("host", "") or config["HOST"]
    options.setdefault("connect_timeout", CONNECT_TIMEOUT_S)
    if env.text("SIGNET_ROLE") == "web":
        options["options"] = f"{options.get('options', '')} {WEB_LIMITS}".strip()
    # Nothing is prepared of its own accord; what asks for it is in subscriptions.kept_plans.
    options.setdefault("prepare_threshold", NEVER)
    return config | {"ENGINE": "config.postgres", "CONN_MAX_AGE": CONNECTION_AGE_S, "CONN_HEALTH_CHECKS": True}


def _parse_database_url(url: str) -> dict[str, Any]:
    if not url.startswith(("postgres://", "postgresql://")):
        raise ImproperlyConfigured("DATABASE_URL must start with postgres://: Signet keeps its ledger in PostgreSQL.")
    try:
        config = environ.Env.db_url_config(url)
    except ValueError:
        config = {}
    if not config.get("NAME"):
        raise ImproperlyConfigured(
            "DATABASE_URL must name a database, e.g. postgres://user:password@db.example:5432/signet."
        )
    return dict(config)


def redis_url(env: Env) -> str:
    """REDIS_URL, else the embedded Redis of this checkout if it is up."""
    url = env.text("REDIS_URL") or state.read().redis_url or ABSENT_REDIS_URL
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ImproperlyConfigured("REDIS_URL must start with redis://, rediss:// or unix://.")
    return url


def broker_url(url: str) -> str:
    """The Redis URL as Celery wants it: it spells the address of a Unix socket in its own way."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{parts.path}?virtual_host={database}"


def retry_schedule(env: Env) -> tuple[int, ...]:
    """Seconds before each retry."""
    parts = env.parts("RETRY_SCHEDULE", default=tuple(map(str, DEFAULT_RETRY_SCHEDULE)))
    if not parts:
        return DEFAULT_RETRY_SCHEDULE
    are_numbers = all(part.isascii() and part.isdigit() and 1 <= int(part) <= RETRY_WAIT_MAX_S for part in parts)
    if not are_numbers or len(parts) > RETRIES_MAX:
        raise ImproperlyConfigured(
            f"RETRY_SCHEDULE must be up to {RETRIES_MAX} whole seconds from 1 to {RETRY_WAIT_MAX_S} with commas "
            "between, e.g. 10,40,160."
        )
    return tuple(int(part) for part in parts)


def target_networks(env: Env) -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks that deliveries may reach besides public addresses."""
    return tuple(_network(text) for text in env.parts("ALLOWED_TARGET_NETWORKS"))


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ImproperlyConfigured(
            f"ALLOWED_TARGET_NETWORKS must be networks such as 10.1.0.0/16 with commas between, not {text!r}."
        ) from None


def public_url(env: Env, *, debug: bool, port: int) -> str:
    """This installation's address as people see it, without a slash at its end; empty when it is not known."""
    url = env.text("PUBLIC_URL", default=f"http://127.0.0.1:{port}" if debug else "").rstrip("/")
    if not url:
        return ""
    if not _is_web_address(url, schemes=("https", "http") if debug else ("https",)):
        raise ImproperlyConfigured("PUBLIC_URL must be an address such as https://webhooks.example, without a query.")
    return url


def _is_web_address(url: str, *, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    is_plain = url.isascii() and url.isprintable() and " " not in url and not parts.query and not parts.fragment
    return is_plain and parts.scheme in schemes and bool(parts.hostname) and "@" not in parts.netloc


def metrics_token(env: Env, *, debug: bool) -> str:
    """What Prometheus says to see /metrics; empty where nobody sees it."""
    token = env.text("METRICS_TOKEN")
    if token and not debug and len(token) < METRICS_TOKEN_LENGTH_MIN:
        raise ImproperlyConfigured(
            f"METRICS_TOKEN is too short ({len(token)} characters, {METRICS_TOKEN_LENGTH_MIN} are needed): make one "
            f"with `{MAKE_SECRET_KEY}`."
        )
    return token


def traces(env: Env) -> str:
    """Where spans go: nowhere, or to a collector by OTLP over HTTP."""
    chosen = env.choice("TRACES", default="none", choices=("none", "otlp"))
    if chosen != "none" and not find_spec("opentelemetry"):
        raise ImproperlyConfigured("TRACES=otlp needs OpenTelemetry: install signet-webhooks[otel].")
    return chosen


def email(env: Env, *, debug: bool) -> dict[str, Any]:
    """Django's e-mail settings from EMAIL_URL; none at all where e-mail is not set up."""
    url = env.text("EMAIL_URL", default="consolemail://" if debug else "")
    if not url:
        return {}
    scheme = url.partition(":")[0]
    try:
        config = dict(environ.Env.email_url_config(url)) if scheme in MAIL_SCHEMES else {}
    except ValueError:
        config = {}
    if not config or (scheme in SMTP_SCHEMES and not config["EMAIL_HOST"]):
        raise ImproperlyConfigured(
            f"EMAIL_URL must start with one of {', '.join(f'{known}://' for known in MAIL_SCHEMES)}, "
            "e.g. smtp+tls://user:password@mail.example:587."
        )
    # django-environ would drop the slash that makes the path absolute.
    return config | {"EMAIL_FILE_PATH": urlsplit(url).path}


def from_email(env: Env, *, debug: bool, has_email: bool) -> str:
    """The sender of every e-mail."""
    text = env.text("DEFAULT_FROM_EMAIL", default="Signet <signet@localhost>" if debug else "")
    if (text or has_email) and not _is_sender(text):
        raise ImproperlyConfigured(
            "DEFAULT_FROM_EMAIL must be the sender of this installation's e-mails, e.g. "
            "Example Bank <events@bank.example>."
        )
    return text


def _is_sender(text: str) -> bool:
    _, address = parseaddr(text)
    local, at, domain = address.rpartition("@")
    return bool(local and at and domain) and text.isprintable()


def sms_backend(env: Env, *, debug: bool) -> str:
    """The name of the way SMS go out, or the dotted path of a class that the provider brings."""
    name = env.text("SMS_BACKEND", default="console" if debug else "none")
    is_path = "." in name and all(part.isidentifier() for part in name.split("."))
    if name not in SMS_BACKENDS and not is_path:
        raise ImproperlyConfigured(
            f"SMS_BACKEND must be {', '.join(SMS_BACKENDS)} or the dotted path of a class, not {name!r}."
        )
    for needed in _NEEDED_FOR_SMS.get(name, ()):
        if not env.text(needed):
            raise ImproperlyConfigured(f"SMS_BACKEND={name} needs {needed}.")
    return name


_NEEDED_FOR_SMS = {
    "http": ("SMS_GATEWAY_URL",),
    "twilio": ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "SMS_FROM"),
}


def gateway_url(env: Env, name: str, *, default: str = "") -> str:
    """Where an SMS gateway answers. Plain http is allowed: it may stand beside this installation."""
    url = env.text(name, default=default).rstrip("/")
    if url and not _is_web_address(url, schemes=("https", "http")):
        raise ImproperlyConfigured(f"{name} must be an address such as https://sms.example/send, not {url!r}.")
    return url
