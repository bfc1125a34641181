"""A bare CurlMulti loop: posts ready-made requests and looks at nothing but whether they were answered.

`python -m tests.bench.bare_curl FILE COUNT`. FILE holds a pickled list of (URL, header lines, body). Prints JSON: what
one request costs, after a first pass that opens the connections.
"""

import json
import pickle
import resource
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pycurl

IN_FLIGHT = 100
CONNECTIONS = 16_384
WAIT_S = 1.0

Job = tuple[str, list[str], bytes]


def main() -> None:
    jobs: list[Job] = pickle.loads(Path(sys.argv[1]).read_bytes())
    count = int(sys.argv[2])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    multi: Any = pycurl.CurlMulti()
    multi.setopt(pycurl.M_MAXCONNECTS, min(CONNECTIONS, hard // 2))
    handles = [_handle() for _ in range(IN_FLIGHT)]
    run(multi, handles, jobs)
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    run(multi, handles, list(islice(cycle(jobs), count)))
    elapsed, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sys.stdout.write(json.dumps({"rate": count / elapsed, "cpu_us": cpu / count * 1e6}))


def run(multi: Any, handles: list[Any], jobs: list[Job]) -> None:
    """Every job once, with as many in flight as there are handles."""
    idle = list(handles)
    waiting = iter(jobs)
    left = len(jobs)
    while left:
        while idle and (job := next(waiting, None)):
            handle = idle.pop()
            _load(handle, job)
            multi.add_handle(handle)
        multi.perform()
        finished = _finished(multi)
        for handle in finished:
            multi.remove_handle(handle)
        idle += finished
        left -= len(finished)
        if not finished:
            multi.select(WAIT_S)


def _finished(multi: Any) -> list[Any]:
    found: list[Any] = []
    queued = 1
    while queued:
        queued, done, failed = multi.info_read()
        if failed:
            raise SystemExit(f"a request failed: {failed[0][1:]}")
        found += done
    return found


def _handle() -> Any:
    handle = pycurl.Curl()
    handle.setopt(pycurl.POST, 1)
    handle.setopt(pycurl.NOSIGNAL, 1)
    handle.setopt(pycurl.PROXY, "")
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
