"""A bare CurlMulti loop: posts ready-made requests and looks at nothing but whether they were answered.

`python -m tests.bench.bare_curl FILE COUNT`. FILE holds a pickled list of (URL, header lines, body). Prints JSON: what
one request costs, after a first pass that opens the connections.
"""

import json
import pickle
import resource
import select
import sys
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pycurl

IN_FLIGHT = 100
CONNECTIONS = 16_384
# All are kept alive, where the process may open so many files.
WAIT_S = 1.0
EVENTS = {
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}

Job = tuple[str, list[str], bytes]


class Loop:
    """libcurl's multi interface over epoll."""

    def __init__(self, *, connections: int) -> None:
        self._epoll = select.epoll()
        self._watched: set[int] = set()
        self._timer_s = -1.0
        self._multi: Any = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._idle = [_handle() for _ in range(IN_FLIGHT)]

    def run(self, jobs: Sequence[Job]) -> None:
        """Every job once, with as many in flight as there are handles."""
        waiting, left = iter(jobs), len(jobs)
        while left:
            while self._idle and (job := next(waiting, None)):
                handle = self._idle.pop()
                _load(handle, job)
                self._multi.add_handle(handle)
            self._turn()
            finished = self._finished()
            for handle in finished:
                self._multi.remove_handle(handle)
            self._idle += finished
            left -= len(finished)

    def _turn(self) -> None:
        if self._timer_s == 0:
            self._timer_s = -1.0
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        for fd, _ in self._epoll.poll(self._timer_s if 0 <= self._timer_s < WAIT_S else WAIT_S):
            self._multi.socket_action(fd, 0)

    def _finished(self) -> list[Any]:
        found: list[Any] = []
        queued = 1
        while queued:
            queued, done, failed = self._multi.info_read()
            if failed:
                raise SystemExit(f"a request failed: {failed[0][1:]}")
            found += done
        return found

    def _on_socket(self, what: int, fd: int, _multi: object, _data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            self._watched.discard(fd)
            self._epoll.unregister(fd)
        elif fd in self._watched:
            self._epoll.modify(fd, EVENTS[what])
        else:
            self._watched.add(fd)
            self._epoll.register(fd, EVENTS[what])

    def _on_timer(self, timeout_ms: int) -> None:
        self._timer_s = timeout_ms / 1000 if timeout_ms >= 0 else -1.0


def main() -> None:
    jobs: list[Job] = pickle.loads(Path(sys.argv[1]).read_bytes())
    count = int(sys.argv[2])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop = Loop(connections=min(CONNECTIONS, hard - 2 * IN_FLIGHT))
    loop.run(jobs)
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    loop.run(list(islice(cycle(jobs), count)))
    elapsed, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sys.stdout.write(json.dumps({"rate": count / elapsed, "cpu_us": cpu / count * 1e6}))


def _handle() -> Any:
    handle = pycurl.Curl()
    handle.setopt(pycurl.POST, 1)
    handle.setopt(pycurl.NOSIGNAL, 1)
    handle.setopt(pycurl.PROXY, "")
    # With an expiry libcurl looks through its whole memory of names after each request: 120 µs with 8,000 receivers.
    handle.setopt(pycurl.DNS_CACHE_TIMEOUT, -1)
    handle.setopt(pycurl.WRITEFUNCTION, _ignore)
    return handle


def _ignore(_data: bytes) -> None:
    """Nobody reads the answers' bodies."""


def _load(handle: Any, job: Job) -> None:
    url, headers, body = job
    handle.setopt(pycurl.URL, url)
    handle.setopt(pycurl.HTTPHEADER, headers)
    handle.setopt(pycurl.POSTFIELDS, body)


if __name__ == "__main__":
    main()
