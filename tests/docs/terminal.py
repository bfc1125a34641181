"""Does what a page tells its reader to do: types commands, saves files, fills in what was shown before."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread, Timer
from typing import Any

from tests.docs.markdown import ROOT, Block
from tests.docs.platform import Platform

PATIENCE_S = 60.0
URL = "http://127.0.0.1:8000"
# Where the pages say that the platform is.
RECEIVER_PORTS = ("9100", "9101", "9102")
# Where the pages say that receivers are; each stands for a free one.
ID = re.compile(r"\b([a-z]{2,5}_)[0-7][0-9a-hjkmnp-tv-z]{25}\b")
SECRET = re.compile(r"\b(whsec_)[A-Za-z0-9+/]{20,}={0,2}")
KEY = re.compile(r"\b(sgn_(?:mer|pro)_)[A-Za-z0-9_-]{20,}")
MOMENT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
CLOCK = re.compile(r"\b\d\d:\d\d:\d\d\.\d{3}\b")
PLACE = re.compile(r"\b((?:sgn_)?[a-z]{2,5}_)…")
# `evt_…` in a command: the one that was shown last.
UNDER_WAY = {"platform": "make run", "suite": "make test"}
# By their marks: what runs while the pages are read, and what reads them.


@dataclass(frozen=True, slots=True)
class Command:
    text: str
    shown: Sequence[str]


def commands(block: Block) -> Iterator[Command]:
    """Lines behind `$ `, with those that go on where a quote or a backslash leaves them open, and what they show."""
    typed, shown = "", list[str]()
    for line in block.text.splitlines():
        if typed and _is_open(typed):
            typed += f"\n{line}"
        elif line.startswith("$ "):
            if typed:
                yield Command(typed, shown)
            typed, shown = line[2:], []
        else:
            assert typed, f"{block.place}: this shows something before any command"
            shown.append(line)
    if typed:
        yield Command(typed, shown)


def _is_open(typed: str) -> bool:
    """As the shell sees it: a quote, a backslash at the end, or a loop."""
    read = subprocess.run(["bash", "-n", "-c", typed], capture_output=True, text=True, check=False)
    return typed.endswith("\\") or "unexpected end of file" in read.stderr or "unexpected EOF" in read.stderr


def masked(text: str) -> str:
    for pattern in (ID, SECRET, KEY):
        text = pattern.sub(r"\1…", text)
    return CLOCK.sub("…", MOMENT.sub("…", text))


def fits(shown: Sequence[str], output: str) -> bool:
    """Whether a page shows this output: `…` is anything in a line, and alone any lines."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == "…" else re.escape(masked(line)).replace("…", ".*") + r"\n" for line in shown
    )
    return re.fullmatch(pattern, masked(output.rstrip("\n") + "\n")) is not None


@dataclass(slots=True)
class Window:
    """A second terminal, in which something goes on."""

    process: "subprocess.Popen[str]"
    lines: list[str] = field(default_factory=list)

    def start_reading(self) -> None:
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            self.lines.extend(self.process.stdout)

    def close(self) -> None:
        """Ctrl-C."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(PATIENCE_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


class Reader:
    """One reader of one page, in a checkout. `ports` and `elsewhere` say what of ours stands for the ports and the
    foreign addresses of the page, `seen` which ids the reader has from before, by their prefixes."""

    def __init__(
        self,
        home: Path,
        platform: Platform,
        *,
        ports: Mapping[str, str],
        elsewhere: Mapping[str, str],
        seen: Mapping[str, str],
    ) -> None:
        self._home = home
        self._addresses = {URL: platform.url, **elsewhere}
        self._ports = ports
        # What `make run` printed.
        self._seen = {"sgn_pro_": platform.keys["provider"], "sgn_mer_": platform.keys["merchant"], **seen}
        self._windows: dict[str, Window] = {}
        for name in ("manage.py", ".venv", "docs"):
            (home / name).symlink_to(ROOT / name)
        self._environment = platform.environment
        self._errors = home / ".errors"
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=home,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def close(self) -> None:
        for window in self._windows.values():
            window.close()
        self._kill_shell()
        self._shell.communicate()

    def _kill_shell(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)

    def follow(self, block: Block) -> None:
        """Do what the block says. Raises AssertionError where something else comes of it."""
        if "file" in block.marks:
            (self._home / block.marks["file"]).write_text(self._ours(block.text))
        elif "terminal" in block.marks:
            self._open(block)
        elif "seen" in block.marks:
            self._wait_to_see(block, self._windows[block.marks["seen"]])
        elif block.marks["run"]:
            assert [command.text.split("  ")[0] for command in commands(block)] == [UNDER_WAY[block.marks["run"]]]
        else:
            for command in commands(block):
                self._check(block, command, self._run(command.text, block))

    def _run(self, text: str, block: Block) -> str:
        """In the one shell of the page, which keeps variables."""
        script = self._home / ".command"
        script.write_text(self._ours(text) + "\n")
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        end = f"end-{time.monotonic_ns()}"
        self._shell.stdin.write(f". ./.command < /dev/null 2> ./.errors; printf '\\n%s %s\\n' {end} $?\n")
        self._shell.stdin.flush()
        lines: list[str] = []
        # What never ends is ended, and the test with it.
        patience = Timer(PATIENCE_S, self._kill_shell)
        patience.start()
        while not (line := self._shell.stdout.readline()).startswith(f"{end} "):
            assert line, f"{block.place}: the shell ended in\n{text}"
            lines.append(line)
        patience.cancel()
        output = "".join(lines).removesuffix("\n")
        told = f"{block.place}\n$ {text}\n{output}\n{self._errors.read_text()}"
        assert line.split()[1] == "0", told
        return output

    def _check(self, block: Block, command: Command, output: str) -> None:
        self._remember(output)
        theirs = self._theirs(output)
        is_right = fits(command.shown, theirs) if command.shown else not _is_refusal(output)
        assert is_right, f"{block.place}\n$ {command.text}\n{theirs}\ninstead of\n" + "\n".join(command.shown)

    def _open(self, block: Block) -> None:
        typed = list(commands(block))
        text = "\n".join(self._ours(command.text) for command in typed)
        with self._errors.open("a") as errors:
            process = subprocess.Popen(
                ["bash", "--noprofile", "--norc", "-e", "-c", text],
                cwd=self._home,
                env=self._environment | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        window = self._windows[block.marks["terminal"]] = Window(process)
        window.start_reading()
        if typed[-1].shown:
            self._wait(block, window, typed[-1].shown)

    def _wait_to_see(self, block: Block, window: Window) -> None:
        self._wait(block, window, ["…", *block.text.splitlines(), "…"])

    def _wait(self, block: Block, window: Window, shown: Sequence[str]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not fits(shown, self._theirs("".join(window.lines))):
            is_late = time.monotonic() > deadline
            came = "".join(window.lines) + self._errors.read_text()
            assert not is_late, f"{block.place}: this is shown\n{came}instead of\n" + "\n".join(shown)
            time.sleep(0.05)
        self._remember("".join(window.lines))

    def _remember(self, output: str) -> None:
        for pattern in (ID, SECRET, KEY):
            for found in pattern.finditer(output):
                self._seen[found[1]] = found[0]

    def _ours(self, text: str) -> str:
        for theirs, ours in self._addresses.items():
            text = text.replace(theirs, ours)
        for theirs, ours in self._ports.items():
            text = re.sub(rf"\b{theirs}\b", ours, text)
        return PLACE.sub(lambda place: self._seen.get(place[1], place[0]), text)

    def _theirs(self, output: str) -> str:
        for theirs, ours in self._addresses.items():
            output = output.replace(ours, theirs)
        for theirs, ours in self._ports.items():
            output = re.sub(rf":{ours}\b", f":{theirs}", output)
        return output


def _is_refusal(output: str) -> bool:
    try:
        answer: Any = json.loads(output)
    except ValueError:
        return False
    return isinstance(answer, dict) and {"status", "code", "request_id"} <= answer.keys()
