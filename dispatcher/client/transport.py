"""Carries one call to the API and its answer back: connection, credentials, timeouts, retries."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.auth import AuthBase

from dispatcher.client.errors import ApiError, BadInput, NetworkError, SignetError, UnexpectedAnswer, api_error
from dispatcher.client.retry import Retry, read_retry_after

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
# Between two pieces of an answer. A test event, the slowest call, takes as long as its receiver may: 10 s by default.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE_METHODS = frozenset({"GET", "PUT", "DELETE"})
# Done twice is done once. Source: RFC 9110, 9.2.2. A POST is safe by its idempotency key.


@dataclass(frozen=True, slots=True)
class Call:
    """`path` begins with a slash. `idempotency_key` makes it safe to repeat."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    idempotency_key: str | None = None
    if_match: int | None = None

    @property
    def is_safe(self) -> bool:
        return self.if_match is None and (self.method in SAFE_METHODS or self.idempotency_key is not None)


@dataclass(frozen=True, slots=True)
class Answer:
    """A success. `headers` are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    attempts: int = 1

    @property
    def next_cursor(self) -> str | None:
        """The `cursor` in `Link: <…>; rel="next"`. The address itself is not followed: only the API is asked."""
        found = requests.utils.parse_header_links(self.headers.get("Link", ""))
        for link in found:
            if link.get("rel") == "next":
                return dict(parse_qsl(urlsplit(link["url"]).query)).get("cursor")
        return None


class Transport:
    """Kept-alive connections to one API with one key. May be shared by threads."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        retry: Retry | None = None,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
        user_agent: str = "",
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises BadInput for a base URL or a key that cannot be one."""
        self.base_url = check_base_url(base_url)
        self._retry = retry or Retry()
        self._timeouts = (connect_timeout_s, read_timeout_s)
        self._pause = pause
        self._session = requests.Session()
        self._session.auth = _Bearer(key)
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # A proxy of the environment is for the world outside, not for what runs on this machine.
        self._session.trust_env = urlsplit(self.base_url).hostname not in LOOPBACK
        self._session.headers.update({"User-Agent": f"{user_agent} {own_user_agent()}".strip()})

    def close(self) -> None:
        self._session.close()

    def call(self, call: Call) -> Answer:
        """The answer, after retries where they are safe and the budget allows. Raises SignetError."""
        began = time.monotonic()
        for attempts in count(1):
            try:
                return self._once(call, attempts)
            except SignetError as failure:
                if attempts > 1 and call.method == "DELETE" and isinstance(failure, ApiError) and failure.status == 404:
                    # An attempt before this one did it; its answer was lost.
                    return Answer(204, {}, b"", attempts)
                wait_s = self._retry.wait_s(
                    failure,
                    is_safe=call.is_safe,
                    attempts_made=attempts,
                    elapsed_s=time.monotonic() - began,
                    chance=random.random(),  # noqa: S311 - spreads callers, hides nothing
                )
                if wait_s is None:
                    raise
            self._pause(wait_s)
        raise AssertionError("unreachable")

    def _once(self, call: Call, attempts: int) -> Answer:
        headers = {"Accept": "application/json"}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if call.idempotency_key is not None:
            headers["Idempotency-Key"] = call.idempotency_key
        if call.if_match is not None:
            headers["If-Match"] = f'"{call.if_match}"'
        try:
            got = self._session.request(
                call.method,
                f"{self.base_url}{call.path}",
                params=dict(call.query),
                data=call.body,
                headers=headers,
                timeout=self._timeouts,
                allow_redirects=False,
            )
        except requests.RequestException as trouble:
            raise self._network_error(trouble) from trouble
        return _read(got, attempts)

    def _network_error(self, trouble: requests.RequestException) -> NetworkError:
        place = urlsplit(self.base_url).netloc
        match trouble:
            case requests.ConnectTimeout():
                return NetworkError(f"{place}: no connection within {self._timeouts[0]:g} s", is_unsent=True)
            case requests.exceptions.ProxyError() | requests.exceptions.SSLError():
                return NetworkError(f"{place}: {_innermost(trouble)}", is_unsent=True, is_lasting=True)
            case requests.Timeout():
                return NetworkError(f"{place}: no answer within {self._timeouts[1]:g} s")
            case requests.exceptions.InvalidURL() | requests.exceptions.InvalidHeader():
                return NetworkError(f"{place}: {trouble}", is_unsent=True, is_lasting=True)
        return NetworkError(f"{place}: {_innermost(trouble)}", is_unsent=_is_unsent(trouble))


class _Bearer(AuthBase):
    """Set as the session's `auth`, so that no .netrc puts other credentials in its place."""

    def __init__(self, key: str) -> None:
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise BadInput("An API key is visible ASCII characters without spaces.")
        self._value = f"Bearer {key}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


def check_base_url(text: str) -> str:
    """Without a slash at the end. Raises BadInput for what is no http(s) address, or holds more than one."""
    try:
        parts = urlsplit(text.strip())
        is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole:
        raise BadInput("A base URL looks like https://signet.example.")
    if parts.username is not None or parts.query or parts.fragment:
        raise BadInput("A base URL has no user, query or fragment.")
    return parts.geturl().rstrip("/")


def own_user_agent() -> str:
    try:
        return f"signet-python/{version('signet-webhooks')}"
    except PackageNotFoundError:  # a checkout that was never installed
        return "signet-python/0"


def _read(got: requests.Response, attempts: int) -> Answer:
    if 200 <= got.status_code < 300:
        return Answer(got.status_code, got.headers, got.content, attempts)
    if got.status_code < 400:
        where = got.headers.get("Location", "nowhere")
        raise UnexpectedAnswer(f"{got.status_code}: this address leads to {where}; give that as the base URL.")
    raise api_error(
        got.status_code,
        got.content,
        request_id=got.headers.get("X-Request-Id", ""),
        retry_after_s=read_retry_after(got.headers.get("Retry-After"), now=datetime.now(UTC)),
    )


def _causes(trouble: BaseException) -> Iterator[BaseException]:
    """From the outside in, without going round in circles."""
    seen: set[int] = set()
    inner: Any = trouble
    while isinstance(inner, BaseException) and id(inner) not in seen:
        seen.add(id(inner))
        yield inner
        inner = inner.__cause__ or inner.__context__


def _innermost(trouble: BaseException) -> str:
    """What the system said, without the layers around it."""
    *_, last = _causes(trouble)
    said = last.strerror if isinstance(last, OSError) else None
    return said or str(last) or type(last).__name__


def _is_unsent(trouble: BaseException) -> bool:
    """Whether no connection came about. urllib3's names tell; a connection that broke has another."""
    names = {type(cause).__name__ for cause in _causes(trouble)}
    return bool(names & {"NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ConnectionRefusedError"})
