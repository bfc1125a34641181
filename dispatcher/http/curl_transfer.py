"""One pooled libcurl handle: how it is set up, what it sends, and what it makes of the answer."""

import re
import socket
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from ipaddress import ip_address
from time import monotonic
from typing import Any

import certifi
import pycurl

from dispatcher.addresses import AddressRules
from dispatcher.http.chunks import unchunk
from dispatcher.http.curl_errors import Failure, body_error_of, reason_of
from dispatcher.http.door import BODY_TOO_LARGE, Limits, Request
from dispatcher.http.framing import STATUS_LINE
from dispatcher.http.headers import header_text
from dispatcher.outcomes import Outcome, Phases, Reason, reason_of_status
from dispatcher.targets import SENTENCES

DNS_CACHE_S = -1
# For ever: each request says its judged addresses anew, which replaces the entry. With any other value libcurl looks
# through its whole cache after each request: 135 us of CPU a request at 8,000 hosts, against 9. The client keeps the
# cache small itself.
IDLE_CONNECTION_S = 55
# Load balancers commonly hang up after 60 s: ours goes first, so that fewer requests meet a connection about to close.
CONNECTION_LIFE_S = 300
# A kept connection leads to an address that was judged when it was opened. A name that moves is followed at the latest
# after this time, however busy the connection is.
DETAIL_CHARACTERS = 200

_CHUNKED = re.compile(r"^transfer-encoding:[ \t]*chunked[ \t]*[,\r]", re.IGNORECASE | re.MULTILINE)
# What makes libcurl read chunks; after another coding it reads on until the connection ends.

SWITCHED_OFF = ("Accept:", "Expect:")
# Headers that libcurl adds by itself, unless told "name, colon, nothing".
CONTENT_TYPE_OFF = "Content-Type:"

_Curl = Any
# pycurl comes without types.


@dataclass(frozen=True, slots=True)
class Setup:
    """What all handles of one client have in common."""

    rules: AddressRules
    limits: Limits
    ca_file: str | None
    opened: Callable[[int], None]
    # Is told the number of every socket that is opened.


def new_handle(setup: Setup) -> _Curl:
    """A handle with everything that does not change from one request to the next."""
    handle = pycurl.Curl()
    for option, value in (
        (pycurl.POST, 1),
        # pycurl puts its own name there; empty sends none.
        (pycurl.USERAGENT, ""),
        # 1.1 only: with HTTP/2 a refused stream is sent again by libcurl, and a request can no longer be ended by
        # dropping its connection.
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
        (pycurl.HTTP09_ALLOWED, 0),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        (pycurl.FOLLOWLOCATION, 0),
        (pycurl.PROXY, ""),
        (pycurl.NOPROXY, "*"),
        (pycurl.NETRC, pycurl.NETRC_IGNORED),
        (pycurl.PATH_AS_IS, 1),
        (pycurl.HTTP_CONTENT_DECODING, 0),
        # Chunks come as they are. libcurl skips their extensions without telling, so that a receiver could keep our
        # only thread busy with them until the deadline; like this every byte of them counts towards the cap.
        (pycurl.HTTP_TRANSFER_DECODING, 0),
        (pycurl.NOSIGNAL, 1),
        (pycurl.TCP_NODELAY, 1),
        (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
        (pycurl.SSL_VERIFYPEER, 1),
        (pycurl.SSL_VERIFYHOST, 2),
        (pycurl.CAINFO, setup.ca_file or certifi.where()),
        (pycurl.DNS_CACHE_TIMEOUT, DNS_CACHE_S),
        (pycurl.MAXAGE_CONN, IDLE_CONNECTION_S),
        (pycurl.MAXLIFETIME_CONN, CONNECTION_LIFE_S),
    ):
        handle.setopt(option, value)
    return handle


class Transfer:
    """Carries one request after another on one easy handle.

    The callbacks are bound once, when the handle is made. libcurl prints what they raise and goes on, so they raise
    nothing: they note what they saw, and `outcome` judges it.
    """

    __slots__ = (
        "_address_error",
        "_body",
        "_body_bytes",
        "_body_limit",
        "_chunks",
        "_dns_ms",
        "_excerpt_bytes",
        "_header_bytes",
        "_header_limit",
        "_is_body_over",
        "_is_complete",
        "_is_head",
        "_is_header_over",
        "_is_https",
        "_is_malformed",
        "_lines",
        "_offset",
        "_opened",
        "_resolve",
        "_rules",
        "_status",
        "handle",
        "key",
        "started",
    )

    def __init__(self, setup: Setup) -> None:
        self._rules = setup.rules
        self._opened = setup.opened
        self._header_limit = setup.limits.header_bytes
        self._body_limit = setup.limits.body_bytes
        self.key: Hashable = None
        self.handle = new_handle(setup)
        self.handle.transfer = self
        self.handle.setopt(pycurl.READFUNCTION, self._on_read)
        self.handle.setopt(pycurl.HEADERFUNCTION, self._on_header)
        self.handle.setopt(pycurl.WRITEFUNCTION, self._on_body)
        self.handle.setopt(pycurl.OPENSOCKETFUNCTION, self._on_open)
        self._excerpt_bytes = setup.limits.excerpt_bytes
        self._is_head = False

    def begin(
        self, request: Request, *, resolve: list[str], started: float, dns_ms: float | None, timeout_ms: int
    ) -> None:
        """Load the handle with a request. `resolve` says where the name leads; empty for a literal address."""
        self.key = request.key
        self._body = request.body
        self.started = started
        self._dns_ms = dns_ms
        self._is_https = request.target.scheme == "https"
        self._resolve = resolve
        self._status = 0
        self._lines: list[bytes] = []
        self._chunks: list[bytes] = []
        self._header_bytes = 0
        self._body_bytes = 0
        self._is_complete = False
        self._is_header_over = False
        self._is_body_over = False
        self._is_malformed = False
        self._address_error: Reason | None = None
        handle = self.handle
        handle.setopt(pycurl.URL, request.target.url)
        handle.setopt(pycurl.HTTPHEADER, _wire_lines(request.headers))
        handle.setopt(pycurl.POSTFIELDSIZE_LARGE, len(request.body))
        if request.method == "HEAD":
            self._ask_for_head(is_head=True)
        # An empty body has nothing to rewind (see _on_read), so it goes on a connection that libcurl will not retry.
        self._connect(is_fresh=not request.body, timeout_ms=timeout_ms)

    def _ask_for_head(self, *, is_head: bool) -> None:
        """A receiver that sends a body all the same must not have it taken for the next answer: its connection ends."""
        self._is_head = is_head
        # To libcurl the one option undoes the other.
        self.handle.setopt(pycurl.NOBODY if is_head else pycurl.POST, 1)
        self.handle.setopt(pycurl.FORBID_REUSE, is_head)

    def begin_again(self, *, timeout_ms: int) -> None:
        """The same request from its first byte, on a connection of its own."""
        self._connect(is_fresh=True, timeout_ms=timeout_ms)

    def is_unsent(self, code: int) -> bool:
        """Whether a kept-alive connection turned out dead before one byte of the request had left.

        Sending again is safe then, and no second POST: the receiver has seen nothing.
        """
        if code not in {pycurl.E_SEND_FAIL_REWIND, pycurl.E_SEND_ERROR}:
            return False
        getinfo = self.handle.getinfo
        return bool(getinfo(pycurl.NUM_CONNECTS) == 0 and getinfo(pycurl.REQUEST_SIZE) == 0)

    def is_clean(self, code: int) -> bool:
        """Whether the handle may carry another request. Not after an answer that broke off: libcurl 8.23 keeps a header
        line that might have been continued, and takes it for the beginning of the next answer, whoever sends that.
        """
        return (code == 0 and self._is_complete) or self.handle.getinfo(pycurl.REQUEST_SIZE) == 0

    def _connect(self, *, is_fresh: bool, timeout_ms: int) -> None:
        self._offset = 0
        handle = self.handle
        handle.setopt(pycurl.FRESH_CONNECT, is_fresh)
        handle.setopt(pycurl.RESOLVE, self._resolve)
        handle.setopt(pycurl.TIMEOUT_MS, timeout_ms)

    def end(self) -> None:
        """Let go of what the request brought; the handle stays for the next."""
        if self._is_head:
            self._ask_for_head(is_head=False)
        self.key = None
        self._body = b""
        self._lines = []
        self._chunks = []

    def _on_read(self, size: int) -> bytes:
        """Hand libcurl the body.

        A callback and not POSTFIELDS, because libcurl silently sends a request again when a kept-alive connection dies
        before the first byte of the answer: the receiver would see two POSTs where we log one attempt. That needs the
        body to be rewound, and a callback without a seek callback cannot be: libcurl gives up instead
        (E_SEND_FAIL_REWIND), and the retry is ours to decide and to count.
        """
        offset = self._offset
        if offset == 0 and len(self._body) <= size:
            self._offset = len(self._body)
            return self._body
        self._offset = offset + size
        return self._body[offset : self._offset]

    def _on_header(self, line: bytes) -> int | None:
        """Keep the block of the final answer; every line of every block counts, trailers too."""
        self._header_bytes += len(line)
        if self._header_bytes > self._header_limit:
            self._is_header_over = True
            return 0
        if self._is_complete:
            return None
        if line in {b"\r\n", b"\n"}:
            return self._on_block_end()
        if not self._lines:
            self._status = _status_of(line)
            if self._status < 100:
                self._is_malformed = True
                return 0
        self._lines.append(line)
        return None

    def _on_block_end(self) -> int | None:
        if self._status == 101:
            # Final, though nobody asked for it: what follows is another protocol.
            self._is_complete = True
            return 0
        if self._status >= 200:
            self._is_complete = True
        else:
            self._lines = []
        return None

    def _on_body(self, chunk: bytes) -> int | None:
        before = self._body_bytes
        self._body_bytes = before + len(chunk)
        if before < self._body_limit:
            self._chunks.append(chunk)
        if self._body_bytes > self._body_limit:
            self._is_body_over = True
            return 0
        return None

    def _on_open(self, _purpose: int, address: Any) -> int:
        """The last line of defence: whatever led here, no packet leaves for an address that the rules refuse."""
        try:
            is_allowed = self._rules.allows(ip_address(address.addr[0]))
        except (ValueError, TypeError):
            is_allowed = False
        if not is_allowed:
            self._address_error = Reason.BLOCKED_ADDRESS
            return int(pycurl.SOCKET_BAD)
        try:
            fd = socket.socket(address.family, address.socktype, address.protocol).detach()
        except OSError:
            # Out of descriptors, most likely: ours, not the receiver's.
            self._address_error = Reason.INTERNAL_ERROR
            return int(pycurl.SOCKET_BAD)
        self._opened(fd)
        return fd

    def outcome(self, code: int, text: str) -> Outcome:
        """What came of the request. `code` and `text` are libcurl's verdict, 0 and empty when it has no complaint."""
        if not self._is_complete:
            return self._failed(code, text)
        body = b"".join(self._chunks)
        headers = header_text(self._lines[1:])
        if body and _CHUNKED.search(headers):
            body = unchunk(body)
        return Outcome(
            reason=reason_of_status(self._status),
            status=self._status,
            headers=headers,
            body=body[: self._excerpt_bytes],
            body_truncated=self._is_body_over or len(body) > self._excerpt_bytes,
            body_error=self._body_error(code) if code else "",
            detail=text[:DETAIL_CHARACTERS],
            peer=self._peer(),
            phases=self._phases(),
        )

    def _failed(self, code: int, text: str) -> Outcome:
        if self._address_error is Reason.BLOCKED_ADDRESS:
            return Outcome(self._address_error, detail=SENTENCES[Reason.BLOCKED_ADDRESS], phases=self._phases())
        reason = self._reason(code)
        return Outcome(reason, detail=text[:DETAIL_CHARACTERS], peer=self._peer(), phases=self._phases())

    def _reason(self, code: int) -> Reason:
        if self._address_error is not None:
            return self._address_error
        if self._is_header_over:
            return Reason.RESPONSE_TOO_LARGE_HEADERS
        if self._is_malformed:
            return Reason.PROTOCOL_ERROR
        if code == pycurl.E_OK:
            # libcurl is content with a connection that closes inside the header block; we are not.
            return Reason.CONNECTION_CLOSED
        return reason_of(self._failure(code))

    def _body_error(self, code: int) -> str:
        if self._is_body_over:
            return BODY_TOO_LARGE
        if self._is_header_over:
            return Reason.RESPONSE_TOO_LARGE_HEADERS.value
        return body_error_of(self._failure(code)).value

    def _failure(self, code: int) -> Failure:
        getinfo = self.handle.getinfo
        is_reused = self._is_reused()
        return Failure(
            code,
            os_error=getinfo(pycurl.OS_ERRNO),
            verify=getinfo(pycurl.SSL_VERIFYRESULT),
            is_connected=is_reused or getinfo(pycurl.CONNECT_TIME_T) > 0,
            is_secured=is_reused or not self._is_https or getinfo(pycurl.APPCONNECT_TIME_T) > 0,
            is_sent=getinfo(pycurl.POSTTRANSFER_TIME_T) > 0,
        )

    def _is_reused(self) -> bool:
        """Whether the request went out on a kept-alive connection, which was made and secured long before."""
        getinfo = self.handle.getinfo
        return bool(getinfo(pycurl.NUM_CONNECTS) == 0 and getinfo(pycurl.REQUEST_SIZE))

    def _peer(self) -> str:
        getinfo = self.handle.getinfo
        host = getinfo(pycurl.PRIMARY_IP)
        if not host:
            return ""
        return f"[{host}]:{getinfo(pycurl.PRIMARY_PORT)}" if ":" in host else f"{host}:{getinfo(pycurl.PRIMARY_PORT)}"

    def _phases(self) -> Phases:
        """Durations from libcurl's points in time (microseconds since it began). A request on a kept-alive connection
        had no lookup, connect and handshake of its own: these stay None, as do phases that were not reached."""
        getinfo = self.handle.getinfo
        total_ms = (monotonic() - self.started) * 1000
        if self._is_reused():
            send_ms, wait_ms = self._exchange_phases()
            return Phases(send=send_ms, wait=wait_ms, total=total_ms)
        connected = getinfo(pycurl.CONNECT_TIME_T)
        secured = getinfo(pycurl.APPCONNECT_TIME_T)
        is_ready = connected > 0 and (secured > 0 or not self._is_https)
        send_ms, wait_ms = self._exchange_phases() if is_ready else (None, None)
        return Phases(
            dns=self._dns_ms,
            connect=_between(getinfo(pycurl.NAMELOOKUP_TIME_T), connected),
            tls=_between(connected, secured) if self._is_https else None,
            send=send_ms,
            wait=wait_ms,
            total=total_ms,
        )

    def _exchange_phases(self) -> tuple[float | None, float | None]:
        """Milliseconds from ready to sent, and from sent to the answer's first line."""
        getinfo = self.handle.getinfo
        sent = getinfo(pycurl.POSTTRANSFER_TIME_T)
        first = getinfo(pycurl.STARTTRANSFER_TIME_T) if self._header_bytes else 0
        return _between(getinfo(pycurl.PRETRANSFER_TIME_T), sent), _between(sent, first)


def _between(earlier_us: int, later_us: int) -> float | None:
    return (later_us - earlier_us) / 1000 if later_us >= earlier_us > 0 else None


def _status_of(line: bytes) -> int:
    """The status of a status line; 0 for what is none, much of which libcurl would let pass."""
    found = STATUS_LINE.fullmatch(line)
    return int(found[2]) if found else 0


def _wire_lines(headers: tuple[tuple[str, str], ...]) -> list[str] | list[bytes]:
    """The headers in libcurl's notation, where "Name:" switches a header off and "Name;" sends it empty."""
    lines = [f"{name}: {value}" if value.strip() else f"{name};" for name, value in headers]
    lines += SWITCHED_OFF
    if not any(name.lower() == "content-type" for name, _ in headers):
        lines.append(CONTENT_TYPE_OFF)
    if "".join(lines).isascii():
        return lines
    return [line.encode("latin-1") for line in lines]
