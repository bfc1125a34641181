"""The supervisor passes on what children say, restarts them, and ends them in order and in time."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.children import Plan
from config.supervisor import Checks, Supervisor
from config.terminal import Terminal

Lines = Callable[[], list[str]]


@pytest.fixture
def output() -> Iterator[tuple[Terminal, Lines]]:
    """A terminal and a way to read what it shows."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)

    def lines() -> list[str]:
        try:
            return os.read(reader, 1_000_000).decode().splitlines()
        except BlockingIOError:
            return []

    yield Terminal(writer), lines
    os.close(reader)
    os.close(writer)


def python(name: str, script: str, *, is_worker: bool = False) -> Plan:
    return Plan(name, (sys.executable, "-S", "-c", script), is_worker=is_worker)


def supervise(plans: list[Plan], terminal: Terminal, *, signal_after_s: list[float], cwd: Path) -> float:
    """Run until this process gets the signals. How long it took."""
    timers = [threading.Timer(after, os.kill, (os.getpid(), signal.SIGTERM)) for after in signal_after_s]
    checks = Checks(is_web_ready=lambda: True, keep_services=lambda: None, on_ready=lambda: None)
    started = time.monotonic()
    for timer in timers:
        timer.start()
    Supervisor(plans, cwd=cwd, terminal=terminal, checks=checks).run()
    for timer in timers:
        timer.join()
    return time.monotonic() - started


def test_what_a_child_says_is_shown_with_its_name(output: tuple[Terminal, Lines], tmp_path: Path) -> None:
    terminal, lines = output
    script = (
        "import sys, time; print('out'); print('err', file=sys.stderr); "
        "print('no end', end='', flush=True); time.sleep(60)"
    )

    supervise([python("child", script)], terminal, signal_after_s=[1], cwd=tmp_path)

    assert sorted(lines()) == ["child   | err", "child   | no end", "child   | out"]


def test_a_child_that_ends_is_restarted_with_growing_pauses(output: tuple[Terminal, Lines], tmp_path: Path) -> None:
    terminal, lines = output

    supervise([python("child", "raise SystemExit(3)")], terminal, signal_after_s=[2.5], cwd=tmp_path)

    assert lines()[:2] == [
        "signet  | child ended (exit code 3); restart in 0.5 s",
        "signet  | child ended (exit code 3); restart in 1 s",
    ]


def test_workers_are_asked_last(output: tuple[Terminal, Lines], tmp_path: Path) -> None:
    terminal, lines = output
    script = (
        "import signal, sys, time\n"
        "def leave(*_):\n time.sleep(0.3)\n print('bye', flush=True)\n sys.exit()\n"
        "signal.signal(signal.SIGTERM, leave)\ntime.sleep(60)"
    )

    supervise(
        [python("worker", script, is_worker=True), python("web", script)], terminal, signal_after_s=[1], cwd=tmp_path
    )

    assert lines() == ["web     | bye", "worker  | bye"]


def test_a_second_signal_does_not_wait_for_the_stubborn(output: tuple[Terminal, Lines], tmp_path: Path) -> None:
    terminal, _ = output
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"

    took = supervise([python("deaf", script, is_worker=True)], terminal, signal_after_s=[0.5, 1], cwd=tmp_path)

    assert took < 5


def test_grandchildren_end_with_their_group(output: tuple[Terminal, Lines], tmp_path: Path) -> None:
    terminal, lines = output
    script = (
        "import subprocess, sys, time\n"
        "print(subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)']).pid, flush=True)\n"
        "time.sleep(60)"
    )

    supervise([python("parent", script)], terminal, signal_after_s=[1], cwd=tmp_path)

    pid = int(lines()[0].partition("| ")[2])
    deadline = time.monotonic() + 5
    while _is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1]
    except OSError:
        return False


def test_a_terminal_that_nobody_reads_loses_lines_instead_of_waiting() -> None:
    reader, writer = os.pipe()
    terminal = Terminal(writer)
    try:
        for _ in range(200):
            terminal.say("x" * 1000)
        os.read(reader, 1_000_000)
        terminal.say("read again")

        shown = os.read(reader, 1_000_000).decode().splitlines()
    finally:
        os.close(reader)
        os.close(writer)
    assert shown[-1] == "signet  | read again"
    assert shown[-2].endswith("lines were lost: nobody read them")
