"""The processes that make a running platform: web, two kinds of workers, beat."""

import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from config.children import Plan

SERVER = ("-m", "granian", "--interface", "rsgi", "--http", "1", "--no-ws")
# Websockets are not spoken here: whoever asks for one is answered over HTTP.
WEB_PROCESSES_MAX = 4
WEB_THREADS_MAX = 12
# Each thread keeps a connection: with the workers' they stay well within the embedded server's 100.
HEADER_READ_MS = 10_000
# A caller that needs longer for the head of a request only wants to hold a connection.
DRAINS_MIN = 2
# While one drain waits for its last stragglers another must be there to claim.
CHORES = 2
# Concurrency of the node that does everything but drain: sweeps and other chores, short and rare.
MANAGE = ("-m", "django")
# As manage.py, which an installed package does not have.
QUIET = "ignore:You're running the worker with superuser privileges"
# Celery says this in ten lines for each node; `serve` says it once.


@dataclass(frozen=True, slots=True)
class Site:
    """Where this platform runs. `services` are settings to hand on, for what the environment does not have."""

    host: str
    port: int
    drains: int
    state_dir: Path
    services: dict[str, str]

    @property
    def counts_dir(self) -> Path:
        """Where the processes keep what /metrics adds up."""
        return self.state_dir / f"counts-{self.port}"

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def default_drains() -> int:
    return max(DRAINS_MIN, _processors())


def platform(site: Site) -> list[Plan]:
    return [
        _web(site),
        _worker(site, "drain", queue="drain", concurrency=site.drains),
        _worker(site, "tasks", queue="deliveries", concurrency=CHORES),
        _beat(site),
    ]


def demo(site: Site) -> Plan:
    return Plan("demo", (sys.executable, *MANAGE, "demo"), _environment(site))


def demo_letters(given: Mapping[str, str]) -> dict[str, str]:
    """Settings that keep the demo's e-mails and SMS on this machine, where it takes them; none where one is given."""
    if not {"EMAIL_URL", "SMS_BACKEND", "SMS_GATEWAY_URL"}.isdisjoint(given):
        return {}
    mail, sms = _free_ports(2)
    gateway = f"http://127.0.0.1:{sms}"
    return {"EMAIL_URL": f"smtp://127.0.0.1:{mail}", "SMS_BACKEND": "http", "SMS_GATEWAY_URL": gateway}


def migrate(site: Site) -> Plan:
    return Plan("migrate", (sys.executable, *MANAGE, "migrate", "--no-input", "--verbosity=0"), _environment(site))


def _web(site: Site) -> Plan:
    processes = min(WEB_PROCESSES_MAX, _processors())
    # While one thread computes, others wait for Postgres.
    threads = min(WEB_THREADS_MAX, 2 * _processors() + 1)
    command = (
        *(sys.executable, *SERVER),
        *("--host", site.host, "--port", str(site.port), "--workers", str(processes)),
        *("--http1-header-read-timeout", str(HEADER_READ_MS)),
        *("--respawn-failed-workers", "--workers-kill-timeout", "4", "--log-level", "warning"),
        "config.front:application",
    )
    return Plan("web", command, _environment(site) | {"SIGNET_ROLE": "web", "SIGNET_WEB_THREADS": str(threads)})


def _worker(site: Site, name: str, *, queue: str, concurrency: int) -> Plan:
    ready_file = site.state_dir / f"{name}-{site.port}.ready"
    command = (
        *(sys.executable, "-m", "celery", "--quiet", "--app", "config", "worker"),
        *("--queues", queue, "--hostname", f"{name}-{site.port}@%h", "--concurrency", str(concurrency)),
        # Nodes do not need to know of each other: all that they share is in Postgres.
        *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"),
    )
    environment = _environment(site) | {
        "SIGNET_ROLE": name,
        "SIGNET_READY_FILE": str(ready_file),
        "PYTHONWARNINGS": QUIET,
        # One port, for the node that delivers; its numbers are those of all of us.
        **({} if queue == "drain" else {"METRICS_PORT": ""}),
    }
    return Plan(name, command, environment, ready_file=ready_file, is_worker=True)


def _beat(site: Site) -> Plan:
    """Rings and holds nothing: its schedule needs no file, and a kill is its cleanest stop.

    Asked politely it breaks off inside whatever it is sending and logs the wreck.
    """
    command = (
        *(sys.executable, "-m", "celery", "--quiet", "--app", "config", "beat"),
        *("--scheduler", "celery.beat:Scheduler", "--pidfile=", "--loglevel", "WARNING"),
    )
    environment = _environment(site) | {"SIGNET_ROLE": "beat", "METRICS_PORT": ""}
    return Plan("beat", command, environment, stop_signal=signal.SIGKILL)


def _environment(site: Site) -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PORT": str(site.port),
        "PROMETHEUS_MULTIPROC_DIR": str(site.counts_dir),
        **site.services,
    }


def _free_ports(count: int) -> list[int]:
    """Held all at once, so that no two are the same."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _processors() -> int:
    """Those that this process may use: fewer than the machine has, in most containers."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
