"""The admin of the ledger and the lanes, and what operators do. Django imports it to find its pages."""

from deliveries.admin import attempts, deliveries, endpoints, events, idempotency, lanes, merchants, privacy, replays

__all__ = ["attempts", "deliveries", "endpoints", "events", "idempotency", "lanes", "merchants", "privacy", "replays"]
