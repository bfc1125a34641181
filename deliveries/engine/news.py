"""What a turn has to tell about the lanes and deliveries themselves: written down in its transaction, published later.

A delivery of such an event never makes another one: what was heard from it is left out here. So two endpoints that
hear of each other cannot set off an endless round.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from deliveries.engine.values import HeldLane, Result
from deliveries.models import Attempt
from dispatcher.ids import Prefix, new_id, show
from subscriptions.operational import Operation, is_reserved
from subscriptions.services import operations


@dataclass(frozen=True, slots=True)
class News:
    """One thing that happened to an endpoint or to one of its deliveries."""

    operation: Operation
    endpoint_id: UUID
    detail: dict[str, Any]
    account: str | None = None


def of_lane(lane: HeldLane, results: Sequence[Result], *, disable_after: timedelta) -> News | None:
    """What a lane's new results mean to those who look on. `failing` comes with the first failure at or after the
    warning, `recovered` with the first delivery after that; each once, in turn."""
    if lane.row.reported_at is not None:
        return _recovered(lane, lane.row.reported_at) if any(_ordinary(results, "delivered")) else None
    if lane.streak.warned_at is None or lane.streak.failing_since is None:
        return None
    failures = [result for result in _ordinary(results) if result.decision.status != "delivered"]
    if not failures:
        return None
    detail = {
        **operations.result(failures[-1].outcome.reason.value, failures[-1].outcome.status),
        "failing_since": operations.rfc3339(lane.streak.failing_since),
        "disabled_after_days": disable_after // timedelta(days=1),
    }
    return News(Operation.ENDPOINT_FAILING, lane.row.endpoint_id, detail)


def _recovered(lane: HeldLane, reported_at: datetime) -> News:
    detail = {"reported_at": operations.rfc3339(reported_at)}
    return News(Operation.ENDPOINT_RECOVERED, lane.row.endpoint_id, detail)


def of_failures(results: Sequence[Result], failed: Collection[UUID]) -> list[News]:
    """One for each delivery among `failed`, which the recording has just made final."""
    found = [result for result in _ordinary(results) if result.pick.delivery_id in failed]
    return [_failed(result) for result in found if result.pick.trigger != Attempt.Trigger.TEST]


def _ordinary(results: Sequence[Result], status: str | None = None) -> Iterator[Result]:
    for result in results:
        if not is_reserved(result.pick.event_type) and status in (None, result.decision.status):
            yield result


def _failed(result: Result) -> News:
    pick = result.pick
    detail = {
        **operations.result(result.outcome.reason.value, result.outcome.status),
        "delivery": show(Prefix.DELIVERY, pick.delivery_id),
        "event": {
            "id": pick.external_id or show(Prefix.EVENT, pick.event_id),
            "type": pick.event_type,
            "account": pick.account,
        },
        "attempts": pick.number,
    }
    return News(Operation.DELIVERY_FAILED, pick.endpoint_id, detail, pick.account)


def arrays(news: Sequence[News]) -> dict[str, Any]:
    """The columns of TELL, one array each."""
    return {
        "ids": [new_id() for _ in news],
        "types": [one.operation.value for one in news],
        "endpoints": [one.endpoint_id for one in news],
        "accounts": [one.account for one in news],
        "details": [json.dumps(one.detail, ensure_ascii=False) for one in news],
        "failing": [one.endpoint_id for one in news if one.operation is Operation.ENDPOINT_FAILING],
        "recovered": [one.endpoint_id for one in news if one.operation is Operation.ENDPOINT_RECOVERED],
    }
