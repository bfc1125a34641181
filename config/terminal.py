"""Writes lines to standard output without ever waiting for the reader."""

import os
import select
import sys

WIDTH = 7
CHUNK_BYTES = 4096
# A pipe that can be written to takes this much (PIPE_BUF on Linux) without blocking.


class Terminal:
    """Nobody may be reading: a full pipe loses lines, and says how many, instead of stopping the platform."""

    def __init__(self, fd: int | None = None) -> None:
        self._fd = sys.stdout.fileno() if fd is None else fd
        self._lost = 0

    def say(self, text: str, *, name: str = "signet") -> None:
        """A line of our own or of a child."""
        self.print(f"{name:<{WIDTH}} | {text}")

    def print(self, line: str) -> None:
        if self._lost and self._write(f"{'signet':<{WIDTH}} | {self._lost} lines were lost: nobody read them\n"):
            self._lost = 0
        if not self._write(line + "\n"):
            self._lost += 1

    def _write(self, text: str) -> bool:
        data = text.encode(errors="replace")
        try:
            while data:
                if not select.select([], [self._fd], [], 0)[1]:
                    return False
                data = data[os.write(self._fd, data[:CHUNK_BYTES]) :]
        except OSError:
            return False
        return True
