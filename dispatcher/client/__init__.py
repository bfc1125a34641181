"""The other end of the API: what developers hold in hand, as providers, as merchants and as receivers.

Everything is loaded when it is first asked for: a receiver that only verifies loads no HTTP client.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dispatcher.client import webhooks
    from dispatcher.client.errors import (
        ApiError,
        BadInput,
        Conflict,
        FieldError,
        Forbidden,
        Invalid,
        NetworkError,
        NotFound,
        SignatureError,
        SignetError,
        Stale,
        TooLarge,
        TooManyRequests,
        Unauthenticated,
        Unavailable,
        UnexpectedAnswer,
    )
    from dispatcher.client.fields import NewEvent
    from dispatcher.client.retry import NEVER, Retry
    from dispatcher.client.sides import Merchant, MerchantSide, Provider, ProviderSide

__all__ = [
    "NEVER",
    "ApiError",
    "BadInput",
    "Conflict",
    "FieldError",
    "Forbidden",
    "Invalid",
    "Merchant",
    "MerchantSide",
    "NetworkError",
    "NewEvent",
    "NotFound",
    "Provider",
    "ProviderSide",
    "Retry",
    "SignatureError",
    "SignetError",
    "Stale",
    "TooLarge",
    "TooManyRequests",
    "Unauthenticated",
    "Unavailable",
    "UnexpectedAnswer",
    "webhooks",
]

_HOMES = {
    **dict.fromkeys(("Merchant", "MerchantSide", "Provider", "ProviderSide"), "sides"),
    **dict.fromkeys(("NEVER", "Retry"), "retry"),
    "NewEvent": "fields",
}
# The module of each; all others are errors.


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "webhooks":
        return import_module(f"{__name__}.webhooks")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
    return found
