"""Where the demo's e-mails and SMS arrive: a mail server and an SMS gateway that take everything and count it."""

import json
import socketserver
from collections import Counter
from collections.abc import Mapping
from email import message_from_bytes
from threading import Lock, Thread
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings

from deliveries.receiver import Answer, Listener

HOST = "127.0.0.1"
SMTP = "django.core.mail.backends.smtp.EmailBackend"
LETTER_BYTES_MAX = 1024 * 1024
LINE_BYTES_MAX = 2000
# Twice what RFC 5321, 4.5.3.1.6 asks a server to take.


class Ports(NamedTuple):
    mail: int
    sms: int


class Letters(NamedTuple):
    """Letters about events; the questions whether an address may be written to are not counted."""

    emails: int = 0
    sms: int = 0


NO_LETTERS = Letters()


def local_ports() -> Ports | None:
    """Where e-mails and SMS of this installation go, if it is this machine: only then does the demo write any."""
    gateway = urlsplit(settings.SMS_GATEWAY_URL)
    is_mail_local = settings.EMAIL_BACKEND == SMTP and settings.EMAIL_HOST == HOST
    if is_mail_local and settings.SMS_BACKEND == "http" and gateway.hostname == HOST:
        return Ports(settings.EMAIL_PORT, gateway.port or 80)
    return None


class Letterbox:
    """Both sinks. What cannot be listened at belongs to somebody who takes letters as well: nothing is counted then."""

    def __init__(self, ports: Ports | None) -> None:
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._sinks: list[_MailSink | _SmsSink] = []
        if ports:
            self._listen(ports)

    def _listen(self, ports: Ports) -> None:
        try:
            self._sinks = [_MailSink(ports.mail, self), _SmsSink(ports.sms, self)]
        except OSError:
            return
        for sink in self._sinks:
            Thread(target=sink.serve, name="letters", daemon=True).start()

    def count(self, channel: str) -> None:
        with self._lock:
            self._counts[channel] += 1

    def read(self) -> Letters:
        with self._lock:
            return Letters(self._counts["email"], self._counts["sms"])

    def end(self) -> None:
        for sink in self._sinks:
            sink.stop()
            sink.close()


class _SmsSink(Listener):
    """An SMS gateway as SMS_BACKEND=http speaks to it."""

    def __init__(self, port: int, box: Letterbox) -> None:
        self._box = box
        super().__init__(port=port)

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:  # noqa: ARG002
        try:
            sms = json.loads(body)
            is_about_event = sms["to"].startswith("+") and sms["reference"].startswith("del_")
        except (ValueError, LookupError, TypeError, AttributeError):
            return Answer(400)
        if is_about_event:
            self._box.count("sms")
        return Answer(202)


class _MailSink(socketserver.ThreadingTCPServer):
    """As much of a mail server as Django's back end speaks to. Source: RFC 5321."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, box: Letterbox) -> None:
        self.box = box
        super().__init__((HOST, port), _MailHandler)

    def serve(self) -> None:
        self.serve_forever(poll_interval=0.2)

    def stop(self) -> None:
        self.shutdown()

    def close(self) -> None:
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sender that hangs up is no news."""


class _MailHandler(socketserver.StreamRequestHandler):
    server: _MailSink

    def handle(self) -> None:
        self._say("220 demo ready")
        while line := self.rfile.readline(LINE_BYTES_MAX):
            match line[:4].upper():
                case b"EHLO" | b"HELO":
                    self._say("250 demo")
                case b"DATA":
                    self._say("354 go on")
                    self._take()
                    self._say("250 taken")
                case b"QUIT":
                    self._say("221 bye")
                    return
                case b"MAIL" | b"RCPT" | b"RSET" | b"NOOP":
                    self._say("250 fine")
                case _:
                    self._say("502 not here")

    def _take(self) -> None:
        """Everything up to the line with a single dot."""
        text = bytearray()
        while (line := self.rfile.readline(LINE_BYTES_MAX)) not in {b".\r\n", b""}:
            if len(text) < LETTER_BYTES_MAX:
                text += line
        if "X-Webhook-Event" in message_from_bytes(bytes(text)):
            self.server.box.count("email")

    def _say(self, reply: str) -> None:
        self.wfile.write(f"{reply}\r\n".encode())
