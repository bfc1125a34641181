"""The merchants' own code, one module a system: each knows what its system publishes and nothing of how we sign."""

from collections.abc import Mapping

from deliveries.demo.receivers import card, gateway, paisr, paysafe, paysera
from deliveries.demo.receivers.model import Known, Reader, Reading

__all__ = ["CONFIRMATIONS", "Known", "Reader", "Reading", "readers"]

CONFIRMATIONS: Mapping[str, bytes] = {"paysera": paysera.CONFIRMATION}
# What an answer must begin with, by format; elsewhere the status says it all.


def readers(keys_url: str) -> dict[str, Reader]:
    """One for each format that the demo can verify. `keys_url` is where the provider publishes its keys."""
    keys = paysera.PublishedKeys(paysera.fetch_from(keys_url))
    return {
        "paysera": paysera.PayseraReader(keys),
        "paysafe": paysafe.read,
        "paisr": paisr.read_v1,
        "paisr-v2": paisr.read_v2,
        "gateway": gateway.read,
        "default": card.read,
    }
