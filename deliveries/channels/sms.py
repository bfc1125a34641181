"""Carries SMS: to the terminal, to a gateway of the provider's, to Twilio, or by a class that the provider brings.

These speak HTTP to the provider's own gateway, named by a setting; no merchant has a say in where they go. So they do
not use the door to merchants, whose address rules would be in the way of a gateway in the same network.
"""

import json
import sys
from dataclasses import dataclass
from functools import lru_cache, partial
from time import monotonic
from typing import Any, Protocol

import requests
import urllib3
from django.conf import settings
from django.utils.module_loading import import_string

from deliveries.channels.failures import outcome_of
from deliveries.channels.letters import Letter, header_block, patience_s
from dispatcher.outcomes import Outcome, Reason
from dispatcher.sms_text import encoding_of, segments

ANSWER_BYTES = 16_384
FINAL = frozenset({400, 410, 422})
# What a gateway says of a number or a text that it will never take. Others (401, 404 …) are about our settings, which
# somebody may yet correct.
TWILIO_FINAL = frozenset({21211, 21214, 21610, 21612, 21614})
# Not a number, cannot be reached, has said STOP, not reachable by SMS, not a mobile. Source: Twilio's error codes.
SERVICE_PREFIX = "MG"
# A Messaging Service's id in place of a number.


@dataclass(frozen=True, slots=True)
class Sms:
    """One SMS. `reference` is the same whenever the same attempt is sent, so that a gateway can tell a repeat."""

    to: str
    sender: str
    text: str
    reference: str


class Backend(Protocol):
    """What SMS_BACKEND names: made without arguments, once in a process, and called from several threads at once."""

    def send(self, sms: Sms, *, timeout_s: float) -> Outcome:
        """Hand the SMS over and say what came of it; may block for `timeout_s`.

        `delivered` when the gateway has taken it, `recipient_refused` when it never will, `gateway_refused` when it may
        later. What is raised counts as `internal_error`, except an OSError: that is a network failure.
        """


def write(*, to: str, text: str, reference: str, headers: list[tuple[str, str]]) -> Letter:
    """An SMS from this installation."""
    sms = Sms(to, settings.SMS_FROM, text, reference)
    measures = [("Segments", str(segments(text))), ("Encoding", encoding_of(text).value)]
    sender = [("From", sms.sender)] if sms.sender else []
    shown = header_block([("To", to), *sender, *measures, *headers])
    return Letter(shown, text, partial(_carry, sms))


def _carry(sms: Sms) -> Outcome:
    try:
        return _backend(settings.SMS_BACKEND).send(sms, timeout_s=patience_s())
    except OSError as error:
        return outcome_of(error, is_connected=False)


@lru_cache(maxsize=4)
def _backend(name: str) -> Backend:
    if name in _BACKENDS:
        return _BACKENDS[name]()
    backend: Backend = import_string(name)()
    return backend


class NoBackend:
    """SMS were set up once: the endpoints are still there."""

    def send(self, sms: Sms, *, timeout_s: float) -> Outcome:  # noqa: ARG002
        return Outcome(Reason.INTERNAL_ERROR, detail="SMS are not set up on this installation.")


class ConsoleBackend:
    """For development: the SMS appears where the worker's output goes."""

    def send(self, sms: Sms, *, timeout_s: float) -> Outcome:  # noqa: ARG002
        sys.stdout.write(f"SMS to {sms.to} from {sms.sender or '-'}: {sms.text}\n")
        sys.stdout.flush()
        return Outcome(Reason.DELIVERED)


class HttpBackend:
    """Any gateway that takes `POST {"to", "from", "text", "reference"}` as JSON and answers 2xx."""

    def send(self, sms: Sms, *, timeout_s: float) -> Outcome:
        token = settings.SMS_GATEWAY_TOKEN
        return post(
            settings.SMS_GATEWAY_URL,
            timeout_s=timeout_s,
            json={"to": sms.to, "from": sms.sender, "text": sms.text, "reference": sms.reference},
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )


class TwilioBackend:
    """Twilio's Messages resource. Source: Twilio's REST API, version 2010-04-01."""

    def send(self, sms: Sms, *, timeout_s: float) -> Outcome:
        account = settings.TWILIO_ACCOUNT_SID
        sender = "MessagingServiceSid" if sms.sender.startswith(SERVICE_PREFIX) else "From"
        outcome = post(
            f"{settings.TWILIO_API_URL}/2010-04-01/Accounts/{account}/Messages.json",
            timeout_s=timeout_s,
            data={"To": sms.to, sender: sms.sender, "Body": sms.text},
            auth=(account, settings.TWILIO_AUTH_TOKEN),
        )
        if outcome.reason is not Reason.RECIPIENT_REFUSED or _twilio_code(outcome.body) in TWILIO_FINAL:
            return outcome
        return Outcome(Reason.GATEWAY_REFUSED, outcome.status, outcome.headers, outcome.body, peer=outcome.peer)


def _twilio_code(body: bytes) -> int | None:
    try:
        code = json.loads(body)["code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return code if isinstance(code, int) else None


_BACKENDS: dict[str, type[Backend]] = {
    "none": NoBackend,
    "console": ConsoleBackend,
    "http": HttpBackend,
    "twilio": TwilioBackend,
}


def post(url: str, *, timeout_s: float, headers: dict[str, str] | None = None, **content: Any) -> Outcome:
    """One POST to a gateway. Redirects are not followed, proxies and netrc of the environment are not looked at, and of
    an endless answer only the start is read."""
    deadline = monotonic() + timeout_s
    with requests.Session() as session:
        session.trust_env = False
        try:
            response = session.post(
                url,
                headers={"Accept-Encoding": "identity", **(headers or {})},
                timeout=timeout_s,
                allow_redirects=False,
                stream=True,
                **content,
            )
            body = _read(response, deadline)
        except requests.RequestException as error:
            return _failed(error)
    return Outcome(_reason(response.status_code), response.status_code, _header_text(response), body)


def _read(response: requests.Response, deadline: float) -> bytes:
    """The status has decided; the body is for the log. It may break off, and it may not last."""
    body = b""
    try:
        while len(body) < ANSWER_BYTES and monotonic() < deadline:
            chunk = response.raw.read1(ANSWER_BYTES - len(body), decode_content=False)
            if not chunk:
                break
            body += chunk
    except (urllib3.exceptions.HTTPError, OSError):
        pass
    return body


def _reason(status: int) -> Reason:
    if 200 <= status <= 299:
        return Reason.DELIVERED
    return Reason.RECIPIENT_REFUSED if status in FINAL else Reason.GATEWAY_REFUSED


def _header_text(response: requests.Response) -> str:
    return "\r\n".join(f"{name}: {value}" for name, value in response.headers.items())


def _failed(error: requests.RequestException) -> Outcome:
    if isinstance(error, requests.ConnectTimeout):
        return outcome_of(TimeoutError(), is_connected=False)
    if isinstance(error, requests.Timeout):
        return outcome_of(TimeoutError(), is_connected=True)
    cause = _system_error(error)
    if cause is None:
        return Outcome(Reason.PROTOCOL_ERROR, detail=type(error).__name__)
    return outcome_of(cause, is_connected=isinstance(cause, ConnectionResetError | BrokenPipeError))


def _system_error(error: BaseException | None) -> OSError | None:
    """The socket's own error: requests wraps urllib3's, which wraps it."""
    while error is not None:
        if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
            return error
        inner = [arg for arg in error.args if isinstance(arg, BaseException)]
        below = getattr(error, "reason", None)
        error = below if isinstance(below, BaseException) else inner[-1] if inner else error.__cause__
    return None
