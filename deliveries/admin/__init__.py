"""The admin of the ledger and the lanes. Django imports it to find its pages. Nothing of it is changed by hand."""

from deliveries.admin import attempts, deliveries, events, idempotency, lanes

__all__ = ["attempts", "deliveries", "events", "idempotency", "lanes"]
