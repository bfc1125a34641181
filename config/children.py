"""One supervised process: started in its own session, restarted with growing pauses, ended with its whole group."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

RESTART_FIRST_S = 0.5
RESTART_MOST_S = 30.0
# Doubling from half a second: a slip is over at once, a child that cannot start does not fill the log.
STEADY_S = 10.0
# A child that lived this long had started properly; its next restart is quick again. What cannot start dies sooner.


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. `is_worker`: stopped last, because it finishes what it holds. `is_kept`: restarted when it ends."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_file: Path | None = None
    is_worker: bool = False
    is_kept: bool = True
    stop_signal: signal.Signals = signal.SIGTERM


class Child:
    """A running or resting plan."""

    def __init__(self, plan: Plan, *, guard: Callable[[str], None]) -> None:
        self.plan = plan
        self.process: subprocess.Popen[bytes] | None = None
        self.restart_at: float | None = None
        self._guard = guard
        self._failures = 0
        self._started_at = 0.0

    def start(self, *, cwd: Path, now: float) -> subprocess.Popen[bytes]:
        """Ctrl-C reaches only the supervisor: the child leads its own session."""
        if self.plan.ready_file:
            self.plan.ready_file.unlink(missing_ok=True)
        self.restart_at, self._started_at = None, now
        self.process = subprocess.Popen(  # noqa: S603
            self.plan.command,
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self.plan.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._guard(f"+{self.process.pid}")
        return self.process

    @property
    def is_ready(self) -> bool:
        return self.plan.ready_file is None or self.plan.ready_file.exists()

    def ask_to_stop(self) -> None:
        """Only the leader: a signal to a worker's own children would cut their work short."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(self.plan.stop_signal)

    def kill(self) -> None:
        """End the whole group, also what a dead leader left in it."""
        if self.process:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            except PermissionError:  # macOS says so of a group of zombies
                return

    def bury(self) -> int:
        """The exit code of an ended process; nothing of its group is left."""
        assert self.process is not None  # noqa: S101 - for the type checker
        self.kill()
        code = self.process.wait()
        self._guard(f"-{self.process.pid}")
        self.process = None
        return code

    def plan_restart(self, now: float) -> float:
        """The pause in seconds."""
        self._failures = 0 if now - self._started_at > STEADY_S else self._failures
        pause: float = min(RESTART_MOST_S, RESTART_FIRST_S * 2**self._failures)
        self._failures += 1
        self.restart_at = now + pause
        return pause


class Guardian:
    """The process that ends our children when we are killed; see config/guardian.py."""

    def __init__(self) -> None:
        self._groups: set[str] = set()
        self._process = self._start()

    def tell(self, change: str) -> None:
        (self._groups.add if change[0] == "+" else self._groups.discard)(change[1:])
        try:
            self._write(change)
        except BrokenPipeError:
            self.close()
            self._process = self._start()
            for group in self._groups:
                self._write(f"+{group}")

    def close(self) -> None:
        """With no group left it ends at once."""
        try:
            self._process.communicate(timeout=5)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()

    def _start(self) -> subprocess.Popen[str]:
        script = Path(__file__).with_name("guardian.py")
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
