"""Below requests: connections that go to judged addresses only, and answers read within our limits."""

import http.client
import io
import os
import socket
import ssl
import threading
from collections.abc import Mapping
from time import monotonic
from typing import Any

import certifi
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPHeaderDict, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import SKIP_HEADER

from dispatcher.addresses import AddressRules
from dispatcher.http.chunks import ChunkReader
from dispatcher.http.exchange import Exchange, Step
from dispatcher.http.tls_socket import TlsSocket
from dispatcher.http.wire_reader import CHUNK_BYTES, WireReader, read_head
from dispatcher.targets import Target

HOSTS = 1_024
# Hosts whose kept-alive connections are remembered; the host that was asked for least recently is forgotten first.
IDLE_CONNECTION_S = 55.0
# Load balancers commonly hang up after 60 s: ours goes first.
CONNECTION_LIFE_S = 300.0
# A kept connection leads to the address that was judged when it was opened; a name that moves is followed after this.

_carried = threading.local()


def carry(exchange: Exchange) -> None:
    """Tell the connections that this thread opens or takes from a pool which exchange they serve."""
    _carried.exchange = exchange


def _current() -> Exchange:
    exchange: Exchange = _carried.exchange
    return exchange


class AddressRefused(OSError):
    """The last line of defence: an address got this far that the rules refuse."""


class _Answer(http.client.HTTPResponse):
    """http.client's response with our reading of the head: exact limits, every 1xx skipped, raw lines kept.

    http.client then parses a head that holds nothing but the framing. It reads the body as it always does, except for
    chunks: of those it takes more forms than there are.
    """

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        limits = _current().limits
        ceiling = limits.header_bytes + CHUNK_BYTES
        # Opened before the other one is closed: the last file to close takes the connection with it.
        raw = sock.makefile("rb", buffering=0)
        self.fp.close()
        self._reader = WireReader(raw, ceiling=ceiling)
        self.fp: Any = self._reader
        self._chunks = ChunkReader(self._reader)

    def read1(self, n: int = -1) -> bytes:
        if self.fp is None or not self.chunked:
            return super().read1(n)
        data = self._chunks.read1(n)
        if not data:
            self._close_conn()  # type: ignore[attr-defined]
        return data

    def begin(self) -> None:
        exchange = _current()
        exchange.reader = self._reader
        is_head = exchange.request.method == "HEAD"
        exchange.head = read_head(self._reader, limit=exchange.limits.header_bytes, is_bodyless=is_head)
        self._reader.allow(exchange.limits.body_bytes)
        self.fp = io.BytesIO(exchange.head.framing)
        super().begin()
        self.fp = self._reader


class _Judged:
    """What both kinds of connection have in common. Stands before urllib3's class in the order of resolution."""

    response_class: Any = _Answer
    after_connect = Step.SEND
    rules: AddressRules
    sock: Any
    port: int

    def __init__(self, *args: Any, rules: AddressRules, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rules = rules
        self._born_at = monotonic()
        self._used_at = self._born_at
        self._served: Exchange | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the connection may serve another request; urllib3 asks before it takes one from the pool."""
        now = monotonic()
        is_young = now < self._born_at + CONNECTION_LIFE_S and now < self._used_at + IDLE_CONNECTION_S
        # Bytes that belong to no answer would be taken for the next one.
        is_clean = self._served is None or self._served.reader is None or not self._served.reader.has_leftover
        return bool(is_young and is_clean and super().is_connected)  # type: ignore[misc]

    def _new_conn(self) -> socket.socket:
        exchange = _current()
        exchange.enter(Step.CONNECT)
        sock = self._connect_first(exchange)
        self._born_at = monotonic()
        exchange.hold(sock)
        exchange.enter(self.after_connect)
        return sock

    def _connect_first(self, exchange: Exchange) -> socket.socket:
        """A connection to the first address that accepts one. Those that are left share the time that is left."""
        error: OSError = OSError("no address")
        addresses = exchange.addresses
        for index, address in enumerate(addresses):
            if not self.rules.allows(address):
                raise AddressRefused
            exchange.peer = f"[{address}]:{self.port}" if address.version == 6 else f"{address}:{self.port}"
            sock = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(max(exchange.left_s() / (len(addresses) - index), 0.001))
                sock.connect((str(address), self.port))
            except OSError as failed:
                error = failed
                sock.close()
            else:
                # From here on the watchdog alone ends it: with two clocks for one deadline it was a matter of chance
                # whether an answer that came before the body was read still counts.
                sock.settimeout(None)
                return sock
        raise error

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        _current().enter(Step.SEND)

    def request(self, *args: Any, **kwargs: Any) -> None:
        exchange = _current()
        self._served = exchange
        if self.sock is not None and exchange.step is not Step.SEND:
            exchange.peer = _peer_of(self.sock)
            exchange.hold(self.sock)
            exchange.enter(Step.SEND)
        try:
            super().request(*args, **kwargs)  # type: ignore[misc]
        except OSError as error:
            # urllib3 passes over it, for an answer may have come early. If none has, this is what went wrong.
            exchange.send_error = error.errno or 0
            raise

    def getresponse(self) -> Any:
        exchange = _current()
        if self.sock is None:
            # urllib3 connects while it sends, and so also passes over a connection that was reset before it stood.
            raise OSError(exchange.send_error, os.strerror(exchange.send_error))
        if not exchange.is_expired:
            # Else the deadline ended the sending. A receiver that answered without reading the body has still answered:
            # what had arrived by then can be read, and nothing more.
            exchange.enter(Step.WAIT)
        self._used_at = monotonic()
        return super().getresponse()  # type: ignore[misc]


class _PlainConnection(_Judged, HTTPConnection):
    """http, to judged addresses."""


class _TlsConnection(_Judged, HTTPSConnection):
    """https, to judged addresses; name and certificate are checked against the host of the URL."""

    after_connect = Step.HANDSHAKE


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class JudgedAdapter(HTTPAdapter):
    """Sends prepared requests over judged connections: no proxy, redirect or retry, nothing from the environment."""

    def __init__(self, *, rules: AddressRules, connections: int, ca_file: str | None) -> None:
        self._rules = rules
        self._tls = ssl.create_default_context(cafile=ca_file or certifi.where())
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._tls.sslsocket_class = TlsSocket
        super().__init__(pool_connections=HOSTS, pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, *_: Any, **__: Any) -> None:
        self.poolmanager = PoolManager(num_pools=connections, maxsize=maxsize, ssl_context=self._tls)
        self.poolmanager.connection_pool_kw["rules"] = self._rules
        self.poolmanager.key_fn_by_scheme = {"http": _pool_key, "https": _pool_key}
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}

    def get_connection_with_tls_context(self, request: PreparedRequest, *_: Any, **__: Any) -> HTTPConnectionPool:
        """The pool of the target's own parts; its URL is not parsed a second time."""
        target: Target = request.target  # type: ignore[attr-defined]
        pool: HTTPConnectionPool = self.poolmanager.connection_from_host(target.host, target.port, target.scheme)
        return pool

    def request_url(self, request: PreparedRequest, _proxies: Any) -> str:
        target: Target = request.target  # type: ignore[attr-defined]
        return target.path

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """The context of the pools decides, and it always verifies."""


def _pool_key(context: Mapping[str, Any]) -> tuple[str, str, int]:
    return context["scheme"], context["host"], context["port"]


def _peer_of(sock: socket.socket) -> str:
    name = sock.getpeername()
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def prepare(exchange: Exchange) -> PreparedRequest:
    """The request as the adapter takes it, past requests' own preparation, which merges and rewrites headers."""
    request = exchange.request
    headers = HTTPHeaderDict()
    for name, value in request.headers:
        headers.add(name, value)
    if request.method == "POST":
        headers.add("Content-Length", str(len(request.body)))
    for name in ("User-Agent", "Accept-Encoding"):
        if name not in headers:
            # urllib3 adds them by itself unless told not to.
            headers.add(name, SKIP_HEADER)
    prepared = PreparedRequest()
    prepared.method = request.method
    prepared.url = request.target.url
    prepared.headers = headers  # type: ignore[assignment]
    prepared.body = request.body if request.method == "POST" else None
    prepared.target = request.target  # type: ignore[attr-defined]
    return prepared
