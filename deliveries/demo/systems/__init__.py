"""The five systems of the demo, each with its own cast and its own events."""

from deliveries.demo.model import System
from deliveries.demo.systems import card, gateway, paisr, paysafe, paysera

SYSTEMS: tuple[System, ...] = (paysera.SYSTEM, paysafe.SYSTEM, paisr.SYSTEM, gateway.SYSTEM, card.SYSTEM)
SHOWN_MERCHANT = "demo-bramble"
# The one whose key is printed: it has a primary endpoint, so that every merchant route has something to show.
