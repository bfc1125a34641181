"""Runs the whole platform in the foreground until Ctrl-C or SIGTERM."""

import argparse
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from contextlib import closing
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import plans, supervisor
from config.children import Plan
from config.embedded import state
from config.embedded.errors import EmbeddedError
from config.embedded.ground import open_state_dir
from config.embedded.services import Services, start_missing
from config.terminal import Terminal

POLL_S = 0.05
OPEN_FILES = 16_384


class Command(BaseCommand):
    help = (
        "Web, workers and beat under one supervisor, with an embedded PostgreSQL and Redis where DATABASE_URL and "
        "REDIS_URL are unset. Prints `ready http://…` when requests are answered and the workers are consuming."
    )
    requires_system_checks = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
        parser.add_argument("--port", type=_port, default=settings.PORT, help="0 picks a free one")
        parser.add_argument(
            "--workers",
            type=_positive,
            default=plans.default_drains(),
            help="drain processes; by default one for each processor, at least two",
        )
        parser.add_argument("--demo", action="store_true", help="also run the demo provider")

    def handle(self, *, host: str, port: int, workers: int, demo: bool, **_: Any) -> None:
        """A signal that comes during one step is heeded before the next, so that none leaves half a start behind."""
        interrupt = Interrupt()
        _allow_many_sockets()
        directory = state.state_dir()
        port = _free_port(host, port)
        try:
            open_state_dir(directory)
            services, urls = start_missing(directory, os.environ)
        except EmbeddedError as error:
            raise CommandError(str(error)) from None
        names = {"DATABASE_URL": urls.database_url, "REDIS_URL": urls.redis_url}
        given = {name: url for name, url in names.items() if url} | (plans.demo_letters(os.environ) if demo else {})
        site = plans.Site(host, port, workers, directory, given)
        try:
            if os.geteuid() == 0:
                self.stderr.write("Running as root: give Signet an ordinary user of its own in production.")
            _migrate(site, interrupt)
            if not interrupt.came:
                # What processes of an earlier run counted.
                shutil.rmtree(site.counts_dir, ignore_errors=True)
                _supervise(site, services, is_demo=demo)
        finally:
            if services:
                services.stop()


class Interrupt:
    """Notes signals until the supervisor takes over, and swallows those that come while the services are stopping."""

    def __init__(self) -> None:
        self.came = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.came = True


def _supervise(site: plans.Site, services: Services | None, *, is_demo: bool) -> None:
    terminal = Terminal(is_json=settings.LOG_FORMAT == "json")

    def announce() -> Plan | None:
        terminal.print(f"ready {site.url}")
        return plans.demo(site) if is_demo else None

    def keep_services() -> None:
        try:
            revived = services.revive() if services else ""
        except EmbeddedError as error:
            terminal.say(str(error))
            return
        if revived:
            terminal.say(f"{revived} was gone; started again")

    checks = supervisor.Checks(
        is_web_ready=lambda: supervisor.probe(_probe_host(site.host), site.port),
        keep_services=keep_services,
        on_ready=announce,
    )
    supervisor.Supervisor(plans.platform(site), cwd=settings.BASE_DIR, terminal=terminal, checks=checks).run()


def _allow_many_sockets() -> None:
    """A drain holds thousands; many systems allow 1024 files until asked for more. The children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _migrate(site: plans.Site, interrupt: Interrupt) -> None:
    """In a process of its own: this one has no database."""
    plan = plans.migrate(site)
    with subprocess.Popen(  # noqa: S603
        plan.command, cwd=settings.BASE_DIR, env={**os.environ, **plan.environment}, start_new_session=True
    ) as process:
        while process.poll() is None:
            if interrupt.came:
                process.terminate()
            time.sleep(POLL_S)
    if process.returncode and not interrupt.came:
        raise CommandError("The migrations could not be applied; the reason is above.")


def _free_port(host: str, port: int) -> int:
    """The port to listen on. Fails now, with a sentence, rather than in a child that is restarted for ever."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise CommandError(
                f"Cannot listen on {host}:{port} ({reason}): stop what uses it, or choose another with --port."
            ) from None
        return int(probe.getsockname()[1])


def _probe_host(host: str) -> str:
    """An address that reaches a server which listens on all."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65_535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("at least one is needed")
    return int(text)
