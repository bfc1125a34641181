"""The admin of merchants, their endpoints and all that belongs to both. Django imports it to find its pages."""

from subscriptions.admin import (
    audit,
    catalogue,
    endpoints,
    keys,
    members,
    merchants,
    message_templates,
    profiles,
    provider_keys,
    rules,
    secrets,
)

__all__ = [
    "audit",
    "catalogue",
    "endpoints",
    "keys",
    "members",
    "merchants",
    "message_templates",
    "profiles",
    "provider_keys",
    "rules",
    "secrets",
]
