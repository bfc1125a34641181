"""`demo`: five payment systems with merchants, endpoints, verifying receivers and a stream of events."""

import json
import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError
from types import FrameType
from typing import Any, Never

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from deliveries.demo.screen import Screen
from deliveries.demo.session import Options, Session
from subscriptions.errors import Refusal

RATE = 12.0
RATE_MOST = 300.0
# Events a second. The receiver is Python too and shares the machine with everything else.
SIGNALS = (signal.SIGINT, signal.SIGTERM)
NEEDS = (
    "The demo's endpoints are on 127.0.0.1 by plain HTTP. Allow them to this installation: "
    "ALLOW_HTTP_TARGETS=true ALLOWED_TARGET_NETWORKS=127.0.0.0/8."
)


class Command(BaseCommand):
    help = (
        "Publish sample events of five payment systems through the API and receive their deliveries as their merchants "
        "do. Builds merchants, event types and endpoints, or finds those of an earlier run. `serve --demo` starts it "
        "once all is ready."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", default=f"http://127.0.0.1:{settings.PORT}", help="where the API answers")
        parser.add_argument("--rate", type=_rate, default=RATE, metavar="N", help="events a second (default 12)")
        parser.add_argument("--seconds", type=float, metavar="N", help="end by itself after so long")
        parser.add_argument("--json", action="store_true", help="at the end print a summary, and nothing else")
        parser.add_argument("--yes", action="store_true", help="also where DEBUG is off")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - the framework's signature
        if not settings.DEBUG and not options["yes"]:
            raise CommandError(
                "This adds merchants, a superuser and keys to the database: set DEBUG=true, or say --yes."
            )
        screen = Screen(sys.stderr if options["json"] else sys.stdout)
        chosen = Options(options["url"].rstrip("/"), options["rate"], options["seconds"], is_debug=settings.DEBUG)
        session = Session(chosen, screen)
        try:
            _run(session)
        except Refusal as refusal:
            raise CommandError(f"{refusal.sentence} {NEEDS if _is_about_target(refusal) else ''}".rstrip()) from None
        except OperationalError as failure:
            raise CommandError(str(failure).strip()) from None
        if options["json"]:
            self.stdout.write(json.dumps(session.figures().summary()))
        else:
            screen.say(*session.figures().last_lines())


def _run(session: Session) -> None:
    """Until it ends or a signal ends it; a second signal does not disturb the end."""
    before = {number: signal.signal(number, _interrupt) for number in SIGNALS}
    try:
        session.run()
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> Never:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _is_about_target(refusal: Refusal) -> bool:
    return any(error.pointer == "/url" for error in getattr(refusal, "errors", ()))


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= RATE_MOST:
        raise ArgumentTypeError(f"a number above 0, at most {RATE_MOST:g}")
    return rate
