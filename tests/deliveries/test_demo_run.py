"""`serve --demo` shows within seconds what the platform is for, and leaves nothing behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest
from django.conf import settings

from config.embedded import state
from config.embedded.services import Services
from config.embedded.state import Urls

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes through /proc"),
]

READY_S = 60
RUN_S = 25
# About 300 events, some of which take their second or third attempt after 2 and 6 seconds.
SHOWN_S = 90
# For a machine that is busy with other tests.
STOP_S = 20
SYSTEMS = {"Paysera", "Paysafe", "Paisr", "Gateway", "Card platform"}
DEMO = {"DEBUG": "true", "ALLOW_HTTP_TARGETS": "true", "ALLOWED_TARGET_NETWORKS": "127.0.0.0/8"}
LIVE = re.compile(
    r"demo {4}\| (?:demo ended: )?(\w+(?: \w+)?) +published +([\d,]+)  delivered +([\d,]+)  "
    r"verified +([\d,]+) \(([\d,]+) after a retry\)"
)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short, as socket paths must be, and gone afterwards with the services in it."""
    made = Path(tempfile.mkdtemp(prefix="signet-demo-"))
    yield made
    services = Services(made, is_durable=False)
    services.stop()
    services.erase()
    shutil.rmtree(made, ignore_errors=True)


class Row(NamedTuple):
    published: int = 0
    delivered: int = 0
    verified: int = 0
    after_retry: int = 0


class Run:
    """A `serve --demo` with its own services, and the lines it printed."""

    def __init__(self, directory: Path) -> None:
        own = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "LOG_LEVEL")
        kept = {name: value for name, value in os.environ.items() if name not in own}
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--demo", "--port", "0", "--workers", "1"],
            cwd=settings.BASE_DIR,
            env={**kept, **DEMO, "SIGNET_STATE_DIR": str(directory)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(line.rstrip("\n") for line in self.process.stdout)

    def wait_for(self, pattern: str, *, timeout_s: float) -> str:
        deadline = time.monotonic() + timeout_s
        while True:
            for line in list(self.lines):
                if re.search(pattern, line):
                    return line
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.1)

    def live(self) -> dict[str, Row]:
        """The newest line of each system, and of all."""
        found = [match.groups() for line in list(self.lines) if (match := LIVE.match(line))]
        return {title: Row(*(int(text.replace(",", "")) for text in counts)) for title, *counts in found}

    def has_shown_all(self) -> bool:
        """Every system delivers and verifies, and Paysera has seen a retry work."""
        live = self.live()
        verified = [live.get(title, Row()).verified for title in SYSTEMS]
        return min(verified) >= 10 and live["Paysera"].after_retry >= 1

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=STOP_S)
        self._reader.join(timeout=5)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(timeout=STOP_S)
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture
def run(directory: Path) -> Iterator[Run]:
    started = Run(directory)
    yield started
    started.close()


def leftovers(directory: Path) -> list[str]:
    """Processes of the run that live on."""
    mark = f"SIGNET_STATE_DIR={directory}".encode()
    found = []
    for path in Path("/proc").iterdir():
        try:
            if path.name.isdigit() and mark in (path / "environ").read_bytes():
                found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def find_unconfirmed(url: str, key: str) -> dict[str, Any]:
    """A delivery to Paysera's merchant that a bare 200 did not end, and the next attempt did."""
    base = f"{url}/api/v2/webhooks/events"
    for row in fetch(f"{base}?merchant=demo-lagoon&status=delivered&limit=200", key):
        if row["delivery_attempts"] > 1:
            event = fetch(f"{base}/{row['id']}?merchant=demo-lagoon", key)
            return next(one for one in event["deliveries"] if one["delivery_id"] == row["delivery_id"])
    raise AssertionError("No delivery took more than one attempt.")


def find_modes(url: str, key: str, merchant: str) -> set[str]:
    """What Paysafe's deliveries to this merchant say of their mode."""
    base = f"{url}/api/v2/webhooks/events"
    row = fetch(f"{base}?merchant={merchant}&status=delivered&limit=1", key)[0]
    event = fetch(f"{base}/{row['id']}?merchant={merchant}", key)
    attempts = [attempt for delivery in event["deliveries"] for attempt in delivery["attempts"]]
    return {json.loads(attempt["request"]["body"])["mode"] for attempt in attempts}


def fetch(url: str, key: str) -> Any:
    request = urllib.request.Request(url, headers={"X-API-Token": key})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def test_the_demo_shows_all_five_systems_and_ends(run: Run, directory: Path) -> None:
    url = run.wait_for(r"^ready http://127\.0\.0\.1:\d+$", timeout_s=READY_S).removeprefix("ready ")
    run.wait_for(r"login admin, password signet-demo", timeout_s=READY_S)
    key = run.wait_for(r"Provider key", timeout_s=READY_S).split()[-1]
    began = time.monotonic()
    while time.monotonic() < began + RUN_S or (not run.has_shown_all() and time.monotonic() < began + SHOWN_S):
        time.sleep(0.5)
    unconfirmed = find_unconfirmed(url, key)
    modes = [find_modes(url, key, merchant) for merchant in ("demo-meridian", "demo-meridian-test")]
    run.stop()

    live = run.live()
    assert set(live) == SYSTEMS | {"All"}
    assert run.has_shown_all(), run.text
    assert min(live[title].delivered for title in SYSTEMS) >= 10, run.text
    assert (live["All"].published, live["All"].verified) >= (100, 100), run.text
    assert [attempt["reason"] for attempt in unconfirmed["attempts"]][-2:] == ["ack_missing", "delivered"]
    assert [attempt["response"]["status"] for attempt in unconfirmed["attempts"]][-2:] == [200, 200]
    assert modes == [{"live"}, {"test"}]
    assert re.search(r"Paysera .*  e-mails [1-9]\d*  SMS [1-9]", run.text), run.text
    last = [line for line in run.lines if "bad signatures 0" in line and "unverified 0" in line]
    assert len(last) == len(SYSTEMS) + 1, run.text
    assert not re.search(r"bad signatures [1-9]|publish errors [1-9]", run.text), run.text
    assert "Traceback" not in run.text
    assert run.process.returncode == 0
    assert leftovers(directory) == []
    assert state.read(directory) == Urls()
