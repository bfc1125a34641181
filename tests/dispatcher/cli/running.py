"""Runs `signet` as people do: a process with its own configuration."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

COMMAND = [sys.executable, "-m", "dispatcher.cli.main"]
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.out.splitlines()]

    @property
    def members(self) -> dict[str, str]:
        return {row[0]: row[1] for row in self.rows if len(row) == 2}


@dataclass(frozen=True)
class Signet:
    """The command with one home."""

    home: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        foreign = ("SIGNET_API_URL", "SIGNET_API_KEY", "SIGNET_WEBHOOK_SECRET")
        kept = {name: value for name, value in os.environ.items() if name not in foreign}
        return {**kept, "XDG_CONFIG_HOME": str(self.home), "TZ": "UTC", **self.variables}

    def __call__(self, *arguments: str, input: str | bytes = b"", **variables: str) -> Done:  # noqa: A002
        raw = input.encode() if isinstance(input, str) else input
        done = subprocess.run(
            [*COMMAND, *arguments],
            input=raw,
            capture_output=True,
            env=self.environment | variables,
            check=False,
            timeout=PATIENCE_S * 2,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *arguments: str, input: str | bytes = b"", **variables: str) -> Done:  # noqa: A002
        done = self(*arguments, input=input, **variables)
        assert done.code == 0, done
        return done

    @contextmanager
    def running(self, *arguments: str, **variables: str) -> Iterator["Running"]:
        process = Running(
            subprocess.Popen(
                [*COMMAND, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self.environment | variables,
                text=True,
            )
        )
        try:
            yield process
        finally:
            process.end()

    def on_terminal(
        self, *arguments: str, width: int = 80, typed: tuple[str, str] = ("", ""), **variables: str
    ) -> Done:
        """With a terminal of that width at all three ends. `typed`: a question, and what is typed when it is asked."""
        ours, theirs = pty.openpty()
        environment = self.environment | {"COLUMNS": str(width), "TERM": "xterm-256color"} | variables
        process = subprocess.Popen([*COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        question, reply = typed
        seen = bytearray()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if reply and question.encode() in seen:
                os.write(ours, f"{reply}\n".encode())
                reply = ""
            if not select.select([ours], [], [], 0.05)[0]:
                continue
            try:
                seen += os.read(ours, 65_536)
            except OSError:
                break
        os.close(ours)
        return Done(process.wait(PATIENCE_S), seen.decode().replace("\r\n", "\n"), "")


class Running:
    """A command that runs until it is told to end."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.lines: list[str] = []
        self.notes: list[str] = []
        assert process.stdout is not None
        assert process.stderr is not None
        self._readers = [
            Thread(target=_read, args=(process.stdout, self.lines), daemon=True),
            Thread(target=_read, args=(process.stderr, self.notes), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def wait_for(self, condition: Callable[[list[str]], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition(self.lines):
            assert time.monotonic() < deadline, (what, self.lines, self.notes)
            assert self._process.poll() is None or condition(self.lines), (what, self.lines, self.notes)
            time.sleep(0.02)

    def line(self, number: int) -> str:
        self.wait_for(lambda lines: len(lines) > number, f"line {number}")
        return self.lines[number]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self._process.send_signal(number)
        code = self._process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join(PATIENCE_S)
        return code

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join(PATIENCE_S)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


def _read(stream: Any, lines: list[str]) -> None:
    lines.extend(line.rstrip("\n") for line in stream)
