"""`trigger`: an event, or a test event, at once."""

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from dispatcher.cli.desk import Desk, Misused, Refused, at_desk
from dispatcher.cli.parameters import read_bytes
from dispatcher.words import WORDS

if TYPE_CHECKING:
    from dispatcher.client.results import Trial


@click.command()
@at_desk
@click.argument("event_type", metavar="TYPE")
@click.option("--payload", metavar="FILE", help="JSON, sent byte for byte; - is standard input. Default: a sample.")
@click.option("--account", help="The account, card or terminal it concerns; may stand for the merchant.")
@click.option("--endpoint", metavar="ID", help="Send a test event to this endpoint instead of publishing.")
@click.option("--id", "event_id", help="Your own id for the event.")
@click.option("--idempotency-key", metavar="KEY", help="The same key publishes once, however often it is said.")
def trigger(desk: Desk, event_type: str, *, payload: str | None, endpoint: str | None, **more: Any) -> None:
    """Publish an event, or send a test event to an endpoint.

    A provider's key publishes for --merchant or --account. A merchant's key sends a test event to --endpoint, or to
    the only endpoint there is, and ends with 1 when it was not received.
    """
    raw = None if payload is None else read_bytes(payload)
    if endpoint is None and desk.is_provider:
        _publish(desk, event_type, raw, **more)
        return
    if any(value is not None for value in (more["account"], more["event_id"])):
        raise click.UsageError("--account and --id belong to published events, not to test events.")
    made = desk.merchant.endpoints.test(
        endpoint or _only_endpoint(desk),
        event_type=event_type,
        payload=raw,
        idempotency_key=more["idempotency_key"],
    )
    show_trial(desk, made)


def _publish(
    desk: Desk,
    event_type: str,
    raw: bytes | None,
    *,
    account: str | None,
    event_id: str | None,
    idempotency_key: str | None,
) -> None:
    # The account alone names the merchant; a default merchant would only contradict it.
    merchant = desk.asked_merchant if account else desk.merchant_name
    made = desk.provider.events.publish(
        event_type,
        _example(desk, event_type) if raw is None else raw,
        merchant=merchant,
        account=account,
        event_id=event_id,
        idempotency_key=idempotency_key,
    )
    desk.out.details(
        made, [("event", made.id), ("deliveries", made.deliveries), ("published before", made.is_duplicate)]
    )


def show_trial(desk: Desk, made: "Trial") -> None:
    """What came of a test event. Raises Refused, after that, when it was not received."""
    words = WORDS.get(made.reason, made.reason)
    desk.out.details(
        made,
        [
            ("event", made.event_id),
            ("type", made.event_type),
            ("sent to", made.request.url),
            ("state", made.delivery_status),
            ("result", f"{words}: {made.detail}" if made.detail else words),
            ("answer", made.response.status if made.response else None),
            ("took", f"{made.phases_ms.get('total') or 0:.0f} ms"),
        ],
    )
    if desk.out.look != "json" and made.response and made.response.body:
        desk.out.body(made.response.body, title="answer's body")
    if not made.is_delivered:
        raise Refused(f"The test event was not received: {words}.")


def _example(desk: Desk, event_type: str) -> bytes:
    """The catalogue's, or a sample that fits the type's schema where the merchant to publish for is known."""
    if desk.merchant_name is not None:
        sample = desk.merchant.event_types.get(event_type).sample
    else:
        sample = desk.provider.event_types.get(event_type).example
    if sample is None:
        raise Misused(f"There is no example of {event_type}: add --payload FILE.")
    return json.dumps(sample, ensure_ascii=False).encode()


def _only_endpoint(desk: Desk) -> str:
    found = list(islice(desk.merchant.endpoints.list(page_size=2), 2))
    if len(found) != 1:
        many = "There are several endpoints" if found else "There is no endpoint"
        raise Misused(f"{many}: name one with --endpoint (`signet endpoints list`).")
    return found[0].id
