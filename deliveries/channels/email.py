"""Carries e-mails by way of Django's mail back ends, and says in one word what came of each.

Sources: RFC 5321, 4.2 (reply codes); RFC 2369 and RFC 8058 (List-Unsubscribe and its one click); RFC 3834
(Auto-Submitted).
"""

import smtplib
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime, parseaddr
from functools import partial
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends import smtp

from deliveries.channels.failures import outcome_of
from deliveries.channels.letters import Letter, header_block, patience_s
from dispatcher.outcomes import Outcome, Reason

TAKEN = 250
# The one code that smtplib takes for a yes at the end of DATA.
NOT_ABOUT_RECIPIENT = frozenset({530, 534, 535, 538})
# "Log in first" and "not like this", for ever until somebody changes our settings. Source: RFC 4954, 6.


def write(*, to: str, subject: str, text: str, headers: Mapping[str, str], now: datetime) -> Letter:
    """An e-mail of plain text from this installation. Raises ValueError for headers that cannot be sent."""
    message = EmailMessage(
        subject=subject,
        body=text,
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[to],
        headers={"Date": format_datetime(now.astimezone(UTC)), "Auto-Submitted": "auto-generated", **headers},
    )
    shown = header_block([(name, str(value)) for name, value in message.message().items()])
    return Letter(shown, text, partial(_carry, message))


def id_host() -> str:
    """What stands behind the @ of our Message-IDs: the sender's domain."""
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"


def _carry(message: EmailMessage) -> Outcome:
    connection = get_connection(timeout=patience_s())
    try:
        return _hand_over(connection, message)
    finally:
        # The letter is taken or refused already; how the parting goes changes nothing.
        with suppress(smtplib.SMTPException, OSError):
            connection.close()


def _hand_over(connection: Any, message: EmailMessage) -> Outcome:
    is_connected = False
    try:
        connection.open()
        is_connected = True
        count = connection.send_messages([message])
    except smtplib.SMTPException as refusal:
        return _refused(refusal)
    except OSError as error:
        return outcome_of(error, is_connected=is_connected)
    if not count:
        return Outcome(Reason.INTERNAL_ERROR, detail="The mail back end took no e-mail.")
    is_smtp = isinstance(connection, smtp.EmailBackend)
    return Outcome(Reason.DELIVERED, TAKEN if is_smtp else None, peer=_peer(connection))


def _refused(refusal: smtplib.SMTPException) -> Outcome:
    """Only a 5xx to the recipient or to the letter is final; whatever else fails is between the servers."""
    match refusal:
        case smtplib.SMTPRecipientsRefused():
            code, text = next(iter(refusal.recipients.values()))
            return _reply(code, text, is_final=True)
        case smtplib.SMTPDataError():
            return _reply(refusal.smtp_code, refusal.smtp_error, is_final=True)
        case smtplib.SMTPResponseException():
            return _reply(refusal.smtp_code, refusal.smtp_error, is_final=False)
        case smtplib.SMTPServerDisconnected():
            is_late = "timed out" in str(refusal)
            reason = Reason.RESPONSE_TIMEOUT if is_late else Reason.CONNECTION_CLOSED
            return Outcome(reason, detail=str(refusal)[:200])
        case smtplib.SMTPNotSupportedError():
            return Outcome(Reason.GATEWAY_REFUSED, detail=str(refusal)[:200])
    return Outcome(Reason.PROTOCOL_ERROR, detail=type(refusal).__name__)


def _reply(code: int, text: bytes | str, *, is_final: bool) -> Outcome:
    body = text.encode() if isinstance(text, str) else text
    if not 200 <= code <= 599:
        # smtplib says -1 for what is no reply at all.
        return Outcome(Reason.PROTOCOL_ERROR, detail="The mail server's answer is no SMTP reply.", body=body[:4096])
    is_final = is_final and code >= 500 and code not in NOT_ABOUT_RECIPIENT
    reason = Reason.RECIPIENT_REFUSED if is_final else Reason.GATEWAY_REFUSED
    return Outcome(reason, code, body=body[:4096], detail=body.decode(errors="replace")[:200])


def _peer(connection: Any) -> str:
    """`address:port` of the mail server; empty for other back ends."""
    sock = getattr(getattr(connection, "connection", None), "sock", None)
    if sock is None:
        return ""
    with suppress(OSError):
        address, port, *_ = sock.getpeername()
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return ""
