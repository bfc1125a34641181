"""`receiver`: a verifying receiver for trying things out."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from deliveries.receiver import Behaviour, Received, Receiver


class Command(BaseCommand):
    help = "Receive deliveries, print what came and whether its signatures hold. Ctrl-C ends it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
        parser.add_argument("--port", type=int, default=9100, help="the port to listen on")
        parser.add_argument(
            "--secret", metavar="S", help="the endpoint's secret; without it signatures are not checked"
        )
        parser.add_argument("--status", type=int, default=200, help="what to answer")
        parser.add_argument("--delay", type=float, default=0.0, metavar="S", help="seconds to wait before the answer")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        behaviour = Behaviour(options["secret"], options["status"], options["delay"])
        try:
            receiver = Receiver(host=options["host"], port=options["port"], default=behaviour, report=self._print)
        except OSError as trouble:
            raise CommandError(f"Port {options['port']} cannot be used: {trouble.strerror}.") from None
        try:
            self.stdout.write(f"receiving at {receiver.url}")
            receiver.serve()
        except KeyboardInterrupt:
            self.stdout.write(f"{sum(receiver.counts().values())} deliveries received")
        finally:
            receiver.close()

    def _print(self, received: Received) -> None:
        self.stdout.write(line(received, at=datetime.now().astimezone()))
        self.stdout.flush()


def line(received: Received, *, at: datetime) -> str:
    """One delivery as one line; what the sender chose is shown without control characters."""
    told = (
        f"{at:%H:%M:%S.%f}"[:-3],
        received.event_type,
        received.event_id,
        f"attempt {received.attempt}",
        _signature(received),
        f"{len(received.body)} bytes",
        f"answered {received.status}",
    )
    return "  ".join("".join(char if char.isprintable() else "?" for char in part) for part in told)


def _signature(received: Received) -> str:
    if received.hex_verdict is None or received.standard_verdict is None:
        return "signature not checked"
    if received.is_genuine:
        return "signature good"
    return f"signature BAD (hex {received.hex_verdict}, standard {received.standard_verdict})"
