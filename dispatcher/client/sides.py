"""The two sides of the API: what a provider may ask, and what a merchant may."""

from types import TracebackType
from typing import Self, TypedDict, Unpack

from dispatcher.client.calling import MERCHANT_BASE, PROVIDER_BASE, Caller
from dispatcher.client.catalogue import EventTypes, OfferedTypes, PublicKeys
from dispatcher.client.endpoints import Configuration, Endpoints
from dispatcher.client.log import Log
from dispatcher.client.merchants import Keys, Merchants, PortalLinks
from dispatcher.client.publishing import Publishing
from dispatcher.client.replays import Replays, Statistics
from dispatcher.client.retry import Retry
from dispatcher.client.transport import Transport


class Options(TypedDict, total=False):
    """`retry`: `Retry(budget_s=…)`, or `NEVER`. `user_agent` goes before the client's own."""

    retry: Retry
    connect_timeout_s: float
    read_timeout_s: float
    user_agent: str


class _Side:
    """Holds the connections, and closes them."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MerchantSide(_Side):
    """What may be asked for one merchant, over given connections."""

    def __init__(self, transport: Transport, *, merchant: str | None = None) -> None:
        super().__init__(transport)
        caller = Caller(transport, base=MERCHANT_BASE, merchant=merchant)
        self.events = Log(caller)
        self.endpoints = Endpoints(caller)
        self.config = Configuration(caller)
        self.event_types = OfferedTypes(caller)
        self.public_keys = PublicKeys(caller)
        self.replays = Replays(caller)
        self.stats = Statistics(caller)


class Merchant(MerchantSide):
    """What a merchant may ask with its own key."""

    def __init__(self, base_url: str, key: str, **options: Unpack[Options]) -> None:
        """Raises BadInput for a base URL or a key that cannot be one; nothing is sent yet."""
        super().__init__(Transport(base_url, key, **options))


class ProviderSide(_Side):
    """What a provider may ask, over given connections."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        caller = Caller(transport, base=PROVIDER_BASE)
        self.events = Publishing(caller)
        self.merchants = Merchants(caller)
        self.keys = Keys(caller)
        self.portal_links = PortalLinks(caller)
        self.event_types = EventTypes(caller)

    def merchant(self, merchant: str) -> MerchantSide:
        """What that merchant may ask, asked for it; named by id or reference. Over the same connections."""
        return MerchantSide(self._transport, merchant=merchant)


class Provider(ProviderSide):
    """What a provider may ask with its key."""

    def __init__(self, base_url: str, key: str, **options: Unpack[Options]) -> None:
        """Raises BadInput for a base URL or a key that cannot be one; nothing is sent yet."""
        super().__init__(Transport(base_url, key, **options))
