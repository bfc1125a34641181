"""Ready catalogues of payment systems, each as data: what can happen there, and how its merchants are told."""

from collections.abc import Mapping
from types import MappingProxyType

from subscriptions.providers import card, gateway, paisr, paysafe, paysera
from subscriptions.providers.model import CatalogueType, Provider

__all__ = ["PROVIDERS", "CatalogueType", "Provider"]

PROVIDERS: Mapping[str, Provider] = MappingProxyType(
    {module.PROVIDER.name: module.PROVIDER for module in (paysera, paysafe, paisr, gateway, card)}
)
