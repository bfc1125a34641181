"""A receiver in a process of its own, which writes down every POST before it answers: `python -m` runs it.

The ledger is a file that only grows, a JSON object a line: `came` when a request was read to its end, `answered` when
its answer was handed to the socket. It knows secrets and the published formats, and nothing of the code that signs.
"""

import argparse
import asyncio
import hashlib
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deliveries.receiver import Verdict, check_standard

ROOT = Path(__file__).resolve().parents[2]
START_S = 30.0
CONTROL_S = 30.0
REASONS = {200: b"OK", 204: b"No Content", 410: b"Gone", 429: b"Too Many Requests", 500: b"Error", 503: b"Busy"}


@dataclass(frozen=True, slots=True)
class Post:
    """One request that the receiver read to its end. `ended_at` is None when it was not answered."""

    at: float
    path: str
    event_id: str
    number: int
    verdict: str
    body: str
    status: int | None
    ended_at: float | None

    @property
    def endpoint(self) -> str:
        """The endpoint's name: the first part of the path. Those after it change when the endpoint moves."""
        return self.path.split("/")[1]

    @property
    def is_acknowledged(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Recorder:
    """The receiver as a test holds it: started, told how to behave, read."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "posts.jsonl"
        self._log = (directory / "recorder.log").open("ab")
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.recorder", str(self.file)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self.port, self._control = (int(word) for word in self._process.stdout.readline().split())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._log.close()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def behave(self, prefix: str, **how: Any) -> None:
        """`status`, `delay_s`, `failing` (a share of 1), `headers`; for the paths that begin so, the longest counts."""
        self._tell({"prefix": prefix, "how": how})

    def know(self, prefix: str, *secrets: str) -> None:
        """A signature made with any of these is good."""
        self._tell({"prefix": prefix, "secrets": secrets})

    def listen(self, *, is_listening: bool) -> None:
        """Down means down: connections are refused, and those that were open are cut."""
        self._tell({"is_listening": is_listening})

    def _tell(self, order: Mapping[str, Any]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._control, timeout=CONTROL_S)
        try:
            connection.request("POST", "/", json.dumps(order))
            assert connection.getresponse().status == 200
        finally:
            connection.close()

    def posts(self) -> list[Post]:
        came: dict[int, dict[str, Any]] = {}
        with self.file.open() as lines:
            for line in lines:
                if not line.endswith("\n"):
                    break
                entry = json.loads(line)
                came.setdefault(entry.pop("n"), {}).update(entry)
        return [Post(**{"status": None, "ended_at": None} | entry) for entry in came.values()]

    def count(self, prefix: str = "/") -> int:
        return sum(post.path.startswith(prefix) for post in self.posts())


@dataclass(slots=True)
class Manner:
    """How the receiver behaves at the paths of one prefix."""

    status: int = 200
    delay_s: float = 0.0
    failing: float = 0.0
    headers: str = ""

    def answer(self) -> int:
        return 500 if self.failing and random.random() < self.failing else self.status


class Book:
    """What the receiver knows and what it writes down."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._manners: dict[str, Manner] = {"/": Manner()}
        self._secrets: dict[str, list[str]] = {}
        self._count = 0

    def learn(self, order: Mapping[str, Any]) -> None:
        if "how" in order:
            self._manners[order["prefix"]] = Manner(**order["how"])
        if "secrets" in order:
            self._secrets[order["prefix"]] = list(order["secrets"])

    def manner(self, path: str) -> Manner:
        return self._manners[_longest(self._manners, path) or "/"]

    def came(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        self._count += 1
        self._write(
            {
                "n": self._count,
                "at": time.time(),
                "path": path,
                "event_id": headers.get("webhook-id", ""),
                "number": int(headers.get("x-webhook-attempt", 0)),
                "verdict": self._verdict(path, headers, body),
                "body": hashlib.sha256(body).hexdigest()[:16],
            }
        )
        return self._count

    def answered(self, number: int, status: int) -> None:
        self._write({"n": number, "status": status, "ended_at": time.time()})

    def _verdict(self, path: str, headers: Mapping[str, str], body: bytes) -> str:
        prefix = _longest(self._secrets, path)
        if prefix is None:
            return "unknown"
        verdicts = {check_standard(secret, headers, body, now=time.time()) for secret in self._secrets[prefix]}
        return Verdict.GOOD.value if Verdict.GOOD in verdicts else min(verdicts).value

    def _write(self, entry: Mapping[str, Any]) -> None:
        os.write(self._file, json.dumps(entry).encode() + b"\n")


def _longest(prefixes: Mapping[str, object], path: str) -> str | None:
    return max((prefix for prefix in prefixes if path.startswith(prefix)), key=len, default=None)


class Server:
    """Both doors: the one for deliveries, which may be shut, and the one for orders."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._door: asyncio.Server | None = None
        self._port = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self) -> None:
        await self._listen()
        control = await asyncio.start_server(self._obey, "127.0.0.1", 0)
        _say(f"{self._port} {control.sockets[0].getsockname()[1]}")
        await control.serve_forever()

    async def _listen(self) -> None:
        self._door = await asyncio.start_server(self._take, "127.0.0.1", self._port, backlog=4096, reuse_address=True)
        self._port = self._door.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        if self._door is not None:
            self._door.close()
            self._door = None
        for writer in list(self._open):
            writer.transport.abort()

    async def _obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await _read(reader)
        if request is not None:
            order = json.loads(request[2])
            self._book.learn(order)
            if order.get("is_listening") is True and self._door is None:
                await self._listen()
            if order.get("is_listening") is False:
                await self._shut()
            writer.write(_answer(200))
            await writer.drain()
        writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while (request := await _read(reader)) is not None:
                path, headers, body = request
                number = self._book.came(path, headers, body)
                manner = self._book.manner(path)
                if manner.delay_s:
                    await asyncio.sleep(manner.delay_s)
                status = manner.answer()
                if reader.at_eof() or writer.transport.is_closing():
                    # Nobody waits for the answer any more.
                    break
                self._book.answered(number, status)
                writer.write(_answer(status, manner.headers))
                await writer.drain()
        except OSError:
            pass
        finally:
            self._open.discard(writer)
            writer.close()


async def _read(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes] | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *rows = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    except (OSError, asyncio.IncompleteReadError):
        return None
    return first.split(" ")[1], headers, body


def _answer(status: int, headers: str = "") -> bytes:
    return b"HTTP/1.1 %d %s\r\nContent-Length: 0\r\n%s\r\n" % (status, REASONS.get(status, b"-"), headers.encode())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(Server(Book(parser.parse_args().file)).serve())


def _end_with_parent() -> None:
    """Its end of the pipe is closed when it is gone, however it went."""
    sys.stdin.read()
    os._exit(0)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
