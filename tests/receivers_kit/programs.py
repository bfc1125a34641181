"""The receivers' programs as files, compiled where the language is, and started as processes of their own."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from dispatcher.profiles.model import Profile
from dispatcher.receivers import snippet

HOST = "127.0.0.1"
PATH = "/in/webhooks"
START_S = 30
# A JVM on a busy machine takes seconds.
BUILD_S = 300
# Go compiles its standard library when it is used for the first time.

TOOLS = {
    "python": (),
    "node": ("node",),
    "php": ("php",),
    "java": ("java", "javac"),
    "go": ("go",),
    "ruby": ("ruby",),
}
JAVA = ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx64m")
WEBRICK = ("ruby", "-e", 'require "webrick"')
GO_MODULE = "module receivers\n\ngo 1.19\n"


def require_tools(language: str) -> None:
    """Skips the test where the language cannot be run."""
    for tool in TOOLS[language]:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: as root on Debian, .ci/interpreters installs it")
    if language == "ruby" and subprocess.run(WEBRICK, capture_output=True, check=False).returncode:
        pytest.skip("Ruby has no WEBrick: gem install webrick")


class Programs:
    """One language's receivers of many profiles, below one directory."""

    def __init__(self, language: str, profiles: Mapping[str, Profile], folder: Path) -> None:
        self._language = language
        self._folder = folder
        self._files = {name: self._write(name, profile) for name, profile in profiles.items()}
        self._compile()

    def _write(self, name: str, profile: Profile) -> Path:
        made = snippet(profile, self._language, url_path=PATH)
        folder = self._folder if self._language == "java" else self._folder / name
        folder.mkdir(exist_ok=True)
        file = folder / made.filename
        file.write_text(made.code, "utf-8")
        return file

    def _compile(self) -> None:
        """All at once: javac and go take longer to start than to compile one more file."""
        if self._language == "java":
            self._run("javac", "-Xlint:all", "-Werror", "-encoding", "UTF-8", *map(str, self._files.values()))
        if self._language == "go":
            (self._folder / "go.mod").write_text(GO_MODULE)
            self._run("go", "vet", "./...")
            self._run("go", "build", "-o", f"{self._folder / 'bin'}/", "./...")

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=BUILD_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _environment(self) -> dict[str, str]:
        """Go looks for nothing outside: not for newer versions of itself, nor for modules."""
        return {**os.environ, "GOTOOLCHAIN": "local", "GOPROXY": "off", "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}

    @contextmanager
    def running(self, name: str, port: int, environment: Mapping[str, str]) -> Iterator[None]:
        """The receiver of this profile, ready to be called; ended afterwards."""
        log = self._folder / f"{name}.log"
        with log.open("wb") as output:
            process = self.start(name, port, environment, output=output.fileno())
            try:
                _wait_for(process, port, log)
                yield
            finally:
                process.kill()
                process.wait()

    def start(self, name: str, port: int, environment: Mapping[str, str], *, output: int) -> subprocess.Popen[bytes]:
        """It alone knows these settings: what the tests' own environment says of webhooks is not passed on."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("WEBHOOK_")}
        return subprocess.Popen(
            self._command(name, port),
            cwd=self._folder,
            env={**inherited, **environment, "PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def _command(self, name: str, port: int) -> tuple[str, ...]:
        file = self._files[name]
        match self._language:
            case "python":
                return (sys.executable, str(file))
            case "php":
                return ("php", "-S", f"{HOST}:{port}", str(file))
            case "java":
                return (*JAVA, "-cp", str(self._folder), file.stem)
            case "go":
                return (str(self._folder / "bin" / name),)
        return (self._language, str(file))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text(errors="replace")
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise AssertionError(f"It does not listen: {log.read_text(errors='replace')}")
