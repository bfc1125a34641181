"""The admin of merchants, keys, event types, endpoints and their secrets. Django imports it to find its pages."""

from subscriptions.admin import audit, catalogue, endpoints, keys, merchants, secrets

__all__ = ["audit", "catalogue", "endpoints", "keys", "merchants", "secrets"]
