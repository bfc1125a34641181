"""Writes lines to standard output without ever waiting for the reader."""

import json
import os
import select
import sys
from datetime import UTC, datetime

WIDTH = 7
CHUNK_BYTES = 4096
# A pipe that can be written to takes this much (PIPE_BUF on Linux) without blocking.


class Terminal:
    """Nobody may be reading: a full pipe loses lines, and says how many, instead of stopping the platform.

    With `is_json` every line is an object: a child's own go through as they are, whatever else is wrapped.
    """

    def __init__(self, fd: int | None = None, *, is_json: bool = False) -> None:
        self._fd = sys.stdout.fileno() if fd is None else fd
        self._is_json = is_json
        self._lost = 0

    def say(self, text: str, *, name: str = "signet") -> None:
        """A line of our own or of a child."""
        self.print(self._line(text, name=name))

    def print(self, line: str) -> None:
        if self._lost and self._write(self._line(f"{self._lost} lines were lost: nobody read them") + "\n"):
            self._lost = 0
        if not self._write(line + "\n"):
            self._lost += 1

    def _line(self, text: str, *, name: str = "signet") -> str:
        if not self._is_json:
            return f"{name:<{WIDTH}} | {text}"
        if text.startswith('{"time": ') and text.endswith("}"):
            return text
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = {"time": moment, "level": "info", "logger": "serve", "message": text, "process": name}
        return json.dumps(fields, ensure_ascii=False)

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
