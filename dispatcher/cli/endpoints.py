"""`endpoints`: where deliveries go."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from dispatcher.cli.desk import Desk, Refused, at_desk, yes
from dispatcher.cli.output import Column
from dispatcher.cli.parameters import MOMENT, PAIR, read_bytes, read_line, read_object
from dispatcher.cli.trigger import show_trial

if TYPE_CHECKING:
    from dispatcher.client.results import Endpoint, Figures

PAGE_MOST = 200


def _state(found: "Endpoint") -> str:
    if found.is_active:
        return "active"
    return f"disabled: {found.disabled_reason}" if found.disabled_reason else "disabled"


COLUMNS: "list[Column[Endpoint]]" = [
    Column("Endpoint", lambda one: one.id),
    Column("State", _state),
    Column("URL", lambda one: one.url, is_long=True),
    Column("Format", lambda one: one.profile, is_extra=True),
    Column(
        "Event types", lambda one: "all" if one.event_types is None else one.event_types, is_long=True, is_extra=True
    ),
    Column("Description", lambda one: one.description, is_long=True, is_extra=True),
]


def _show(desk: Desk, found: "Endpoint") -> None:
    """All that people look at; --json has the rest."""
    members = [
        ("id", found.id),
        ("url", found.url),
        ("state", _state(found)),
        ("description", found.description),
        ("channel", found.channel),
        ("format", found.profile),
        ("event types", "all" if found.event_types is None else found.event_types),
        ("accounts", found.accounts or "all"),
        ("signed", found.secret_set),
        ("auth", found.auth.get("type")),
        ("ordered", found.ordered),
        ("most in flight", found.max_in_flight),
        ("version", found.version),
        ("updated", found.updated_at),
    ]
    if isinstance(found.secret, str):
        members.append(("secret", found.secret))
    desk.out.details(found, members)


@click.group()
def endpoints() -> None:
    """Where deliveries go."""


@endpoints.command("list")
@at_desk
def list_endpoints(desk: Desk) -> None:
    """All endpoints, newest first."""
    desk.out.rows(desk.merchant.endpoints.list(page_size=PAGE_MOST), COLUMNS, empty="There are no endpoints.")


@endpoints.command("show")
@at_desk
@click.argument("endpoint")
def show_endpoint(desk: Desk, endpoint: str) -> None:
    """One endpoint."""
    _show(desk, desk.merchant.endpoints.get(endpoint))


def _fields(command: Any) -> Any:
    """The fields that may be set, for `create` and `update`."""
    for option in (
        click.option("--fields", metavar="FILE", help="More fields as a JSON object, e.g. auth; - is standard input."),
        click.option("--metadata", type=PAIR, multiple=True, help="A word of your own about it. May be repeated."),
        click.option(
            "--header", type=PAIR, multiple=True, help="A header of yours with every delivery. May be repeated."
        ),
        click.option("--max-in-flight", type=int, help="Most deliveries under way at once."),
        click.option("--rate-limit", type=int, help="Most deliveries a second."),
        click.option("--ordered/--unordered", default=None, help="One after the other, in the order of events."),
        click.option("--profile", metavar="NAME", help="The wire format."),
        click.option("--account", multiple=True, help="Only events of this account. May be repeated."),
        click.option("--type", "event_type", multiple=True, help="Only such events; invoice.* for all that begin so."),
        click.option("--description", help="What it is for."),
    ):
        command = option(command)
    return command


@endpoints.command("create")
@at_desk
@click.argument("url")
@_fields
@click.option("--secret-file", metavar="FILE", help="Sign with this secret instead of a new one; - is standard input.")
def create_endpoint(desk: Desk, url: str, *, secret_file: str | None, **given: Any) -> None:
    """A new endpoint at URL. Its secret is shown this once (`endpoints secret` shows it again)."""
    fields = _read_fields(**given)
    if secret_file is not None:
        fields["secret"] = read_line(secret_file)
    _show(desk, desk.merchant.endpoints.create(url, **fields))


@endpoints.command("update")
@at_desk
@click.argument("endpoint")
@_fields
@click.option("--url", help="Where it is now.")
@click.option("--if-version", type=int, metavar="N", help="Only while it is still this version.")
def update_endpoint(desk: Desk, endpoint: str, *, url: str | None, if_version: int | None, **given: Any) -> None:
    """Change what is named; everything else stays."""
    changes = _read_fields(**given)
    if url is not None:
        changes["url"] = url
    if not changes:
        raise click.UsageError("Nothing to change was named.")
    _show(desk, desk.merchant.endpoints.update(endpoint, if_match=if_version, **changes))


@endpoints.command("pause")
@at_desk
@click.argument("endpoint")
def pause_endpoint(desk: Desk, endpoint: str) -> None:
    """Send nothing more to it. Its events are held until they are released (`signet replays release`)."""
    _show(desk, desk.merchant.endpoints.update(endpoint, is_active=False))


@endpoints.command("resume")
@at_desk
@click.argument("endpoint")
def resume_endpoint(desk: Desk, endpoint: str) -> None:
    """Send to it again. What was held meanwhile waits for `signet replays release`."""
    _show(desk, desk.merchant.endpoints.update(endpoint, is_active=True))


@endpoints.command("delete")
@at_desk
@click.argument("endpoint")
@yes
def delete_endpoint(desk: Desk, endpoint: str, *, is_sure: bool) -> None:
    """Remove it. What still waits for it is cancelled."""
    if not is_sure:
        url = desk.merchant.endpoints.get(endpoint).url
        desk.confirm(f"Delete {endpoint} ({url}) and cancel what waits for it?", is_sure=is_sure)
    desk.merchant.endpoints.delete(endpoint)
    desk.out.done(f"Deleted {endpoint}.", endpoint=endpoint, deleted=True)


@endpoints.command("secret")
@at_desk
@click.argument("endpoint")
def show_secret(desk: Desk, endpoint: str) -> None:
    """The secret that signs now, on standard output. The look is written into the audit log."""
    found = desk.merchant.endpoints.secret(endpoint)
    if desk.out.look == "json":
        desk.out.object(found)
    else:
        click.echo(found.secret)


@endpoints.command("rotate")
@at_desk
@click.argument("endpoint")
@click.option(
    "--overlap", type=click.IntRange(0), metavar="S", help="Seconds that the old secret goes on signing; a day."
)
@click.option("--secret-file", metavar="FILE", help="Sign with this secret instead of a new one; - is standard input.")
@yes
def rotate_secret(desk: Desk, endpoint: str, *, overlap: int | None, secret_file: str | None, is_sure: bool) -> None:
    """A new secret. The old one signs beside it for a while; with --overlap 0 it ends at once."""
    secret = None if secret_file is None else read_line(secret_file)
    if overlap == 0:
        desk.confirm(
            f"End the old secret of {endpoint} at once? Receivers that know only it will refuse.", is_sure=is_sure
        )
    made = desk.merchant.endpoints.rotate(endpoint, secret=secret, overlap_s=overlap)
    desk.out.details(made, [("secret", made.secret), ("the old one ends", made.previous_expires_at)])


@endpoints.command("test")
@at_desk
@click.argument("endpoint")
@click.option("--type", "event_type", metavar="NAME", help="The type of the test event.")
@click.option("--payload", metavar="FILE", help="JSON, sent byte for byte; - is standard input.")
def test_endpoint(desk: Desk, endpoint: str, *, event_type: str | None, payload: str | None) -> None:
    """Send a signed test event now. Ends with 1 when it was not received."""
    raw = None if payload is None else read_bytes(payload)
    show_trial(desk, desk.merchant.endpoints.test(endpoint, event_type=event_type, payload=raw))


@endpoints.command("check")
@at_desk
@click.argument("endpoint")
def check_endpoint(desk: Desk, endpoint: str) -> None:
    """Whether anybody answers there; no event is sent. Ends with 1 when nobody does."""
    found = desk.merchant.endpoints.connectivity(endpoint)
    desk.out.details(
        found,
        [
            ("reachable", found.reachable),
            ("answer", found.status),
            ("reason", found.detail or found.reason),
            ("took", f"{found.phases_ms.get('total') or 0:.0f} ms"),
        ],
    )
    if not found.reachable:
        raise Refused(f"Nobody was reached: {found.detail or found.reason}.")


@endpoints.command("stats")
@at_desk
@click.argument("endpoint")
@click.option("--since", type=MOMENT, help="From then on; by default for the last 24 hours.")
@click.option("--until", type=MOMENT, help="Before then.")
@click.option("--bucket", type=click.Choice(["hour", "day"]), default="hour", show_default=True)
def show_stats(desk: Desk, endpoint: str, *, since: datetime | None, until: datetime | None, bucket: str) -> None:
    """How many deliveries, how many failed, how long they took."""
    found = desk.merchant.endpoints.stats(endpoint, since=since, until=until, bucket=bucket)
    desk.out.details(
        found,
        [
            ("from", found.since),
            ("to", found.until),
            *_figures(found.totals),
            ("pending", found.totals.pending),
            ("held", found.totals.held),
        ],
    )


def _figures(found: "Figures") -> list[tuple[str, Any]]:
    return [
        ("delivered", found.delivered),
        ("failed", found.failed),
        ("attempts", found.attempts),
        ("success ratio", None if found.success_ratio is None else f"{found.success_ratio:.2%}"),
        *((name, None if value is None else f"{value:g} ms") for name, value in found.latency_ms.items()),
    ]


def _read_fields(
    *,
    event_type: tuple[str, ...],
    account: tuple[str, ...],
    header: tuple[tuple[str, str], ...],
    metadata: tuple[tuple[str, str], ...],
    fields: str | None,
    **single: Any,
) -> dict[str, Any]:
    """As the API names them; what was not named is absent."""
    several = {
        "event_types": list(event_type),
        "accounts": list(account),
        "headers": dict(header),
        "metadata": dict(metadata),
    }
    more = {} if fields is None else read_object(fields)
    named = {name: value for name, value in single.items() if value is not None}
    return more | named | {name: value for name, value in several.items() if value}
