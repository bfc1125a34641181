"""`listen`: deliveries reach this machine, are verified, shown and forwarded."""

import base64
import json
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from dispatcher.cli.desk import Desk, Misused, at_desk
from dispatcher.cli.output import Column, Output
from dispatcher.cli.parameters import read_line
from dispatcher.cli.receiving import Judge, Received, Receiver
from dispatcher.client import NotFound, SignetError, webhooks

if TYPE_CHECKING:
    from dispatcher.client.results import Endpoint

SECRET_VARIABLE = "SIGNET_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
SECRET_BYTES = 32
# As the platform makes them.
WHSEC_PROFILES = frozenset({"default", "standard", "cloudevents"})
DESCRIPTION = "signet listen"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopping(threading.Event):
    """Set by the first signal; the second one does not wait any longer."""

    def heed(self) -> None:
        for number in SIGNALS:
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_set():
            raise KeyboardInterrupt
        self.set()


@click.command()
@at_desk
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="Where to listen; by default any free port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Which address to listen at.")
@click.option("--forward-to", metavar="URL", help="Pass genuine deliveries on; the answer is passed back.")
@click.option("--status", type=click.IntRange(200, 599), default=200, show_default=True, help="The answer otherwise.")
@click.option("--create", "is_created", is_flag=True, help="Make an endpoint for as long as this runs.")
@click.option("--type", "event_type", multiple=True, help="With --create: only such events. May be repeated.")
@click.option("--public-url", metavar="URL", help="With --create: where the platform reaches this, e.g. a tunnel.")
@click.option(
    "--profile", type=click.Choice(webhooks.PROFILES), default="default", show_default=True, help="The format."
)
@click.option("--secret-file", metavar="FILE", help="The endpoint's secret; - is standard input.")
@click.option("--no-verify", "is_lenient", is_flag=True, help="Forward and accept what is not genuine as well.")
@click.option("--body", "has_bodies", is_flag=True, help="Show bodies.")
def listen(
    desk: Desk,
    *,
    is_created: bool,
    profile: str,
    secret_file: str | None,
    is_lenient: bool,
    has_bodies: bool,
    **place: Any,
) -> None:
    """Receive deliveries here: verify, print and forward them.

    Until Ctrl-C. With --create an endpoint at this address is made, and removed at the end. Without it nothing is
    asked of the platform: register the address and the secret that are printed. The secret may also come from
    --secret-file or SIGNET_WEBHOOK_SECRET. What is not genuine is answered 401 and not forwarded.
    """
    secret = read_line(secret_file) if secret_file else os.environ.get(SECRET_VARIABLE) or None
    event_types, public_url = place.pop("event_type"), place.pop("public_url")
    if (event_types or public_url) and not is_created:
        raise click.UsageError("--type and --public-url go with --create.")
    show = Show(desk.out, has_bodies=has_bodies)
    receiver = _open(show, **place)
    stopping = Stopping()
    stopping.heed()
    with _serving(receiver):
        if is_created:
            wanted = _wanted(secret, profile=profile, event_types=event_types)
            with _temporary(desk, public_url or receiver.url, **wanted) as made:
                receiver.judge = Judge(secret or _secret_of(made), profile, is_lenient)
                show.ready(receiver.url, endpoint=made.id)
                stopping.wait()
        else:
            known = secret or _secret_to_register(profile, is_lenient=is_lenient)
            receiver.judge = Judge(known, profile, is_lenient)
            show.ready(receiver.url, secret=None if secret else known)
            stopping.wait()


class Show:
    """Prints what `listen` has to say; deliveries come from many threads."""

    def __init__(self, out: Output, *, has_bodies: bool) -> None:
        self._out = out
        self._has_bodies = has_bodies
        self._lock = threading.Lock()

    def ready(self, url: str, *, secret: str | None = None, endpoint: str | None = None) -> None:
        with self._lock:
            if self._out.look == "json":
                self._out.object({"listening": url, "endpoint": endpoint, "secret": secret})
                return
            self._out.done(f"Listening at {url}")
            if endpoint is not None:
                self._out.done(f"Endpoint {endpoint} is there until this ends (Ctrl-C).")
            elif secret is not None:
                self._out.done(f"Register that address with the secret {secret}")
            sys.stdout.flush()

    def delivery(self, received: Received) -> None:
        with self._lock:
            if self._out.look == "json":
                self._out.object(received.shown())
                return
            self._out.row(_Line(received), LINE)
            if self._has_bodies:
                self._out.body(received.body.decode(errors="replace"), title="body")
                sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class _Line:
    """A delivery as a row."""

    received: Received

    def to_json(self) -> bytes:
        return json.dumps(self.received.shown()).encode()


LINE: list[Column[Any]] = [
    Column("Time", lambda one: f"{one.received.at.astimezone():%H:%M:%S}"),
    Column("Type", lambda one: one.received.event_type or one.received.path),
    Column("Event", lambda one: one.received.event_id or "-"),
    Column("Attempt", lambda one: f"attempt {one.received.header('x-webhook-attempt') or '?'}"),
    Column("Signature", lambda one: f"signature {one.received.signature}"),
    Column("Size", lambda one: f"{len(one.received.body)} bytes"),
    Column("Answer", lambda one: _answer(one.received)),
]


def _answer(received: Received) -> str:
    said = f"answered {received.status}"
    if received.trouble:
        return f"{said}: the target gave none ({received.trouble})"
    return f"{said} by the target in {received.took_ms:.0f} ms" if received.is_forwarded else said


def _open(show: Show, *, host: str, port: int, forward_to: str | None, status: int) -> Receiver:
    if forward_to is not None:
        check_target(forward_to)
    try:
        return Receiver(host=host, port=port, forward_to=forward_to, status=status, report=show.delivery)
    except OSError as trouble:
        raise Misused(f"{host}:{port} cannot be used: {trouble.strerror or trouble}.") from None


def check_target(url: str) -> None:
    """Raises click's error for what is no http(s) URL."""
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole:
        raise click.BadParameter(f"{url} is no URL such as http://127.0.0.1:3000/webhooks.")


@contextmanager
def _serving(receiver: Receiver) -> Iterator[None]:
    thread = threading.Thread(target=receiver.serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        receiver.stop()
        thread.join()
        receiver.close()


@contextmanager
def _temporary(desk: Desk, url: str, **fields: Any) -> Iterator["Endpoint"]:
    """An endpoint that is removed at the end, whatever ended it."""
    made = desk.merchant.endpoints.create(url, description=DESCRIPTION, **fields)
    try:
        yield made
    finally:
        _remove(desk, made.id)


def _remove(desk: Desk, endpoint: str) -> None:
    try:
        desk.merchant.endpoints.delete(endpoint)
    except NotFound:
        desk.out.note(f"The endpoint {endpoint} was removed already.")
    except SignetError:
        desk.out.note(f"The endpoint is still there: `signet endpoints delete {endpoint}`.")
        raise
    else:
        desk.out.note(f"Removed the endpoint {endpoint}.")


def _wanted(secret: str | None, *, profile: str, event_types: tuple[str, ...]) -> dict[str, Any]:
    given = {"secret": secret, "event_types": list(event_types) or None}
    return {"profile": profile, **{name: value for name, value in given.items() if value is not None}}


def _secret_of(made: "Endpoint") -> str:
    if not isinstance(made.secret, str):
        raise Misused("The platform made no secret for this format: add --secret-file.")
    return made.secret


def _secret_to_register(profile: str, *, is_lenient: bool) -> str | None:
    """A fresh one for whoever registers this address. Other formats have secrets of other forms."""
    if profile in WHSEC_PROFILES:
        return webhooks.WHSEC + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    if is_lenient:
        return None
    raise Misused(f"For the format {profile} the endpoint's secret is needed: --secret-file, or --create.")
