"""Looks at processes by pid, and stops them. A pid from a file is believed only if the process is at home with us."""

import os
import signal
import subprocess
import time
from pathlib import Path

POLL_S = 0.05

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
# All that a server needs: it outlives us, and ours holds keys.


def read_pid(path: Path) -> int | None:
    """The number in the first line of a pid file."""
    try:
        return int(path.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def is_alive(pid: int) -> bool:
    _reap(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Ended, and its parent has not asked yet. In a container that parent may never ask."""
    try:
        stat = (Path("/proc") / str(pid) / "stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "Z"


def _reap(pid: int) -> None:
    """A finished child of ours would look alive until it is waited for."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def is_at_home(pid: int, directory: Path, *, command: str) -> bool:
    """Whether the process works in the directory. After a crash or reboot the pid may be anybody's.

    Both servers change to their data directory. Where the system does not tell a process's directory, its
    command has to do.
    """
    try:
        return (Path("/proc") / str(pid) / "cwd").readlink() == directory.resolve()
    except PermissionError:
        return False
    except OSError:
        return not Path("/proc/self").exists() and command in _command(pid)


def _command(pid: int) -> str:
    command = ["ps", "-o", "command=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return shown.stdout


def wait_gone(pid: int, *, timeout_s: float) -> bool:
    """True when the process ended in time."""
    deadline = time.monotonic() + timeout_s
    while is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def stop(pid: int, *, first: signal.Signals, timeout_s: float) -> None:
    """Ask, wait, and kill what does not listen."""
    for number in (first, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        if wait_gone(pid, timeout_s=timeout_s):
            return
