"""Who wants what, where: the tables behind merchants, keys, event types, endpoints and their secrets."""

from subscriptions.models.access import ApiKey, AuditEntry, StoredAnswer
from subscriptions.models.catalogue import EventType
from subscriptions.models.endpoints import Endpoint, SigningSecret
from subscriptions.models.merchants import Account, Merchant

__all__ = ["Account", "ApiKey", "AuditEntry", "Endpoint", "EventType", "Merchant", "SigningSecret", "StoredAnswer"]
