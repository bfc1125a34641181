"""Whether this host's workers or beat do their work, for a container's health check: exit status 0 or 1."""

import argparse
import socket
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from config import health
from deliveries.models import Heartbeat
from deliveries.selectors import heartbeats
from deliveries.selectors.heartbeats import Node

WORKERS = (Heartbeat.Kind.DRAIN, Heartbeat.Kind.TASKS)
KINDS = {"worker": WORKERS, "beat": (Heartbeat.Kind.BEAT,)}


class Command(BaseCommand):
    help = (
        "Exit status 0 while the workers, or beat, of this host beat and get somewhere; 1 with a sentence otherwise. "
        "Asks Postgres only, so it also tells of a process that hangs."
    )
    requires_system_checks = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("what", choices=sorted(KINDS))
        parser.add_argument("--host", default=socket.gethostname(), help="as the node's name ends; default: this one")

    def handle(self, *, what: str, host: str, **_: Any) -> None:
        try:
            found = [node for node in heartbeats.nodes() if node.kind in KINDS[what] and _host(node) == host]
            states = {node.node: _state(node) for node in found}
        except Error as error:
            raise CommandError(f"The database does not answer: {type(error).__name__}") from None
        if not found:
            raise CommandError(f"No {what} of {host} has been heard of.")
        if bad := {node: state for node, state in states.items() if state != health.OK}:
            raise CommandError("; ".join(f"{node}: {state}" for node, state in bad.items()))
        self.stdout.write(f"ok: {', '.join(states)}")


def _host(node: Node) -> str:
    return node.node.rpartition("@")[2]


def _state(node: Node) -> str:
    if not node.is_alive:
        return f"silent for {node.silent_s:.0f} s"
    if node.kind == Heartbeat.Kind.DRAIN:
        return health.drain_state(node.idle_s)
    return health.beat_state(node.idle_s) if node.kind == Heartbeat.Kind.BEAT else health.OK
