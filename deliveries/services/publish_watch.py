"""What is told of a call of publish: numbers, a line where somebody asked for it, a span where traces are on."""

import logging
import time
from collections.abc import Callable, Sequence

from deliveries import metrics, tracing
from deliveries.services.new_event import Accepted, NewEvent
from subscriptions.errors import Refusal

logger = logging.getLogger(__name__)

SECONDS = {size: metrics.PUBLISH_SECONDS.labels(size) for size in ("one", "batch")}
RESULTS = {result: metrics.EVENTS.labels(result) for result in ("accepted", "duplicate")}


def watched(events: Sequence[NewEvent], publish: Callable[[], list[Accepted]]) -> list[Accepted]:
    """What `publish` answers. Told once for the call, also where it joins a transaction that fails later."""
    began = time.perf_counter()
    try:
        with tracing.publishing(len(events), events[0].type if events else ""):
            answers = publish()
    except Refusal as refusal:
        metrics.PUBLISH_REFUSALS.labels(refusal.code).inc()
        raise
    SECONDS["one" if len(events) == 1 else "batch"].observe(time.perf_counter() - began)
    _count(events, answers)
    return answers


def tell(events: Sequence[NewEvent], answers: Sequence[Accepted], seconds: float) -> None:
    """Of single events that were published together, each of which took so long."""
    if events:
        SECONDS["one"].observe_all([seconds] * len(events))
        _count(events, answers)


def _count(events: Sequence[NewEvent], answers: Sequence[Accepted]) -> None:
    duplicates = sum(answer.is_duplicate for answer in answers)
    RESULTS["accepted"].inc(len(answers) - duplicates)
    if duplicates:
        RESULTS["duplicate"].inc(duplicates)
    metrics.OWED.inc(sum(answer.deliveries for answer in answers if not answer.is_duplicate))
    if logger.isEnabledFor(logging.DEBUG):
        for event, answer in zip(events, answers, strict=True):
            logger.debug(
                "published",
                extra={
                    "event_id": answer.id,
                    "event_type": event.type,
                    "is_duplicate": answer.is_duplicate,
                    "deliveries": answer.deliveries,
                },
            )
