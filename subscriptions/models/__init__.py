"""Who wants what, where: the tables behind merchants, keys, event types, endpoints and their secrets."""

from subscriptions.models.access import ApiKey, AuditEntry, LoginTries, PortalLink, StoredAnswer
from subscriptions.models.catalogue import EventType
from subscriptions.models.endpoints import Endpoint, SigningSecret
from subscriptions.models.formats import AddressCheck, MessageTemplate, ProviderKey, WireProfile
from subscriptions.models.members import Membership, Notice
from subscriptions.models.merchants import Account, Merchant
from subscriptions.models.operations import Occurrence
from subscriptions.models.rules import Rule

__all__ = [
    "Account",
    "AddressCheck",
    "ApiKey",
    "AuditEntry",
    "Endpoint",
    "EventType",
    "LoginTries",
    "Membership",
    "Merchant",
    "MessageTemplate",
    "Notice",
    "Occurrence",
    "PortalLink",
    "ProviderKey",
    "Rule",
    "SigningSecret",
    "StoredAnswer",
    "WireProfile",
]
