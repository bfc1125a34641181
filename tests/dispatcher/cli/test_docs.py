"""docs/cli.md: every example runs, in order, and answers as it says."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from dispatcher.client import Provider
from tests.dispatcher.conftest import Shop
from tests.dispatcher.documents import BASE_URL, blocks, languages

pytestmark = pytest.mark.acceptance

DOCUMENT = "cli.md"
ENDLESS = re.compile(r"signet (listen|events tail)\b")
VARIABLE = re.compile(r"([A-Z]+)=\$\((.*)\)")
PATIENCE_S = 30.0


def examples() -> list[tuple[str, list[str]]]:
    """Each command with the lines that it answers."""
    found: list[tuple[str, list[str]]] = []
    for block in blocks(DOCUMENT, "console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def pattern(lines: list[str]) -> str:
    """`…` stands for anything in a line, and alone for any number of lines."""
    return "".join(r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".+") + r"\n" for line in lines)


class Shell:
    """Runs commands as the document's reader does, with the addresses and ports of this test."""

    def __init__(self, home: Path, shop: Shop) -> None:
        self._home, self._shop = home, shop
        self._port = free_port()
        (home / "bin").mkdir()
        program = home / "bin" / "signet"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dispatcher.cli.main "$@"\n')
        program.chmod(0o755)
        (home / "merchant-key.txt").write_text(f"{shop.key}\n")
        (home / "provider-key.txt").write_text(f"{shop.stack.key}\n")
        self._variables: dict[str, str] = {}

    def run(self, command: str, expected: list[str]) -> None:
        if match := VARIABLE.fullmatch(command):
            self._variables[match[1]] = self._finish(match[2]).strip()
            assert self._variables[match[1]], command
        elif ENDLESS.search(command):
            self._follow(command, expected)
        else:
            output = self._finish(command)
            assert re.fullmatch(pattern(expected), output), (command, output)

    def _finish(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-e", "-c", self._ours(command)],
            cwd=self._home,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S * 2,
        )
        assert done.returncode == 0, (command, done)
        return self._theirs(done.stdout)

    def _follow(self, command: str, expected: list[str]) -> None:
        """Until it has said everything; then Ctrl-C. An event is published once it is there to listen."""
        process = subprocess.Popen(
            ["bash", "-c", f"exec {self._ours(command)}"],
            cwd=self._home,
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines: list[str] = []
        stream = process.stdout
        reader = Thread(target=lambda: lines.extend(iter(stream.readline, "")), daemon=True)
        reader.start()
        try:
            deadline, is_published = time.monotonic() + PATIENCE_S, False
            while not re.fullmatch(pattern(expected), self._theirs("".join(lines))):
                assert time.monotonic() < deadline, (command, lines)
                if not is_published and any("Endpoint" in line for line in lines):
                    is_published = True
                    with Provider(self._shop.url, self._shop.stack.key) as provider:
                        provider.events.publish("invoice.paid", {"id": "inv_1"}, merchant="acme")
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 0, command
        finally:
            process.kill()
            process.wait()
            reader.join()
            stream.close()

    @property
    def _environment(self) -> Mapping[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SIGNET_")}
        home = {"HOME": str(self._home), "XDG_CONFIG_HOME": "", "PATH": f"{self._home}/bin:{os.environ['PATH']}"}
        # The module is found where the tests are run.
        return {**kept, **home, "PYTHONPATH": str(Path.cwd()), **self._variables}

    def _ours(self, command: str) -> str:
        return command.replace(BASE_URL, self._shop.url).replace("9100", str(self._port))

    def _theirs(self, output: str) -> str:
        return output.replace(self._shop.url, BASE_URL).replace(f":{self._port}/", ":9100/")


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        return int(found.getsockname()[1])


def test_every_block_is_run() -> None:
    assert languages(DOCUMENT) == {"console"}
    assert len(examples()) == 27


def test_the_examples_do_what_they_say(acme: Shop, tmp_path: Path) -> None:
    shell = Shell(tmp_path, acme)

    for command, expected in examples():
        shell.run(command, expected)
