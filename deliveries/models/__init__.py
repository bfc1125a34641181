"""What we owe, what we tried, what came of it."""

from deliveries.models.heartbeats import Heartbeat
from deliveries.models.lanes import Lane, LaneEntry
from deliveries.models.ledger import Attempt, Delivery, Event, IdempotencyKey
from deliveries.models.privacy import Export, ExportChunk, Expunge
from deliveries.models.replays import Replay
from deliveries.models.statistics import CountDelta, HourlyCount

__all__ = [
    "Attempt",
    "CountDelta",
    "Delivery",
    "Event",
    "Export",
    "ExportChunk",
    "Expunge",
    "Heartbeat",
    "HourlyCount",
    "IdempotencyKey",
    "Lane",
    "LaneEntry",
    "Replay",
]
