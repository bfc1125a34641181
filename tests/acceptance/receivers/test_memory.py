"""What the worst receivers cost in memory, C libraries included: measured in a process that does nothing else."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.receivers import bodies, heads
from tests.acceptance.receivers.cases import Case
from tests.acceptance.receivers.test_clients import start, url_of
from tests.acceptance.stack import ROOT
from tests.dispatcher.http.conftest import CLIENTS
from tests.receivers import Receiver
from tests.receivers.scripts import keep_alive

MOST_GROWTH_BYTES = 5_000_000
WARM_UP = 20
# Requests until libraries are loaded and pools are filled.
CASES = [
    *heads.ENDLESS,
    *bodies.ENDLESS,
    *(case for case in bodies.ODD if "bomb" in case.name or "length" in case.name),
    *(case for case in heads.ODD if "5,000" in case.name or "200" in case.name),
]

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")


class Scale:
    def __init__(self, kind: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.receivers.weigh", kind],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def weigh(self, url: str) -> tuple[str, int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(url + "\n")
        self._process.stdin.flush()
        reason, growth = self._process.stdout.readline().split()
        return reason, int(growth)

    def close(self) -> None:
        self._process.communicate(timeout=10)


@pytest.fixture(scope="module", params=sorted(CLIENTS))
def scale(request: pytest.FixtureRequest) -> Iterator[Scale]:
    made = Scale(request.param)
    with Receiver(keep_alive()) as receiver:
        for _ in range(WARM_UP):
            assert made.weigh(receiver.url())[0] == "delivered"
    yield made
    made.close()


@pytest.mark.parametrize("case", [case for case in CASES if not case.lasts], ids=str)
def test_a_receiver_costs_less_than_five_megabytes(scale: Scale, case: Case) -> None:
    with start(case) as receiver:
        reason, growth_bytes = scale.weigh(url_of(case, receiver))
    assert reason == case.reason.value
    assert growth_bytes < MOST_GROWTH_BYTES
