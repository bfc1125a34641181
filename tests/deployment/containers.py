"""Runs services of compose.yaml as processes, on files of the image that their user cannot change."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deployment import interpreter
from tests.deployment.compose import ROOT, Service, image_environment
from tests.deployment.interpreter import Interpreter

PACKAGES = ("config", "deliveries", "dispatcher", "subscriptions")
HEALTHY_S = 60.0
RUN_S = 120.0
SYSTEM_PATH = "/usr/bin:/bin"
METRICS_PORT = "9464"
# Inside the containers of workers and beat.


@dataclass(frozen=True, slots=True)
class Image:
    """The files of the image. `site` stands for its site-packages, `home` for its working directory."""

    directory: Path
    interpreter: Interpreter

    @property
    def site(self) -> Path:
        return self.directory / "site"

    @property
    def home(self) -> Path:
        return self.directory / "signet"

    def files(self) -> set[Path]:
        return {path.relative_to(self.directory) for path in self.directory.rglob("*")}


def build(directory: Path) -> Image:
    """Copy what the Dockerfile copies; nobody may write there."""
    image = Image(directory / "image", interpreter.find(directory / "python"))
    image.home.mkdir(parents=True)
    shutil.copy(ROOT / "manage.py", image.home)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, image.site / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (image.directory, *image.directory.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return image


class Machine:
    """Starts containers of one installation and ends them.

    Compose gives each container a network and a /tmp of its own. Here all share one network, so ports of containers
    are exchanged for free ones, and `/tmp` for a directory of the container's own.
    """

    def __init__(self, image: Image, *, directory: Path, env: Mapping[str, str], ports: Mapping[str, str]) -> None:
        self._image = image
        self._directory = directory
        self._env = env
        self._ports = ports
        self._running: list[Container] = []

    def start(self, service: Service, *, command: tuple[str, ...] = ()) -> "Container":
        container = Container(self, service, command or service.command, name=f"{service.name}-{len(self._running)}")
        self._running.append(container)
        return container

    def run(self, service: Service, *command: str) -> str:
        """As `docker compose run --rm`: the standard output of a command that ends by itself, and ends well."""
        container = self.start(service, command=command)
        code = container.process.wait(RUN_S)
        assert code == 0, container.log()
        return container.output()

    def close(self) -> None:
        for container in self._running:
            container.kill()

    def prepare(self, service: Service, words: tuple[str, ...], own: "Own") -> dict[str, Any]:
        """Arguments for `subprocess`, for a command in a container of this service."""
        return {
            "args": [own.translate(word) for word in words],
            "cwd": self._image.home,
            "env": self._environment(service, own),
            **self._image.interpreter.user,
        }

    def make_own(self, name: str) -> "Own":
        tmp = self._directory / name / "tmp"
        tmp.mkdir(parents=True)
        if user := self._image.interpreter.user:
            os.chown(tmp, user["user"], user["group"])
        (metrics,) = free_ports(1)
        return Own(tmp, {**self._ports, METRICS_PORT: str(metrics)})

    def _environment(self, service: Service, own: "Own") -> dict[str, str]:
        """As in the container, HOME left out; and where this machine keeps Python and the packages."""
        python = self._image.interpreter
        here = python.environment | {
            "PATH": f"{python.binaries}:{SYSTEM_PATH}",
            "PYTHONPATH": f"{self._image.site}:{python.packages}".rstrip(":"),
            "TMPDIR": str(own.tmp),
        }
        given = image_environment() | dict(self._env) | service.environment
        return {name: own.translate_value(value) for name, value in given.items()} | here


@dataclass(frozen=True, slots=True)
class Own:
    """What a container has for itself: its /tmp, and the ports that stand for those inside it."""

    tmp: Path
    ports: Mapping[str, str]

    def translate(self, word: str) -> str:
        for theirs, ours in self.ports.items():
            word = word.replace(theirs, ours)
        return word

    def translate_value(self, value: str) -> str:
        """Of a variable: as a whole only, for keys may hold any digits."""
        if value.startswith("/tmp/"):
            return f"{self.tmp}/{value.removeprefix('/tmp/')}"
        return self.ports.get(value, value)


class Container:
    """One process tree."""

    def __init__(self, machine: Machine, service: Service, command: tuple[str, ...], *, name: str) -> None:
        self.service = service
        self._machine = machine
        self.own = machine.make_own(name)
        self._out = self.own.tmp.parent / "out"
        self._err = self.own.tmp.parent / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                **machine.prepare(service, command, self.own),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def wait_healthy(self) -> None:
        """Ask the service's own health check until it says yes."""
        deadline = time.monotonic() + HEALTHY_S
        while not self.is_healthy():
            assert self.process.poll() is None, f"{self.service.name} ended:\n{self.log()}"
            assert time.monotonic() < deadline, f"{self.service.name} was never healthy:\n{self.log()}"
            time.sleep(0.2)

    def is_healthy(self) -> bool:
        check = self._machine.prepare(self.service, self.service.health_command, self.own)
        done = subprocess.run(**check, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=RUN_S)
        return done.returncode == 0

    def ask_to_stop(self) -> None:
        """Only the first process, as a container's runtime does."""
        self.process.send_signal(signal.Signals[self.service.stop_signal])

    def wait_stopped(self) -> int:
        """The exit code. Raises when the time that the service is given is not enough."""
        return self.process.wait(self.service.stop_grace_s)

    def output(self) -> str:
        return self._out.read_text(errors="replace")

    def log(self) -> str:
        return self.output() + self._err.read_text(errors="replace")

    def is_alone(self) -> bool:
        """Whether nothing of its process tree is left."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def machine(image: Image, *, directory: Path, env: Mapping[str, str], ports: Mapping[str, str]) -> Iterator[Machine]:
    started = Machine(image, directory=directory, env=env, ports=ports)
    try:
        yield started
    finally:
        started.close()


def free_ports(count: int) -> list[int]:
    """Held all at once, so that no two are the same."""
    with ExitStack() as held:
        sockets = [held.enter_context(closing(socket.socket())) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
