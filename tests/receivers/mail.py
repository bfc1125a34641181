"""A real mail server on the loopback that keeps what it took, and answers each step of SMTP as its test says."""

import asyncio
import socket
import ssl
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

HANG = "hang"
HANG_UP = "hang up"
HANG_S = 30.0


@dataclass(frozen=True)
class Taken:
    """One e-mail, as it came."""

    sender: str
    recipients: list[str]
    raw: bytes
    is_encrypted: bool

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=policy.default)

    @property
    def text(self) -> str:
        """The body with plain line ends."""
        found: str = self.message.get_content()
        return found.replace("\r\n", "\n")


@dataclass
class MailServer:
    """`answers` maps EHLO, MAIL, RCPT or DATA to a reply, HANG or HANG_UP. It may change while the server runs."""

    answers: dict[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    login: tuple[str, str] | None = None
    taken: list[Taken] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    port: int = 0

    def __enter__(self) -> Self:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options: dict[str, Any] = {"tls_context": self.tls} if self.tls else {}
        if self.login:
            options |= {"authenticator": self._authenticate, "auth_required": True, "auth_require_tls": False}
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, ready_timeout=10, **options)
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()

    def _authenticate(self, *args: Any) -> AuthResult:
        given = args[-1]
        assert isinstance(given, LoginPassword)
        is_right = (given.login.decode(), given.password.decode()) == self.login
        return AuthResult(success=is_right, handled=False)

    async def _step(self, name: str, server: SMTP) -> str | None:
        self.steps.append(name)
        answer = self.answers.get(name)
        if answer == HANG:
            await asyncio.sleep(HANG_S)
        if answer == HANG_UP and server.transport is not None:
            server.transport.close()
            return "250 never heard"
        return answer

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's names, here and below
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        answer = await self._step("EHLO", server)
        return [answer] if answer else responses

    async def handle_HELO(self, server: SMTP, session: Session, envelope: Envelope, hostname: str) -> str:  # noqa: N802
        session.host_name = hostname
        return self.answers.get("EHLO", "250 loopback")

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return await self._step("MAIL", server) or "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = await self._step("RCPT", server) or "250 OK"
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = await self._step("DATA", server) or "250 taken"
        if answer.startswith("2") and isinstance(envelope.content, bytes):
            is_encrypted = session.ssl is not None
            self.taken.append(Taken(envelope.mail_from or "", list(envelope.rcpt_tos), envelope.content, is_encrypted))
        return answer
