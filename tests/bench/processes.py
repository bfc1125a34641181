"""Child processes of a bench: started with their output in a file, measured by process group, ended by pid."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.children import Guardian, Plan

CHECKOUT = Path(__file__).resolve().parent.parent.parent
READY_S = 60.0
STOP_S = 15.0
# Longer than the ten seconds that a delivery may take.
POLL_S = 0.02
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class ProcessFailed(Exception):
    """A process of the bench did not start, or ended before its time."""


@dataclass(slots=True)
class Process:
    """One running command, leader of its own process group."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def cpu_s(self) -> float:
        """Processor seconds that the group's living processes have used, user and system."""
        return sum(_cpu_ticks(stat) for stat in stats() if _group(stat) == self.popen.pid) / TICKS

    def memory_bytes(self) -> int:
        """What the group holds of the machine's memory; what several share is counted once."""
        return sum(_share_bytes(pid) for pid in self.pids())

    def pids(self) -> list[int]:
        return [int(stat[0]) for stat in stats() if _group(stat) == self.popen.pid]

    def check(self) -> None:
        """Raises ProcessFailed when it has ended."""
        if self.popen.poll() is not None:
            raise ProcessFailed(f"{self.name} ended ({self.popen.returncode}): {self.tail()}")

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:].strip() or "it said nothing"


class Processes:
    """All that one bench has started. A guardian ends them should the bench be killed."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._environment = environment
        self._guardian = Guardian()
        self._running: list[Process] = []

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Process:
        log = self._directory / f"{name}.log"
        with log.open("ab") as output:
            popen = subprocess.Popen(
                command,
                cwd=CHECKOUT,
                env={**self._environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._guardian.tell(f"+{popen.pid}")
        process = Process(name, popen, log)
        self._running.append(process)
        return process

    def start_plan(self, plan: Plan, environment: Mapping[str, str] | None = None) -> Process:
        """Start what `manage.py serve` would start, and wait until a worker consumes."""
        if plan.ready_file:
            plan.ready_file.unlink(missing_ok=True)
        process = self.start(plan.name, plan.command, {**plan.environment, **(environment or {})})
        if plan.ready_file:
            self.wait_for(process, plan.ready_file)
        return process

    def wait_for(self, process: Process, ready_file: Path) -> None:
        deadline = time.monotonic() + READY_S
        while not ready_file.exists():
            process.check()
            if time.monotonic() > deadline:
                raise ProcessFailed(f"{process.name} is not ready after {READY_S:g} s: {process.tail()}")
            time.sleep(POLL_S)

    def run(self, name: str, command: Sequence[str], *, timeout_s: float) -> str:
        """Run to the end. Returns what it printed."""
        process = self.start(name, command)
        try:
            code = process.popen.wait(timeout=timeout_s)
        finally:
            self.stop(process)
        if code:
            raise ProcessFailed(f"{name} failed ({code}): {process.tail()}")
        return process.log.read_text()

    def stop(self, *processes: Process) -> None:
        for process in processes:
            process.popen.terminate()
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.popen.wait(timeout=STOP_S)
            _kill_group(process.popen.pid)
            process.popen.wait()
            self._guardian.tell(f"-{process.popen.pid}")
            self._running.remove(process)

    def stop_all(self) -> None:
        self.stop(*self._running)

    def close(self) -> None:
        self.stop_all()
        self._guardian.close()


def module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def stats() -> list[list[str]]:
    """Of every process: pid, then the fields after its name; see proc(5)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, _, rest = path.read_text().partition(" ")
            found.append([pid, *rest.rpartition(")")[2].split()])
    return found


def _share_bytes(pid: int) -> int:
    """Pss of proc(5), in bytes; 0 for a process that has just ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _group(stat: list[str]) -> int:
    return int(stat[3])


def _cpu_ticks(stat: list[str]) -> int:
    return int(stat[12]) + int(stat[13])
