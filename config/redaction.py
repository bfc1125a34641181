"""What logs and error pages may tell: never a secret, a credential or a payload, whoever put it into a message.

Two rules. The text of an exception is shown only where its class is known to say nothing of the values at hand; of
others the class and the place in the code are shown. And whatever looks like a credential is struck out everywhere.
"""

import re
import traceback
from types import TracebackType

import celery.exceptions
import psycopg
import redis
from django.core.exceptions import DisallowedHost, ImproperlyConfigured, PermissionDenied
from django.core.management import CommandError

from dispatcher.keyring import DecryptionFailed, InvalidKey
from subscriptions.errors import Refusal

HIDDEN = "••••••"
SPEAKING = (
    # Ours: their sentences are for people who called us.
    *(Refusal, DecryptionFailed, InvalidKey, CommandError, ImproperlyConfigured),
    # They name types, attributes, files and addresses.
    *(AttributeError, NameError, ImportError, NotImplementedError, RecursionError, MemoryError, OSError),
    *(DisallowedHost, PermissionDenied, celery.exceptions.TimeLimitExceeded, redis.ConnectionError, redis.TimeoutError),
)
CHAIN_MOST = 10
# Exceptions that led to one another; more tell nothing more.

_PATTERNS = (
    # A key or token with its scheme, as in an Authorization header.
    (re.compile(r"\b(Bearer|Basic)(\s+)[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1\2{HIDDEN}"),
    (re.compile(r"\bsgn_(mer|pro)_([a-z0-9]{12})_[A-Za-z0-9_-]+"), rf"sgn_\1_\2_{HIDDEN}"),
    (re.compile(r"\bwhs(ec|k)_[A-Za-z0-9+/=_-]+"), rf"whs\1_{HIDDEN}"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
    # A named credential: `password=…`, `"secret": "…"`, `X-API-Token: …`.
    (
        re.compile(
            r"""(["']?\b(?:authorization|cookie|x-api-token|idempotency-key|[a-z_-]*(?:secret|password|passwd|token"""
            r"""|credential|private_key|api_?key))\b["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;&}]+)""",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    # A password in an address: `redis://:…@host`.
    (re.compile(r"(\w://[^\s/@:]*:)[^\s/@]+@"), rf"\1{HIDDEN}@"),
    # Our links in letters: the token is all the authority there is.
    (re.compile(r"(?<![\w/])/(u|confirm)/[^\s/?]+"), rf"/\1/{HIDDEN}"),
    (re.compile(r"/(portal/enter|portal/password/[^\s/?]+)/[^\s/?\"']+"), rf"/\1/{HIDDEN}"),
    # Bytes as Postgres writes them: a stored payload or ciphertext.
    (re.compile(r"\\x[0-9a-fA-F]{16,}"), rf"\\x{HIDDEN}"),
)


def scrub(text: str) -> str:
    """The text without what looks like a credential."""
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def told(error: BaseException) -> str:
    """Class and, where that is safe, message of an exception, in one line."""
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    if details := _details(error):
        return f"{name}: {scrub(details)}"
    return name


def _details(error: BaseException) -> str:
    if isinstance(error, psycopg.Error):
        return _of_postgres(error)
    return " ".join(str(error).split()) if isinstance(error, SPEAKING) else ""


def _of_postgres(error: psycopg.Error) -> str:
    """Where it happened, not with which values: Postgres quotes them in message and detail."""
    parts = {
        "SQLSTATE": error.diag.sqlstate,
        "table": error.diag.table_name,
        "column": error.diag.column_name,
        "constraint": error.diag.constraint_name,
    }
    return ", ".join(f"{name} {value}" for name, value in parts.items() if value)


def told_whole(error: BaseException, trace: TracebackType | None) -> str:
    """As Python's own traceback: what led to it first, each with its frames."""
    chain: list[tuple[BaseException, str]] = [(error, "")]
    while len(chain) < CHAIN_MOST:
        last = chain[-1][0]
        if last.__cause__ is not None:
            chain.append((last.__cause__, "The above exception was the direct cause of the following:"))
        elif last.__context__ is not None and not last.__suppress_context__:
            chain.append((last.__context__, "While it was handled, another came:"))
        else:
            break
    parts: list[str] = []
    for one, link in reversed(chain):
        frames = traceback.format_tb(trace if one is error else one.__traceback__)
        inner = [f"  also: {told(each)}" for each in one.exceptions] if isinstance(one, BaseExceptionGroup) else []
        parts += ["Traceback (most recent call last):", "".join(frames).rstrip("\n"), told(one), *inner]
        if link:
            parts += ["", link, ""]
    return "\n".join(parts)
