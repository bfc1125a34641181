"""What became of a delivery so far, in one word and in one sentence."""

from deliveries.models import Delivery
from dispatcher.outcomes import Reason
from dispatcher.words import said


def state_of(delivery: Delivery) -> str:
    """Its status; one that was tried and waits for its next try is `retrying`."""
    return "retrying" if delivery.status == "pending" and delivery.attempts_made else delivery.status


def result_of(delivery: Delivery) -> str:
    """What the last attempt came to, in words; for a delivered one its status alone."""
    if delivery.last_reason is None:
        return ""
    if delivery.last_reason == Reason.DELIVERED:
        return str(delivery.last_status or "Delivered")
    return said(delivery.last_reason, delivery.last_status)
