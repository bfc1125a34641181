"""A name server on the loopback that answers as its test says, and a `getaddrinfo` that asks it and nobody else."""

import ctypes
import platform
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

A, CNAME, AAAA = 1, 5, 28
NO_ERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
FOUND_AT_12 = b"\xc0\x0c"
# The name in the question, as compression points to it.


def is_supported() -> bool:
    """The C library keeps what it knows of name servers in a structure that only glibc shows."""
    return platform.libc_ver()[0] == "glibc" and platform.machine() in {"x86_64", "aarch64"}


def wire_name(name: str) -> bytes:
    return b"".join([bytes([len(label)]) + label.encode() for label in name.split(".") if label]) + b"\0"


def record(owner: bytes, kind: int, data: bytes, *, ttl_s: int = 0) -> bytes:
    return owner + struct.pack("!HHIH", kind, 1, ttl_s, len(data)) + data


def addresses(*texts: str, ttl_s: int = 0) -> list[tuple[int, bytes]]:
    """Records for the name that was asked for."""
    found: list[tuple[int, bytes]] = []
    for text in texts:
        kind, family = (AAAA, socket.AF_INET6) if ":" in text else (A, socket.AF_INET)
        found.append((kind, record(FOUND_AT_12, kind, socket.inet_pton(family, text), ttl_s=ttl_s)))
    return found


@dataclass(frozen=True, slots=True)
class Question:
    number: int
    name: str
    kind: int
    raw: bytes

    def reply(self, records: Sequence[bytes] = (), *, code: int = NO_ERROR, is_cut: bool = False) -> bytes:
        flags = 0x8180 | code | (0x0200 if is_cut else 0)
        return struct.pack("!HHHHHH", self.number, flags, 1, len(records), 0, 0) + self.raw + b"".join(records)


Answer = Callable[[Question], bytes | None]


def say(*texts: str) -> Answer:
    """The addresses of the kind that is asked for."""
    rows = addresses(*texts)
    return lambda question: question.reply([row for kind, row in rows if kind == question.kind])


@dataclass
class NameServer:
    answer: Answer
    asked: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An empty datagram is the end.
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, sender = self._socket.recvfrom(4_096)
            if not data:
                return
            question = _parse(data)
            self.asked.append(question.name)
            reply = self.answer(question)
            if reply is not None:
                self._socket.sendto(reply, sender)

    def getaddrinfo(self, host: str, *args: Any, **options: Any) -> list[tuple[Any, ...]]:
        """The C library's own, in this thread led to this server: one try of a second."""
        _lead_here(self.port)
        return list(socket.getaddrinfo(host, *args, **options))


def _parse(data: bytes) -> Question:
    at, labels = 12, []
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode())
        at += 1 + data[at]
    kind = int.from_bytes(data[at + 1 : at + 3], "big")
    return Question(int.from_bytes(data[:2], "big"), ".".join(labels), kind, data[12 : at + 5])


def _lead_here(port: int) -> None:
    """Write `struct __res_state` of this thread: retrans, retry, options, nscount, and the first of its addresses."""
    library = ctypes.CDLL(None, use_errno=True)
    getattr(library, "__res_init")()
    state = getattr(library, "__res_state")
    state.restype = ctypes.c_void_p
    at = state()
    ctypes.memmove(at, struct.pack("ii", 1, 1), 8)
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton("127.0.0.1") + bytes(8)
    ctypes.memmove(at + 16, struct.pack("i", 1) + address, 20)


def slow(seconds: float, answer: Answer) -> Answer:
    def late(question: Question) -> bytes | None:
        time.sleep(seconds)
        return answer(question)

    return late
