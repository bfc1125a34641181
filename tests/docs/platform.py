"""What a reader has who has typed `make run`: the demo platform, and the two keys that it printed."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from config.docs.settings_page import documented
from config.embedded.services import Services
from tests.docs.markdown import ROOT

READY_S = 180.0
# For a machine that is busy with other tests.
STOP_S = 40.0
LEFT_OUT = {"DJANGO_SETTINGS_MODULE", "SIGNET_ROLE", "VIRTUAL_ENV", "PYTHONPATH", *documented()}
# What the tests' own session has set, and no reader.


@dataclass(frozen=True, slots=True)
class Platform:
    """`environment` is that of the terminal in which it was started."""

    url: str
    keys: dict[str, str]
    environment: dict[str, str]

    def create(self, path: str, body: object) -> Any:
        """The provider's answer; also when it is there already."""
        headers = {"Authorization": f"Bearer {self.keys['provider']}", "Content-Type": "application/json"}
        request = Request(self.url + path, json.dumps(body).encode(), headers)
        with suppress(HTTPError), urlopen(request) as answer:
            return json.load(answer)
        return {}


@contextmanager
def make_run() -> Iterator[Platform]:
    directory = Path(tempfile.mkdtemp(prefix="signet-docs-"))
    # The one thing that is not as in a fresh clone: its state lies elsewhere, and its port is free.
    kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    environment = kept | {"SIGNET_STATE_DIR": str(directory), "HOME": str(directory)}
    process = subprocess.Popen(
        ["make", "run", "ARGS=--port 0"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines: list[str] = []
    reader = Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    try:
        url = _wait_for(r"^ready (http://\S+)", lines)
        keys = {name: _wait_for(rf"{name.title()} key +(\S+)", lines) for name in ("provider", "merchant")}
        yield Platform(url, keys, environment)
    finally:
        _stop(process)
        reader.join(STOP_S)
        services = Services(directory)
        services.stop()
        services.erase()
        shutil.rmtree(directory, ignore_errors=True)


def _read(process: "subprocess.Popen[str]", lines: list[str]) -> None:
    assert process.stdout is not None
    with process.stdout:
        lines.extend(line.rstrip("\n") for line in process.stdout)


def _wait_for(pattern: str, lines: list[str]) -> str:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        for line in list(lines):
            if found := re.search(pattern, line):
                return found[1]
        time.sleep(0.1)
    raise AssertionError(f"no {pattern} within {READY_S} s:\n" + "\n".join(lines))


def _stop(process: "subprocess.Popen[str]") -> None:
    """Ctrl-C, as the last line of the page says."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(STOP_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
