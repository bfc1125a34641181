"""The very commands of compose.yaml make a platform that publishes, delivers and stops in order."""

import http.client
import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from config.embedded.services import Services
from tests.deployment.compose import ROOT, Service, read_env, services
from tests.deployment.containers import METRICS_PORT, Container, Image, Machine, build, free_ports, machine
from tests.receivers.receiver import Connection, Receiver
from tests.receivers.scripts import OK

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

HOST = "webhooks.example"
PATIENCE_S = 30.0
PARTS = ("web", "drain", "tasks", "beat")


class Installation:
    """What `docker compose up` makes of compose.yaml and .env, in the order that `depends_on` asks for."""

    def __init__(self, started: Machine, parts: dict[str, Service], *, database_url: str, web_port: int) -> None:
        self.machine = started
        self.parts = parts
        self._database_url = database_url
        self._web_port = web_port
        self.running: list[Container] = []
        self.key = ""

    def up(self, *names: str) -> None:
        started = [self.machine.start(self.parts[name]) for name in names for _ in range(self.parts[name].replicas)]
        self.running += started
        for container in started:
            if container.service.health_command:
                container.wait_healthy()

    def one(self, name: str) -> Container:
        """The first that runs of a service."""
        return next(container for container in self.running if container.service.name == name)

    def get(self, path: str) -> tuple[int, bytes]:
        return self._ask("GET", path, None, {})

    def create(self, path: str, body: object, *, status: int = 201) -> Any:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        answered, text = self._ask("POST", path, json.dumps(body), headers)
        assert answered == status, text
        return json.loads(text)

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, bytes]:
        """As the proxy hands a request on."""
        connection = http.client.HTTPConnection("127.0.0.1", self._web_port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, {"Host": HOST, "X-Forwarded-Proto": "https", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def publish(self, **payload: Any) -> str:
        """The event's public id."""
        event = {"type": "paid", "merchant": "acme", "payload": payload}
        return str(self.create("/api/v2/events", event, status=202)["id"])

    def add_endpoint(self, url: str) -> None:
        self.create("/api/v2/webhooks/endpoints?merchant=acme", {"url": url})

    def statuses(self) -> list[str]:
        with psycopg.connect(self._database_url) as connection:
            return [row[0] for row in connection.execute("SELECT status FROM deliveries_delivery ORDER BY id")]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Short, as socket paths must be, and open: the containers' user has to pass through."""
    directory = Path(tempfile.mkdtemp(prefix="signet-case-"))
    directory.chmod(0o755)
    yield directory
    _unlock(directory)
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def image(place: Path) -> Image:
    return build(place)


@pytest.fixture(scope="module")
def installation(place: Path, image: Image) -> Iterator[Installation]:
    with ExitStack() as ending:
        embedded = Services(place / "services", is_durable=False)
        ending.callback(embedded.erase)
        ending.callback(embedded.stop)
        urls = embedded.start()
        web, receiver = free_ports(2)
        env = _new_env(place) | {
            "DATABASE_URL": urls.database_url,
            "REDIS_URL": urls.redis_url,
            "ALLOWED_HOSTS": HOST,
            "PUBLIC_URL": f"https://{HOST}",
            "ALLOW_HTTP_TARGETS": "true",
            "ALLOWED_TARGET_NETWORKS": "127.0.0.0/8",
        }
        ports = {"8000": str(web), "9100": str(receiver), "0.0.0.0": "127.0.0.1"}
        started = ending.enter_context(machine(image, directory=place, env=env, ports=ports))
        made = Installation(started, services(env), database_url=urls.database_url, web_port=web)
        made.machine.run(made.parts["migrate"], *made.parts["migrate"].command)
        made.up(*PARTS, "receiver")
        run = made.parts["web"], "python", "manage.py"
        made.machine.run(*run, "create_merchant", "Acme", "--reference", "acme")
        made.machine.run(*run, "create_event_type", "paid")
        made.key = made.machine.run(*run, "create_key", "--provider", "Ours").strip().splitlines()[-1]
        made.add_endpoint(f"http://127.0.0.1:{receiver}/acme")
        yield made


def test_what_is_published_arrives_at_the_receiver_service(installation: Installation) -> None:
    event_id = installation.publish(id="inv_1")
    receiver = installation.one("receiver")
    _wait(lambda: event_id in receiver.output(), what=f"{event_id} in {receiver.log()!r}")
    (line,) = (line for line in receiver.output().splitlines() if event_id in line)
    assert line.split("  ")[1:] == [
        "paid",
        event_id,
        "attempt 1",
        "signature not checked",
        "15 bytes",
        "answered 200",
    ]


def test_every_part_with_a_check_is_healthy_and_web_says_what_it_found(installation: Installation) -> None:
    checked = [one for one in installation.running if one.service.health_command]
    assert [one.service.name for one in checked if not one.is_healthy()] == []
    status, text = installation.get("/readyz")
    checks = {"database": "ok", "redis": "ok", "deliveries": "ok"}
    assert (status, json.loads(text)) == (200, {"status": "ok", "checks": checks})


def test_every_worker_and_beat_tells_its_numbers(installation: Installation) -> None:
    workers = [one for one in installation.running if one.service.name in ("drain", "tasks", "beat")]
    assert len(workers) == 4
    for worker in workers:
        connection = http.client.HTTPConnection("127.0.0.1", int(worker.own.ports[METRICS_PORT]), timeout=PATIENCE_S)
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        assert (worker.service.name, answer.status) == (worker.service.name, 200)
        assert b"# TYPE signet_" in answer.read()
        connection.close()


def test_pages_and_their_static_files_are_in_the_image(installation: Installation) -> None:
    for path in (
        "/admin/login/",
        "/static/admin/css/base.css",
        "/api/docs/",
        "/static/config/swagger-ui/swagger-ui.css",
    ):
        status, text = installation.get(path)
        assert (path, status, bool(text)) == (path, 200, True)


def test_one_shots_end_well(installation: Installation) -> None:
    retention = installation.parts["retention"]
    told = installation.machine.run(retention, *retention.command)
    assert told.splitlines()[-1] == "done: 0 events, 0 deliveries, 0 attempts, 0 hourly counts, 0 keys deleted"
    migrate = installation.parts["migrate"]
    assert "No migrations to apply." in installation.machine.run(migrate, *migrate.command)


def test_a_worker_is_replaced_while_events_come_in(installation: Installation) -> None:
    """As in an upgrade: a new worker starts, an old one is told to stop, and what is published meanwhile arrives."""
    old = installation.one("drain")
    installation.up("drain")
    old.ask_to_stop()
    published = [installation.publish(number=number) for number in range(20)]
    assert old.wait_stopped() == 0
    installation.running.remove(old)
    receiver = installation.one("receiver")
    _wait(lambda: all(one in receiver.output() for one in published), what="all arrive")


def test_told_to_stop_every_part_finishes_and_leaves_with_0(installation: Installation, image: Image) -> None:
    """With a request in the air that is answered only after everybody was told. Comes last: it ends the platform."""
    may_answer = threading.Event()

    def slow(connection: Connection) -> None:
        if connection.read_request() is not None:
            may_answer.wait(PATIENCE_S)
            connection.send(OK)

    files = image.files()
    with Receiver(slow) as receiver:
        installation.add_endpoint(f"http://127.0.0.1:{receiver.port}/slow")
        installation.publish(id="last")
        _wait(lambda: len(receiver.requests) == 1, what="the slow receiver is asked")
        for container in installation.running:
            container.ask_to_stop()
        codes = {}
        for container in installation.running:
            if container.service.name == "drain":
                may_answer.set()
            codes[container] = container.wait_stopped()
    wrong = {one.service.name: (code, one.log()) for one, code in codes.items() if code != 0 or not one.is_alone()}
    assert wrong == {}
    assert set(installation.statuses()) == {"delivered"}
    assert image.files() == files


def _new_env(place: Path) -> dict[str, str]:
    """What `deploy/new-env` makes."""
    subprocess.run([ROOT / "deploy" / "new-env", place], check=True, capture_output=True)
    return read_env(place / ".env")


def _wait(condition: Callable[[], bool], *, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:g} s: {what}"
        time.sleep(0.05)


def _unlock(directory: Path) -> None:
    for path in (directory, *directory.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
