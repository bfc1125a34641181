"""What a drain tells the people who watch it, once a turn: numbers, and log lines for what changed.

A turn that changes nothing says nothing, and each attempt has its line only where somebody asked for it (DEBUG): at ten
thousand deliveries a second the log would cost more than they do.
"""

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from deliveries import metrics, progress
from deliveries.engine.turn import Plan
from deliveries.engine.values import HeldLane, Pick, Result
from dispatcher.ids import Prefix, show
from dispatcher.outcomes import Reason

logger = logging.getLogger(__name__)


def turn_taken(group: Sequence[Result], plan: Plan) -> None:
    """The turn is committed."""
    progress.note()
    if plan.lost:
        # Others hold those lanes: what came from them was dropped.
        group = [result for result in group if result.pick.endpoint_id not in plan.lost]
    try:
        metrics.TURNS.inc()
        if group:
            _count(group)
    except OSError as error:
        # The disk under the numbers is full, say. Deliveries do not depend on being counted.
        logger.warning("the turn could not be counted: %s", type(error).__name__)
    if plan.interrupted:
        metrics.ATTEMPTS_BY_REASON[Reason.INTERRUPTED].inc(plan.interrupted)
        logger.warning(
            "%d attempts of a worker that stopped have an unknown outcome and are made again",
            plan.interrupted,
            extra={"attempts": plan.interrupted},
        )
    if group:
        # Lanes from which nothing was heard keep the breaker that their row has.
        _tell_breakers([lane for lane in plan.lanes.values() if lane.breaker is not lane.row.breaker])
        _tell_attempts(group)


def _count(group: Sequence[Result]) -> None:
    for reason, count in Counter(result.outcome.reason for result in group).items():
        metrics.ATTEMPTS_BY_REASON[reason].inc(count)
    for status, count in Counter(result.decision.status for result in group).items():
        if status in metrics.ENDED_BY_STATUS:
            metrics.ENDED_BY_STATUS[status].inc(count)
    metrics.ATTEMPT_SECONDS.observe_all(result.outcome.phases.total / 1000 for result in group)
    metrics.ATTEMPT_DELAY_SECONDS.observe_all(_delay_s(result) for result in group)


def _delay_s(result: Result) -> float:
    """How long after its time it left. What stands in order keeps its old place, also while it waits for a retry."""
    pick = result.pick
    due_at = pick.due_at
    if pick.next_attempt_at is not None and pick.next_attempt_at > due_at:
        due_at = pick.next_attempt_at
    return max(0.0, (result.started_at - due_at).total_seconds())


def _tell_breakers(lanes: Collection[HeldLane]) -> None:
    """Those that opened or closed. An endpoint that was closed itself has none."""
    for lane in lanes:
        if not lane.row.is_open or (lane.row.breaker.open_until is None) == (lane.breaker.open_until is None):
            continue
        endpoint_id = show(Prefix.ENDPOINT, lane.row.endpoint_id)
        if lane.breaker.open_until is not None:
            metrics.BREAKER_TRIPS.inc()
            logger.info(
                "breaker opened", extra={"endpoint_id": endpoint_id, "open_until": lane.breaker.open_until.isoformat()}
            )
        else:
            metrics.BREAKER_RECOVERIES.inc()
            logger.info("breaker closed", extra={"endpoint_id": endpoint_id})


def _tell_attempts(group: Sequence[Result]) -> None:
    """Each attempt at DEBUG; those after which nothing is tried any more at INFO."""
    tells_all = logger.isEnabledFor(logging.DEBUG)
    for result in group:
        if result.decision.status == "failed":
            logger.info("delivery failed", extra=_of_attempt(result))
        elif tells_all:
            logger.debug("attempt", extra=_of_attempt(result))


def _of_attempt(result: Result) -> dict[str, Any]:
    outcome = result.outcome
    next_at = result.next_attempt_at
    return ids(result.pick) | {
        "attempt_id": show(Prefix.ATTEMPT, result.attempt_id),
        "attempt": result.pick.number,
        "delivery_status": result.decision.status,
        "reason": outcome.reason.value,
        "response_status": outcome.status,
        "ms": round(outcome.phases.total, 1),
        "next_attempt_at": next_at.isoformat() if next_at else None,
    }


def ids(pick: Pick) -> dict[str, str]:
    """Of what a pick is about, as people see them."""
    return {
        "event_id": pick.external_id or show(Prefix.EVENT, pick.event_id),
        "delivery_id": show(Prefix.DELIVERY, pick.delivery_id),
        "endpoint_id": show(Prefix.ENDPOINT, pick.endpoint_id),
        "merchant_id": show(Prefix.MERCHANT, pick.merchant_id),
        **({"trace_id": pick.traceparent.split("-")[1]} if pick.traceparent else {}),
    }
