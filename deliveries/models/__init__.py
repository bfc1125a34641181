"""What we owe, what we tried, what came of it."""

from deliveries.models.lanes import Lane, LaneEntry
from deliveries.models.ledger import Attempt, Delivery, Event, IdempotencyKey

__all__ = ["Attempt", "Delivery", "Event", "IdempotencyKey", "Lane", "LaneEntry"]
